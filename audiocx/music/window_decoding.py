"""Decoding of the frame probabilities of window networks into notes."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..config import check_fields
from ..errors import ConfigError
from ..notes import DEFAULT_VELOCITY, LOWEST_PIANO_NOTE, Note

__all__ = ["WindowDecodeSettings", "decode_pitch", "decode_probabilities"]

# The loudness of a note is that of its attack, which is over by then.
ATTACK_S = 0.1
# Estimated velocities: quiet notes of a piece (5th percentile) get the first, loud ones (95th) the second.
VELOCITY_RANGE = (20, 110)
# Pieces of narrower dynamics than this are not stretched over the whole range of velocities.
LEAST_DYNAMIC_RANGE_DB = 20.0
# As if twenty more notes, an octave from the middle, showed no trend of loudness with pitch.
TREND_PRIOR = 20 * 12.0**2


@dataclass(frozen=True)
class WindowDecodeSettings:
    """How probabilities become notes; stored with a checkpoint, tuned on its validation data.

    Attributes:
        frame_threshold: A pitch counts as sounding in a frame from this probability on: for frame scores and pictures;
            notes are found by the others.
        threshold: A note must reach this probability; its onset is where the curve crosses it.
        sustain_ratio: A note goes on while its probability exceeds sustain_ratio * threshold.
        bridge_gap_s: Dropouts up to this long are filled before anything else, in seconds.
        min_note_s: Shorter notes are dropped, in seconds.
        snap_s: Where onset strengths are given, an onset moves to the highest rise of the pitch's partials within this
            distance, in seconds: the rise is sharper than the probability, which sees a third of a second at once.
        least_rise_db: A note that starts without such a rise of at least this many dB is dropped, where onset strengths
            are given, unless it sounds from the first frame; 0 keeps all, as instruments of soft attack need.
        split_dip: A dip splits a note when its floor lies this fraction under the lower of the two crests beside it; 1
            never splits.
        split_rise_db: A rise of the pitch's partials by this many dB within a note splits it, where onset strengths
            are given; infinity never splits.
        min_repeat_s: A key is not struck again sooner than this, in seconds.
    """

    frame_threshold: float = 0.5
    threshold: float = 0.5
    sustain_ratio: float = 0.6
    bridge_gap_s: float = 0.03
    min_note_s: float = 0.05
    snap_s: float = 0.06
    least_rise_db: float = 1.0
    split_dip: float = 0.4
    split_rise_db: float = 4.0
    min_repeat_s: float = 0.08

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ConfigError: If a value is out of its range or not a number.
        """
        shares = ("frame_threshold", "threshold", "sustain_ratio", "split_dip")
        others = ("bridge_gap_s", "min_note_s", "snap_s", "least_rise_db", "split_rise_db", "min_repeat_s")
        check_fields(self, **dict.fromkeys(shares, "[0, 1]"), **dict.fromkeys(others, "[0, inf]"))
        if self.threshold * self.sustain_ratio == 0.0:
            raise ConfigError("threshold and sustain_ratio must be greater than 0, or every frame would sound.")

    def with_options(self, threshold: float | None = None, min_note_s: float | None = None) -> WindowDecodeSettings:
        """Return the settings with the options that users choose.

        Args:
            threshold: Least probability of a note; None for this one.
            min_note_s: Shortest note in seconds; None for this one.
        """
        return replace(
            self,
            threshold=self.threshold if threshold is None else threshold,
            min_note_s=self.min_note_s if min_note_s is None else min_note_s,
        )


