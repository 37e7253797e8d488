"""The beats of a performance, found in its notes alone, and its notes moved onto them as a score has them.

A path of beats is sought that explains where notes begin: mostly on the beat, often halfway, now and then at quarters
and thirds of it, seldom elsewhere. Its tempo may drift from beat to beat, as players' does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.midi import TEMPO_RANGE_BPM
from ..notes import Note, snap_to_grid

__all__ = ["DIVISIONS", "estimate_beats", "quantize"]

DIVISIONS = range(1, 13)  # a twelfth of a beat is as fine as players' timing allows
LEAST_ONSETS = 8  # fewer do not tell a pulse
FRAME_S = 0.01
SLOWEST_BPM, FASTEST_BPM = 40.0, 240.0
TIMING_S = 0.025  # how far players miss the place they mean, standard deviation
# The share of notes that begin at a place within the beat; what is left to one begins anywhere (ornaments, runs).
SHARES = {0.0: 0.45, 1 / 2: 0.22, 1 / 4: 0.06, 3 / 4: 0.08, 1 / 3: 0.04, 2 / 3: 0.05}
DRIFT = 0.05  # relative change of a beat's length to the next, standard deviation
TEMPO_SPREAD_OCTAVES = 0.5  # how far the tempo is from the one expected, standard deviation


def estimate_beats(notes: Iterable[Note], tempo_bpm: float = 120.0) -> NDArray[np.float64]:
    """Find when the beats of a performance are.

    They are those of the path of the greatest likelihood (Viterbi) over times and lengths of beats, from 40 to 240 a
    minute. Which of two tempos, one twice the other, is that of the beat, the notes seldom tell: the one nearer to
    ``tempo_bpm`` is preferred. Bars are not sought.

    Args:
        notes: The notes played, in any order.
        tempo_bpm: The tempo expected, in beats per minute, 4 to 1000; it is taken as it is where fewer than eight
            onsets tell no pulse.

    Returns:
        Times of the beats, in seconds, float64 [B], B >= 2, at least 0.06 s apart: from 0 to behind the last note. At
        both ends, where no notes begin, they are evenly spaced.

    Raises:
        ConfigError: The tempo is out of range.
    """
    low, high = TEMPO_RANGE_BPM
    if not low <= tempo_bpm <= high:
        raise ConfigError(f"there are no {tempo_bpm:g} beats per minute in MIDI: choose {low:g} to {high:g}.")
    notes = list(notes)
    end_s = max((note.offset_s for note in notes), default=0.0)
    first_s = max(0.0, min((note.onset_s for note in notes), default=0.0))
    if len({round(note.onset_s / TIMING_S) for note in notes}) < LEAST_ONSETS:
        beats_s = np.array([first_s, first_s + 60.0 / tempo_bpm])
    else:
        beats_s = _likeliest(notes, tempo_bpm)
    return _from_zero(_extended(beats_s, end_s))


def quantize(notes: Iterable[Note], beats_s: NDArray[np.float64], divisions: int) -> list[Note]:
    """Move the onsets and offsets of notes to the nearest places of a grid that divides each beat evenly.

    Every note is at least one place long. Of notes of one pitch and program that come to the same place one is left;
    where such overlap, the earlier one ends at the later one's onset.

    Args:
        notes: The notes, in any order.
        beats_s: Times of the beats, in seconds, float [B], increasing, B >= 2; behind the last the spacing stays.
        divisions: Places a beat, 1 to 12: 4 makes sixteenths of quarter beats, 3 triplets, 12 holds both.

    Returns:
        The notes on the grid, sorted by onset, then pitch.

    Raises:
        ConfigError: There is no such division.
    """
    if divisions not in DIVISIONS:
        raise ConfigError(f"a beat cannot be divided by {divisions}: choose {DIVISIONS[0]} to {DIVISIONS[-1]}.")
    notes = list(notes)
    beats_s = _extended(beats_s, max((note.offset_s for note in notes), default=0.0) + float(beats_s[-1] - beats_s[-2]))
    numbers = np.arange(len(beats_s))

    def place_at(time_s: float) -> int:
        return round(divisions * float(np.interp(time_s, beats_s, numbers)))

    def time_at(place: int) -> float:
        return float(np.interp(place / divisions, numbers, beats_s))

    return sorted(
        replace(note, onset_s=time_at(start), offset_s=time_at(end))
        for start, end, note in snap_to_grid(notes, place_at)
    )


def _likeliest(notes: Sequence[Note], tempo_bpm: float) -> NDArray[np.float64]:
    """The path of beats, in seconds, that explains the onsets best: from the first to behind the last, float64 [B]."""
    lengths = np.arange(round(60 / FASTEST_BPM / FRAME_S), round(60 / SLOWEST_BPM / FRAME_S) + 1)
    longest, which = lengths[-1], np.arange(len(lengths))
    onsets = np.array(sorted((note.onset_s, max(1, note.velocity)) for note in notes))
    # A beat may lie before the recording begins: time starts one early.
    frames = np.rint(onsets[:, 0] / FRAME_S).astype(int) + longest
    accents = onsets[:, 1] / onsets[:, 1].mean()
    explained = _fit(lengths)
    octaves = np.log2(lengths * FRAME_S * tempo_bpm / 60)
    expected = -0.5 * (octaves / TEMPO_SPREAD_OCTAVES) ** 2 * lengths * FRAME_S
    drift = (-0.5 * (np.log(lengths[:, None] / lengths) / DRIFT) ** 2).astype(np.float32)
    # Of the best path to a beat at t whose last was lengths[l] long: how good it is, and the length before.
    score = np.full((frames[-1] + longest + 1, len(lengths)), -np.inf, np.float32)
    before = np.zeros(score.shape, np.uint8)
    for t in range(frames[0] - longest + 1, frames[-1] + 1):
        if t <= frames[0]:
            score[t] = 0.0  # a first beat, after one of any length
        ahead = slice(*np.searchsorted(frames, (t, t + longest)))
        gain = explained[:, frames[ahead] - t] @ accents[ahead] + expected
        paths = score[t] + drift  # [length, length before]
        best = paths.argmax(1)
        score[t + lengths, which], before[t + lengths, which] = paths[which, best] + gain, best
    last, length = np.unravel_index(score[frames[-1] + 1 :].argmax(), (longest, len(lengths)))
    beats = [int(last) + frames[-1] + 1]
    while beats[-1] > frames[0]:
        t = beats[-1]
        beats.append(t - lengths[length])
        length = before[t, length]
    return (np.array(beats[::-1]) - longest) * FRAME_S


def _fit(lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log likelihood of an onset some frames after a beat of a length, against one at random; 0 past it [L, max L]."""
    after = np.arange(lengths[-1])
    density = np.full((len(lengths), len(after)), 1 - sum(SHARES.values()))
    spread = TIMING_S / FRAME_S
    for place, share in SHARES.items():
        off = np.abs(after - place * lengths[:, None])
        off = np.minimum(off, lengths[:, None] - off)  # shortly before the next beat is near this place too
        density += share * lengths[:, None] / (spread * math.sqrt(2 * math.pi)) * np.exp(-0.5 * (off / spread) ** 2)
    return np.where(after < lengths[:, None], np.log(density), 0.0)


def _extended(beats_s: NDArray[np.float64], end_s: float) -> NDArray[np.float64]:
    """Beats that go on, spaced as the last two are, until the end or past it."""
    spacing_s = beats_s[-1] - beats_s[-2]
    more = max(0, math.ceil((end_s - beats_s[-1]) / spacing_s))
    return np.append(beats_s, beats_s[-1] + spacing_s * np.arange(1, more + 1))


def _from_zero(beats_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Beats of which the first is at 0, no two closer than MIDI has them; those after 0.06 s stay where they are."""
    least_s = 60 / TEMPO_RANGE_BPM[1]
    spacing_s = min(beats_s[1] - beats_s[0], 10.0)  # half as long again must still be a beat of MIDI
    beats_s = beats_s[beats_s >= 0.0]
    first_s = beats_s[0] if beats_s[0] >= least_s else least_s * round(beats_s[0] / least_s)
    lead = max(1, round(first_s / spacing_s)) if first_s > 0.0 else 0
    later_s = beats_s[beats_s >= first_s + least_s]
    return np.concatenate([np.linspace(0.0, first_s, lead + 1), later_s])
