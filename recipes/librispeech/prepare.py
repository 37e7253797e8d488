"""Prepare the stores that training and evaluation on LibriSpeech use: python recipes/librispeech/prepare.py FOLDER.

Prints what each part holds. After an interruption, it continues.
"""

from __future__ import annotations

import argparse

from audiocx.cli.scripts import exit_on_errors
from audiocx.cli.train import add_cache
from audiocx.data.corpora import librispeech
from audiocx.data.corpora.speech import Split, Utterance, find_recordings
from audiocx.data.training_data import describe_speech


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the corpora and their cache."""
    parser.add_argument("folder", help="LibriSpeech: the folder of a split, such as train-clean-100, or one above")
    parser.add_argument(
        "--extra",
        action="append",
        default=[],
        metavar="FOLDER",
        help="any folder of recordings, to train on too; may be given again",
    )
    add_cache(parser)


def find_split(folder: str) -> Split:
    """Find and split LibriSpeech."""
    return librispeech.split(librispeech.find_utterances(folder))


def find_extra(folders: list[str], validation: list[Utterance]) -> dict[str, list[Utterance]]:
    """Find the recordings of the extra folders, none of them of a speaker held out."""
    found = {folder: find_recordings(folder) for folder in folders}
    for utterances in found.values():
        librispeech.check_apart(utterances, validation)
    return found


def main() -> None:
    """Prepare all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    corpus_arguments(parser)
    arguments = parser.parse_args()
    split = find_split(arguments.folder)
    extra = find_extra(arguments.extra, split.validation)
    parts = {"train": split.train, **{f"train, {folder}": found for folder, found in extra.items()}}
    print(describe_speech({**parts, "validation": split.validation}, arguments.cache))


if __name__ == "__main__":
    with exit_on_errors("prepare"):
        main()
