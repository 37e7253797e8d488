"""Notes in and out of files: MIDI, CSV and JSON.

Every file is written beside its place and moved there when it is whole, so nothing half-written remains.
"""

from __future__ import annotations

import bisect
import csv
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import accumulate, cycle, pairwise
from pathlib import Path
from typing import Any

from ..errors import DataError, OutputError
from ..music.beats import TEMPO_RANGE_BPM, on_grid
from ..notes import Note
from .atomic_write import atomic_write

FIELDS = ("onset_s", "offset_s", "midi_note", "velocity")
# A tick must be at most about a millisecond. Sequencers expect a multiple of 480 ticks a beat.
TICKS_PER_SECOND = 960
BASE_RESOLUTION = 480
HIGHEST_RESOLUTION = 32767 // BASE_RESOLUTION * BASE_RESOLUTION
LONGEST_BEAT_US = 2**24 - 1
SUSTAIN_PEDAL = 64
MELODIC_CHANNELS = [channel for channel in range(16) if channel != 9]  # the tenth is the drums'


def write_midi(
    notes: Iterable[Note], path: str | Path, tempo_bpm: float = 120.0, beats_s: Iterable[float] | None = None
) -> None:
    """Write notes as a MIDI file, an instrument for each program among them.

    The tempo sets the grid of beats that a sequencer shows; the notes sound at the same seconds whatever it is. Where
    notes of one pitch and instrument overlap, the earlier one ends at the later one's onset; those that start at the
    same tick become one.

    Args:
        notes: The notes, in any order.
        path: The file to write.
        tempo_bpm: Tempo in beats per minute, 4 to 1000.
        beats_s: Times of the beats, in seconds, float [B], B >= 2, the first at 0, 0.06 to 16 s apart: the file then
            has a tempo for each beat instead of ``tempo_bpm``, and the last one's holds to the end.

    Raises:
        OutputError: If a tempo or a pitch is out of MIDI's range, or the file cannot be written.
    """
    import mido

    beats_us = _beat_lengths_us(tempo_bpm, beats_s, path)
    starts_us = list(accumulate(beats_us, initial=0))
    ticks = BASE_RESOLUTION * math.ceil(TICKS_PER_SECOND * max(beats_us) / 1e6 / BASE_RESOLUTION)
    resolution = min(ticks, HIGHEST_RESOLUTION)
    file = mido.MidiFile(ticks_per_beat=resolution)

    def tick_at(time_s: float) -> int:
        beat = min(max(0, bisect.bisect_right(starts_us, 1e6 * time_s) - 1), len(beats_us) - 1)
        return round(resolution * (beat + (1e6 * time_s - starts_us[beat]) / beats_us[beat]))

    tempos = (mido.MetaMessage("set_tempo", tempo=us, time=beat * resolution) for beat, us in enumerate(beats_us))
    _fill(file.add_track(), tempos)
    notes = list(notes)
    for program, channel in zip(sorted({note.program for note in notes} or {0}), cycle(MELODIC_CHANNELS)):
        placed = on_grid((note for note in notes if note.program == program), tick_at)
        _fill(file.add_track(), _part(placed, program, channel, path))
    with atomic_write(path) as temporary:
        file.save(os.fspath(temporary))


def _beat_lengths_us(tempo_bpm: float, beats_s: Iterable[float] | None, path: str | Path) -> list[int]:
    """The length of each beat, in the whole microseconds that MIDI has; the last one's holds to the end."""
    low, high = TEMPO_RANGE_BPM
    if not low <= tempo_bpm <= high:
        raise OutputError(f"{path} cannot be written at {tempo_bpm:g} beats per minute: choose {low:g} to {high:g}.")
    if beats_s is None:
        return [round(6e7 / tempo_bpm)]
    times_us = [round(1e6 * float(time_s)) for time_s in beats_s]
    lengths = [end - start for start, end in pairwise(times_us)]
    if not lengths or times_us[0] != 0 or not 6e7 / high - 1 <= min(lengths) <= max(lengths) <= LONGEST_BEAT_US:
        raise OutputError(f"{path} cannot hold these beats: give two or more, the first at 0 s, 0.06 to 16 s apart.")
    return lengths


