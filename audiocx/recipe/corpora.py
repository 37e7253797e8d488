"""Corpora, made ready: what the commands that prepare and train have in common."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from ..data.corpus import Piece
from ..data.store import Store, prepare
from ..models import TranscriberConfig

__all__ = ["add_cache", "describe", "open_stores"]


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Adds the option that says where prepared stores lie.

    Args:
        parser: Of a command that uses them.
    """
    parser.add_argument("--cache", default="prepared", help="where prepared stores lie (default: %(default)s)")


def open_stores(parts: Iterable[list[Piece]], cache: str, model: TranscriberConfig) -> list[Store]:
    """Opens the store of each part of a corpus, made when missing.

    Args:
        parts: Pieces that belong together: those to train on, those to validate with.
        cache: Folder of stores.
        model: Gives sample rate and notes.

    Returns:
        The stores, in the same order.

    Raises:
        DataError: See :func:`audiocx.data.store.prepare`.
    """
    return [prepare(pieces, cache, model.sample_rate, model.lowest_note, model.outputs) for pieces in parts]


def describe(name: str, store: Store) -> str:
    """Says in a line what a store holds.

    Args:
        name: Of the part.
        store: Its store.

    Returns:
        Such as "train: 314 recordings, 32.91 h at 11025 Hz, 2.6 GB, prepared/0123456789abcdef".
    """
    hours = store.lengths.sum() / store.sample_rate / 3600
    size_gb = store.audio.nbytes / 1e9
    return (
        f"{name}: {len(store.names)} recordings, {hours:.2f} h at {store.sample_rate} Hz, {size_gb:.1f} GB, "
        f"{store.folder}"
    )
