"""Tables of notes: CSV, tab- or space-separated, JSON and JAMS files."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..notes import DEFAULT_VELOCITY, Note
from .atomic_write import atomic_write

FIELDS = ("onset_s", "offset_s", "midi_note", "velocity")
# Headings by field, in lower case, without marks and without a unit of seconds.
HEADINGS = {
    "onset": ("onset", "onsettime", "start", "starttime", "begin", "time"),
    "offset": ("offset", "offsettime", "end", "endtime", "stop"),
    "duration": ("duration", "dur"),
    "midi": ("midinote", "midipitch", "pitchmidi", "notemidi", "midinumber", "notenumber", "midi"),
    "hz": ("frequency", "freq", "frequencyhz", "freqhz", "pitchhz", "notehz", "f0hz", "f0", "hz"),
    "pitch": ("pitch", "note"),  # in either unit
    "velocity": ("velocity", "midivelocity"),
}
POSITIONS = {"onset": 0, "offset": 1, "pitch": 2, "velocity": 3}
NEEDED = "a note needs the numbers onset_s, offset_s, midi_note"
# Of JAMS, by preference.
NAMESPACES = ("note_midi", "note_hz")
# What is read of a file to tell whether it is a table of notes.
SNIFFED_CHARACTERS = 4096


def parse_note(where: str, onset_s: Any, offset_s: Any, midi_note: Any, velocity: Any = DEFAULT_VELOCITY) -> Note:
    """Convert the fields of a table row to a note, and check them.

    Args:
        where: File and line, with which an error message begins.
        onset_s: Onset time in seconds, a number or its text.
        offset_s: Offset time in seconds.
        midi_note: MIDI number; may be written with decimals, such as 60.000000.
        velocity: MIDI velocity; likewise.

    Returns:
        The note.

    Raises:
        DataError: A field is not a number, or out of range.

    >>> parse_note("a.tsv, line 1", "0.5", "1", "60.0")
    Note(onset_s=0.5, midi_note=60, offset_s=1.0, velocity=80, program=0, confidence=1.0)
    """
    row = f"{onset_s}, {offset_s}, {midi_note}, {velocity}"
    try:
        note = Note(float(onset_s), whole(midi_note), float(offset_s), whole(velocity))
    except (TypeError, ValueError):
        raise DataError(f"{where}: a note needs the numbers {', '.join(FIELDS)}, not {row}.") from None
    if not 0.0 <= note.onset_s <= note.offset_s < math.inf:
        raise DataError(f"{where}: a note needs 0 <= onset_s <= offset_s, not {row}.")
    if not (0 <= note.midi_note <= 127 and 0 <= note.velocity <= 127):
        raise DataError(f"{where}: midi_note and velocity must be MIDI numbers, 0 to 127, not {row}.")
    return note


def whole(value: Any) -> int:
    """Convert a number, or its text, that is whole.

    Args:
        value: Such as 38, "38" or "38.000000".

    Raises:
        ValueError: It is not a whole number.
        TypeError: It is neither number nor text.
    """
    number = float(value)
    if not number.is_integer():  # neither are infinity and NaN
        raise ValueError(f"{value!r} is not a whole number")
    return int(number)


def midi_of_hz(where: str, freq_hz: Any) -> int:
    """Return the MIDI note that is nearest to a frequency.

    Args:
        where: File and line, with which an error message begins.
        freq_hz: Frequency in Hz, a number or its text.

    Raises:
        DataError: It is not a positive number.

    >>> midi_of_hz("a.tsv, line 1", "261.626")
    60
    """
    try:
        return round(69 + 12 * math.log2(float(freq_hz) / 440))
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: a note needs a frequency in Hz, above 0, not {freq_hz}.") from None


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


def read_table(path: str | Path) -> list[Note]:
    """Read notes from a table: columns separated by commas, semicolons, tabs or spaces.

    Without headings the columns are onset_s, offset_s, pitch and, optionally, velocity. With headings they may be in
    any order and beside others, under the names of :data:`HEADINGS` (MAPS, Basic Pitch, mir_eval and others), such as
    ``OnsetTime``, ``start_time_s``, ``duration``, ``MidiPitch``, ``pitch_midi``, ``Frequency (Hz)``. Pitches whose
    heading does not tell the unit are in Hz if most of them are not MIDI numbers; frequencies are rounded to the
    nearest note. Lines that begin with # are comments; one of them may be the headings.

    Args:
        path: File to read.

    Returns:
        The notes, sorted by onset, then pitch.

    Raises:
        DataError: The file is missing, lacks a column, or has a malformed line; the message names the line.
    """
    try:
        rows = _rows(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, error, "a table of notes") from error
    number, columns, first = _headings(rows)
    if not number and first == len(rows) and any(row[0] != "#" for _, row in rows):
        raise DataError(f"{path}: holds no notes; {NEEDED} in each line.")
    if lacking := _lacking(columns):
        raise DataError(f"{path}, line {number}: has no column of {lacking}; name the columns {', '.join(FIELDS)}.")
    notes = [(f"{path}, line {number}", row) for number, row in rows[first:] if row[0] != "#"]
    unit = next(unit for unit in ("midi", "hz", "pitch") if unit in columns)
    pitches = [row[columns[unit]] for _, row in notes if columns[unit] < len(row)]
    in_hz = unit == "hz" or (unit == "pitch" and _mostly_hz(pitches))
    return sorted(_note(where, row, columns, unit, in_hz) for where, row in notes)


def is_table(path: str | Path) -> bool:
    """Return whether a text file may be a table of notes, by its first lines.

    Args:
        path: Any file.

    Returns:
        False if it holds text, but neither headings of notes nor a line that begins with three numbers. True also if it
        is empty or cannot be read: to read it will say why.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            rows = [row for _, row in _rows("\n".join(file.read(SNIFFED_CHARACTERS).splitlines()))]
    except (OSError, UnicodeDecodeError, csv.Error):
        return True
    return not rows or any(_is_heading(row) or all(map(_is_number, (*row, "", "")[:3])) for row in rows)


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Split a text into rows of stripped fields, with their line numbers, less empty ones."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    marks = next((line for _, line in lines if line.lstrip()[0] != "#"), "")
    separator = next((mark for mark in "\t;," if mark in marks), None)
    return [(number, fields) for number, line in lines if any(fields := _fields(line, separator))]


