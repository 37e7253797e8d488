"""Notes, their frame rolls, and the decoding of frame probabilities into notes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from .decoding import decode_pitch
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
# As if twenty more notes, an octave from the middle, showed no trend of loudness with pitch.
TREND_PRIOR = 20 * 12.0**2


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One note: a pitch that sounds from an onset to an offset.

    Attributes:
        onset_s: When it starts, in seconds.
        midi_note: Its pitch as a MIDI number (60 is middle C, 69 is the A of 440 Hz).
        offset_s: When it ends, in seconds; it does not sound at this instant any more.
        velocity: How hard the key was struck, 1 to 127.
        program: The instrument, as a General MIDI program counted from 0, the grand piano.
        confidence: How probable the network that found it holds it to be, 0 to 1; 1 of a note from elsewhere. Notes
            are compared without it.
    """

    onset_s: float
    midi_note: int
    offset_s: float
    velocity: int = DEFAULT_VELOCITY
    program: int = 0
    confidence: float = field(default=1.0, compare=False)

    @property
    def duration_s(self) -> float:
        """Time from onset to offset, in seconds."""
        return self.offset_s - self.onset_s


@dataclass(frozen=True)
class DecodeSettings:
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
        check_ranges(self, ("frame_threshold", "threshold", "sustain_ratio", "split_dip"))
        if self.threshold * self.sustain_ratio == 0.0:
            raise ConfigError("threshold and sustain_ratio must be greater than 0, or every frame would sound.")


def check_ranges(settings: Any, up_to_one: Collection[str]) -> None:
    """Refuse settings that are not numbers from 0 on.

    Args:
        settings: A dataclass of numbers.
        up_to_one: The names of those that may not exceed 1.

    Raises:
        ConfigError: If a value is out of its range or not a number.
    """
    for name in (one.name for one in fields(settings)):
        high, value = 1.0 if name in up_to_one else math.inf, getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= high:
            raise ConfigError(f"{name} must be a number from 0 to {high:g}, not {value!r}.")


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
    Onset strengths, if given, also time the onsets and drop notes that start without an attack.

    Args:
        probabilities: That a pitch sounds at a frame's centre, 0 to 1, float [T, P]; frame t is at t / frame_rate.
        frame_rate: Frames per second.
        settings: Thresholds and durations; the defaults of :class:`DecodeSettings` if None.
        lowest_note: MIDI number of the first pitch.
        onsets: Rise of each pitch's partials in dB, not negative, float [T, P], as
            :func:`audiocx.levels.onset_strength_db` gives it; None goes by the probabilities alone.
        loudness_db: Level of each pitch in dB, float [T, P], as :func:`audiocx.levels.loudness_db` gives it, from which
            velocities are estimated; None gives every note velocity 80.

    Returns:
        The notes, sorted by onset, then pitch; the confidence of each is its highest probability.

    Raises:
        ValueError: If an array is not of shape [T, P], probabilities are NaN, or frame_rate is not positive.
    """
    settings = settings or DecodeSettings()
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
