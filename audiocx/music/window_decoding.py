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
from .note_decoding import crossing_frames

__all__ = ["WindowDecodeSettings", "decode_pitch", "decode_probabilities"]

# Duration of the attack, from which the loudness of a note is measured.
ATTACK_S = 0.1
# Estimated velocities of the quiet (5th percentile) and the loud notes (95th) of a piece.
VELOCITY_RANGE = (20, 110)
# Pieces of a narrower dynamic range do not get the whole range of velocities.
MIN_DYNAMIC_RANGE_DB = 20.0
# Prior of the trend of loudness with pitch: twenty notes, an octave from the middle, that show none.
TREND_PRIOR = 20 * 12.0**2


@dataclass(frozen=True)
class WindowDecodeSettings:
    """Settings of :func:`decode_probabilities`, stored with a checkpoint and tuned on its validation data.

    Attributes:
        frame_threshold: Smallest probability at which a pitch counts as active in a frame, for frame scores and
            pictures only; it does not affect the notes.
        threshold: Probability that a note must reach; its onset is where the curve crosses it.
        sustain_ratio: A note continues while its probability exceeds sustain_ratio * threshold.
        bridge_gap_s: Longest gap that is filled before decoding, in seconds.
        min_note_s: Shortest note, in seconds; shorter ones are dropped.
        snap_s: With onset strengths, an onset moves to the highest rise of the pitch's partials within this distance,
            in seconds: the rise is sharper than the probability, which covers a third of a second.
        least_rise_db: With onset strengths, a note without a rise of at least this many dB at its onset is dropped,
            unless it is active from the first frame; 0 keeps all, as instruments of soft attack need.
        split_dip: A dip splits a note when its minimum lies this fraction below the lower of its two adjacent maxima; 1
            never splits.
        split_rise_db: With onset strengths, a rise of the pitch's partials by this many dB within a note splits it;
            infinity never splits.
        min_repeat_s: Shortest distance of repeated onsets of a pitch, in seconds.
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
    """Decode frame probabilities into notes.

    Per pitch: short gaps are filled; a note is a run above sustain_ratio * threshold that reaches the threshold; it is
    split at repeated onsets, which show as a dip in the probability or, with the pedal down, only as a rise of the
    partials' level; notes that are too short are dropped. Times are interpolated between frames. Onset strengths, if
    given, also refine the onset times, and notes without an attack are dropped.

    Args:
        probabilities: That a pitch sounds at a frame's centre, 0 to 1, float [T, P]; frame t is at t / frame_rate.
        frame_rate: Frames per second.
        settings: Thresholds and durations; the defaults of :class:`WindowDecodeSettings` if None.
        lowest_note: MIDI number of the first pitch.
        onsets: Rise of each pitch's partials in dB, not negative, float [T, P], as
            :func:`audiocx.music.onset_strength.onset_strength_db` returns it; None uses the probabilities alone.
        loudness_db: Level of each pitch in dB, float [T, P], as :func:`audiocx.music.onset_strength.loudness_db`
            returns it, from which velocities are estimated; None gives every note velocity 80.

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
    """Estimate MIDI velocities from each note's loudest attack frame, relative to the other notes of the piece."""
    if loudness_db is None or not found:
        return [DEFAULT_VELOCITY] * len(found)
    first = np.array([onset_s for onset_s, _ in found]) * frame_rate
    pitch = np.array([pitch for _, pitch in found])
    attack = np.arange(1 + int(ATTACK_S * frame_rate))
    frames = np.minimum(np.rint(first).astype(int)[:, None] + attack, len(loudness_db) - 1)
    peaks_db = loudness_db[frames, pitch[:, None]].max(axis=1).astype(float)
    # Some registers are louder at the same velocity; the prior keeps a handful of notes from deciding by how much.
    apart = pitch - pitch.mean()
    peaks_db -= apart * (apart @ peaks_db) / (apart @ apart + TREND_PRIOR)
    quiet_db, loud_db = np.percentile(peaks_db, (5, 95))
    low, high = VELOCITY_RANGE
    slope = (high - low) / max(loud_db - quiet_db, MIN_DYNAMIC_RANGE_DB)
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
    # A silent frame at either end makes every run start and end inside; index i is frame i - 1.
    padded = np.pad(_closed(curve, int(settings.bridge_gap_s * frame_rate + 1e-6)), 1)
    sustain = settings.threshold * settings.sustain_ratio
    edges = np.flatnonzero(np.diff(padded >= sustain))
    starts, lasts = edges[::2] + 1, edges[1::2]
    reached = np.maximum.reduceat(padded, np.stack([starts, lasts + 1], axis=1).ravel())[::2] >= settings.threshold
    starts, lasts = starts[reached], lasts[reached]
    hot = np.flatnonzero(padded >= settings.threshold)
    onsets = np.maximum(0.0, crossing_frames(padded, hot[np.searchsorted(hot, starts)] - 1, settings.threshold) - 1)
    offsets = crossing_frames(padded, lasts, sustain) - 1
    turns_within = _between(np.flatnonzero(np.diff(np.sign(np.diff(padded)))) + 1, starts + 1, lasts)
    strong = np.zeros(0) if rises is None else _strong_rises(rises, settings.split_rise_db)
    rises_within = _between(strong, onsets, offsets)
    parts: list[tuple[float, float]] = []
    for index, (onset, offset) in enumerate(zip(onsets.tolist(), offsets.tolist(), strict=True)):
        turned = turns_within[index]
        repeats = _dips(padded, [starts[index], *turned, lasts[index]], settings.split_dip) if turned else []
        if rises is not None:
            repeats = _with_rises(repeats, rises_within[index], rises, frame_rate, settings)
        parts += _cut(onset, offset, repeats, frame_rate, settings)
    if rises is not None:
        parts = _at_rises(parts, rises, frame_rate, settings)
    return [(onset, offset) for onset, offset in parts if offset - onset >= settings.min_note_s * frame_rate]


