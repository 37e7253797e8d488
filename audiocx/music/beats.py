"""Beat tracking on the notes of a performance, and quantization of the notes to the beats.

The beats are the path of greatest likelihood given the onsets, which lie mostly on the beat, often halfway between two
beats, sometimes at quarters and thirds of it, and seldom elsewhere. The tempo may drift from beat to beat.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.midi import TEMPO_RANGE_BPM
from ..notes import Note, snap_to_grid

__all__ = ["DIVISIONS", "check_tempo", "estimate_beats", "extended", "from_zero", "quantize", "track_beats"]

DIVISIONS = range(1, 13)  # performed timing does not resolve more than a twelfth of a beat
MIN_ONSETS = 8  # fewer do not determine a tempo
FRAME_S = 0.01
MIN_BPM, MAX_BPM = 40.0, 240.0
TIMING_S = 0.025  # standard deviation of onsets from their positions in the score
# Share of the notes that begin at a position within the beat; the rest begins anywhere (ornaments, runs).
SHARES = {0.0: 0.45, 1 / 2: 0.22, 1 / 4: 0.06, 3 / 4: 0.08, 1 / 3: 0.04, 2 / 3: 0.05}
TERNARY_SHARES = {0.0: 0.42, 1 / 3: 0.15, 2 / 3: 0.18, 1 / 6: 0.03, 1 / 2: 0.04, 5 / 6: 0.04}  # the same in 6/8
DRIFT = 0.05  # standard deviation of the relative change of duration from one beat to the next
TEMPO_SPREAD_OCTAVES = 0.5  # standard deviation of the tempo from the expected one


def estimate_beats(notes: Iterable[Note], tempo_bpm: float = 120.0) -> NDArray[np.float64]:
    """Estimate the beats of a performance from its notes.

    A Viterbi search finds the most likely path over times and durations of beats, at 40 to 240 beats per minute. Notes
    seldom decide between a tempo and its double: the one closer to ``tempo_bpm`` is preferred. Bars are not estimated.

    Args:
        notes: The notes, in any order.
        tempo_bpm: The expected tempo, in beats per minute, 4 to 1000; with fewer than eight onsets it is the tempo.

    Returns:
        Times of the beats, in seconds, float64 [B], B >= 2, at least 0.06 s apart, from 0 to after the last note. At
        both ends, where no notes begin, they are evenly spaced.

    Raises:
        ConfigError: The tempo is out of range.
    """
    check_tempo(tempo_bpm)
    notes = list(notes)
    end_s = max((note.offset_s for note in notes), default=0.0)
    first_s = max(0.0, min((note.onset_s for note in notes), default=0.0))
    if len({round(note.onset_s / TIMING_S) for note in notes}) < MIN_ONSETS:
        beats_s = np.array([first_s, first_s + 60.0 / tempo_bpm])
    else:
        onsets = np.array(sorted((note.onset_s, max(1, note.velocity)) for note in notes))
        beats_s = track_beats(onsets[:, 0], onsets[:, 1] / onsets[:, 1].mean(), tempo_bpm)
    return from_zero(extended(beats_s, end_s))


def check_tempo(tempo_bpm: float) -> None:
    """Raise ConfigError where a tempo is none of MIDI's."""
    low, high = TEMPO_RANGE_BPM
    if not low <= tempo_bpm <= high:
        raise ConfigError(f"there are no {tempo_bpm:g} beats per minute in MIDI: choose {low:g} to {high:g}.")


def quantize(notes: Iterable[Note], beats_s: NDArray[np.float64], divisions: int) -> list[Note]:
    """Move onsets and offsets of notes to the nearest positions of a grid that divides each beat evenly.

    Every note is at least one grid step long. Notes of one pitch and program with the same position are merged; where
    such notes overlap, the earlier one ends at the later one's onset.

    Args:
        notes: The notes, in any order.
        beats_s: Times of the beats, in seconds, float [B], increasing, B >= 2; after the last their spacing is kept.
        divisions: Grid steps per beat, 1 to 12: 4 for sixteenths of quarter beats, 3 for triplets, 12 for both.

    Returns:
        The notes on the grid, sorted by onset, then pitch.

    Raises:
        ConfigError: The number of divisions is out of range.
    """
    if divisions not in DIVISIONS:
        raise ConfigError(f"a beat cannot be divided by {divisions}: choose {DIVISIONS[0]} to {DIVISIONS[-1]}.")
    notes = list(notes)
    beats_s = extended(beats_s, max((note.offset_s for note in notes), default=0.0) + float(beats_s[-1] - beats_s[-2]))
    numbers = np.arange(len(beats_s))

    def position_at(time_s: float) -> int:
        return round(divisions * float(np.interp(time_s, beats_s, numbers)))

    def time_at(place: int) -> float:
        return float(np.interp(place / divisions, numbers, beats_s))

    return sorted(
        replace(note, onset_s=time_at(start), offset_s=time_at(end))
        for start, end, note in snap_to_grid(notes, position_at)
    )