def _part(placed: Iterable[tuple[int, int, Note]], program: int, channel: int, path: str | Path) -> list[Any]:
    """The messages of an instrument at their ticks: its name, its program, and its keys struck and released."""
    import mido
    import pretty_midi

    if not 0 <= program <= 127:
        raise OutputError(f"{path} cannot hold program {program}: General MIDI's are 0 to 127.")
    keys = []
    for start, end, note in placed:
        if not 0 <= note.midi_note <= 127:
            raise OutputError(f"{path} cannot hold pitch {note.midi_note}: MIDI notes are 0 to 127.")
        velocity = min(127, max(1, int(note.velocity)))
        keys += [(start, velocity, note.midi_note), (end, 0, note.midi_note)]  # a stroke of velocity 0 releases
    name = pretty_midi.program_to_instrument_name(program) if program else "Piano"
    return [
        mido.MetaMessage("track_name", name=name),
        mido.Message("program_change", program=program, channel=channel),
        *(mido.Message("note_on", time=at, velocity=how, note=key, channel=channel) for at, how, key in sorted(keys)),
    ]


def _fill(track: list[Any], messages: Iterable[Any]) -> None:
    """Put messages that have their ticks into a track, where they have the ticks since the one before."""
    before = 0
    for message in messages:
        track.append(message.copy(time=message.time - before))
        before = message.time


def read_midi(path: str | Path, sustain_pedal: bool = True) -> list[Note]:
    """Read the notes of all pitched instruments of a MIDI file.

    Args:
        path: The file to read.
        sustain_pedal: Let notes released under a pressed sustain pedal (control 64) sound on until it is lifted or the
            same key is struck again, as MAPS's labels do.

    Returns:
        The notes, sorted by onset, then pitch.

    Raises:
        DataError: If the file is missing or not a MIDI file.
    """
    import warnings

    import pretty_midi

    try:
        with warnings.catch_warnings():
            # Tempo changes outside the first track: pretty_midi says so for files that are read well enough.
            warnings.simplefilter("ignore", RuntimeWarning)
            midi = pretty_midi.PrettyMIDI(os.fspath(path))
    except OSError as error:
        raise _unreadable(path, error, "a MIDI file") from error
    except Exception as error:  # The parser raises whatever its bytes lead it to.
        raise DataError(f"{path} is not a readable MIDI file ({error or type(error).__name__}).") from error
    notes: list[Note] = []
    for instrument in midi.instruments:
        if not instrument.is_drum:
            program = int(instrument.program)
            played = [Note(float(n.start), n.pitch, float(n.end), n.velocity, program) for n in instrument.notes]
            pedal = [(float(c.time), c.value >= 64) for c in instrument.control_changes if c.number == SUSTAIN_PEDAL]
            notes += _sustained(played, pedal) if sustain_pedal and pedal else played
    return sorted(notes)


def _sustained(notes: list[Note], pedal: list[tuple[float, bool]]) -> list[Note]:
    """Lengthen notes that end while the pedal is down, until it is up or the key is struck again."""
    end_s = max([note.offset_s for note in notes] + [time_s for time_s, _ in pedal])
    spans: list[tuple[float, float]] = []
    down_s = None
    for time_s, down in [*sorted(pedal), (end_s, False)]:
        if down and down_s is None:
            down_s = time_s
        elif not down and down_s is not None:
            spans.append((down_s, time_s))
            down_s = None
    downs = [down_s for down_s, _ in spans]
    next_onset_s: dict[int, float] = {}
    held = []
    for note in sorted(notes, reverse=True):
        index = bisect.bisect_right(downs, note.offset_s) - 1
        lifted_s = spans[index][1] if index >= 0 else 0.0
        limit_s = next_onset_s.get(note.midi_note, math.inf)
        offset_s = max(note.offset_s, min(lifted_s, limit_s))
        held.append(replace(note, offset_s=offset_s))
        next_onset_s[note.midi_note] = note.onset_s
    return sorted(held)


