"""Metre of a performance: its beats, bars and time signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..notes import Note
from .beats import check_tempo, track_beats
from .metre_features import Onsets, beat_features, gather, subdivisions

__all__ = ["QUARTER", "Metre", "candidate_beats", "candidate_features", "estimate_metre"]

QUARTER = 24  # ticks of a quarter note in a score
COMPOUND_BEAT = 36  # of a dotted quarter note
LONGEST_HOURS = 6.0  # of a performance: more would take minutes and gigabytes
MIN_ONSETS = 8  # fewer do not determine a tempo
DEFAULT_TEMPO_BPM = 100.0  # for so few
# Ranges of tempo, each of which is searched for its best beats: of beats divided by two, and by three.
BANDS_BPM = ((40.0, 80.0), (57.0, 113.0), (80.0, 160.0), (113.0, 226.0))
TERNARY_BANDS_BPM = ((40.0, 80.0), (70.0, 140.0))
SLOWEST_BPM, FASTEST_BPM = np.array([40.0, 56.0]), np.array([160.0, 226.0])  # of both ends of a range
FRAME_S = 0.02  # of the search; beats are moved to the onsets near them afterwards
NEAR_S, NEAR_BEATS = 0.06, 0.1  # how far at most
TEMPO_SPREAD_OCTAVES = 0.25  # standard deviation of the tempo from a stated one
# Fitted by benchmarks/score_fit.py on its development pieces: log odds of a beat against a time halfway between two,
# of a downbeat against another beat (features of beat_features), and of the right candidate (candidate_features).
BEAT_WEIGHTS = np.array([3.157, -0.11, 0.494, 1.22, 0.416, 1.66, -0.284, -0.08, -0.536, -2.201])
BAR_WEIGHTS = np.array([1.709, 0.18, 0.406, 0.427, -0.06, 1.143, 0.476, 0.107, -0.233, -3.318])
BAR_BIAS = 0.57  # the log odds against a downbeat among the pieces fitted
CHOICE_WEIGHTS = np.array(
    [2.949, -1.074, 0.165, -5.237, 1.244, -0.089, -7.507, 0.196, -3.279, -4.549, -9.207, -1.748, 1.775]
)
METRE_BIAS = {2: 0.0, 3: 0.03, 4: -0.02}  # by beats a bar: right for 68 % of the pieces fitted, 64 % without it
# By beats before the first full bar: with it downbeats of the pieces fitted have an F-measure of 0.83, 0.72 without.
UPBEAT_BIAS = np.array([0.0, 0.0, -0.05, -0.05])
COMPOUND_SHARE = 1.5  # onsets at thirds of the beat for each one at a half, from which beats are dotted


@dataclass(frozen=True)
class Metre:
    """Beats and bars.

    Attributes:
        beats_s: Times of the beats in seconds, float64 [B], B >= 2, the first at or before the first note.
        beats_per_bar: 2, 3 or 4.
        compound: The beats are dotted quarters of three eighths; else quarters.
        pickup_beats: Beats before the first full bar, 0 to beats_per_bar - 1.
    """

    beats_s: NDArray[np.float64]
    beats_per_bar: int = 4
    compound: bool = False
    pickup_beats: int = 0

    @property
    def signature(self) -> str:
        """Time signature.

        >>> Metre(np.arange(4.0), 2, compound=True).signature
        '6/8'
        """
        return f"{3 * self.beats_per_bar}/8" if self.compound else f"{self.beats_per_bar}/4"

    @property
    def beat_ticks(self) -> int:
        """Length of a beat in ticks of a score."""
        return COMPOUND_BEAT if self.compound else QUARTER

    @property
    def bar_ticks(self) -> int:
        """Length of a bar in ticks of a score."""
        return self.beats_per_bar * self.beat_ticks

    @property
    def pickup_ticks(self) -> int:
        """Length of the upbeat in ticks of a score; 0 without one."""
        return self.pickup_beats * self.beat_ticks

    @property
    def tempo_bpm(self) -> float:
        """Median tempo, in beats a minute."""
        return float(60 / np.median(np.diff(self.beats_s)))

    def position_at(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return times in beats from the first; before and after the beats their spacing is kept."""
        beats_s = self.beats_s
        inside = np.interp(times_s, beats_s, np.arange(len(beats_s)))
        before = np.minimum(0.0, times_s - beats_s[0]) / (beats_s[1] - beats_s[0])
        after = np.maximum(0.0, times_s - beats_s[-1]) / (beats_s[-1] - beats_s[-2])
        return np.asarray(inside + before + after)

    def lengths_s(self, count: int) -> NDArray[np.float64]:
        """Return the lengths of the first beats, in seconds, float64 [count]; after the last they stay as they were."""
        lengths_s = np.diff(self.beats_s)
        return np.concatenate([lengths_s, np.full(max(0, count - len(lengths_s)), lengths_s[-1])])[:count]

    def quarters_s(self) -> tuple[NDArray[np.float64], int]:
        """Return the times of quarter notes, and which of them begins the first full bar.

        Returns:
            Times in seconds, float64 [Q], from at or before the first beat to the last one; an index.
        """
        per_beat = self.beat_ticks / QUARTER
        before = int(np.ceil(self.pickup_beats * per_beat))
        count = int((len(self.beats_s) - 1 - self.pickup_beats) * per_beat)
        places = self.pickup_beats + np.arange(-before, max(count, 1) + 1) / per_beat
        beats_s = self.beats_s
        first_s, last_s = beats_s[1] - beats_s[0], beats_s[-1] - beats_s[-2]
        times_s = np.interp(places, np.arange(len(beats_s)), beats_s)
        times_s += np.minimum(0, places) * first_s + np.maximum(0, places - len(beats_s) + 1) * last_s
        return times_s, before