def _fields(line: str, separator: str | None) -> list[str]:
    """Split a line into stripped fields, a comment by whatever separates its words."""
    if line.lstrip()[0] == "#":
        comment = line.lstrip(" #")
        marked = next((mark for mark in "\t;," if mark in comment), None)
        return ["#", *(field.strip() for field in comment.split(marked))]
    if separator is None or (separator == "\t" and line.count("\t") < 2):  # by hand, tabs and spaces mix
        return line.split()
    return [field.strip() for field in next(csv.reader([line], delimiter=separator))]


def _headings(rows: Sequence[tuple[int, list[str]]]) -> tuple[int, Mapping[str, int], int]:
    """Return the line of the headings, 0 if there are none, the columns, and the index of the first row of notes."""
    number, columns, words = 0, POSITIONS, (0, [""])
    for first, (line, row) in enumerate(rows):
        if _is_heading(row):
            number, columns = line, _columns(row)
            if row[0] != "#":
                return number, columns, first + 1
        elif row[0] != "#" and row[0][:1].isalpha():
            words = line, row
        elif row[0] != "#":
            unknown = not number and len(words[1]) == len(row)  # a word a column, such as onset_ms
            return (words[0], _columns(words[1]), first) if unknown else (number, columns, first)
    return number, columns, len(rows)


def _columns(row: Sequence[str]) -> dict[str, int]:
    """Return the index of each field that a row of headings names."""
    shift = row[0] == "#"
    names = [re.sub(r"[ _]?[\[(]?(s|sec|secs|seconds)[\])]?$", "", name.lower()) for name in row[shift:]]
    names = [re.sub(r"[^a-z0-9]", "", name) for name in names]
    found = {field: [names.index(name) for name in known if name in names] for field, known in HEADINGS.items()}
    return {field: columns[0] for field, columns in found.items() if columns}


def _is_heading(row: Sequence[str]) -> bool:
    columns = _columns(row)
    # A comment may mention some of them only.
    return len(columns) >= 2 and not any(map(_is_number, row)) and not (row[0] == "#" and _lacking(columns))