def write_csv(notes: Iterable[Note], path: str | Path) -> None:
    """Write notes as comma-separated values under the header onset_s,offset_s,midi_note,velocity.

    Args:
        notes: The notes, in any order; times are written to the microsecond.
        path: The file to write.

    Raises:
        OutputError: If the file cannot be written.
    """
    lines = [",".join(FIELDS)]
    lines += [f"{n.onset_s:.6f},{n.offset_s:.6f},{n.midi_note},{n.velocity}" for n in sorted(notes)]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_csv(path: str | Path) -> list[Note]:
    """Read notes that :func:`write_csv` wrote, or any CSV with its four columns; others are passed over.

    Args:
        path: The file to read.

    Returns:
        The notes, sorted by onset, then pitch.

    Raises:
        DataError: If the file is missing, lacks a column, or a line holds no note; the line is named.
    """
    notes = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in FIELDS if name not in (reader.fieldnames or [])]
            if missing:
                raise DataError(f"{path}, line 1: the header must be {','.join(FIELDS)}; {missing[0]} is missing.")
            notes = [_note(row, f"{path}, line {reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error, "a CSV file of notes") from error
    return sorted(notes)


def write_json(notes: Iterable[Note], path: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write {"metadata": {...}, "notes": [{"onset_s": ..., ...}, ...]}, one note to a line.

    Args:
        notes: The notes, in any order; times are rounded to the microsecond, confidences to four decimals.
        path: The file to write.
        metadata: What else to say about them: anything JSON can hold.

    Raises:
        OutputError: If the file cannot be written.
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
    listed = "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"
    text = f'{{"metadata": {json.dumps(dict(metadata or {}), indent=2)},\n"notes": {listed}}}\n'
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | Path) -> list[Note]:
    """Read the notes of a file that :func:`write_json` wrote; earlier versions wrote no confidence.

    Args:
        path: The file to read.

    Returns:
        The notes, sorted by onset, then pitch.

    Raises:
        DataError: If the file is missing or not of that form; the line, or the number of the note, is named.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not valid JSON ({error.msg}).") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error, "a JSON file of notes") from error
    rows = content.get("notes") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise DataError(f'{path} holds no list named "notes": give a file that write_json made.')
    return sorted(_sure_note(row, f"{path}, note {number}") for number, row in enumerate(rows, start=1))


def _note(row: Any, place: str) -> Note:
    """A note from a mapping of the four fields, checked; `place` opens the message if it is none."""
    try:
        onset_s, offset_s = float(row["onset_s"]), float(row["offset_s"])
        midi_note, velocity = int(row["midi_note"]), int(row["velocity"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{place}: a note needs the numbers {', '.join(FIELDS)}, not {row!r}.") from error
    if not (0.0 <= onset_s <= offset_s < math.inf and 0 <= midi_note <= 127 and 0 <= velocity <= 127):
        raise DataError(
            f"{place}: a note needs 0 <= onset_s <= offset_s and midi_note and velocity from 0 to 127, not {row!r}."
        )
    return Note(onset_s, midi_note, offset_s, velocity)


def _sure_note(row: Any, place: str) -> Note:
    """The same with its confidence, if it has one."""
    note = _note(row, place)
    try:
        confidence = float(row.get("confidence", note.confidence))
    except (TypeError, ValueError):
        confidence = math.nan
    if not 0.0 <= confidence <= 1.0:
        raise DataError(f"{place}: the confidence must be a number from 0 to 1, not {row['confidence']!r}.")
    return replace(note, confidence=confidence)


def _unreadable(path: str | Path, error: Exception, kind: str) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path} does not exist: check the name.")
    if isinstance(error, IsADirectoryError):
        return DataError(f"{path} is a folder: give a file inside it.")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return DataError(f"{path} cannot be read as {kind} ({reason}).")
