"""Where one pitch's notes start and end, from the curve of its probability and the rises of its level.

Everything here counts in fractional frames; :func:`audiocx.notes.decode` calls it for each pitch.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .notes import DecodeSettings


def decode_pitch(
    curve: np.ndarray, rises: np.ndarray | None, frame_rate: float, settings: DecodeSettings
) -> list[tuple[float, float]]:
    """Find one pitch's notes.

    Args:
        curve: Probability that the pitch sounds, float [T].
        rises: Rise of the pitch's partials in dB, not negative, float [T], or None.
        frame_rate: Frames per second.
        settings: Thresholds and durations.

    Returns:
        Onset and offset of each note in fractional frames, ascending.
    """
    if not len(curve) or curve.max() < settings.threshold:
        return []
    # A silent frame at either end makes every stretch start and end inside; index i is frame i - 1.
    padded = np.pad(_closed(curve, int(settings.bridge_gap_s * frame_rate + 1e-6)), 1)
    sustain = settings.threshold * settings.sustain_ratio
    edges = np.flatnonzero(np.diff(padded >= sustain))
    starts, lasts = edges[::2] + 1, edges[1::2]
    reached = np.maximum.reduceat(padded, np.stack([starts, lasts + 1], axis=1).ravel())[::2] >= settings.threshold
    starts, lasts = starts[reached], lasts[reached]
    hot = np.flatnonzero(padded >= settings.threshold)
    onsets = np.maximum(0.0, _crossings(padded, hot[np.searchsorted(hot, starts)] - 1, settings.threshold) - 1)
    offsets = _crossings(padded, lasts, sustain) - 1
    turns_within = _between(np.flatnonzero(np.diff(np.sign(np.diff(padded)))) + 1, starts + 1, lasts)
    strong = np.zeros(0) if rises is None else _strong_rises(rises, settings.split_rise_db)
    rises_within = _between(strong, onsets, offsets)
    parts: list[tuple[float, float]] = []
    for index, (onset, offset) in enumerate(zip(onsets.tolist(), offsets.tolist(), strict=True)):
        turned = turns_within[index]
        strikes = _dips(padded, [starts[index], *turned, lasts[index]], settings.split_dip) if turned else []
        if rises is not None:
            strikes = _with_rises(strikes, rises_within[index], rises, frame_rate, settings)
        parts += _cut(onset, offset, strikes, frame_rate, settings)
    if rises is not None:
        parts = _at_rises(parts, rises, frame_rate, settings)
    return [(onset, offset) for onset, offset in parts if offset - onset >= settings.min_note_s * frame_rate]


def _between(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[list[Any]]:
    """The ascending values that lie in each interval [low, high)."""
    first, after = np.searchsorted(values, low).tolist(), np.searchsorted(values, high).tolist()
    return [values[i:j].tolist() for i, j in zip(first, after, strict=True)]


def _closed(curve: np.ndarray, gap: int) -> np.ndarray:
    """The curve, float32, with troughs of up to `gap` frames filled (grey-scale morphological closing)."""
    curve = np.pad(curve.astype(np.float32), gap, mode="edge")
    for extreme in (np.maximum, np.minimum):
        curve = functools.reduce(extreme, (curve[shift : len(curve) - gap + shift] for shift in range(gap + 1)))
    return curve


def _crossings(curve: np.ndarray, before: np.ndarray, level: float) -> np.ndarray:
    """Fractional indices at which the curve crosses the level between each index `before` and the next one."""
    left, right = curve[before].astype(float), curve[before + 1].astype(float)
    return before + (level - left) / (right - left)


def _dips(curve: np.ndarray, turns: list[int], depth: float) -> list[tuple[float, float]]:
    """Where deep dips end one note and start the next, as frames: (floor of the dip, halfway up again).

    Args:
        curve: Probabilities behind one silent frame, float [1 + T + 1].
        turns: The stretch to look at: its first frame, those where the curve turns, its last frame.
        depth: How far a floor must lie under the lower of its two crests, as a fraction of that crest.
    """
    values = curve[turns].tolist()
    crest = floor = values[0]
    floors, floor_at = [], turns[0]
    for index, value in zip(turns, values, strict=True):
        deep = value > floor and floor <= (1.0 - depth) * min(crest, value)
        if deep:
            floors.append(floor_at)
        if deep or value > crest:
            crest = floor = value
        elif value < floor:
            floor, floor_at = value, index
    found = []
    for floor_at, end in zip(floors, [*floors, turns[-1]][1:], strict=True):
        rise = curve[floor_at : end + 1]
        level = float(rise[0] + rise.max()) / 2
        before = floor_at + np.flatnonzero(rise >= level)[:1] - 1
        found.append((floor_at - 1.0, float(_crossings(curve, before, level)[0]) - 1.0))
    return found


def _strong_rises(rises: np.ndarray, least_db: float) -> np.ndarray:
    """Frames of the local maxima of at least this height, ascending."""
    middle = rises[1:-1]
    return np.flatnonzero((middle >= least_db) & (middle > rises[:-2]) & (middle >= rises[2:])) + 1.0


def _highest(rises: np.ndarray, at: float, reach: float) -> tuple[float, float]:
    """Frame and height of the highest rise within `reach` frames of `at`; height 0 if there is no such frame."""
    first = max(0, math.ceil(at - reach))
    window = rises[first : int(at + reach) + 1]
    if not len(window):
        return at, 0.0
    highest = int(window.argmax())
    return float(first + highest), float(window[highest])


def _with_rises(
    dips: list[tuple[float, float]],
    strong: list[float],
    rises: np.ndarray,
    frame_rate: float,
    settings: DecodeSettings,
) -> list[tuple[float, float]]:
    """Strikes as (end of the note before, onset): all strong rises, and the other dips that some rise bears out."""
    nearest, reach = settings.min_repeat_s * frame_rate, settings.snap_s * frame_rate
    kept = [
        dip
        for dip in dips
        if all(abs(rise - dip[1]) >= nearest for rise in strong)
        and _highest(rises, dip[1], reach)[1] >= settings.least_rise_db
    ]
    return sorted(kept + [(rise, rise) for rise in strong], key=lambda strike: strike[1])


def _cut(
    onset: float, offset: float, strikes: list[tuple[float, float]], frame_rate: float, settings: DecodeSettings
) -> list[tuple[float, float]]:
    """Cut one stretch at its strikes, except where a piece would be too short."""
    repeat, least = settings.min_repeat_s * frame_rate, settings.min_note_s * frame_rate
    parts, start = [], onset
    for release, strike in strikes:
        if strike - start >= repeat and offset - strike >= least and release > start:
            parts.append((start, release))
            start = strike
    return [*parts, (start, offset)]


def _at_rises(
    parts: list[tuple[float, float]], rises: np.ndarray, frame_rate: float, settings: DecodeSettings
) -> list[tuple[float, float]]:
    """Move each onset to the highest rise near it; drop notes that start without one.

    Of a note that sounds from the first frame no rise can be seen.
    """
    reach, moved, before = settings.snap_s * frame_rate, [], 0.0
    for onset, offset in parts:
        at, rise = _highest(rises, onset, reach)
        seen = rise >= settings.least_rise_db
        if seen or onset == 0:
            moved.append((max(before, at) if seen and rise > 0 else onset, offset))
            before = offset
    return moved
