"""Makes the stores that training and evaluation on MusicNet use: python recipes/musicnet/prepare.py FOLDER.

With --download the corpus is downloaded first (12 GB, with its archive 24 GB of disk space). When the command is given
again after an interruption, an unfinished download starts over; the preparation goes on where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from download import download

from audiocx import recipe
from audiocx.data.corpora import musicnet
from audiocx.data.store import Store
from audiocx.errors import DataError
from audiocx.models import MusicConfig, TranscriberConfig
from audiocx.recipe.corpora import add_cache, describe, open_stores


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the corpus and its cache."""
    parser.add_argument(
        "folder", help="MusicNet: the folder with train_data, train_labels, ..., or musicnet.npz; or renders of it"
    )
    parser.add_argument("--extended", action="store_true", help="keep all ten recordings of test_data out of training")
    add_cache(parser)


def parts(arguments: argparse.Namespace) -> musicnet.Split:
    """Splits the corpus."""
    return musicnet.split(musicnet.find_pieces(arguments.folder), arguments.extended)


def stores(arguments: argparse.Namespace, model: MusicConfig) -> tuple[list[Store], list[Store]]:
    """Opens the training and the validation store, made when missing."""
    split = parts(arguments)
    for name in ("train", "validation"):
        if not getattr(split, name):
            raise DataError(f"{arguments.folder}: holds no recording for {name}; add some of its ids.")
    train, validation = open_stores([split.train, split.validation], arguments.cache, model)
    return [train], [validation]


def complete(folder: str) -> bool:
    """Return whether all of MusicNet is there, to download nothing twice."""
    try:
        return len(musicnet.find_pieces(folder)) == len(musicnet.IDS)
    except DataError:
        return False


def main() -> None:
    """Prepares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    corpus_arguments(parser)
    parser.add_argument("--download", action="store_true", help="download the corpus into the folder first")
    parser.add_argument("--rate", type=int, default=11025, help="Hz; the paper's code has 11000 (default: %(default)s)")
    parser.add_argument(
        "--outputs", type=int, default=84, help="pitches from A0 on (default: %(default)s, the paper's)"
    )
    arguments = parser.parse_args()
    if arguments.download and not complete(arguments.folder):
        download(Path(arguments.folder))
    model = TranscriberConfig(sample_rate=arguments.rate, outputs=arguments.outputs)
    split = parts(arguments)
    for name, store in zip(split._fields, open_stores(split, arguments.cache, model), strict=True):
        print(describe(name, store))


if __name__ == "__main__":
    recipe.run("prepare", main)
