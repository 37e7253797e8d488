"""Tables of notes: CSV, tab- or space-separated, and JSON files."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..notes import DEFAULT_VELOCITY, Note
from .atomic_write import atomic_write

FIELDS = ("onset_s", "offset_s", "midi_note", "velocity")


def parse_note(where: str, onset_s: Any, offset_s: Any, midi_note: Any, velocity: Any = DEFAULT_VELOCITY) -> Note:
    """Convert the fields of a table row to a note, and check them.

    Args:
        where: File and line, with which an error message begins.
        onset_s: Onset time in seconds, a number or its text.
        offset_s: Offset time in seconds.
        midi_note: MIDI number.
        velocity: MIDI velocity.

    Returns:
        The note.

    Raises:
        DataError: A field is not a number, or out of range.

    >>> parse_note("a.tsv, line 1", "0.5", "1", "60")
    Note(onset_s=0.5, midi_note=60, offset_s=1.0, velocity=80, program=0, confidence=1.0)
    """
    row = f"{onset_s}, {offset_s}, {midi_note}, {velocity}"
    try:
        note = Note(float(onset_s), int(midi_note), float(offset_s), int(velocity))
    except (TypeError, ValueError):
        raise DataError(f"{where}: a note needs the numbers {', '.join(FIELDS)}, not {row}.") from None
    if not 0.0 <= note.onset_s <= note.offset_s < math.inf:
        raise DataError(f"{where}: a note needs 0 <= onset_s <= offset_s, not {row}.")
    if not (0 <= note.midi_note <= 127 and 0 <= note.velocity <= 127):
        raise DataError(f"{where}: midi_note and velocity must be MIDI numbers, 0 to 127, not {row}.")
    return note


def write_csv(notes: Iterable[Note], path: str | Path) -> None:
    """Write notes as a CSV file.

    Args:
        notes: The notes, in any order; times are written to the microsecond.
        path: File to write.

    Raises:
        OutputError: The file cannot be written.
    """
    lines = [",".join(FIELDS)]
    lines += [f"{n.onset_s:.6f},{n.offset_s:.6f},{n.midi_note},{n.velocity}" for n in sorted(notes)]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_csv(path: str | Path) -> list[Note]:
    """Read notes from a CSV file of :func:`write_csv`, or any other with these four columns; further ones are ignored.

    Args:
        path: File to read.

    Returns:
        The notes, sorted by onset, then pitch.

    Raises:
        DataError: The file is missing, lacks a column, or has a malformed line; the message names the line.
    """
    notes = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in FIELDS if name not in (reader.fieldnames or [])]
            if missing:
                raise DataError(f"{path}, line 1: the header must be {','.join(FIELDS)}; {missing[0]} is missing.")
            notes = [parse_note(f"{path}, line {reader.line_num}", *map(row.get, FIELDS)) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, error, "a CSV file of notes") from error
    return sorted(notes)


def write_json(notes: Iterable[Note], path: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write notes as JSON: {"metadata": {...}, "notes": [{"onset_s": ..., ...}, ...]}, one note per line.

    Args:
        notes: The notes, in any order; times are rounded to the microsecond, confidences to four decimals.
        path: File to write.
        metadata: Further information about them, which JSON can hold.

    Raises:
        OutputError: The file cannot be written.
    """
    rows = [
        {
            "onset_s": round(n.onset_s, 6),
            "offset_s": round(n.offset_s, 6),
            "midi_note": n.midi_note,
            "velocity": n.velocity,
            "confidence": round(n.confidence, 4),
        }
        for n in sorted(notes)
    ]
    lines = [json.dumps(row) for row in rows]
    listing = "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"
    text = f'{{"metadata": {json.dumps(dict(metadata or {}), indent=2)},\n"notes": {listing}}}\n'
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_tsv(path: str | Path) -> list[Note]:
    """Read notes from a table separated by tabs or spaces: onset_s, offset_s, midi_note and, optionally, velocity.

    Args:
        path: File to read. Headings, which begin with a letter, may precede the notes; lines that begin with # are
            comments.

    Returns:
        The notes, sorted by onset, then pitch.

    Raises:
        DataError: The file is missing or has a malformed line; the message names the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error, "a table of notes") from error
    notes: list[Note] = []
    for number, row in enumerate(map(str.split, lines), 1):
        heading = not notes and row and row[0][0].isalpha()
        if row and row[0][0] != "#" and not heading:
            where = f"{path}, line {number}"
            if len(row) < 3:
                raise DataError(f"{where}: a note needs the numbers onset_s, offset_s, midi_note, not {' '.join(row)}.")
            notes.append(parse_note(where, *row[:4]))
    return sorted(notes)


def unreadable(path: str | Path, error: Exception, kind: str) -> DataError:
    """Return the error to raise for a file that cannot be read.

    Args:
        path: The file.
        error: The original error.
        kind: Expected content, such as "a MIDI file".
    """
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: does not exist; check the name.")
    if isinstance(error, IsADirectoryError):
        return DataError(f"{path}: is a folder; name a file inside it.")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return DataError(f"{path}: cannot be read as {kind} ({reason}); check the file.")
