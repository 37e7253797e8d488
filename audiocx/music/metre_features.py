"""Features of times in a performance: what tells beats and downbeats from the times between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..notes import Note

__all__ = ["FEATURES", "Onsets", "beat_features", "gather", "subdivisions"]

GATHER_S = 0.045  # onsets so near are one chord
HARMONY_FRAME_S = 0.05
LONGEST_S = 4.0  # a note counts as no longer
LONG_GAP_S = 0.6  # a chord with so much time after it has full weight
NEAR_BEATS, NEAR_S = 0.12, 0.04  # an onset so near a time is on it
WINDOW_BEATS = 1.1  # before and after
SPREAD_S, SPREAD_BEATS = 0.02, 0.03  # standard deviation of onsets from subdivisions of the beat
PLACES = ((0.0,), (1 / 2,), (1 / 4, 3 / 4), (1 / 3, 2 / 3), (1 / 6, 5 / 6))
FEATURES = (
    "onset",
    "depth",
    "notes",
    "length",
    "gap after",
    "harmony",
    "wide harmony",
    "velocity",
    "gap before",
    "one",
)


@dataclass(frozen=True)
class Onsets:
    """The chords of a performance, N of them, in order.

    Attributes:
        times_s: Onset of each chord, in seconds, float [N].
        counts: Pitches in it, int [N].
        lowest: Its lowest MIDI number, int [N].
        lengths_s: Length of its longest note, in seconds, float [N].
        velocities: Mean velocity, float [N].
        weights: How much a chord counts in the search for beats, with a mean of 1, float [N].
        harmony: Sums of the pitch classes that sound up to each frame of 0.05 s, float [T, 12].
    """

    times_s: NDArray[np.float64]
    counts: NDArray[np.int64]
    lowest: NDArray[np.int64]
    lengths_s: NDArray[np.float64]
    velocities: NDArray[np.float64]
    weights: NDArray[np.float64]
    harmony: NDArray[np.float64]


def gather(notes: Iterable[Note]) -> Onsets:
    """Gather notes that begin together.

    Args:
        notes: The notes, in any order.

    Returns:
        The chords.
    """
    chords: list[list[Note]] = []
    for note in sorted(notes):
        if chords and note.onset_s - chords[-1][0].onset_s <= GATHER_S:
            chords[-1].append(note)
        else:
            chords.append([note])
    times_s = np.array([np.mean([note.onset_s for note in chord]) for chord in chords])
    counts = np.array([len({note.midi_note for note in chord}) for chord in chords], dtype=int)
    gaps_s = np.append(np.diff(times_s), 2.0)[: len(chords)]
    weights = (1 + np.log2(counts)) * (0.5 + np.minimum(gaps_s / LONG_GAP_S, 1.0))
    return Onsets(
        times_s,
        counts,
        np.array([min(note.midi_note for note in chord) for chord in chords], dtype=int),
        np.array([max(min(max(note.duration_s, 0.03), LONGEST_S) for note in chord) for chord in chords]),
        np.array([np.mean([note.velocity for note in chord]) for chord in chords]),
        weights / weights.mean() if chords else weights,
        _harmony([note for chord in chords for note in chord]),
    )


def _harmony(notes: list[Note]) -> NDArray[np.float64]:
    last_s = max((note.onset_s for note in notes), default=0.0)
    frames = int(max(0.0, last_s) / HARMONY_FRAME_S) + 120
    sounding = np.zeros((frames, 12))
    for note in notes:
        first, last = (int(max(0.0, t) / HARMONY_FRAME_S) for t in (note.onset_s, min(note.offset_s, note.onset_s + 3)))
        sounding[first : max(first + 1, last), note.midi_note % 12] += 1
    return np.vstack([np.zeros((1, 12)), np.cumsum(np.minimum(sounding, 2), 0)])


def beat_features(onsets: Onsets, times_s: NDArray[np.float64], beat_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the features of times.

    Args:
        onsets: The chords.
        times_s: The times, in seconds, increasing, float [K].
        beat_s: Length of a beat at each of them, in seconds, float [K].

    Returns:
        The features of :data:`FEATURES`, float [K, 10]; the last is 1.
    """
    all_s = onsets.times_s
    after = np.clip(np.searchsorted(all_s, times_s), 0, len(all_s) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(all_s[after] - times_s) < np.abs(all_s[before] - times_s), after, before)
    on = np.abs(all_s[nearest] - times_s) < np.maximum(NEAR_BEATS * beat_s, NEAR_S)
    low = np.searchsorted(all_s, times_s - WINDOW_BEATS * beat_s)
    high = np.searchsorted(all_s, times_s + WINDOW_BEATS * beat_s)

    def local_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray((sums[high] - sums[low]) / np.maximum(1, high - low))

    gaps_s = np.diff(all_s, prepend=all_s[0] - 2.0, append=all_s[-1] + 2.0)
    depth = (local_mean(onsets.lowest.astype(float)) - onsets.lowest[nearest]) / 12
    louder = (onsets.velocities[nearest] - local_mean(onsets.velocities)) / 20
    counts = np.log2(onsets.counts[nearest] / np.maximum(1.0, local_mean(onsets.counts.astype(float))))
    columns = [
        on,
        on * np.clip(depth, -1, 1.5),
        on * counts,
        on * np.clip(np.log2(onsets.lengths_s[nearest] / beat_s), -2.5, 2),
        on * np.clip(np.log2(gaps_s[nearest + 1] / beat_s), -2.5, 1),
        1 - _similarity(onsets, times_s, beat_s),
        1 - _similarity(onsets, times_s, 2 * beat_s),
        on * np.clip(louder, -1, 1),
        on * np.clip(np.log2(gaps_s[nearest] / beat_s), -2.5, 1),
        np.ones(len(times_s)),
    ]
    return np.stack(columns, axis=1).astype(float)


def _similarity(onsets: Onsets, times_s: NDArray[np.float64], span_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the similarity of the pitch classes before and after times, cosine, float [K]."""

    def at(when_s: NDArray[np.float64]) -> NDArray[np.float64]:
        frames = np.clip((when_s / HARMONY_FRAME_S).astype(int), 0, len(onsets.harmony) - 1)
        return np.asarray(onsets.harmony[frames])

    before, after = at(times_s - 0.02) - at(times_s - span_s), at(times_s + span_s) - at(times_s)
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    return np.asarray((before * after).sum(1) / (norms + 1e-6))


def subdivisions(onsets: Onsets, beats_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shares of onsets on beats and at halves, quarters, thirds and sixths of them, float [5]."""
    places = np.interp(onsets.times_s, beats_s, np.arange(len(beats_s))) % 1
    spread = SPREAD_S / np.interp(onsets.times_s, beats_s[:-1], np.diff(beats_s)) + SPREAD_BEATS
    fits = []
    for group in PLACES:
        off = [np.minimum(np.abs(places - place), 1 - np.abs(places - place)) for place in group]
        fits.append(sum(np.exp(-0.5 * (one / spread) ** 2) for one in off))
    table = np.stack(fits, axis=1)
    near = table.max(axis=1) > 0.3
    return np.array([np.mean((table.argmax(axis=1) == kind) & near) for kind in range(len(PLACES))])
