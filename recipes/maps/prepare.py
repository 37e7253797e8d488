"""The stores that training and evaluation on MAPS use; run alone, it makes them."""

from __future__ import annotations

import argparse

from audiocx.data import maps
from audiocx.data.store import Store, prepare
from audiocx.models import TranscriberConfig


def stores(folder: str, cache: str, model: TranscriberConfig) -> tuple[Store, Store]:
    """Opens the training and the validation store, made when missing.

    Args:
        folder: The corpus.
        cache: Folder of stores.
        model: Gives sample rate and notes.

    Returns:
        Training store, validation store.
    """
    parts = maps.split(maps.find_pieces(folder))
    train, validation = (
        prepare(pieces, cache, model.sample_rate, model.lowest_note, model.outputs) for pieces in parts
    )
    return train, validation


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the corpus and its cache."""
    parser.add_argument("folder", help="the MAPS folder: recordings MAPS_MUS-* with .tsv, .txt or .mid beside them")
    parser.add_argument("--cache", default="prepared", help="where prepared stores lie (default: %(default)s)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    corpus_arguments(parser)
    arguments = parser.parse_args()
    both = stores(arguments.folder, arguments.cache, TranscriberConfig())
    for name, store in zip(("train", "validation"), both, strict=True):
        seconds = store.lengths.sum() / store.sample_rate
        print(f"{name}: {len(store.names)} pieces, {seconds / 3600:.2f} h, {store.folder}")
