"""Prepare the stores that training and evaluation on MAPS use: python recipes/maps/prepare.py FOLDER."""

from __future__ import annotations

import argparse

from audiocx.cli.scripts import exit_on_errors
from audiocx.cli.train import add_cache
from audiocx.data.training_data import describe_store, find_training_data
from audiocx.models import TranscriberConfig


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the corpus and its cache."""
    parser.add_argument("folder", help="the MAPS folder: recordings MAPS_MUS-* with .tsv, .txt or .mid beside them")
    add_cache(parser)


def main() -> None:
    """Prepare the training and the validation store."""
    parser = argparse.ArgumentParser(description=__doc__)
    corpus_arguments(parser)
    arguments = parser.parse_args()
    data = find_training_data([arguments.folder], speech=False, corpus="maps")
    (train,), (validation,) = data.open(arguments.cache, TranscriberConfig())
    print(describe_store("train", train), describe_store("validation", validation), sep="\n")


if __name__ == "__main__":
    with exit_on_errors("prepare"):
        main()
