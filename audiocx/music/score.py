"""Scores of performances: bars, staves and voices of chords and rests on a grid.

Times in a score are ticks, 24 to a quarter note, so that eighths, sixteenths, thirty-seconds and triplets are whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..io.midi import Heading
from ..notes import Note
from . import beats
from .grid import BeatGrid, grid_notes
from .hands import is_one_line, split_hands
from .key import Key, Pitch, estimate_key, spell
from .metre import QUARTER, Metre, estimate_metre

__all__ = ["Chord", "Score", "StaffBar", "make_score", "quantized_for_midi"]

HELD = 0.5  # beats by which a note outlasts the next onset to be a voice of its own
PEDAL_SHARE = 0.4  # more such notes in a bar are the sustain pedal
LEGATO = 0.6  # share of the time to the next onset from which a note is written up to it
STACCATO = 0.3  # the same within a beat, where rests would be litter
BASS_CLEF_BELOW, TREBLE_CLEF_ABOVE = 55.0, 65.0  # mean pitch of a bar from which a hand changes its clef
PLAIN = {3, 6, 12, 24, 48, 96, 9, 18, 36, 72}  # ticks of a note with at most one dot
TRIPLET = {4, 8, 16, 24}  # within a beat of three


@dataclass(frozen=True)
class Chord:
    """Notes that begin and end together, or a rest.

    Attributes:
        start: Ticks from the beginning of the bar.
        length: Ticks.
        pitches: The notes, lowest first: MIDI number and written pitch; none for a rest.
        tie: "start", "stop" or "continue" where the notes are tied to the next chord, the last one, or both; else "".
        tuplet: Number of notes that stand in place of ``normal``; 0 outside of tuplets.
        normal: See ``tuplet``.
        edge: "start" or "stop" at the ends of a tuplet, "both" for one alone, else "".
        hidden: A rest that is not printed.
    """

    start: int
    length: int
    pitches: tuple[tuple[int, Pitch], ...] = ()
    tie: str = ""
    tuplet: int = 0
    normal: int = 0
    edge: str = ""
    hidden: bool = False


@dataclass
class StaffBar:
    """One bar of one staff.

    Attributes:
        clef: "treble" or "bass".
        voices: One or two voices, each filling the bar.
        stems: Direction of the stems of each voice: "up", "down", or "" for either.
    """

    clef: str
    voices: list[list[Chord]]
    stems: list[str] = field(default_factory=lambda: [""])


@dataclass
class Score:
    """A score.

    Attributes:
        title: Title; may be empty.
        key: Key.
        metre: Beats and bars.
        bar_ticks: Length of each bar, in ticks; the first may be shorter.
        staves: Bars of each staff, highest first.
    """

    title: str
    key: Key
    metre: Metre
    bar_ticks: list[int]
    staves: list[list[StaffBar]]


@dataclass
class _Event:
    """A chord before it is written: ticks from the first bar, and where each of its notes ends as played."""

    start: int
    ends: dict[int, float]
    spelled: dict[int, Pitch]

    def end(self) -> float:
        return float(np.median(list(self.ends.values())))


def make_score(
    notes: Iterable[Note], title: str = "", tempo_bpm: float | None = None, metre: Metre | None = None
) -> Score:
    """Write notes of a performance as a score.

    Args:
        notes: The notes, in any order; programs and velocities make no difference to what is written.
        title: Title of the score.
        tempo_bpm: Tempo near which the beats are searched, in beats a minute; None to search all tempos.
        metre: Beats and bars, where they are known; None to estimate them.

    Returns:
        The score; one empty bar where there are no notes.

    Raises:
        ConfigError: The tempo is out of range, a time is not finite, or the notes begin over more than six hours.
    """
    notes = sorted(notes)
    metre = metre or estimate_metre(notes, tempo_bpm)
    key = estimate_key(notes)
    grid, placed = grid_notes(notes, metre)
    bars = _bar_starts(metre, placed[-1][0] if placed else 0)
    pitches = spell([row[2] for row in placed], key)
    events = _staff_events(placed, pitches)
    clefs = ["treble", "bass"][: len(events)] if len(events) == 2 else [_clef_of(events[0])]
    staves = [
        _staff(staff, bars, grid, metre, clef, len(events) == 2) for staff, clef in zip(events, clefs, strict=True)
    ]
    return Score(title, key, metre, [end - start for start, end in pairwise(bars)], staves)


def _bar_starts(metre: Metre, last_start: int) -> list[int]:
    """Return the ticks at which bars begin, and the end of the last: the one in which the last note begins."""
    bar, pickup = metre.bar_ticks, metre.pickup_ticks
    count = max(1, (last_start - pickup) // bar + 1)
    return ([0] if pickup else []) + [pickup + bar * number for number in range(count + 1)]


def _staff_events(placed: Sequence[tuple[int, float, Note]], pitches: Sequence[Pitch]) -> list[list[_Event]]:
    """Gather the notes of each staff to chords."""
    starts: dict[int, list[int]] = {}
    for index, (start, _, _) in enumerate(placed):
        starts.setdefault(start, []).append(index)
    chords = [[placed[i][2].midi_note for i in group] for group in starts.values()]
    one = not chords or is_one_line(chords)
    onsets_s = [min(placed[i][2].onset_s for i in group) for group in starts.values()]
    bounds = np.zeros(len(chords), int) if one else split_hands(onsets_s, chords)
    staves: list[list[_Event]] = [[]] if one else [[], []]
    for (start, group), bound in zip(starts.items(), bounds, strict=True):
        for number, staff in enumerate(staves):
            own = [i for i in group if one or (placed[i][2].midi_note < bound) == bool(number)]
            if own:
                ends = {placed[i][2].midi_note: placed[i][1] for i in own}
                staff.append(_Event(start, ends, {placed[i][2].midi_note: pitches[i] for i in own}))
    return staves


def _clef_of(events: Sequence[_Event]) -> str:
    middle = np.mean([number for event in events for number in event.ends]) if events else 72.0
    return "treble" if middle >= 57 else "bass"


def _staff(
    events: list[_Event], bars: list[int], grid: BeatGrid, metre: Metre, clef: str, two_staves: bool
) -> list[StaffBar]:
    """Write one staff."""
    moving, held = _voices(events, bars, metre.beat_ticks)
    main = _chords(moving, bars, grid, metre)
    second = _chords(held, bars, grid, metre, hold=True)
    staff = []
    for number, (start, end) in enumerate(pairwise(bars)):
        inside = [event for event in events if start <= event.start < end]
        clef = _next_clef(clef, inside, two_staves)
        bar = StaffBar(clef, [main[number]])
        if any(chord.pitches for chord in second[number]):
            bar.voices.append([replace(chord, hidden=not chord.pitches) for chord in second[number]])
            above = _mean_pitch(second[number]) >= _mean_pitch(main[number])
            bar.stems = ["down", "up"] if above else ["up", "down"]
        staff.append(bar)
    return staff


def _mean_pitch(chords: Sequence[Chord]) -> float:
    return float(np.mean([number for chord in chords for number, _ in chord.pitches] or [0]))


def _next_clef(clef: str, inside: Sequence[_Event], two_staves: bool) -> str:
    """Return the clef of a bar: the one before, unless the notes lie far beyond it."""
    pitches = [number for event in inside for number in event.ends]
    if not pitches:
        return clef
    middle = float(np.mean(pitches))
    if clef == "bass" and middle > TREBLE_CLEF_ABOVE and min(pitches) >= 57:
        return "treble"
    if clef == "treble" and middle < BASS_CLEF_BELOW and max(pitches) <= 64:
        return "bass"
    return clef


def _voices(events: list[_Event], bars: list[int], beat: int) -> tuple[list[_Event], list[_Event]]:
    """Divide a staff into moving notes and ones that are held above or below them."""
    moving: list[_Event] = []
    held: list[_Event] = []
    index = 0
    for _start, end in pairwise(bars):
        inside = []
        while index < len(events) and events[index].start < end:
            inside.append((events[index], events[index + 1].start if index + 1 < len(events) else math.inf))
            index += 1
        outer = {side: _held(inside, beat, side) for side in ("low", "high")}
        side = max(outer, key=lambda name: len(outer[name]))
        holds = outer[side]
        for event, _ in inside:
            kept = {number: e for number, e in event.ends.items() if (event.start, number) not in holds}
            above = {number: e for number, e in event.ends.items() if (event.start, number) in holds}
            moving += [replace(event, ends=kept)] if kept else []
            held += [replace(event, ends={n: min(e, end) for n, e in above.items()})] if above else []
    return moving, held


def _held(inside: Sequence[tuple[_Event, float]], beat: int, side: str) -> set[tuple[int, int]]:
    """Return the onset and pitch of the notes of a bar that are held while all others move above or below them."""
    found: set[tuple[int, int]] = set()
    outlasting = sum(end > after + HELD * beat for event, after in inside[:-1] for end in event.ends.values())
    if outlasting > PEDAL_SHARE * sum(len(event.ends) for event, _ in inside):
        return found
    pick, beyond = (min, lambda a, b: a > b) if side == "low" else (max, lambda a, b: a < b)
    for position, (event, after) in enumerate(inside):
        number = pick(event.ends)
        end = event.ends[number]
        during = [other for other, _ in inside[position + 1 :] if other.start < end - HELD * beat / 2]
        if after < end - HELD * beat and during and all(beyond(pick(other.ends), number) for other in during):
            found.add((event.start, number))
    return found


def _chords(
    events: Sequence[_Event], bars: list[int], grid: BeatGrid, metre: Metre, hold: bool = False
) -> list[list[Chord]]:
    """Write a voice: chords that fill each bar, with rests and ties."""
    rows: list[list[Chord]] = [[] for _ in bars[1:]]
    at = 0
    for number, event in enumerate(events):
        after = events[number + 1].start if number + 1 < len(events) else bars[-1]
        end = _written_end(event, after, grid, hold)
        _fill(rows, bars, grid, metre, at, event.start, None)
        _fill(rows, bars, grid, metre, event.start, end, event)
        at = end
    _fill(rows, bars, grid, metre, at, bars[-1], None)
    return [_with_tuplets(row, start, grid, metre) for row, start in zip(rows, bars[:-1], strict=True)]


def _written_end(event: _Event, after: int, grid: BeatGrid, hold: bool) -> int:
    """Return where a chord ends in the score: at the next one, or at a place where a rest is easy to read."""
    beat, gap, played = grid.metre.beat_ticks, after - event.start, event.end() - event.start
    legato = played >= LEGATO * gap or gap <= beat // 2 or (gap <= beat and played >= STACCATO * gap)
    if legato:
        return after
    return min(after, grid.round_up(event.start, max(event.end(), event.start + 1)))


def _fill(
    rows: list[list[Chord]], bars: list[int], grid: BeatGrid, metre: Metre, start: int, end: int, event: _Event | None
) -> None:
    """Write a chord, or a rest, from one tick to another: in pieces that bars and beats allow, tied."""
    began = start
    while start < end:
        bar = int(np.searchsorted(bars, start, side="right")) - 1
        stop = min(end, bars[bar + 1])
        length = _piece(
            start - bars[bar], stop - start, bars[bar], bars[bar + 1] - bars[bar], grid, metre, event is None
        )
        pitches = tuple((number, event.spelled[number]) for number in sorted(event.ends)) if event else ()
        tie = {(False, True): "start", (True, True): "continue", (True, False): "stop"}.get(
            (start > began, start + length < end), ""
        )
        rows[bar].append(Chord(start - bars[bar], length, pitches, tie if pitches else ""))
        start += length


def _piece(at: int, length: int, bar: int, bar_ticks: int, grid: BeatGrid, metre: Metre, rest: bool) -> int:
    """Return the length of the first note value of a chord that begins in a bar at a tick, at most ``length``."""
    beat = metre.beat_ticks
    offset, full = at % beat, metre.bar_ticks
    place = at + (full - bar_ticks)  # as though the bar were whole
    if rest and length == bar_ticks == full:
        return length
    if offset == 0:
        for ticks in (144, 96, 72, 48, 36, 24):
            if ticks <= length and ticks % beat == 0 and _allowed(place, ticks, full, beat, rest):
                return ticks
            dotted = ticks == 36 and beat == 24 and not rest and place % 48 == 0
            if dotted and length >= 36 and grid.is_straight(bar + at + beat):
                return ticks
    limit = min(length, beat - offset)
    syncopated = not rest and beat == 24 and offset == 12 and length >= 24 and place % 48 != 36
    if syncopated and grid.is_straight(bar + at) and grid.is_straight(bar + at + 12):
        return 24
    straight = grid.is_straight(bar + at)
    values = PLAIN if straight or beat == 36 else TRIPLET
    fitting = [
        ticks for ticks in values if ticks <= limit and (straight is False or _plain_at(offset, ticks, beat, rest))
    ]
    return max(fitting, default=limit)


def _allowed(place: int, ticks: int, full: int, beat: int, rest: bool) -> bool:
    """Return whether a note value of whole beats may begin at a place of the bar."""
    if ticks == beat:
        return True
    if ticks not in PLAIN | {144} or place + ticks > full:
        return False
    if rest:
        return place % ticks == 0 and full % ticks == 0
    if ticks == 2 * beat:
        return full != 4 * beat or place in (0, beat, 2 * beat)
    return place == 0 or (ticks == 3 * beat and place == beat)


def _plain_at(offset: int, ticks: int, beat: int, rest: bool) -> bool:
    """Return whether a plain value may begin at an offset within the beat."""
    if ticks in (9, 18):
        return not rest and (offset % ticks == 0 or (offset + ticks) % beat == 0)
    return offset % ticks == 0 or (beat == 36 and ticks == 24 and offset == 12) or (ticks == 12 and offset == 6)


def _with_tuplets(row: list[Chord], bar: int, grid: BeatGrid, metre: Metre) -> list[Chord]:
    """Mark the tuplets of a bar: one for each beat that is divided by three."""
    beat, marked = metre.beat_ticks, list(row)
    if beat != QUARTER:
        return marked
    groups: dict[int, list[int]] = {}
    for index, chord in enumerate(row):
        number = (bar + chord.start) // beat
        if not grid.is_straight(bar + chord.start) and chord.length < beat:
            groups.setdefault(number, []).append(index)
    for group in groups.values():
        small = any(row[index].length % 8 for index in group)
        for index in group:
            edge = {(True, True): "both", (True, False): "start", (False, True): "stop"}.get(
                (index == group[0], index == group[-1]), ""
            )
            tuplet, normal = (6, 4) if small else (3, 2)
            marked[index] = replace(row[index], tuplet=tuplet, normal=normal, edge=edge)
    return marked


def quantized_for_midi(
    notes: Iterable[Note], divisions: int, tempo_bpm: float | None = None
) -> tuple[list[Note], NDArray[np.float64], Heading]:
    """Move notes to subdivisions of quarter notes, for a MIDI file with bars.

    Args:
        notes: The notes, in any order.
        divisions: Grid points a quarter note, 1 to 12.
        tempo_bpm: Tempo near which the beats are searched, in beats a minute; None for any.

    Returns:
        The notes; the times of the quarter notes from 0 on, in seconds, float64 [Q]; key and time signature.

    Raises:
        ConfigError: The tempo or the number of divisions is out of range.
    """
    notes = sorted(notes)
    metre, key = estimate_metre(notes, tempo_bpm), estimate_key(notes)
    quarters_s, before = metre.quarters_s()
    whole_s = beats.from_zero(beats.extended(quarters_s, max((note.offset_s for note in notes), default=0.0)))
    lead = int(np.searchsorted(whole_s, quarters_s[before] - 1e-9))
    heading = Heading(metre.signature, key.midi_name, lead % (metre.bar_ticks // QUARTER))
    return beats.quantize(notes, whole_s, divisions), whole_s, heading
