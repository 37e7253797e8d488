"""MusicNet's label tables: one row a note, times in samples at 44.1 kHz (Thickstun, Harchaoui & Kakade 2017)."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError
from ...io.atomic_write import atomic_write
from ...notes import Note

__all__ = ["LABEL_RATE", "Label", "check_label", "is_table", "read_table", "to_note", "write_table"]

# Hz: label times are samples of the original recordings, whatever rate the audio beside them has.
LABEL_RATE = 44_100
# Where samples can no longer be told apart in seconds, which are floats.
_LATEST = 2**53


class Label(NamedTuple):
    """A row of a table, as published.

    Attributes:
        start_time: First sample of the note, at 44.1 kHz.
        end_time: First sample after it, at 44.1 kHz.
        instrument: General MIDI program counted from 1: 1 is the grand piano, 41 the violin.
        note: MIDI number.
        start_beat: Place in the score, in beats.
        end_beat: Length in the score, in beats, despite its name.
        note_value: Name of the length, such as ``Dotted Quarter``.
    """

    start_time: int
    end_time: int
    instrument: int
    note: int
    start_beat: float
    end_beat: float
    note_value: str


def is_table(path: str | Path) -> bool:
    """Return whether a file begins with the heading of a MusicNet table.

    Args:
        path: Any file.

    Returns:
        Whether it does; False where it cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return _is_heading(file.readline().split(","))
    except (OSError, UnicodeDecodeError):
        return False


def read_table(path: str | Path) -> list[Label]:
    """Read a label table.

    Args:
        path: The .csv file.

    Returns:
        Its rows, in their order.

    Raises:
        DataError: The file is missing or malformed; names the line.
    """
    labels = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            if not _is_heading(next(reader, [])):
                raise DataError(f"{path}, line 1: the heading must be {','.join(Label._fields)}.")
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
    """Write a label table as MusicNet publishes them.

    Args:
        labels: The rows, in their order.
        path: The .csv file to write.

    Raises:
        OutputError: It cannot be written.
    """
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Label._fields)
        for label in labels:
            writer.writerow(label._replace(start_beat=float(label.start_beat), end_beat=float(label.end_beat)))


def to_note(label: Label) -> Note:
    """Return the note of a row.

    Args:
        label: The row.

    Returns:
        The note, times in seconds; MusicNet tells no velocity.

    >>> to_note(Label(44100, 66150, 41, 69, 4.0, 1.5, "Dotted Quarter"))
    Note(onset_s=1.0, midi_note=69, offset_s=1.5, velocity=80, program=40, confidence=1.0)
    """
    return Note(label.start_time / LABEL_RATE, label.note, label.end_time / LABEL_RATE, program=label.instrument - 1)


def check_label(label: Label, place: str) -> Label:
    """Refuse a row that no note can have.

    Args:
        label: The row.
        place: Opens the message: the file and the line.

    Returns:
        The row itself.

    Raises:
        DataError: A time, note or instrument is out of range.
    """
    if not 0 <= label.start_time <= label.end_time < _LATEST:
        raise DataError(f"{place}: the note must begin at sample 0 or later, and end after it begins.")
    if not 0 <= label.note <= 127:
        raise DataError(f"{place}: the note must be a MIDI number, 0 to 127, not {label.note}.")
    if not 1 <= label.instrument <= 128:
        raise DataError(f"{place}: the instrument must be a General MIDI program, 1 to 128, not {label.instrument}.")
    return label


def _is_heading(row: list[str]) -> bool:
    return tuple(name.strip() for name in row) == Label._fields


def _label(row: list[str], place: str) -> Label:
    try:
        start, end, instrument, note, start_beat, end_beat, value = row
        label = Label(int(start), int(end), int(instrument), int(note), float(start_beat), float(end_beat), value)
    except ValueError:
        raise DataError(f"{place}: not {','.join(Label._fields)}, the first four whole numbers.") from None
    return check_label(label, place)