def track_beats(
    onsets_s: NDArray[np.float64],
    weights: NDArray[np.float64],
    expected_bpm: float,
    range_bpm: tuple[float, float] = (MIN_BPM, MAX_BPM),
    frame_s: float = FRAME_S,
    ternary: bool = False,
) -> NDArray[np.float64]:
    """Find the most likely beats of onsets at tempos within a range.

    Args:
        onsets_s: Onsets, in seconds, increasing, float [N], N >= 1.
        weights: How much each onset counts, with a mean of 1, float [N].
        expected_bpm: The expected tempo, in beats a minute.
        range_bpm: Lowest and highest tempo, in beats a minute.
        ternary: Beats are mostly divided by three.
        frame_s: Resolution, in seconds; the time it takes grows with its inverse's cube.

    Returns:
        Beats from at or before the first onset to after the last one, in seconds, float64 [B].
    """
    low, high = range_bpm
    lengths = np.arange(round(60 / high / frame_s), round(60 / low / frame_s) + 1)
    longest, which = lengths[-1], np.arange(len(lengths))
    # A beat may lie before the recording begins: time starts one beat early.
    frames = np.rint(onsets_s / frame_s).astype(int) + longest
    likelihood = _log_likelihood(lengths, frame_s, TERNARY_SHARES if ternary else SHARES)
    octaves = np.log2(lengths * frame_s * expected_bpm / 60)
    expected = -0.5 * (octaves / TEMPO_SPREAD_OCTAVES) ** 2 * lengths * frame_s
    drift = (-0.5 * (np.log(lengths[:, None] / lengths) / DRIFT) ** 2).astype(np.float32)
    # Of the best path to a beat at t after one of lengths[l]: its score, and the index of the length before.
    score = np.full((frames[-1] + longest + 1, len(lengths)), -np.inf, np.float32)
    before = np.zeros(score.shape, np.uint8)
    heard = np.bincount(frames, weights, len(score) + longest)
    # No beat is shorter than the first length: so many frames do not depend on each other.
    for t in range(frames[0] - longest + 1, frames[-1] + 1, lengths[0]):
        rows = np.arange(t, min(t + lengths[0], frames[-1] + 1))
        score[t : min(rows[-1], frames[0]) + 1] = 0.0  # first beats, after one of any length
        gain = np.lib.stride_tricks.sliding_window_view(heard, longest)[rows] @ likelihood.T + expected
        paths = score[rows, None] + drift  # [frame, length, length before]
        best = paths.argmax(2)
        ends = rows[:, None] + lengths
        score[ends, which] = np.take_along_axis(paths, best[..., None], 2)[..., 0] + gain
        before[ends, which] = best
    last, length = np.unravel_index(score[frames[-1] + 1 :].argmax(), (longest, len(lengths)))
    beats = [int(last) + frames[-1] + 1]
    while beats[-1] > frames[0]:
        t = beats[-1]
        beats.append(t - lengths[length])
        length = before[t, length]
    return np.asarray((np.array(beats[::-1]) - longest) * frame_s)


def _log_likelihood(lengths: NDArray[np.int64], frame_s: float, shares: dict[float, float]) -> NDArray[np.float64]:
    """Return the log likelihood ratio of an onset t frames after a beat of length l to a random one, float [L, T]."""
    after = np.arange(lengths[-1])
    density = np.full((len(lengths), len(after)), 1 - sum(shares.values()))
    spread = TIMING_S / frame_s
    for position, share in shares.items():
        off = np.abs(after - position * lengths[:, None])
        off = np.minimum(off, lengths[:, None] - off)  # a position of 0 includes the time just before the next beat
        density += share * lengths[:, None] / (spread * math.sqrt(2 * math.pi)) * np.exp(-0.5 * (off / spread) ** 2)
    return np.where(after < lengths[:, None], np.log(density), 0.0)


def extended(beats_s: NDArray[np.float64], end_s: float) -> NDArray[np.float64]:
    """Extend beats, spaced as the last two, until the end."""
    spacing_s = beats_s[-1] - beats_s[-2]
    more = max(0, math.ceil((end_s - beats_s[-1]) / spacing_s))
    return np.append(beats_s, beats_s[-1] + spacing_s * np.arange(1, more + 1))


def from_zero(beats_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prepend beats from 0 on, no two closer than MIDI allows; beats after 0.06 s are kept."""
    least_s = 60 / TEMPO_RANGE_BPM[1]
    spacing_s = min(beats_s[1] - beats_s[0], 10.0)  # half as long again must still fit MIDI
    beats_s = beats_s[beats_s >= 0.0]
    first_s = beats_s[0] if beats_s[0] >= least_s else least_s * round(beats_s[0] / least_s)
    lead = max(1, round(first_s / spacing_s)) if first_s > 0.0 else 0
    later_s = beats_s[beats_s >= first_s + least_s]
    return np.concatenate([np.linspace(0.0, first_s, lead + 1), later_s])