def estimate_metre(notes: Sequence[Note], tempo_bpm: float | None = None) -> Metre:
    """Estimate the beats and bars of a performance.

    Beats are tracked at several tempos, and once more halfway between; the candidate is chosen whose beats carry long,
    low and full chords and changes of harmony most unlike the places between them. Bars are chosen likewise.

    Args:
        notes: The notes, in any order.
        tempo_bpm: Tempo near which the beats are searched, in beats a minute, 4 to 1000; None for any.

    Returns:
        The metre; with fewer than eight onsets 4/4 from the first onset on, at the tempo given or 100 a minute.

    Raises:
        ConfigError: The tempo is out of range, a time is not finite, or the notes begin over more than six hours.
    """
    if tempo_bpm is not None:
        check_tempo(tempo_bpm)
    first_s = _checked_first(notes)
    if not 0.0 <= first_s <= 3600 * LONGEST_HOURS:  # the search begins at 0
        moved = [replace(n, onset_s=n.onset_s - first_s, offset_s=n.offset_s - first_s) for n in notes]
        metre = estimate_metre(moved, tempo_bpm)
        return replace(metre, beats_s=metre.beats_s + first_s)
    onsets = gather(notes)
    if len(onsets.times_s) < MIN_ONSETS:
        first_s = float(onsets.times_s[0]) if len(onsets.times_s) else 0.0
        return Metre(np.array([first_s, first_s + 60.0 / (tempo_bpm or DEFAULT_TEMPO_BPM)]))
    candidates = candidate_beats(onsets, tempo_bpm)
    scores = [_score(onsets, beats_s, tempo_bpm) for beats_s in candidates]
    beats_s = _from_first(candidates[int(np.argmax(scores))], float(onsets.times_s[0]))
    per_bar, phase, _ = _bars(onsets, beats_s)
    shares = subdivisions(onsets, beats_s)
    compound = bool(shares[3] + shares[4] > COMPOUND_SHARE * (shares[1] + shares[2]))
    if compound and per_bar == 4:
        per_bar, phase = 2, phase % 2
    # An upbeat is at most half a bar; before that, the bar begins with rests.
    if phase > per_bar / 2:
        beats_s = _led_in(beats_s, per_bar - phase)
        phase = 0
    return Metre(beats_s, per_bar, compound, phase)


def _checked_first(notes: Sequence[Note]) -> float:
    """Return the first onset, in seconds, 0 without notes; refuse times that no performance has."""
    times_s = np.array([(note.onset_s, note.offset_s) for note in notes]).reshape(-1, 2)
    if not np.isfinite(times_s).all():
        raise ConfigError("a note has a time that is not a finite number; leave it out.")
    if len(notes) and np.ptp(times_s[:, 0]) > 3600 * LONGEST_HOURS:
        raise ConfigError(f"notes that begin over more than {LONGEST_HOURS:g} hours make no score; divide them.")
    return float(times_s[:, 0].min()) if len(notes) else 0.0


