"""Gaps in recordings: detection, their ranges of samples and frames, and crossfades into them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..stft import HOP_SAMPLES, SPEECH_RATE

__all__ = ["find_gaps", "crossfade", "merge_gaps", "sample_ranges", "frame_ranges"]

# Every quiet recording has shorter runs of zeros; no packet is shorter.
MIN_GAP_S = 0.005
CROSSFADE_S = 0.004
# Times are given in milliseconds: a gap may end half of one after the recording.
ROUNDING_S = 0.0005


def find_gaps(samples: NDArray[np.floating], sample_rate: int) -> list[tuple[float, float]]:
    """Find gaps: 5 ms or more of exact zeros in all channels, except at the very beginning.

    Args:
        samples: Float [N] or [N, C].
        sample_rate: Rate in Hz.

    Returns:
        Start and end of each, in seconds, in order.

    >>> find_gaps(np.array([0] * 8 + [1] * 8 + [0] * 8 + [1, 0, 0]), 1000)
    [(0.016, 0.024)]
    """
    lost = ~samples.reshape(len(samples), -1).any(axis=1)
    edges = np.flatnonzero(np.diff(lost, prepend=False, append=False))
    min_samples = math.ceil(MIN_GAP_S * sample_rate)
    pairs = edges.reshape(-1, 2).tolist()
    return [
        (start / sample_rate, stop / sample_rate) for start, stop in pairs if start > 0 and stop - start >= min_samples
    ]


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
