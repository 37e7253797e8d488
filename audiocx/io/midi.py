"""MIDI files of notes."""

from __future__ import annotations

import bisect
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate, cycle, pairwise
from pathlib import Path
from typing import Any

from ..errors import DataError, OutputError
from ..notes import Note, snap_to_grid
from .atomic_write import atomic_write
from .note_tables import unreadable

DEFAULT_TEMPO_BPM = 120.0
TEMPO_RANGE_BPM = (4.0, 1000.0)  # a MIDI file stores a beat as 24 bits of microseconds, up to 16.8 s
# A tick must be at most about a millisecond. Sequencers expect a multiple of 480 ticks a beat.
TICKS_PER_SECOND = 960
BASE_RESOLUTION = 480
MAX_RESOLUTION = 32767 // BASE_RESOLUTION * BASE_RESOLUTION
MAX_BEAT_US = 2**24 - 1
SUSTAIN_PEDAL = 64
MELODIC_CHANNELS = [channel for channel in range(16) if channel != 9]  # the tenth is the drum channel


@dataclass(frozen=True)
class Heading:
    """What a MIDI file says at its head beside the tempo.

    Attributes:
        signature: Time signature, such as "6/8".
        key: Key as MIDI files name it, such as "Bb" or "F#m".
        lead_beats: Beats before the first full bar; they get a bar of their own.
    """

    signature: str
    key: str
    lead_beats: int = 0


def write_midi(
    notes: Iterable[Note],
    path: str | Path,
    tempo_bpm: float = DEFAULT_TEMPO_BPM,
    beats_s: Iterable[float] | None = None,
    heading: Heading | None = None,
) -> None:
    """Write notes as a MIDI file, with one track for each program.

    The tempo only sets the beat grid that a sequencer shows; the onset and offset times in seconds do not depend on it.
    Where notes of one pitch and program overlap, the earlier one ends at the onset of the later one; those that start
    at the same tick are merged.

    Args:
        notes: The notes, in any order.
        path: File to write.
        tempo_bpm: Tempo in beats per minute, 4 to 1000.
        beats_s: Beat times in seconds, float [B], B >= 2, the first at 0, 0.06 to 16 s apart. If given, they replace
            ``tempo_bpm`` by one tempo for each beat; the last tempo lasts to the end.
        heading: Time and key signature; None to state none.

    Raises:
        OutputError: A tempo, pitch or program is outside MIDI's range, or the file cannot be written.
    """
    import mido

    beats_us = _beat_lengths_us(tempo_bpm, beats_s, path)
    starts_us = list(accumulate(beats_us, initial=0))
    ticks = BASE_RESOLUTION * math.ceil(TICKS_PER_SECOND * max(beats_us) / 1e6 / BASE_RESOLUTION)
    resolution = min(ticks, MAX_RESOLUTION)
    file = mido.MidiFile(ticks_per_beat=resolution)

    def tick_at(time_s: float) -> int:
        beat = min(max(0, bisect.bisect_right(starts_us, 1e6 * time_s) - 1), len(beats_us) - 1)
        return round(resolution * (beat + (1e6 * time_s - starts_us[beat]) / beats_us[beat]))

    tempos = [mido.MetaMessage("set_tempo", tempo=us, time=beat * resolution) for beat, us in enumerate(beats_us)]
    heads = [*_signatures(heading, resolution), *tempos]
    _fill(file.add_track(), sorted(heads, key=lambda message: message.time))
    notes = list(notes)
    for program, channel in zip(sorted({note.program for note in notes} or {0}), cycle(MELODIC_CHANNELS)):
        snapped = snap_to_grid((note for note in notes if note.program == program), tick_at)
        _fill(file.add_track(), _track_messages(snapped, program, channel, path))
    with atomic_write(path) as temporary:
        file.save(os.fspath(temporary))


def _signatures(heading: Heading | None, resolution: int) -> list[Any]:
    """Return the key and time signatures at absolute ticks."""
    import mido

    if heading is None:
        return []
    beats, unit = map(int, heading.signature.split("/"))
    whole = mido.MetaMessage("time_signature", numerator=beats, denominator=unit, time=heading.lead_beats * resolution)
    lead = (
        [mido.MetaMessage("time_signature", numerator=heading.lead_beats, denominator=4)] if heading.lead_beats else []
    )
    return [mido.MetaMessage("key_signature", key=heading.key), *lead, whole]


