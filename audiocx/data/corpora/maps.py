"""MAPS: piano recordings with aligned notes.

Source: V. Emiya, R. Badeau and B. David, "Multipitch estimation of piano sounds using a new probabilistic spectral
smoothness principle", IEEE TASLP 2010.
Licence: CC BY-NC-SA 2.0.
Layout: recordings ``MAPS_MUS-<title>_<piano>.<suffix>`` in any subfolder, each with a label file of the same stem:
``.tsv`` (onset_s, offset_s, midi_note, velocity), the ``.txt`` of MAPS (OnsetTime, OffsetTime, MidiPitch) or ``.mid``.
Split: validation on one held-out piano, on titles that no other piano plays.
"""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import DataError
from ...io.audio import AUDIO_SUFFIXES
from ..corpus import Piece
from ..labels import find_labels

__all__ = ["find_pieces", "split"]

_NAME = re.compile(r"MAPS_MUS-(?P<title>.+)_(?P<piano>[^_]+)$")


def find_pieces(folder: str | Path) -> list[Piece]:
    """List the labelled recordings of MAPS.

    Args:
        folder: Folder, searched with its subfolders.

    Returns:
        The pieces, sorted by path.

    Raises:
        DataError: The folder is missing or holds no recording with labels.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: is not a folder; name the one that holds the MAPS recordings and their labels.")
    pieces = []
    for audio in sorted(path for path in folder.rglob("MAPS_MUS-*") if path.suffix.lower() in AUDIO_SUFFIXES):
        match, labels = _NAME.match(audio.stem), find_labels(audio)
        if match and labels:
            pieces.append(Piece(audio.stem, audio, labels, match["piano"], match["title"]))
    if not pieces:
        raise DataError(f"{folder}: holds no MAPS_MUS-<title>_<piano> recording with a .tsv, .txt or .mid beside it.")
    return pieces


def split(pieces: list[Piece], held_out: str = "AkPnBcht") -> tuple[list[Piece], list[Piece]]:
    """Split by piano and by title, so that validation has neither pianos nor pieces of the training set.

    Args:
        pieces: The corpus.
        held_out: The piano that is held out.

    Returns:
        Training: all other pianos. Validation: the pieces of the held-out piano that no other piano plays.

    Raises:
        DataError: Training or validation set is empty.
    """
    train = [piece for piece in pieces if piece.source != held_out]
    train_titles = {piece.title for piece in train}
    validation = [piece for piece in pieces if piece.source == held_out and piece.title not in train_titles]
    if not train or not validation:
        pianos = ", ".join(sorted({piece.source for piece in pieces}))
        raise DataError(f"Holding out {held_out!r} leaves training or validation empty; the pianos here are {pianos}.")
    return train, validation
