"""Prepare the stores that training and evaluation on TIMIT use: python recipes/timit/prepare.py FOLDER.

Prints what each part holds, and whether TIMIT is complete. After an interruption, it continues.
"""

from __future__ import annotations

import argparse

from audiocx.cli.scripts import exit_on_errors
from audiocx.cli.train import add_cache
from audiocx.data.corpora import timit
from audiocx.data.corpora.speech import Split
from audiocx.data.training_data import describe_speech


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the corpus and its cache."""
    parser.add_argument("folder", help="TIMIT: the folder with TRAIN and TEST, or one above; SPHERE or converted")
    add_cache(parser)


def find_split(folder: str) -> Split:
    """Find and split the corpus."""
    return timit.split(timit.find_utterances(folder))


def main() -> None:
    """Prepare all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    corpus_arguments(parser)
    arguments = parser.parse_args()
    split = find_split(arguments.folder)
    print(timit.completeness(split), flush=True)
    print(describe_speech(split._asdict(), arguments.cache))


if __name__ == "__main__":
    with exit_on_errors("prepare"):
        main()