def _lacking(columns: Mapping[str, int]) -> str | None:
    """Return what a note needs and has no column; None if there is nothing."""
    if "onset" not in columns:
        return "onset_s"
    if "offset" not in columns and "duration" not in columns:
        return "offset_s"
    return None if {"midi", "hz", "pitch"} & columns.keys() else "midi_note"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _mostly_hz(pitches: Sequence[str]) -> bool:
    numbers = [float(pitch) for pitch in pitches if _is_number(pitch)]
    return 2 * sum(not (number.is_integer() and 0 <= number <= 127) for number in numbers) > len(numbers)


def _note(where: str, row: Sequence[str], columns: Mapping[str, int], unit: str, in_hz: bool) -> Note:
    """Convert a row to a note."""
    cells = {field: row[column] if column < len(row) else "" for field, column in columns.items()}
    onset_s, offset_s, pitch = cells["onset"], cells.get("offset", ""), cells[unit]
    if "offset" not in columns and _is_number(onset_s) and _is_number(cells["duration"]):
        offset_s = str(float(onset_s) + float(cells["duration"]))
    cut_short = columns is not POSITIONS and len(row) <= max(columns.values())
    if cut_short or not (onset_s and offset_s and pitch):
        raise DataError(f"{where}: {NEEDED}, not {' '.join(row)}.")
    midi_note = midi_of_hz(where, pitch) if in_hz else pitch
    return parse_note(where, onset_s, offset_s, midi_note, cells.get("velocity") or DEFAULT_VELOCITY)


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


def read_json(path: str | Path) -> list[Note]:
    """Read notes from a JSON file of :func:`write_json`, or a JAMS file (Humphrey et al., ISMIR 2014).

    Of JAMS, annotations of the namespace note_midi are read or, if there are none, note_hz. Several are joined if each
    states another data source, such as the strings of a guitar; else the first is taken, for they are rivals. Pitches
    are rounded to the nearest note.

    Args:
        path: File to read.

    Returns:
        The notes, sorted by onset, then pitch.

    Raises:
        DataError: The file is missing or malformed, or holds no notes.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, error, "a JSON or JAMS file of notes") from error
    try:
        if "annotations" in content:
            return sorted(note for annotation in _annotations(path, content) for note in _jams_notes(path, annotation))
        rows = [(f"{path}, note {number}", row) for number, row in enumerate(content["notes"], 1)]
        return sorted(parse_note(where, *(row[name] for name in FIELDS)) for where, row in rows)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is neither JSON of notes nor JAMS ({error!r}); name other labels.") from None


def is_json_of_notes(path: str | Path) -> bool:
    """Return whether a JSON file may hold notes that :func:`read_json` reads.

    Args:
        path: Any file.

    Returns:
        False if it mentions none of them. True also if it cannot be read: to read it will say why.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return True
    return not text or any(f'"{name}"' in text for name in (FIELDS[0], *NAMESPACES))


def _annotations(path: str | Path, content: Mapping[str, Any]) -> list[Any]:
    """Return the annotations of a JAMS file that are notes."""
    for namespace in NAMESPACES:
        found = [own for own in content["annotations"] if own["namespace"] == namespace]
        sources = {str((own.get("annotation_metadata") or {}).get("data_source")) for own in found}
        if found:
            return found if len(sources) == len(found) else found[:1]
    raise DataError(f"{path}: holds no annotation note_midi or note_hz; name other labels.")


def _jams_notes(path: str | Path, annotation: Mapping[str, Any]) -> list[Note]:
    data = annotation["data"]
    if isinstance(data, dict):  # columns instead of rows, as earlier versions of JAMS wrote them
        data = [dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)]
    notes = []
    for number, row in enumerate(data, 1):
        where = f"{path}, {annotation['namespace']} {number}"
        onset_s, length_s, pitch = (_number(where, row[name]) for name in ("time", "duration", "value"))
        midi_note = midi_of_hz(where, pitch) if annotation["namespace"] == "note_hz" else pitch
        notes.append(parse_note(where, onset_s, onset_s + length_s, math.floor(midi_note + 0.5)))
    return notes


def _number(where: str, value: Any) -> float:
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    raise DataError(f"{where}: time, duration and value must be numbers, not {value!r}.")


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
