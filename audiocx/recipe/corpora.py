"""Corpora, made ready: what the commands that prepare and train have in common."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence

from ..data.corpora.speech import Utterance
from ..data.corpus import Recording
from ..data.store import Store, prepare
from ..models import MusicConfig
from ..stft import SPEECH_RATE

__all__ = ["add_cache", "describe", "describe_speech", "open_speech", "open_stores"]


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Adds the option that says where prepared stores lie.

    Args:
        parser: Of a command that uses them.
    """
    parser.add_argument("--cache", default="prepared", help="where prepared stores lie (default: %(default)s)")


def open_stores(parts: Iterable[Sequence[Recording]], cache: str, model: MusicConfig) -> list[Store]:
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


def open_speech(parts: Iterable[Sequence[Recording]], cache: str) -> list[Store]:
    """Opens the store of each part of a speech corpus, made when missing: at 8000 Hz, without notes.

    Args:
        parts: Utterances that belong together: those to train on, those to validate with.
        cache: Folder of stores.

    Returns:
        The stores, in the same order.

    Raises:
        DataError: See :func:`audiocx.data.store.prepare`.
    """
    return [prepare(utterances, cache, SPEECH_RATE, outputs=0) for utterances in parts]


def describe(name: str, store: Store, speakers: int = 0) -> str:
    """Says in a line what a store holds.

    Args:
        name: Of the part.
        store: Its store.
        speakers: How many are heard in it, of speech; 0 where that is not known.

    Returns:
        Such as "train: 314 recordings, 32.91 h at 11025 Hz, 2.6 GB, prepared/0123456789abcdef".
    """
    hours = store.lengths.sum() / store.sample_rate / 3600
    heard = f" of {speakers} speakers" if speakers else ""
    size = f"{store.audio.nbytes / 1e9:.1f} GB" if store.audio.nbytes >= 1e9 else f"{store.audio.nbytes / 1e6:.0f} MB"
    return (
        f"{name}: {len(store.names)} recordings{heard}, {hours:.2f} h at {store.sample_rate} Hz, {size}, {store.folder}"
    )


def describe_speech(parts: Mapping[str, Sequence[Utterance]], cache: str) -> str:
    """Says what the stores of a speech corpus hold, made when missing.

    Args:
        parts: Its utterances, by the name of the part.
        cache: Folder of stores.

    Returns:
        A line for each part, as of :func:`describe`.

    Raises:
        DataError: See :func:`audiocx.data.store.prepare`.
    """
    speakers = [len({utterance.speaker for utterance in part} - {""}) for part in parts.values()]
    return "\n".join(map(describe, parts, open_speech(parts.values(), cache), speakers))
