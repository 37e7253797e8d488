"""Label tables of MusicNet: one row per note, times in samples at 44.1 kHz."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError
from ...io.atomic_write import atomic_write
from ...io.note_tables import whole
from ...notes import Note

__all__ = ["LABEL_RATE", "Label", "check_label", "is_table", "read_table", "to_note", "write_table"]

# Hz. Label times are samples of the original recordings, whatever the sample rate of the audio files.
LABEL_RATE = 44_100
# The further columns, of the score, may be missing.
NEEDED = 4
# From here on, floats in seconds cannot represent single samples.
_LATEST = 2**53


class Label(NamedTuple):
    """A row of a label table, as published.

    Attributes:
        start_time: First sample of the note, at 44.1 kHz.
        end_time: First sample after it, at 44.1 kHz.
        instrument: General MIDI program counted from 1: 1 is the grand piano, 41 the violin.
        note: MIDI number.
        start_beat: Position in the score, in beats.
        end_beat: Duration in the score, in beats, despite its name.
        note_value: Note value, such as ``Dotted Quarter``.
    """

    start_time: int
    end_time: int
    instrument: int
    note: int
    start_beat: float
    end_beat: float
    note_value: str


def is_table(path: str | Path) -> bool:
    """Return whether a file begins with the header of a MusicNet label table, or with its first four columns.

    Args:
        path: Any file.

    Returns:
        True if it does; False if not, or if it cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return _is_header(file.readline().split(","))
    except (OSError, UnicodeDecodeError):
        return False


def read_table(path: str | Path) -> list[Label]:
    """Read a label table.

    Args:
        path: The .csv file.

    Returns:
        Its rows, in their order.

    Raises:
        DataError: The file is missing or malformed; the message names the line.
    """
    labels = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            if not _is_header(next(reader, [])):
                raise DataError(f"{path}, line 1: the header must be {','.join(Label._fields)}.")
            for row in reader:
                if row:
                    labels.append(_label(row, f"{path}, line {reader.line_num}"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: the labels cannot be read ({getattr(error, 'strerror', None) or error}); copy or download the "
            "file again."
        ) from None
    return labels


def write_table(labels: Iterable[Label], path: str | Path) -> None:
    """Write a label table in the published format.

    Args:
        labels: The rows, in their order.
        path: The .csv file to write.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Label._fields)
        for label in labels:
            writer.writerow(label._replace(start_beat=float(label.start_beat), end_beat=float(label.end_beat)))


def to_note(label: Label) -> Note:
    """Convert a row to a note.

    Args:
        label: The row.

    Returns:
        The note, with the default velocity; MusicNet has none.

    >>> to_note(Label(44100, 66150, 41, 69, 4.0, 1.5, "Dotted Quarter"))
    Note(onset_s=1.0, midi_note=69, offset_s=1.5, velocity=80, program=40, confidence=1.0)
    """
    return Note(label.start_time / LABEL_RATE, label.note, label.end_time / LABEL_RATE, program=label.instrument - 1)


def check_label(label: Label, where: str) -> Label:
    """Check the ranges of a row.

    Args:
        label: The row.
        where: File and line, with which an error message begins.

    Returns:
        The row itself.

    Raises:
        DataError: A time, note or instrument is out of range.
    """
    if not 0 <= label.start_time <= label.end_time < _LATEST:
        raise DataError(f"{where}: the note must begin at sample 0 or later, and end after it begins.")
    if not 0 <= label.note <= 127:
        raise DataError(f"{where}: the note must be a MIDI number, 0 to 127, not {label.note}.")
    if not 1 <= label.instrument <= 128:
        raise DataError(f"{where}: the instrument must be a General MIDI program, 1 to 128, not {label.instrument}.")
    return label


def _is_header(row: list[str]) -> bool:
    return tuple(name.strip() for name in row[:NEEDED]) == Label._fields[:NEEDED]


def _label(row: list[str], where: str) -> Label:
    try:
        start, end, instrument, note = map(whole, row[:NEEDED])
        start_beat, end_beat, value = row[NEEDED:] or (0, 0, "")
        label = Label(start, end, instrument, note, float(start_beat), float(end_beat), value)
    except ValueError:
        raise DataError(f"{where}: not {','.join(Label._fields)}, the first four whole numbers.") from None
    return check_label(label, where)
