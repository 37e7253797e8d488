"""Division of piano notes between two hands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_one_line", "split_hands"]

MIDDLE = 60.0  # the boundary lies near middle C, if nothing speaks against it
SPAN = 12  # semitones that a hand plays with ease; more costs
SPAN_COST, MIDDLE_COST, GAP_GAIN = 0.15, 0.004, 0.25
WIDEST_GAP = 8  # semitones; a wider gap is no better a boundary
MOVE_COST = 0.25  # for each semitone by which the boundary moves from one chord to the next
IDLE_COST, FULL_CHORD = 1.5, 4  # where one hand has so many pitches, and the other none
IDLE_CHORD_COST = 3.0  # more, if they begin together
NEAR_S = 0.25  # notes that begin so near in time belong to one position of the hand
MAX_LINE_RANGE = 38  # semitones of one melody: a violin's
MAX_LINE_OVERLAP = 0.1  # share of chords in one melody


def split_hands(onsets_s: Sequence[float], chords: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Find the pitch between the two hands at each chord: wide gaps, spans that a hand can reach, few moves.

    Args:
        onsets_s: Onsets of the chords, in seconds, increasing, length N.
        chords: MIDI numbers of each chord.

    Returns:
        The lowest MIDI number of the right hand at each chord, int [N].
    """
    bounds = np.arange(36, 86)
    moves = MOVE_COST * np.abs(bounds[:, None] - bounds)
    best = np.zeros(len(bounds))
    before = np.zeros((len(chords), len(bounds)), int)
    first = last = 0
    for index, onset_s in enumerate(onsets_s):
        while onsets_s[first] < onset_s - NEAR_S:
            first += 1
        while last < len(chords) and onsets_s[last] <= onset_s + NEAR_S:
            last += 1
        near = np.array(sorted({pitch for chord in chords[first:last] for pitch in chord}))
        paths = best + moves  # [bound, bound before]
        before[index] = paths.argmin(1)
        best = paths.min(1) + _cost(near, bounds)
        if len(set(chords[index])) >= FULL_CHORD:
            best += IDLE_CHORD_COST * ((bounds <= min(chords[index])) | (bounds > max(chords[index])))
    path = [int(best.argmin())] if len(chords) else []
    for index in range(len(chords) - 1, 0, -1):
        path.append(int(before[index][path[-1]]))
    return bounds[np.array(path[::-1], dtype=int)]


def _cost(near: NDArray[np.int64], bounds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the cost of each boundary between the hands, float [len(bounds)]."""
    below = np.searchsorted(near, bounds)  # how many pitches the left hand has
    lower, upper = np.maximum(below - 1, 0), np.minimum(below, len(near) - 1)
    left = np.where(below > 0, near[lower] - near[0], 0)
    right = np.where(below < len(near), near[-1] - near[upper], 0)
    spans = np.maximum(0, left - SPAN) ** 2 + np.maximum(0, right - SPAN) ** 2
    # The room between a boundary and the pitches around it; at the edge there is no pitch on one side.
    room = np.minimum(np.where(below > 0, bounds - near[lower], WIDEST_GAP), WIDEST_GAP) + np.minimum(
        np.where(below < len(near), near[upper] - bounds, WIDEST_GAP), WIDEST_GAP
    )
    idle = IDLE_COST * ((len(near) >= FULL_CHORD) & ((below == 0) | (below == len(near))))
    return idle + SPAN_COST * np.minimum(spans, 200) + MIDDLE_COST * (bounds - MIDDLE) ** 2 - GAP_GAIN * room


def is_one_line(chords: Sequence[Sequence[int]]) -> bool:
    """Return whether chords are one melody for a single staff: hardly two notes at a time, in a singer's range.

    Args:
        chords: MIDI numbers of the notes that begin together.

    Returns:
        True for one melody.
    """
    pitches = [pitch for chord in chords for pitch in chord]
    several = sum(len(chord) > 1 for chord in chords)
    return bool(pitches) and max(pitches) - min(pitches) <= MAX_LINE_RANGE and several <= MAX_LINE_OVERLAP * len(chords)
