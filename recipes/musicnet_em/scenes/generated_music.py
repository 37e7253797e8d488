"""Randomly generated music: chords, strummed chords, repeated notes, melodies with glides, single keys."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ScoreNotes", "generate_music", "without_overlaps"]

_LEAD_IN_S = 3.0
_SHORTEST_S = 0.03


class ScoreNotes(NamedTuple):
    """Notes of a passage, [M] each.

    Attributes:
        onsets_s: Onset in seconds from the start of the passage, possibly negative, float64.
        offsets_s: Offset in seconds, float64.
        pitches: MIDI number, int64.
        velocities: MIDI velocity, float64.
        programs: General MIDI program, int64.
        glides: Deviation from the pitch at which a note starts, in semitones, float64.
    """

    onsets_s: NDArray[Any]
    offsets_s: NDArray[Any]
    pitches: NDArray[Any]
    velocities: NDArray[Any]
    programs: NDArray[Any]
    glides: NDArray[Any]


def generate_music(rng: np.random.Generator, span_s: float, low: int, high: int, sustained: bool) -> ScoreNotes:
    """Generate random music.

    Args:
        rng: Random generator.
        span_s: Length in seconds; the music starts up to 3 s earlier.
        low: Lowest MIDI number.
        high: Highest MIDI number.
        sustained: Whether the instrument sustains its sound: melodies and held chords are likelier then.

    Returns:
        The notes.
    """
    kinds = (
        (_melody, _held, _chords, _repeated, _keys) if sustained else (_chords, _repeated, _keys, _extremes, _melody)
    )
    shares = (0.5, 0.2, 0.15, 0.1, 0.05) if sustained else (0.36, 0.2, 0.16, 0.18, 0.1)
    return without_overlaps(kinds[rng.choice(len(kinds), p=shares)](rng, span_s, low, high))


def without_overlaps(notes: ScoreNotes) -> ScoreNotes:
    """End notes at the next onset of the same pitch, drop those shorter than 30 ms, and sort by onset.

    Args:
        notes: Notes in any order.

    Returns:
        The notes that remain.
    """
    order = np.lexsort((notes.onsets_s, notes.pitches))
    notes = ScoreNotes(*(column[order] for column in notes))
    same = np.append(notes.pitches[1:] == notes.pitches[:-1], False)
    following = np.append(notes.onsets_s[1:], np.inf)
    offsets_s = np.where(same, np.minimum(notes.offsets_s, following), notes.offsets_s)
    kept = offsets_s - notes.onsets_s >= _SHORTEST_S - 1e-9
    notes = ScoreNotes(*(column[kept] for column in notes._replace(offsets_s=offsets_s)))
    order = np.argsort(notes.onsets_s, kind="stable")
    return ScoreNotes(*(column[order] for column in notes))


def _passage(
    onsets_s: NDArray[np.float64],
    durations_s: NDArray[np.float64],
    pitches: NDArray[np.int64],
    velocities: NDArray[np.float64],
    glides: NDArray[np.float64] | None = None,
) -> ScoreNotes:
    count = len(onsets_s)
    glides = np.zeros(count) if glides is None else glides
    programs = np.zeros(count, np.int64)
    return ScoreNotes(
        onsets_s, onsets_s + durations_s, pitches.astype(np.int64), velocities.clip(5, 127), programs, glides
    )


def _beats(rng: np.random.Generator, span_s: float, shortest_s: float, longest_s: float) -> NDArray[np.float64]:
    """Return roughly even times, from before the start of the passage on."""
    beat_s = np.exp(rng.uniform(np.log(shortest_s), np.log(longest_s)))
    subdivision = rng.choice([0.0, 0.5, 1.0])
    steps = beat_s * 2.0 ** (subdivision * rng.integers(-1, 2, int((span_s + _LEAD_IN_S) / beat_s * 2) + 2))
    times = np.cumsum(steps * rng.uniform(0.9, 1.1, len(steps))) - _LEAD_IN_S
    return times[times < span_s]


def _chords(rng: np.random.Generator, span_s: float, low: int, high: int) -> ScoreNotes:
    times = _beats(rng, span_s, 0.1, 1.2)
    sizes = rng.integers(1, rng.integers(2, 7) + 1, len(times))
    owner = np.repeat(np.arange(len(times)), sizes)
    centre, width = rng.uniform(low, high), rng.uniform(4, 20)
    pitches = np.rint(rng.normal(centre, width, len(owner))).clip(low, high)
    index = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    strum_s = rng.uniform(0.008, 0.05) if rng.random() < 0.35 else rng.uniform(0, 0.006)
    onsets_s = times[owner] + index * strum_s
    gap_s = np.diff(np.append(times, span_s + 1))[owner]
    durations_s = np.maximum(gap_s * rng.uniform(0.2, 1.0) * rng.choice([1, 1, 4]), 0.05)
    velocities = rng.uniform(25, 110) + rng.uniform(3, 18) * rng.standard_normal(len(owner))
    return _passage(onsets_s, durations_s, pitches, velocities)


def _repeated(rng: np.random.Generator, span_s: float, low: int, high: int) -> ScoreNotes:
    parts = []
    for pitch in rng.integers(low, high + 1, rng.integers(1, 4)):
        gap_s = 1 / np.exp(rng.uniform(np.log(2.5), np.log(16)))
        onsets_s = np.arange(rng.uniform(-1, 1), span_s, gap_s)
        onsets_s = onsets_s + gap_s * 0.06 * rng.standard_normal(len(onsets_s))
        durations_s = np.maximum(gap_s * rng.uniform(0.4, 0.95) * np.ones(len(onsets_s)), 0.035)
        velocities = rng.uniform(35, 115) + 6 * rng.standard_normal(len(onsets_s))
        parts.append(_passage(onsets_s, durations_s, np.full(len(onsets_s), pitch), velocities))
    return ScoreNotes(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _melody(rng: np.random.Generator, span_s: float, low: int, high: int) -> ScoreNotes:
    times = _beats(rng, span_s, 0.09, 0.9)
    steps = rng.choice([-7, -4, -3, -2, -2, -1, -1, 1, 1, 2, 2, 3, 4, 7], len(times))
    pitches = rng.uniform(low, high) + np.cumsum(steps)
    width = max(high - low, 1)
    pitches = np.rint(low + np.abs((pitches - low) % (2 * width) - width))
    gap_s = np.diff(np.append(times, span_s + 1))
    durations_s = np.maximum(gap_s * rng.choice([0.5, 0.9, 1.0, 1.0, 1.04]), 0.05)
    velocities = 75 + 12 * np.sin(times * rng.uniform(0.5, 2)) + 6 * rng.standard_normal(len(times))
    glides = np.zeros(len(times))
    if rng.random() < 0.5:
        before = np.append(0, pitches[:-1] - pitches[1:]).clip(-3, 3) * 0.7
        glides = np.where(rng.random(len(times)) < 0.5, before, rng.uniform(-1, 0.3, len(times)))
        glides = glides * (rng.random(len(times)) < 0.6)
    return _passage(times, durations_s, pitches, velocities, glides)


def _held(rng: np.random.Generator, span_s: float, low: int, high: int) -> ScoreNotes:
    count = int(rng.integers(1, 5))
    pitches = np.rint(rng.normal(rng.uniform(low, high), 7, count)).clip(low, high)
    onsets_s = rng.choice([-1.5, 0.5, 1.2], count) + rng.uniform(0, 1, count)
    return _passage(
        onsets_s, rng.uniform(1.5, 6, count), pitches, rng.uniform(40, 110) + 5 * rng.standard_normal(count)
    )


def _keys(rng: np.random.Generator, span_s: float, low: int, high: int) -> ScoreNotes:
    count = int(rng.integers(3, 25))
    durations_s = np.exp(rng.uniform(np.log(0.05), np.log(4), count))
    onsets_s = rng.uniform(-1.5, span_s, count)
    return _passage(onsets_s, durations_s, rng.integers(low, high + 1, count), rng.uniform(15, 125, count))


def _extremes(rng: np.random.Generator, span_s: float, low: int, high: int) -> ScoreNotes:
    """Return keys near both ends of the range."""
    count = int(rng.integers(3, 22))
    bottom = rng.random(count) < rng.choice([0.1, 0.5, 0.9])
    pitches = np.where(bottom, rng.integers(low, low + 12, count), rng.integers(high - 13, high + 1, count))
    durations_s = np.exp(rng.uniform(np.log(0.08), np.log(3), count))
    return _passage(rng.uniform(-1.5, span_s, count), durations_s, pitches, rng.uniform(20, 120, count))
