"""Gaps in recordings: detection, their ranges of samples and frames, and crossfades into them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..stft import HOP_SAMPLES, SPEECH_RATE

__all__ = [
    "crossfade",
    "find_gaps",
    "frame_ranges",
    "gaps_by_channel",
    "merge_gaps",
    "sample_ranges",
]

# Level of the surroundings above that of a gap, in dB; see find_gaps. Chosen on LibriSpeech; docs/robustness.md says
# how many gaps it finds, and how many that are none.
GAP_LEVEL_DB = 25.0
# No packet is shorter; and levels are those of windows of this length.
MIN_GAP_S = 0.005
# A gap that is not constant, for it went through a lossy codec. Longer ones are pauses.
LOSSY_GAP_S = (0.01, 0.15)
# Levels of a constant gap above that of rounding, without and with dither.
CONSTANT_DB = (2.0, 12.0)
# The levels before and after a constant gap may be so much lower: it may border on the trough between two pitch pulses.
BEFORE_SLACK_DB, AFTER_SLACK_DB = 5.0, 11.0
# A gap begins where the level falls by GAP_LEVEL_DB less this, for codecs smear its edges.
EDGE_SLACK_DB = 5.0
# Samples, or the part of a window if that is more, in which the level falls to that of a constant gap from one at most
# so far below the level before it.
STEEP_DB = 20.0
EDGE_SAMPLES, EDGE_PART = 8, 25
# Speech rarely pauses between sounds both at least as loud as the recording: the level of a gap there may be so much
# less if it is of 10 ms and has no dither, or is lossy.
LOUD_CONSTANT_DB, LOUD_LOSSY_DB = 14.0, 4.0
# Pauses between words begin this far below the recording's level.
QUIET_DB = 20.0
# No format rounds more finely, relative to its peak: 24 bits do, but no microphone.
FINEST_STEP = 1e-5
SNIFFED_SAMPLES, BLOCK_SAMPLES = 2**20, 2**18
CROSSFADE_S = 0.004
# Times are given in milliseconds: a gap may end half of one after the recording.
ROUNDING_S = 0.0005


def find_gaps(
    samples: NDArray[np.floating], sample_rate: int, gap_level_db: float = GAP_LEVEL_DB
) -> list[tuple[float, float]]:
    """Find gaps in a channel, by their level relative to their surroundings.

    Levels are standard deviations of windows of 5 ms, so that an offset does not count. A gap is

    * constant but for the rounding of the format (zeros, the silence of A-law, of 8 bits, of an offset, dither), at 0
      or at the offset of the recording, 5 ms or longer; and, of a ``gap_level_db`` of 25, 20 dB below the level before
      and 14 dB below that within 5 ms after it, of which it falls and rises by 20 dB in a millisecond; or
    * after a lossy codec, 10 to 150 ms that begin where the level falls by 20 dB from one window to the next, and last
      while it stays so; their mean 25 dB below the level before, their minimum as far below that within 5 ms after
      them, and the level before at most 20 dB below the recording's.

    Where the levels before and after are at least that of the recording, 21 dB are enough after a lossy codec, and
    11 dB for 10 ms or more that are constant without dither.

    So silence at the beginning or at the end, such as a codec's padding, is no gap; nor is a pause whose sound fades.
    Quiet recordings of 8 bits show only some of their gaps.

    Args:
        samples: Float [N].
        sample_rate: Rate in Hz.
        gap_level_db: Lower values find more gaps, and more that are none.

    Returns:
        Start and end of each, in seconds, in order.

    >>> speech = np.random.default_rng(0).normal(size=3000)
    >>> speech[1000:1040] = 0
    >>> find_gaps(speech, 8000)
    [(0.125, 0.13)]
    """
    width = max(2, math.ceil(MIN_GAP_S * sample_rate))
    if len(samples) < 3 * width:
        return []
    scale = 1 / (float(np.abs(samples).max()) or 1.0)
    channel = _Channel(samples, scale, width, np.unique(samples[:SNIFFED_SAMPLES]) * scale)
    lengths = [round(limit_s * sample_rate) - width + 1 for limit_s in LOSSY_GAP_S]
    found = list(channel.constant(gap_level_db, lengths[0]))
    # These have vague edges.
    found += [
        (start, stop)
        for start, stop in channel.lossy(gap_level_db, *lengths)
        if not any(start < after and first < stop for first, after in found)
    ]
    spans = ((start / sample_rate, (stop - 1 + width) / sample_rate) for start, stop in found)
    return merge_gaps(spans, len(samples) / sample_rate)


class _Channel:
    """A channel and the levels of its windows, in which gaps are ranges [start, stop) of windows."""

    def __init__(self, samples: NDArray[np.floating], scale: float, width: int, values: NDArray[np.floating]) -> None:
        self.samples, self.scale, self.width, self.values = samples, scale, width, values
        self.offset = float(np.median(samples[:SNIFFED_SAMPLES])) * scale
        self.levels_db = _levels_db(samples, scale, width, _step(values))
        self.mean_db = _mean_db(self.levels_db)

    def constant(self, gap_level_db: float, long: int) -> Iterator[tuple[int, int]]:
        """Find gaps whose samples are constant but for rounding; ``long`` is 10 ms, in windows."""
        margin = max(EDGE_SAMPLES, self.width // EDGE_PART)
        for above_db in CONSTANT_DB:
            quiet = self.levels_db <= _rounding_db(_step(self.values)) + above_db
            edges = np.flatnonzero(np.diff(quiet, prepend=False, append=False)).reshape(-1, 2)
            for start, stop in edges[(edges[:, 0] >= self.width) & (edges[:, 1] < len(quiet))].tolist():
                before_db, after_db = self._around(start, stop)
                middle = self._middle(start, stop)
                step = self._step_at(middle)
                lowest_db = min(before_db + BEFORE_SLACK_DB, after_db + AFTER_SLACK_DB)
                if above_db == CONSTANT_DB[0] and stop - start >= long and min(before_db, after_db) >= self.mean_db:
                    lowest_db = max(lowest_db, min(before_db, after_db) + LOUD_CONSTANT_DB)
                edge_db = min(self.levels_db[start - margin], self.levels_db[stop - 1 : stop + margin].max())
                if (
                    lowest_db >= _rounding_db(step) + above_db + gap_level_db
                    and edge_db >= before_db - STEEP_DB
                    and self._from_zero(middle) <= 2 * step + 1e-3
                ):
                    yield start, stop

    def lossy(self, gap_level_db: float, shortest: int, longest: int) -> Iterator[tuple[int, int]]:
        """Find gaps that a codec has filled with some noise, of so many windows."""
        edge_db, width = gap_level_db - EDGE_SLACK_DB, self.width
        falls = np.flatnonzero(self.levels_db[width:] <= self.levels_db[:-width] - edge_db) + width
        index = 0
        while index < len(falls):
            start = int(falls[index])
            limit_db = float(self.levels_db[start - width]) - edge_db
            above = np.flatnonzero(self.levels_db[start : start + longest + 1] > limit_db)
            stop = start + (int(above[0]) if len(above) else longest + 1)
            index = int(np.searchsorted(falls, stop))
            (before_db, after_db), middle = self._around(start, stop), self._middle(start, stop)
            inside_db = np.maximum(self.levels_db[start:stop], _rounding_db(self._step_at(middle)))
            deep_db = gap_level_db - LOUD_LOSSY_DB * (min(before_db, after_db) >= self.mean_db)
            if (
                shortest <= stop - start <= longest
                and self.mean_db - QUIET_DB <= before_db >= _mean_db(inside_db) + deep_db
                and after_db >= float(inside_db.min()) + deep_db
                and self._from_zero(middle) <= 10 ** (before_db / 20)
            ):
                yield start, stop

    def _around(self, start: int, stop: int) -> tuple[float, float]:
        """Return the level before a gap and the highest right after it; -inf where the recording ends."""
        before_db = float(self.levels_db[start - self.width]) if start >= self.width else -math.inf
        return before_db, float(self.levels_db[stop : stop + self.width + 1].max(initial=-math.inf))

    def _middle(self, start: int, stop: int) -> float:
        return float(self.samples[start : stop + self.width - 1].mean(dtype=np.float64)) * self.scale

    def _step_at(self, middle: float) -> float:
        """Return the step of the format near a value; A-law and mu-law are coarse far from 0."""
        nearby = int(np.searchsorted(self.values, middle))
        return _step(self.values[max(0, nearby - 3) : nearby + 3])

    def _from_zero(self, middle: float) -> float:
        return min(abs(middle), abs(middle - self.offset))


def _rounding_db(step: float) -> float:
    return 20 * math.log10(step) - 10 * math.log10(12)


def _mean_db(levels_db: NDArray[np.float32]) -> float:
    return 10 * math.log10(float(np.mean(10 ** (levels_db / 10), dtype=np.float64)))


def _step(values: NDArray[np.floating]) -> float:
    """Return the step of a format, from the different values of samples, in order, relative to the peak."""
    return max(FINEST_STEP, float(np.diff(values).min(initial=1.0)))


def _levels_db(samples: NDArray[np.floating], scale: float, width: int, step: float) -> NDArray[np.float32]:
    """Return the level of each window of scaled samples in dB, at least that of rounding, float32 [N - width + 1]."""
    levels_db = np.empty(len(samples) - width + 1, np.float32)
    for start in range(0, len(levels_db), BLOCK_SAMPLES):
        block = samples[start : start + BLOCK_SAMPLES + width - 1].astype(np.float64) * scale
        block -= block.mean()  # less to cancel
        sums, squares = (np.concatenate([[0.0], np.cumsum(values)]) for values in (block, block**2))
        mean = (sums[width:] - sums[:-width]) / width
        power = (squares[width:] - squares[:-width]) / width - mean**2
        levels_db[start : start + BLOCK_SAMPLES] = 10 * np.log10(np.maximum(power, step**2 / 12))
    return levels_db


def gaps_by_channel(
    samples: NDArray[np.floating],
    sample_rate: int,
    gaps: Iterable[tuple[float, float]] | None = None,
    gap_level_db: float | None = None,
    name: str = "recording",
) -> list[list[tuple[float, float]]]:
    """Return the gaps of each channel: those named, or those found in it.

    Args:
        samples: Float [N] or [N, C].
        sample_rate: Rate in Hz.
        gaps: Start and end of each, in seconds, in all channels; None to find them.
        gap_level_db: As of :func:`find_gaps`; None for its default.
        name: Name of the recording, for error messages.

    Returns:
        Start and end of each, in seconds, in order, for each channel.

    Raises:
        ConfigError: A named gap is invalid, or lies outside of the recording.
    """
    channels = samples.reshape(len(samples), -1).T
    if gaps is None:
        level_db = GAP_LEVEL_DB if gap_level_db is None else gap_level_db
        return [find_gaps(channel, sample_rate, level_db) for channel in channels]
    return [merge_gaps(gaps, len(samples) / sample_rate, name)] * len(channels)


def merge_gaps(
    gaps: Iterable[tuple[float, float]], duration_s: float, name: str = "recording"
) -> list[tuple[float, float]]:
    """Validate gaps, sort them, and merge those that overlap or touch.

    Args:
        gaps: Start and end of each, in seconds.
        duration_s: Length of the recording, in seconds.
        name: Name of the recording, for error messages.

    Returns:
        Start and end of each, in seconds.

    Raises:
        ConfigError: A gap is invalid, or lies outside of the recording.

    >>> merge_gaps([(2, 3), (0.5, 1), (1, 1.5)], 3)
    [(0.5, 1.5), (2.0, 3.0)]
    """
    merged: list[tuple[float, float]] = []
    for start_s, end_s in sorted(_times(gap, name) for gap in gaps):
        if start_s < 0 or end_s > duration_s + ROUNDING_S:
            raise ConfigError(
                f"{name}: the gap from {start_s:g} to {end_s:g} s lies outside of the recording, which is "
                f"{duration_s:.3f} s long; leave it out, or correct it."
            )
        if merged and start_s <= merged[-1][1]:
            start_s, end_s = merged[-1][0], max(end_s, merged.pop()[1])
        merged.append((start_s, min(end_s, duration_s)))
    return merged


def _times(gap: Any, name: str) -> tuple[float, float]:
    try:
        start_s, end_s = map(float, gap)
    except (TypeError, ValueError):
        start_s = end_s = math.nan
    if not -math.inf < start_s < end_s < math.inf:
        raise ConfigError(f"{name}: a gap is a start and a later end, in seconds, and {gap!r} is not; correct it.")
    return start_s, end_s


def frame_ranges(gaps: Iterable[tuple[float, float]], sample_rate: int) -> list[tuple[int, int]]:
    """Return the frames at 8 kHz that overlap gaps, rounded outwards to whole hops.

    Args:
        gaps: As returned by :func:`merge_gaps`.
        sample_rate: Rate of the recording, in Hz.

    Returns:
        First frame and the one after the last, for each gap; gaps without an intact frame between them share a range.

    >>> frame_ranges([(0.016, 0.032), (1.0, 1.064)], 8000)
    [(2, 4), (63, 69)]
    """
    ranges: list[tuple[int, int]] = []
    for start, stop in sample_ranges(gaps, sample_rate):
        # Frame t covers hops t - 2 and t - 1.
        first = start * SPEECH_RATE // (sample_rate * HOP_SAMPLES) + 1
        after = -(-stop * SPEECH_RATE // (sample_rate * HOP_SAMPLES)) + 2
        if ranges and first <= ranges[-1][1]:
            first, _ = ranges.pop()
        ranges.append((first, after))
    return ranges


def sample_ranges(gaps: Iterable[tuple[float, float]], sample_rate: int) -> list[tuple[int, int]]:
    """Return the samples of gaps.

    Args:
        gaps: Start and end of each, in seconds.
        sample_rate: Rate in Hz.

    Returns:
        First sample and the one after the last, for each gap.
    """
    return [(round(start_s * sample_rate), round(end_s * sample_rate)) for start_s, end_s in gaps]


def crossfade(
    samples: NDArray[np.float32],
    filled: NDArray[np.float32],
    gaps: Iterable[tuple[float, float]],
    sample_rate: int,
) -> NDArray[np.float32]:
    """Replace gaps, with a crossfade of 4 ms on either side.

    Args:
        samples: The recording, float32 [N] or [N, C].
        filled: The replacement, of the same shape; only the gaps and 4 ms on either side are used.
        gaps: As returned by :func:`merge_gaps`.
        sample_rate: Rate in Hz.

    Returns:
        The samples with their gaps filled; all others unchanged.
    """
    fade = round(CROSSFADE_S * sample_rate)
    rise = np.arange(1, fade + 1, dtype=np.float32) / (fade + 1)
    # Weight of the replacement.
    share = np.zeros(len(samples), np.float32)
    for start, stop in sample_ranges(gaps, sample_rate):
        share[start:stop] = 1
        before, after = share[max(0, start - fade) : start], share[stop : stop + fade]
        np.maximum(before, rise[fade - len(before) :], out=before)
        np.maximum(after, rise[::-1][: len(after)], out=after)
    joined, mixed = samples.copy(), share > 0
    weight = share[mixed].reshape(-1, *[1] * (samples.ndim - 1))
    joined[mixed] = (1 - weight) * samples[mixed] + weight * filled[mixed]
    return joined
