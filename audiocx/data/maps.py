"""MAPS, piano recordings with aligned notes (Emiya, Badeau & David 2010).

A corpus is a folder, searched with all its subfolders, of recordings named ``MAPS_MUS-<title>_<piano>.<ending>``,
each with a label file of the same stem beside it: ``.tsv`` (onset_s, offset_s, midi_note, velocity), MAPS' own
``.txt`` (OnsetTime, OffsetTime, MidiPitch) or ``.mid``.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from ..errors import DataError
from ..midi import read_csv, read_midi
from ..notes import DEFAULT_VELOCITY, Note
from .corpus import Piece

__all__ = ["find_labelled", "find_labels", "find_pieces", "read_labels", "split"]

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")
LABEL_ENDINGS = (".tsv", ".txt", ".csv", ".mid", ".midi")
_NAME = re.compile(r"MAPS_MUS-(?P<title>.+)_(?P<piano>[^_]+)$")


def find_labels(audio: Path) -> Path | None:
    """Finds the label file that belongs to a recording.

    Args:
        audio: The recording.

    Returns:
        The file of the same stem that ends in .tsv, .txt, .csv, .mid or .midi, in this order; None without one.
    """
    candidates = (audio.with_suffix(ending) for ending in LABEL_ENDINGS)
    return next((path for path in candidates if path.is_file()), None)


def find_labelled(folder: str | Path) -> list[tuple[Path, Path]]:
    """Lists the recordings of any folder that have labels beside them.

    Args:
        folder: Searched with its subfolders.

    Returns:
        Recordings and their label files, in order of name.

    Raises:
        DataError: The folder is missing or holds no recording with labels.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: is not a folder; name one that holds recordings and their label files.")
    recordings = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_ENDINGS)
    pairs = [(recording, labels) for recording in recordings if (labels := find_labels(recording))]
    if not pairs:
        raise DataError(
            f"{folder}: holds no recording with a label file of its name beside it; add one, such as song.mid for "
            f"song.wav ({', '.join(LABEL_ENDINGS)})."
        )
    return pairs


def find_pieces(folder: str | Path) -> list[Piece]:
    """Lists the labelled recordings of a MAPS folder.

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
    """Splits by piano and by title, so that validation hears neither a known piano nor a known piece.

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


def read_labels(path: str | Path) -> list[Note]:
    """Reads the notes of a recording.

    Args:
        path: A .tsv or .txt table (times in seconds; headings, which begin with a letter, may stand above it, and
            comments, which begin with #, anywhere), a .csv as audiocx writes it, or a MIDI file.

    Returns:
        The notes, sorted.

    Raises:
        DataError: The file is missing or malformed; names the line.
    """
    path = Path(path)
    if path.suffix.lower() in (".mid", ".midi"):
        return sorted(read_midi(path))
    if path.suffix.lower() == ".csv":
        return sorted(read_csv(path))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the labels cannot be read ({error}).") from None
    notes: list[Note] = []
    for number, row in enumerate(map(str.split, lines), 1):
        heading = not notes and row and row[0][0].isalpha()
        if row and row[0][0] != "#" and not heading:
            notes.append(_note(row, path, number))
    return sorted(notes)


def _note(row: list[str], path: Path, number: int) -> Note:
    try:
        onset_s, offset_s, midi_note = float(row[0]), float(row[1]), int(row[2])
        velocity = int(row[3]) if len(row) > 3 else DEFAULT_VELOCITY
    except (ValueError, IndexError):
        raise DataError(f"{path}, line {number}: not 'onset offset note [velocity]', with times in seconds.") from None
    if not 0 <= onset_s <= offset_s < math.inf:
        raise DataError(f"{path}, line {number}: the note must begin at 0 s or later, and end after it begins.")
    if not (0 <= midi_note <= 127 and 0 <= velocity <= 127):
        raise DataError(f"{path}, line {number}: note and velocity must be MIDI numbers, 0 to 127.")
    return Note(onset_s, midi_note, offset_s, velocity)
