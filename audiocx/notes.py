"""Notes, their frame rolls, and the decoding of frame probabilities into notes."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import ConfigError

LOWEST_PIANO_NOTE = 21
PIANO_PITCHES = 88
DEFAULT_VELOCITY = 80

# The loudness of a note is that of its attack, which is over by then.
ATTACK_S = 0.1
# Estimated velocities: quiet notes of a piece (5th percentile) get the first, loud ones (95th) the second.
VELOCITY_RANGE = (20, 110)
# Pieces of narrower dynamics than this are not stretched over the whole range of velocities.
LEAST_DYNAMIC_RANGE_DB = 20.0


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One note: a pitch that sounds from an onset to an offset.

    Attributes:
        onset_s: When it starts, in seconds.
        midi_note: Its pitch as a MIDI number (60 is middle C, 69 is the A of 440 Hz).
        offset_s: When it ends, in seconds; it does not sound at this instant any more.
        velocity: How hard the key was struck, 1 to 127.
    """

    onset_s: float
    midi_note: int
    offset_s: float
    velocity: int = DEFAULT_VELOCITY

    @property
    def duration_s(self) -> float:
        """Time from onset to offset, in seconds."""
        return self.offset_s - self.onset_s


@dataclass(frozen=True)
class DecodeSettings:
    """How probabilities become notes; stored with a checkpoint, tuned on its validation data.

    Attributes:
        threshold: A note must reach this probability; its onset is where the curve crosses it.
        sustain_ratio: A note goes on while its probability exceeds sustain_ratio * threshold.
        bridge_gap_s: Dropouts up to this long are filled before anything else, in seconds.
        min_note_s: Shorter notes are dropped, in seconds.
        split_dip: A dip splits a note when its floor lies this fraction under the lower of the two crests beside it; 1
            never splits.
        split_rise_db: A rise of the pitch's partials by this many dB within a note splits it, where onset strengths
            are given; infinity never splits.
        min_repeat_s: A key is not struck again sooner than this, in seconds.
    """

    threshold: float = 0.5
    sustain_ratio: float = 0.6
    bridge_gap_s: float = 0.03
    min_note_s: float = 0.05
    split_dip: float = 0.4
    split_rise_db: float = 3.0
    min_repeat_s: float = 0.08

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ConfigError: If a value is out of its range or not a number.
        """
        for name, low, high in (
            ("threshold", 0.0, 1.0),
            ("sustain_ratio", 0.0, 1.0),
            ("bridge_gap_s", 0.0, math.inf),
            ("min_note_s", 0.0, math.inf),
            ("split_dip", 0.0, 1.0),
            ("split_rise_db", 0.0, math.inf),
            ("min_repeat_s", 0.0, math.inf),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise ConfigError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}.")
        if self.threshold * self.sustain_ratio == 0.0:
            raise ConfigError("threshold and sustain_ratio must be greater than 0, or every frame would sound.")


def notes_to_roll(
    notes: Iterable[Note],
    frame_times_s: np.ndarray,
    lowest_note: int = LOWEST_PIANO_NOTE,
    pitches: int = PIANO_PITCHES,
) -> np.ndarray:
    """Mark the frames in which each pitch sounds; a note sounds at t when onset_s <= t < offset_s.

    Args:
        notes: The notes; those outside the range of pitches are left out.
        frame_times_s: Times of the frames in seconds, ascending, float [T].
        lowest_note: MIDI number of the first pitch.
        pitches: Number of pitches P.

    Returns:
        The roll, bool [T, P].

    >>> notes_to_roll([Note(0.1, 60, 0.3)], np.array([0.0, 0.1, 0.2, 0.3]), lowest_note=60, pitches=1).ravel().tolist()
    [False, True, True, False]
    """
    inside = [note for note in notes if lowest_note <= note.midi_note < lowest_note + pitches]
    roll = np.zeros((len(frame_times_s), pitches), dtype=bool)
    first = np.searchsorted(frame_times_s, [note.onset_s for note in inside])
    after = np.searchsorted(frame_times_s, [note.offset_s for note in inside])
    for note, start, stop in zip(inside, first, after, strict=True):
        roll[start:stop, note.midi_note - lowest_note] = True
    return roll


def decode(
    probabilities: np.ndarray,
    frame_rate: float,
    settings: DecodeSettings | None = None,
    lowest_note: int = LOWEST_PIANO_NOTE,
    *,
    onsets: np.ndarray | None = None,
    loudness_db: np.ndarray | None = None,
) -> list[Note]:
    """Turn frame probabilities into notes.

    Per pitch: short dropouts are filled; a note is a stretch above sustain_ratio * threshold that reaches the
    threshold; it is split where the key was struck again, which shows as a dip in the probability or, with the pedal
    down, only as a rise of the partials' level; what is too short is dropped. Times are interpolated between frames.

    Args:
        probabilities: That a pitch sounds at a frame's centre, 0 to 1, float [T, P]; frame t is at t / frame_rate.
        frame_rate: Frames per second.
        settings: Thresholds and durations; the defaults of :class:`DecodeSettings` if None.
        lowest_note: MIDI number of the first pitch.
        onsets: Rise of each pitch's partials in dB, not negative, float [T, P], as
            :func:`audiocx.signal.onset_strength_db` gives it; None splits at dips alone.
        loudness_db: Level of each pitch in dB, float [T, P], as :func:`audiocx.signal.loudness_db` gives it, from which
            velocities are estimated; None gives every note velocity 80.

    Returns:
        The notes, sorted by onset, then pitch.

    Raises:
        ValueError: If an array is not of shape [T, P], probabilities are NaN, or frame_rate is not positive.
    """
    settings = settings or DecodeSettings()
    _validate(probabilities, frame_rate, onsets, loudness_db)
    found: list[tuple[float, int, float]] = []
    for pitch in range(probabilities.shape[1]):
        rises = None if onsets is None else onsets[:, pitch]
        for onset, offset in _decode_pitch(probabilities[:, pitch], rises, frame_rate, settings):
            found.append((onset / frame_rate, pitch, offset / frame_rate))
    found.sort()
    velocities = _velocities(found, frame_rate, loudness_db)
    return [Note(on, lowest_note + pitch, off, v) for (on, pitch, off), v in zip(found, velocities, strict=True)]


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


def _decode_pitch(
    curve: np.ndarray, rises: np.ndarray | None, frame_rate: float, settings: DecodeSettings
) -> list[tuple[float, float]]:
    """Onsets and offsets, in fractional frames, of one pitch's notes."""
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
    strong = np.zeros(0) if rises is None else _strong_rises(rises, settings.split_rise_db)
    turns = np.flatnonzero(np.diff(np.sign(np.diff(padded)))) + 1
    turns_within = _between(turns, starts + 1, lasts)
    rises_within = _between(strong, onsets, offsets)
    parts: list[tuple[float, float]] = []
    for index, (onset, offset) in enumerate(zip(onsets.tolist(), offsets.tolist(), strict=True)):
        turned = turns_within[index]
        dips = _dips(padded, [starts[index], *turned, lasts[index]], settings.split_dip) if turned else []
        strikes = _merged(dips, rises_within[index], settings.min_repeat_s * frame_rate)
        parts += _cut(onset, offset, strikes, frame_rate, settings)
    return parts


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