def candidate_beats(onsets: Onsets, tempo_bpm: float | None = None) -> list[NDArray[np.float64]]:
    """Return beats at several tempos, and the times halfway between them, float64 [B] each, in seconds."""
    bands = [*((band, False) for band in BANDS_BPM), *((band, True) for band in TERNARY_BANDS_BPM)]
    if tempo_bpm is not None:
        low, high = np.clip([tempo_bpm / 2**0.5, tempo_bpm * 2**0.5], SLOWEST_BPM, FASTEST_BPM)
        bands = [((float(low), float(high)), ternary) for ternary in (False, True)]
    found: list[NDArray[np.float64]] = []
    for (low, high), ternary in bands:
        frame_s = min(FRAME_S, 2.0 / high)
        middle = float(np.sqrt(low * high))
        tracked_s = track_beats(onsets.times_s, onsets.weights, middle, (low, high), frame_s, ternary)
        beats_s = _moved(tracked_s, onsets.times_s)
        for times_s in (beats_s, (beats_s[1:] + beats_s[:-1]) / 2):
            same = any(len(other) == len(times_s) and np.abs(other - times_s).max() < NEAR_S for other in found)
            if len(times_s) > 2 and not same:
                found.append(times_s)
    return found


def _moved(beats_s: NDArray[np.float64], onsets_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move beats to the onsets near them."""
    after = np.clip(np.searchsorted(onsets_s, beats_s), 1, len(onsets_s) - 1)
    nearest = after - (beats_s - onsets_s[after - 1] < onsets_s[after] - beats_s)
    off = onsets_s[nearest] - beats_s
    return beats_s + np.where(np.abs(off) < np.minimum(NEAR_S, NEAR_BEATS * np.gradient(beats_s)), off, 0.0)


def _from_first(beats_s: NDArray[np.float64], first_s: float) -> NDArray[np.float64]:
    """Return the beats from the last one at or before the first onset."""
    spacing_s = beats_s[1] - beats_s[0]
    while beats_s[0] > first_s + NEAR_BEATS * spacing_s:
        beats_s = np.append(beats_s[0] - spacing_s, beats_s)
    start = int(np.searchsorted(beats_s, first_s + NEAR_BEATS * spacing_s, side="right")) - 1
    beats_s = beats_s[min(max(0, start), len(beats_s) - 2) :].copy()
    if abs(beats_s[0] - first_s) < NEAR_BEATS * spacing_s:
        beats_s[0] = first_s
    return beats_s


def _led_in(beats_s: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Prepend beats, spaced as the first two."""
    return np.concatenate([beats_s[0] - (beats_s[1] - beats_s[0]) * np.arange(count, 0, -1), beats_s])


def candidate_features(onsets: Onsets, beats_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what tells the beats that a listener feels from other even times, float64 [13]."""
    lengths_s = np.gradient(beats_s)
    inside = (beats_s > onsets.times_s[0] - 0.1) & (beats_s < onsets.times_s[-1] + 0.1)
    if inside.sum() < 3:
        inside[:] = True
    on = beat_features(onsets, beats_s, lengths_s)[inside] @ BEAT_WEIGHTS
    between = beat_features(onsets, (beats_s[1:] + beats_s[:-1]) / 2, lengths_s[:-1])[inside[:-1]] @ BEAT_WEIGHTS
    octaves = np.log2(60 / np.median(lengths_s) / 90)
    density = np.log2(len(onsets.times_s) / inside.sum())
    shares = subdivisions(onsets, beats_s)
    per_bar, _, fit = _bars(onsets, beats_s[inside])
    gain = fit - np.log(1 / per_bar) / per_bar - np.log(1 - 1 / per_bar) * (1 - 1 / per_bar)  # over bars at random
    return np.array([on.mean(), between.mean(), octaves, octaves**2, density, density**2, *shares, fit, gain])


def _score(onsets: Onsets, beats_s: NDArray[np.float64], tempo_bpm: float | None) -> float:
    score = float(candidate_features(onsets, beats_s) @ CHOICE_WEIGHTS)
    if tempo_bpm is not None:
        octaves = np.log2(60 / np.median(np.diff(beats_s)) / tempo_bpm)
        score -= float(octaves / TEMPO_SPREAD_OCTAVES) ** 2 / 2
    return score


def _bars(onsets: Onsets, beats_s: NDArray[np.float64]) -> tuple[int, int, float]:
    """Return beats a bar, the number of the first downbeat, and the mean log likelihood of a beat."""
    odds = beat_features(onsets, beats_s, np.gradient(beats_s)) @ BAR_WEIGHTS
    numbers, fits = np.arange(len(odds)), {}
    for per_bar in (2, 3, 4):
        shifted = odds + BAR_BIAS - np.log(per_bar - 1)
        signs = [np.where(numbers % per_bar == phase, 1, -1) for phase in range(per_bar)]
        fits[per_bar] = np.array([-np.logaddexp(0, -sign * shifted).mean() for sign in signs]) + METRE_BIAS[per_bar]
    per_bar = max(fits, key=lambda number: fits[number].max())
    phase = int((fits[per_bar] + UPBEAT_BIAS[:per_bar]).argmax())
    return per_bar, phase, float(fits[per_bar].max())
