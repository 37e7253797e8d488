"""Prepare the stores that training and evaluation on MusicNet use: python recipes/musicnet/prepare.py FOLDER.

With --download the corpus is downloaded first (12 GB, with its archive 24 GB of disk space). When the command is given
again after an interruption, an unfinished download starts over; the preparation continues where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from download import download

from audiocx.cli.scripts import exit_on_errors
from audiocx.cli.train import add_cache
from audiocx.data.corpora import musicnet
from audiocx.data.training_data import describe_store, open_stores
from audiocx.errors import DataError
from audiocx.models import TranscriberConfig


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the corpus and its cache."""
    parser.add_argument(
        "folder", help="MusicNet: the folder with train_data, train_labels, ..., or musicnet.npz; or renders of it"
    )
    parser.add_argument("--extended", action="store_true", help="keep all ten recordings of test_data out of training")
    add_cache(parser)


def is_complete(folder: str) -> bool:
    """Return whether the folder holds all of MusicNet, so that nothing is downloaded twice."""
    try:
        return len(musicnet.find_pieces(folder)) == len(musicnet.IDS)
    except DataError:
        return False


def main() -> None:
    """Prepare all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    corpus_arguments(parser)
    parser.add_argument("--download", action="store_true", help="download the corpus into the folder first")
    parser.add_argument("--rate", type=int, default=11025, help="Hz; the paper's code has 11000 (default: %(default)s)")
    parser.add_argument(
        "--outputs", type=int, default=84, help="pitches from A0 on (default: %(default)s, the paper's)"
    )
    arguments = parser.parse_args()
    if arguments.download and not is_complete(arguments.folder):
        download(Path(arguments.folder))
    model = TranscriberConfig(sample_rate=arguments.rate, outputs=arguments.outputs)
    split = musicnet.split(musicnet.find_pieces(arguments.folder), arguments.extended)
    for name, store in zip(split._fields, open_stores(split, arguments.cache, model), strict=True):
        print(describe_store(name, store))


if __name__ == "__main__":
    with exit_on_errors("prepare"):
        main()
