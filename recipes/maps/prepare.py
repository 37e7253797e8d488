"""Makes the stores that training and evaluation on MAPS use: python recipes/maps/prepare.py FOLDER."""

from __future__ import annotations

import argparse

from audiocx import recipe
from audiocx.data.corpora import maps
from audiocx.data.store import Store
from audiocx.models import MusicConfig, TranscriberConfig
from audiocx.recipe.corpora import add_cache, describe, open_stores


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the corpus and its cache."""
    parser.add_argument("folder", help="the MAPS folder: recordings MAPS_MUS-* with .tsv, .txt or .mid beside them")
    add_cache(parser)


def stores(arguments: argparse.Namespace, model: MusicConfig) -> tuple[list[Store], list[Store]]:
    """Opens the training and the validation store, made when missing."""
    parts = maps.split(maps.find_pieces(arguments.folder))
    train, validation = open_stores(parts, arguments.cache, model)
    return [train], [validation]


def main() -> None:
    """Prepares."""
    parser = argparse.ArgumentParser(description=__doc__)
    corpus_arguments(parser)
    (train,), (validation,) = stores(parser.parse_args(), TranscriberConfig())
    print(describe("train", train), describe("validation", validation), sep="\n")


if __name__ == "__main__":
    recipe.run("prepare", main)
