"""Quantization of a performance to straight and triplet subdivisions of its beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..notes import Note
from .metre import QUARTER, Metre

__all__ = ["BeatGrid", "grid_notes"]

CHORD_S = 0.045  # onsets so near are one chord
TIMING_S, TIMING_BEATS = 0.015, 0.015  # standard deviation of onsets from the grid: a constant, and a share of the beat
# Costs of dividing a beat, as negative log likelihoods: finer and rarer divisions need more evidence.
SIMPLE = {1: 0.0, 2: 0.7, 4: 2.0, 8: 8.0, 3: 3.0, 6: 6.0}
COMPOUND = {1: 0.0, 3: 0.5, 6: 2.0, 2: 5.0, 12: 8.0}
TRIPLETS = (3, 6)
CHANGE = 1.0  # cost of a change between straight and triplet beats
COLLISION = 3.0  # cost of two chords in one place


@dataclass(frozen=True)
class BeatGrid:
    """Subdivisions of beats.

    Attributes:
        metre: The beats.
        divisions: Number of equal parts of each beat, 1 to 12, from the beat at tick 0 on.
    """

    metre: Metre
    divisions: list[int]

    def division_at(self, tick: float) -> int:
        """Return the number of parts of the beat around a tick; 1 beyond the last beat."""
        number = int(tick // self.metre.beat_ticks)
        return self.divisions[number] if 0 <= number < len(self.divisions) else 1

    def is_straight(self, tick: float) -> bool:
        """Return whether the beat around a tick has no tuplet."""
        return self.metre.beat_ticks != QUARTER or self.division_at(tick) not in TRIPLETS

    def round_up(self, start: int, end: float) -> int:
        """Return the end of a note that is easy to read: a half or third of a beat, after its start."""
        beat = self.metre.beat_ticks
        by = 3 if beat != QUARTER or not self.is_straight(end) else 2
        unit = beat // by
        rounded = math.ceil(end / unit - 0.25) * unit
        return rounded if rounded > start else (start // unit + 1) * unit


def grid_notes(notes: Sequence[Note], metre: Metre) -> tuple[BeatGrid, list[tuple[int, float, Note]]]:
    """Move onsets to the grid: each beat gets the division that explains its onsets at the least cost.

    Notes that begin together are kept together. Of notes of one pitch in one place the longest remains; where notes of
    one pitch overlap, the earlier ends at the onset of the later.

    Args:
        notes: The notes, in order of onset.
        metre: The beats.

    Returns:
        The grid; and for each note its onset in ticks, its offset as played in ticks, not rounded, and the note, in
        order of onset and pitch.
    """
    chords = _gathered(notes)
    if not chords:
        return BeatGrid(metre, []), []
    onsets_s = np.array([np.mean([note.onset_s for note in chord]) for chord in chords])
    places = np.maximum(0.0, metre.position_at(onsets_s))
    divisions = _divisions(places, metre)
    rows: dict[tuple[int, int], tuple[float, Note]] = {}
    for place, chord in zip(places, chords, strict=True):
        parts = divisions[int(place)]
        start = round(round(place * parts) * metre.beat_ticks / parts)
        for note in chord:
            end = float(metre.position_at(np.array([note.offset_s]))[0]) * metre.beat_ticks
            kept = rows.get((note.midi_note, start))
            if kept is None or end > kept[0]:
                rows[note.midi_note, start] = (max(end, start + 1.0), note)
    ends = {row: end for row, (end, _) in rows.items()}
    for (pitch, start), (after, later) in pairwise(sorted(rows)):
        if pitch == after:
            ends[pitch, start] = min(ends[pitch, start], later)
    grid = BeatGrid(metre, divisions)
    placed = [(start, ends[pitch, start], note) for (pitch, start), (_, note) in rows.items()]
    return grid, sorted(placed, key=lambda row: (row[0], row[2].midi_note))


def _gathered(notes: Sequence[Note]) -> list[list[Note]]:
    """Return the notes in chords: onsets within a short time of the first, each pitch once."""
    chords: list[list[Note]] = []
    for note in sorted(notes, key=lambda note: (note.onset_s, note.midi_note)):
        chord = chords[-1] if chords else []
        if not chord or note.onset_s - chord[0].onset_s > CHORD_S:
            chords.append([note])
        elif any(other.midi_note == note.midi_note for other in chord):
            same = next(i for i, other in enumerate(chord) if other.midi_note == note.midi_note)
            chord[same] = replace(chord[same], offset_s=max(chord[same].offset_s, note.offset_s))
        else:
            chord.append(note)
    return chords


def _divisions(places: NDArray[np.float64], metre: Metre) -> list[int]:
    """Return the most likely division of each beat, by a Viterbi search.

    Args:
        places: Onsets of the chords, in beats, increasing, float [N].
        metre: The beats.
    """
    prior = SIMPLE if metre.beat_ticks == QUARTER else COMPOUND
    kinds = list(prior)
    family = np.array([0 if parts == 1 else 1 + (parts in TRIPLETS) for parts in kinds])
    change = CHANGE * ((family[:, None] != family) & (family[:, None] > 0) & (family > 0))
    if metre.beat_ticks != QUARTER:
        change = np.zeros_like(change)
    beats = int(places[-1]) + 1
    inside = np.split(places, np.searchsorted(places, np.arange(1, beats)))
    lengths_s = metre.lengths_s(beats)
    best, before = np.zeros(len(kinds)), np.zeros((beats, len(kinds)), int)
    for beat, (chords, length_s) in enumerate(zip(inside, lengths_s, strict=True)):
        costs = [prior[parts] + _misfit(chords - beat, parts, length_s) for parts in kinds]
        paths = best + change
        before[beat] = paths.argmin(1)
        best = paths.min(1) + costs
    path = [int(best.argmin())]
    for beat in range(beats - 1, 0, -1):
        path.append(int(before[beat][path[-1]]))
    return [kinds[index] for index in path[::-1]]


def _misfit(offsets: NDArray[np.float64], parts: int, length_s: float) -> float:
    """Return the negative log likelihood of onsets within a beat that is divided into equal parts."""
    if not len(offsets):
        return 0.0
    slots = np.rint(offsets * parts)
    spread = TIMING_S / length_s + TIMING_BEATS
    collisions = len(slots) - len(np.unique(slots))
    return float(np.sum(((offsets - slots / parts) / spread) ** 2) / 2) + COLLISION * collisions
