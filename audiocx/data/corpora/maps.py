"""MAPS, piano recordings with aligned notes (Emiya, Badeau & David 2010).

A corpus is a folder, searched with all its subfolders, of recordings named ``MAPS_MUS-<title>_<piano>.<ending>``,
each with a label file of the same stem beside it: ``.tsv`` (onset_s, offset_s, midi_note, velocity), MAPS' own
``.txt`` (OnsetTime, OffsetTime, MidiPitch) or ``.mid``.
"""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import DataError
from ..corpus import Piece
from ..labels import AUDIO_ENDINGS, find_labels

__all__ = ["find_pieces", "split"]

_NAME = re.compile(r"MAPS_MUS-(?P<title>.+)_(?P<piano>[^_]+)$")


def find_pieces(folder: str | Path) -> list[Piece]:
    """List the labelled recordings of a MAPS folder.

    Args:
        folder: Searched with its subfolders.

    Returns:
        The pieces, sorted by path.

    Raises:
        DataError: The folder is missing or holds no recording with labels.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; pass the one that holds the MAPS recordings and their labels.")
    pieces = []
    for audio in sorted(path for path in folder.rglob("MAPS_MUS-*") if path.suffix.lower() in AUDIO_ENDINGS):
        match, labels = _NAME.match(audio.stem), find_labels(audio)
        if match and labels:
            pieces.append(Piece(audio.stem, audio, labels, match["piano"], match["title"]))
    if not pieces:
        raise DataError(f"{folder} holds no MAPS_MUS-<title>_<piano> recording with a .tsv, .txt or .mid beside it.")
    return pieces


def split(pieces: list[Piece], held_out: str = "AkPnBcht") -> tuple[list[Piece], list[Piece]]:
    """Split by piano and by title, so that validation hears neither a known piano nor a known piece.

    Args:
        pieces: The corpus.
        held_out: The piano kept out of training.

    Returns:
        Training pieces: all other pianos. Validation pieces: those of the held-out piano whose title occurs on no
        other piano here.

    Raises:
        DataError: A side is empty.
    """
    train = [piece for piece in pieces if piece.source != held_out]
    known = {piece.title for piece in train}
    validation = [piece for piece in pieces if piece.source == held_out and piece.title not in known]
    if not train or not validation:
        pianos = ", ".join(sorted({piece.source for piece in pieces}))
        raise DataError(f"Holding out {held_out!r} leaves a side without pieces; the pianos here are {pianos}.")
    return train, validation