def decode_probabilities(
    probabilities: np.ndarray,
    frame_rate: float,
    settings: WindowDecodeSettings | None = None,
    lowest_note: int = LOWEST_PIANO_NOTE,
    *,
    onsets: np.ndarray | None = None,
    loudness_db: np.ndarray | None = None,
) -> list[Note]:
    """Turn frame probabilities into notes.

    Per pitch: short dropouts are filled; a note is a stretch above sustain_ratio * threshold that reaches the
    threshold; it is split where the key was struck again, which shows as a dip in the probability or, with the pedal
    down, only as a rise of the partials' level; what is too short is dropped. Times are interpolated between frames.
    Onset strengths, if given, also time the onsets and drop notes that start without an attack.

    Args:
        probabilities: That a pitch sounds at a frame's centre, 0 to 1, float [T, P]; frame t is at t / frame_rate.
        frame_rate: Frames per second.
        settings: Thresholds and durations; the defaults of :class:`WindowDecodeSettings` if None.
        lowest_note: MIDI number of the first pitch.
        onsets: Rise of each pitch's partials in dB, not negative, float [T, P], as
            :func:`audiocx.music.onset_strength.onset_strength_db` gives it; None goes by the probabilities alone.
        loudness_db: Level of each pitch in dB, float [T, P], as :func:`audiocx.music.onset_strength.loudness_db` gives
            it, from which velocities are estimated; None gives every note velocity 80.

    Returns:
        The notes, sorted by onset, then pitch; the confidence of each is its highest probability.

    Raises:
        ValueError: If an array is not of shape [T, P], probabilities are NaN, or frame_rate is not positive.
    """
    settings = settings or WindowDecodeSettings()
    _validate(probabilities, frame_rate, onsets, loudness_db)
    found: list[tuple[float, int, float, float]] = []
    for pitch in range(probabilities.shape[1]):
        curve, rises = probabilities[:, pitch], None if onsets is None else onsets[:, pitch]
        for onset, offset in decode_pitch(curve, rises, frame_rate, settings):
            highest = float(curve[int(onset) : int(offset) + 1].max())
            found.append((onset / frame_rate, pitch, offset / frame_rate, highest))
    found.sort()
    velocities = _velocities([(onset_s, pitch) for onset_s, pitch, *_ in found], frame_rate, loudness_db)
    return [
        Note(onset_s, lowest_note + pitch, offset_s, velocity, confidence=highest)
        for (onset_s, pitch, offset_s, highest), velocity in zip(found, velocities, strict=True)
    ]


def _validate(
    probabilities: np.ndarray, frame_rate: float, onsets: np.ndarray | None, loudness_db: np.ndarray | None
) -> None:
    if probabilities.ndim != 2:
        raise ValueError(f"probabilities must have shape [frames, pitches], not {probabilities.shape}.")
    if not frame_rate > 0:
        raise ValueError(f"frame_rate must be positive, not {frame_rate}.")
    if np.isnan(probabilities).any():
        raise ValueError("probabilities hold NaN: the network or its input is broken.")
    for name, array in (("onsets", onsets), ("loudness_db", loudness_db)):
        if array is not None and array.shape != probabilities.shape:
            raise ValueError(f"{name} must have the probabilities' shape {probabilities.shape}, not {array.shape}.")


def _velocities(found: list[tuple[float, int]], frame_rate: float, loudness_db: np.ndarray | None) -> list[int]:
    """MIDI velocities from the loudest moment of each note's attack, relative to the piece's other notes."""
    if loudness_db is None or not found:
        return [DEFAULT_VELOCITY] * len(found)
    first = np.array([onset_s for onset_s, _ in found]) * frame_rate
    pitch = np.array([pitch for _, pitch in found])
    attack = np.arange(1 + int(ATTACK_S * frame_rate))
    frames = np.minimum(np.rint(first).astype(int)[:, None] + attack, len(loudness_db) - 1)
    peaks_db = loudness_db[frames, pitch[:, None]].max(axis=1).astype(float)
    # Some registers are louder than others for the same stroke; a handful of notes does not tell by how much.
    apart = pitch - pitch.mean()
    peaks_db -= apart * (apart @ peaks_db) / (apart @ apart + TREND_PRIOR)
    quiet_db, loud_db = np.percentile(peaks_db, (5, 95))
    low, high = VELOCITY_RANGE
    slope = (high - low) / max(loud_db - quiet_db, LEAST_DYNAMIC_RANGE_DB)
    velocities = (low + high) / 2 + slope * (peaks_db - (quiet_db + loud_db) / 2)
    return np.clip(np.rint(velocities), low, high).astype(int).tolist()


def decode_pitch(
    curve: np.ndarray, rises: np.ndarray | None, frame_rate: float, settings: WindowDecodeSettings
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
    settings: WindowDecodeSettings,
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
    onset: float, offset: float, strikes: list[tuple[float, float]], frame_rate: float, settings: WindowDecodeSettings
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
    parts: list[tuple[float, float]], rises: np.ndarray, frame_rate: float, settings: WindowDecodeSettings
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
