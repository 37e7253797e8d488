"""Tuning estimation, in cents above A4 = 440 Hz, and retuning to 440 Hz.

Networks are trained on notes at about 440 Hz. Bands play at 445 Hz, baroque ensembles at 415, and tapes run fast or
slow. Such a recording is resampled, which changes all pitches alike, and the times with them.

The estimate is of the same kind as ``librosa.estimate_tuning``; docs/estimates.md compares the two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.disk_array import in_blocks, on_disk
from ..io.resampling import resample, resample_stream

__all__ = ["DEAD_BAND_CENTS", "MAX_CENTS", "Retuned", "a4_hz", "check_cents", "estimate_tuning", "retuned"]

A4_HZ = 440.0
# Networks are trained on tunings within 20 cents of 440 Hz. Leaving these as they are also gives excerpts of a
# recording, whose estimates differ by a few cents, the notes of the whole.
DEAD_BAND_CENTS = 20.0
MAX_CENTS = 100.0  # more than a semitone is transposition

FRAME_S = 0.37  # long enough to resolve semitones from the lowest frequency on, short enough for a note
RESAMPLED_SAMPLES = 2**20  # of recordings in temporary files, resampled at a time
MAX_FRAMES = 400  # spread over the recording, they bound time and memory at any length
# Below, semitones are too close in a spectrum; above, the partials of pianos are sharp, and others off the scale.
MIN_HZ, MAX_HZ = 110.0, 1400.0
MIN_PEAK = 0.1  # relative to the highest in its frame; lower ones are reverberation, noise and leakage
MIN_LEVEL = 0.003  # relative to the highest in the recording; lower ones are noise
SIDE_BINS = 3  # the main lobe of a steady sinusoid under a Hann window ends within these
SIDE_RATIO = 2.0  # least ratio of a peak to its sides there; peaks of noise are blunter
NEAR_CENTS = 20  # largest deviation of a peak from the tuning that it supports
MIN_PEAKS = 40
# Least share of the peaks' weight within NEAR_CENTS of the tuning: 0.85 and more in music, 0.41 for evenly distributed
# peaks, and by chance up to 0.6 in a second of noise.
MIN_SHARE = 0.7


class Retuned(NamedTuple):
    """Samples retuned to A4 = 440 Hz.

    Attributes:
        samples: Samples at the original rate, float32 [M].
        cents: Tuning that was corrected, in cents above 440 Hz.
        stretch: Ratio of the new to the original duration.
    """

    samples: NDArray[np.float32]
    cents: float
    stretch: float


def estimate_tuning(samples: NDArray[np.floating], sample_rate: int) -> float:
    """Estimate the tuning of a recording from the deviations of its spectral peaks from semitones.

    Args:
        samples: Mono samples, float [N].
        sample_rate: Sampling rate, in Hz.

    Returns:
        Cents above A4 = 440 Hz in equal temperament, in (-50, 50]; 0.0 if there are too few peaks or they are too
        scattered, as in silence, noise or a click.
    """
    off, weights = _deviations(samples, sample_rate)
    if len(off) < MIN_PEAKS:
        return 0.0
    histogram = np.bincount(np.rint(off).astype(int) % 100, weights, 100)
    around = np.arange(-NEAR_CENTS, NEAR_CENTS + 1)
    mode = int((histogram[(np.arange(100)[:, None] + around) % 100] @ (1 + NEAR_CENTS - np.abs(around))).argmax())
    off = _wrapped(off - mode)
    close = np.abs(off) <= NEAR_CENTS
    if weights[close].sum() < MIN_SHARE * weights.sum():
        return 0.0
    return float(_wrapped(mode + np.average(off[close], weights=weights[close])))


def retuned(samples: NDArray[np.float32], sample_rate: int, cents: float | None = None) -> Retuned:
    """Retune samples to A4 = 440 Hz by resampling, which changes their duration.

    Args:
        samples: Mono samples, float32 [N].
        sample_rate: Sampling rate, in Hz.
        cents: Tuning in cents above 440 Hz, within +-100; None estimates it and ignores one within the dead band.

    Returns:
        The retuned samples, the tuning that was corrected and the ratio of durations. Samples that need no retuning are
        returned as they are; samples in a temporary file are retuned into another.

    Raises:
        ConfigError: The tuning is out of range.
        OutputError: There is no room for the temporary file.
    """
    if cents is None:
        cents = estimate_tuning(samples, sample_rate)
        cents = 0.0 if abs(cents) <= DEAD_BAND_CENTS else cents
    # A rate in whole Hz is exact to 0.1 cents, and makes the ratio of durations exact.
    played_rate = round(sample_rate * 2 ** (check_cents(cents) / 1200))
    if played_rate == sample_rate:
        return Retuned(samples, 0.0, 1.0)
    if isinstance(samples, np.memmap):  # too long for memory
        blocks = in_blocks(samples, RESAMPLED_SAMPLES)
        played = on_disk(resample_stream(blocks, sample_rate, played_rate))
    else:
        played = resample(samples, sample_rate, played_rate)
    return Retuned(played, float(cents), played_rate / sample_rate)


def check_cents(cents: float) -> float:
    """Check a tuning.

    Args:
        cents: Tuning in cents above A4 = 440 Hz.

    Returns:
        The same tuning.

    Raises:
        ConfigError: It is outside +-100 or not a number.
    """
    if not abs(cents) <= MAX_CENTS:
        raise ConfigError(f"The tuning must be within +-{MAX_CENTS:g} cents, not {cents!r}; None estimates it.")
    return cents


def a4_hz(cents: float) -> float:
    """Convert a tuning to the frequency of A4.

    Args:
        cents: Tuning in cents above 440 Hz.

    Returns:
        The frequency of A4, in Hz.

    >>> round(a4_hz(-100), 1)
    415.3
    """
    return A4_HZ * 2 ** (cents / 1200)


def _deviations(samples: NDArray[np.floating], sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the spectral peaks' distances from A4, in cents, and their weights."""
    size = 2 ** round(np.log2(FRAME_S * sample_rate))
    low = max(SIDE_BINS, round(MIN_HZ * size / sample_rate))
    high = min(size // 2 - SIDE_BINS, round(MAX_HZ * size / sample_rate))
    if len(samples) < size or low >= high:
        return np.zeros(0), np.zeros(0)
    starts = np.linspace(0, len(samples) - size, min(MAX_FRAMES, 2 * len(samples) // size)).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[starts].astype(np.float32)
    frames /= max(np.abs(frames).max(), np.finfo(np.float32).tiny)
    levels = np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32)))[:, low - SIDE_BINS : high + SIDE_BINS]
    before, here, after = (levels[:, SIDE_BINS + step : step - SIDE_BINS] for step in (-1, 0, 1))
    sides = np.maximum(levels[:, : -2 * SIDE_BINS], levels[:, 2 * SIDE_BINS :])
    least = np.maximum(MIN_PEAK * here.max(axis=1, keepdims=True), MIN_LEVEL * here.max())
    peaks = (here > before) & (here > after) & (here > SIDE_RATIO * sides) & (here >= least)
    # The logarithm of a Hann window's main lobe is nearly a parabola.
    left, mid, right = (np.log(np.maximum(level[peaks], 1e-50, dtype=float)) for level in (before, here, after))
    at = low + np.nonzero(peaks)[1] + (left - right) / (2 * (left - 2 * mid + right))
    return 1200 * np.log2(at * sample_rate / size / A4_HZ), np.sqrt(here[peaks])


def _wrapped(cents: np.ndarray) -> np.ndarray:
    """Remove whole semitones; return cents in (-50, 50]."""
    return 50 - (50 - cents) % 100
