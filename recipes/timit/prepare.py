"""Makes the stores that training and evaluation on TIMIT use: python recipes/timit/prepare.py FOLDER.

Prints what each part holds, and whether TIMIT is complete. Broken off, it goes on where it stopped.
"""

from __future__ import annotations

import argparse

from audiocx import recipe
from audiocx.data.corpora import timit
from audiocx.data.corpora.speech import Split
from audiocx.data.store import Store
from audiocx.errors import DataError
from audiocx.recipe.corpora import add_cache, describe_speech, open_speech


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the corpus and its cache."""
    parser.add_argument("folder", help="TIMIT: the folder with TRAIN and TEST, or one above; SPHERE or converted")
    add_cache(parser)


def parts(arguments: argparse.Namespace) -> Split:
    """Splits the corpus."""
    return timit.split(timit.find_utterances(arguments.folder))


def stores(arguments: argparse.Namespace) -> tuple[list[Store], list[Store]]:
    """Opens the training and the validation store, made when missing."""
    split = parts(arguments)
    for name in ("train", "validation"):
        if not getattr(split, name):
            raise DataError(f"{arguments.folder}: holds no recording for {name}; add some of its speakers.")
    train, validation = open_speech([split.train, split.validation], arguments.cache)
    return [train], [validation]


def main() -> None:
    """Prepares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    corpus_arguments(parser)
    arguments = parser.parse_args()
    split = parts(arguments)
    print(timit.completeness(split), flush=True)
    print(describe_speech(split._asdict(), arguments.cache))


if __name__ == "__main__":
    recipe.run("prepare", main)
