"""Makes the stores that training and evaluation on LibriSpeech use: python recipes/librispeech/prepare.py FOLDER.

Prints what each part holds. Broken off, it goes on where it stopped.
"""

from __future__ import annotations

import argparse

from audiocx import recipe
from audiocx.data.corpora import librispeech
from audiocx.data.corpora.speech import Split, Utterance, find_recordings
from audiocx.data.store import Store
from audiocx.recipe.corpora import add_cache, describe_speech, open_speech


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the corpora and their cache."""
    parser.add_argument("folder", help="LibriSpeech: the folder of a split, such as train-clean-100, or one above")
    parser.add_argument(
        "--extra",
        action="append",
        default=[],
        metavar="FOLDER",
        help="any folder of recordings, to train on too; may be given again",
    )
    add_cache(parser)


def parts(arguments: argparse.Namespace) -> Split:
    """Splits LibriSpeech."""
    return librispeech.split(librispeech.find_utterances(arguments.folder))


def extras(arguments: argparse.Namespace, validation: list[Utterance]) -> dict[str, list[Utterance]]:
    """Gives the recordings of the extra folders, none of them of a speaker held out."""
    found = {folder: find_recordings(folder) for folder in arguments.extra}
    for utterances in found.values():
        librispeech.check_apart(utterances, validation)
    return found


def stores(arguments: argparse.Namespace) -> tuple[list[Store], list[Store]]:
    """Opens the training stores, LibriSpeech's first, and the validation store, made when missing."""
    split = parts(arguments)
    train = [split.train, *extras(arguments, split.validation).values()]
    return open_speech(train, arguments.cache), open_speech([split.validation], arguments.cache)


def main() -> None:
    """Prepares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    corpus_arguments(parser)
    arguments = parser.parse_args()
    split = parts(arguments)
    more = extras(arguments, split.validation)
    named = {"train": split.train, **{f"train, {folder}": found for folder, found in more.items()}}
    print(describe_speech({**named, "validation": split.validation}, arguments.cache))


if __name__ == "__main__":
    recipe.run("prepare", main)