def _merged(dips: list[tuple[float, float]], rises: list[float], nearest: float) -> list[tuple[float, float]]:
    """All strikes as (end of the note before, onset); where both tell of one, the rise stays: it is sharper."""
    if not rises:
        return dips
    kept = [dip for dip in dips if all(abs(rise - dip[1]) >= nearest for rise in rises)]
    return sorted(kept + [(rise, rise) for rise in rises], key=lambda strike: strike[1])


def _cut(
    onset: float, offset: float, strikes: list[tuple[float, float]], frame_rate: float, settings: DecodeSettings
) -> list[tuple[float, float]]:
    """Cut one stretch at its strikes, and drop what is too short."""
    repeat, least = settings.min_repeat_s * frame_rate, settings.min_note_s * frame_rate
    parts, start = [], onset
    for release, strike in strikes:
        if strike - start >= repeat and offset - strike >= least and release > start:
            parts.append((start, release))
            start = strike
    return [part for part in [*parts, (start, offset)] if part[1] - part[0] >= least]


def _velocities(found: list[tuple[float, int, float]], frame_rate: float, loudness_db: np.ndarray | None) -> list[int]:
    """MIDI velocities from the loudest moment of each note's attack, relative to the piece's other notes."""
    if loudness_db is None or not found:
        return [DEFAULT_VELOCITY] * len(found)
    first = np.array([onset_s for onset_s, _, _ in found]) * frame_rate
    attack = np.arange(1 + int(ATTACK_S * frame_rate))
    frames = np.minimum(np.rint(first).astype(int)[:, None] + attack, len(loudness_db) - 1)
    peaks_db = loudness_db[frames, np.array([pitch for _, pitch, _ in found])[:, None]].max(axis=1).astype(float)
    quiet_db, loud_db = np.percentile(peaks_db, (5, 95))
    low, high = VELOCITY_RANGE
    slope = (high - low) / max(loud_db - quiet_db, LEAST_DYNAMIC_RANGE_DB)
    velocities = (low + high) / 2 + slope * (peaks_db - (quiet_db + loud_db) / 2)
    return np.clip(np.rint(velocities), low, high).astype(int).tolist()