def _beat_lengths_us(tempo_bpm: float, beats_s: Iterable[float] | None, path: str | Path) -> list[int]:
    """Return the length of each beat in whole microseconds, MIDI's unit; the last tempo lasts to the end."""
    low, high = TEMPO_RANGE_BPM
    if not low <= tempo_bpm <= high:
        raise OutputError(f"{path}: cannot be written at {tempo_bpm:g} beats per minute; choose {low:g} to {high:g}.")
    if beats_s is None:
        return [round(6e7 / tempo_bpm)]
    times_us = [round(1e6 * float(time_s)) for time_s in beats_s]
    lengths = [end - start for start, end in pairwise(times_us)]
    if not lengths or times_us[0] != 0 or not 6e7 / high - 1 <= min(lengths) <= max(lengths) <= MAX_BEAT_US:
        raise OutputError(f"{path}: cannot hold these beats; give two or more, the first at 0 s, 0.06 to 16 s apart.")
    return lengths


def _track_messages(
    snapped: Iterable[tuple[int, int, Note]], program: int, channel: int, path: str | Path
) -> list[Any]:
    """Return the messages of one instrument at absolute ticks: track name, program change, note-ons and note-offs."""
    import mido
    import pretty_midi

    if not 0 <= program <= 127:
        raise OutputError(f"{path}: cannot hold program {program}; General MIDI programs are 0 to 127.")
    events = []
    for start, end, note in snapped:
        if not 0 <= note.midi_note <= 127:
            raise OutputError(f"{path}: cannot hold pitch {note.midi_note}; MIDI notes are 0 to 127.")
        velocity = min(127, max(1, int(note.velocity)))
        events += [(start, velocity, note.midi_note), (end, 0, note.midi_note)]  # velocity 0 is a note-off
    name = pretty_midi.program_to_instrument_name(program) if program else "Piano"
    return [
        mido.MetaMessage("track_name", name=name),
        mido.Message("program_change", program=program, channel=channel),
        *(mido.Message("note_on", time=t, velocity=v, note=key, channel=channel) for t, v, key in sorted(events)),
    ]


def _fill(track: list[Any], messages: Iterable[Any]) -> None:
    """Move messages at absolute ticks to a track, where each has the ticks since the one before."""
    last_tick = 0
    for message in messages:
        last_tick, message.time = message.time, message.time - last_tick  # a copy would be checked again, which is slow
        track.append(message)


def read_midi(path: str | Path, sustain_pedal: bool = True) -> list[Note]:
    """Read the notes of all pitched instruments of a MIDI file.

    Args:
        path: File to read.
        sustain_pedal: Extend notes that are released while the sustain pedal (control 64) is down until it is lifted or
            the same key is struck again, as the labels of MAPS do.

    Returns:
        The notes, sorted by onset, then pitch.

    Raises:
        DataError: The file is missing or not a MIDI file.
    """
    import warnings

    import pretty_midi

    try:
        with warnings.catch_warnings():
            # pretty_midi warns of tempo changes outside the first track, though it reads such files well enough.
            warnings.simplefilter("ignore", RuntimeWarning)
            midi = pretty_midi.PrettyMIDI(os.fspath(path))
    except OSError as error:
        raise unreadable(path, error, "a MIDI file") from error
    except Exception as error:  # the parser raises many kinds
        raise DataError(
            f"{path}: is not a readable MIDI file ({error or type(error).__name__}); export it again."
        ) from error
    notes: list[Note] = []
    for instrument in midi.instruments:
        if not instrument.is_drum:
            program = int(instrument.program)
            played = [Note(float(n.start), n.pitch, float(n.end), n.velocity, program) for n in instrument.notes]
            pedal = [(float(c.time), c.value >= 64) for c in instrument.control_changes if c.number == SUSTAIN_PEDAL]
            notes += _sustained(played, pedal) if sustain_pedal and pedal else played
    return sorted(notes)


def _sustained(notes: list[Note], pedal: list[tuple[float, bool]]) -> list[Note]:
    """Extend notes that end while the pedal is down, until it is lifted or the key is struck again."""
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
    extended = []
    for note in sorted(notes, reverse=True):
        index = bisect.bisect_right(downs, note.offset_s) - 1
        lifted_s = spans[index][1] if index >= 0 else 0.0
        limit_s = next_onset_s.get(note.midi_note, math.inf)
        offset_s = max(note.offset_s, min(lifted_s, limit_s))
        extended.append(replace(note, offset_s=offset_s))
        next_onset_s[note.midi_note] = note.onset_s
    return sorted(extended)