def _between(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[list[Any]]:
    """Select the ascending values in each interval [low, high)."""
    first, after = np.searchsorted(values, low).tolist(), np.searchsorted(values, high).tolist()
    return [values[i:j].tolist() for i, j in zip(first, after, strict=True)]


def _closed(curve: np.ndarray, gap: int) -> np.ndarray:
    """The curve, float32, with troughs of up to `gap` frames filled (grey-scale morphological closing)."""
    curve = np.pad(curve.astype(np.float32), gap, mode="edge")
    for extreme in (np.maximum, np.minimum):
        curve = functools.reduce(extreme, (curve[shift : len(curve) - gap + shift] for shift in range(gap + 1)))
    return curve


def _dips(curve: np.ndarray, turns: list[int], depth: float) -> list[tuple[float, float]]:
    """Find the dips that separate two notes, as frames (minimum of the dip, halfway up after it).

    Args:
        curve: Probabilities with one silent frame on either side, float [1 + T + 1].
        turns: First frame of the run, its turning points, its last frame.
        depth: Depth of a dip below the lower of its two adjacent maxima, as a fraction of that maximum.
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
    dips = []
    for floor_at, end in zip(floors, [*floors, turns[-1]][1:], strict=True):
        rise = curve[floor_at : end + 1]
        level = float(rise[0] + rise.max()) / 2
        before = floor_at + np.flatnonzero(rise >= level)[:1] - 1
        dips.append((floor_at - 1.0, float(crossing_frames(curve, before, level)[0]) - 1.0))
    return dips


def _strong_rises(rises: np.ndarray, least_db: float) -> np.ndarray:
    """Find the frames of the local maxima of at least this height, ascending."""
    middle = rises[1:-1]
    return np.flatnonzero((middle >= least_db) & (middle > rises[:-2]) & (middle >= rises[2:])) + 1.0


def _highest(rises: np.ndarray, at: float, reach: float) -> tuple[float, float]:
    """Find frame and height of the highest rise within `reach` frames of `at`; height 0 if there is no such frame."""
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
    """Merge repeated onsets, as (end of the note before, onset): all strong rises, and dips near a lesser rise."""
    nearest, reach = settings.min_repeat_s * frame_rate, settings.snap_s * frame_rate
    kept = [
        dip
        for dip in dips
        if all(abs(rise - dip[1]) >= nearest for rise in strong)
        and _highest(rises, dip[1], reach)[1] >= settings.least_rise_db
    ]
    return sorted(kept + [(rise, rise) for rise in strong], key=lambda pair: pair[1])


def _cut(
    onset: float, offset: float, repeats: list[tuple[float, float]], frame_rate: float, settings: WindowDecodeSettings
) -> list[tuple[float, float]]:
    """Split a run at its repeated onsets, except where a part would be too short."""
    repeat, least = settings.min_repeat_s * frame_rate, settings.min_note_s * frame_rate
    parts, start = [], onset
    for release, restart in repeats:
        if restart - start >= repeat and offset - restart >= least and release > start:
            parts.append((start, release))
            start = restart
    return [*parts, (start, offset)]


def _at_rises(
    parts: list[tuple[float, float]], rises: np.ndarray, frame_rate: float, settings: WindowDecodeSettings
) -> list[tuple[float, float]]:
    """Move each onset to the highest rise near it; drop notes without one.

    A note that is active from the first frame has no visible rise.
    """
    reach, moved, before = settings.snap_s * frame_rate, [], 0.0
    for onset, offset in parts:
        at, rise = _highest(rises, onset, reach)
        seen = rise >= settings.least_rise_db
        if seen or onset == 0:
            moved.append((max(before, at) if seen and rise > 0 else onset, offset))
            before = offset
    return moved
