"""How a recording is tuned, in cents above A4 = 440 Hz, and how it is brought to 440 Hz.

Networks learn notes of about 440 Hz. Bands play at 445 Hz, baroque ensembles at 415, and tapes run fast or slow: such
a recording is read as though its rate were another, which moves all pitches alike, and its times likewise.

The estimate is of the same kind as ``librosa.estimate_tuning``, which takes seconds to load, half a minute when loaded
for the first time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.disk_array import in_blocks, on_disk
from ..io.resampling import resample, resample_blocks

__all__ = ["DEAD_BAND_CENTS", "MOST_CENTS", "Retuned", "a4_hz", "checked_cents", "estimate_tuning", "retuned"]

A4_HZ = 440.0
# Networks are trained on tunings within 20 cents of 440 Hz and hear these as they are. To leave them alone also means
# that the parts of such a recording, whose estimates differ by a few cents, have the notes of the whole.
DEAD_BAND_CENTS = 20.0
MOST_CENTS = 100.0  # beyond a semitone, it is not tuning but transposition

FRAME_S = 0.37  # long enough to tell semitones apart from the lowest pitch on, short enough for a note
BLOCK_SAMPLES = 2**20  # of long recordings, in memory at a time
MOST_FRAMES = 400  # spread over the recording, they bound time and memory at any length
# Under this, semitones lie too close in a spectrum; above it, pianos' partials are sharp, and others' off the scale.
LOWEST_HZ, HIGHEST_HZ = 110.0, 1400.0
LEAST_PEAK = 0.1  # of the highest in its frame: 20 dB under it, there is room, noise and leakage
LEAST_LEVEL = 0.003  # of the highest in the recording: 50 dB under it, what decays is noise
SIDE_BINS = 3  # a steady sinusoid's main lobe under a Hann window ends within these
SIDE_RATIO = 2.0  # by which a peak exceeds both its sides there; noise has blunter ones
NEAR_CENTS = 20  # deviations this far from the tuning are due to it
LEAST_PEAKS = 40
# Of the peaks' weight within NEAR_CENTS of the tuning: 0.85 and more in music, 0.41 if there is none, and by chance up
# to 0.6 in a second of noise.
LEAST_SHARE = 0.7


class Retuned(NamedTuple):
    """Samples brought to A4 = 440 Hz.

    Attributes:
        samples: Float32 [M], to be read at the rate they had before.
        cents: By how much they were sharp, and are no more.
        stretch: How many times longer they have become.
    """

    samples: NDArray[np.float32]
    cents: float
    stretch: float


def estimate_tuning(samples: NDArray[np.floating], sample_rate: int) -> float:
    """Estimate how a recording is tuned, from the peaks of its spectra: how far they lie off the semitones.

    Args:
        samples: Mono samples, float [N].
        sample_rate: Their rate, in Hz.

    Returns:
        Cents above A4 = 440 Hz in equal temperament, in (-50, 50]; 0.0 where peaks are too few or too scattered to
        tell, as in silence, noise or a click.
    """
    off, weights = _deviations(samples, sample_rate)
    if len(off) < LEAST_PEAKS:
        return 0.0
    histogram = np.bincount(np.rint(off).astype(int) % 100, weights, 100)
    around = np.arange(-NEAR_CENTS, NEAR_CENTS + 1)
    mode = int((histogram[(np.arange(100)[:, None] + around) % 100] @ (1 + NEAR_CENTS - np.abs(around))).argmax())
    off = _wrapped(off - mode)
    close = np.abs(off) <= NEAR_CENTS
    if weights[close].sum() < LEAST_SHARE * weights.sum():
        return 0.0
    return float(_wrapped(mode + np.average(off[close], weights=weights[close])))


def retuned(samples: NDArray[np.float32], sample_rate: int, cents: float | None = None) -> Retuned:
    """Bring samples to A4 = 440 Hz, by playing them slower or faster.

    Args:
        samples: Mono samples, float32 [N].
        sample_rate: Their rate, in Hz.
        cents: How sharp they are, within +-100; None estimates it, and lets be what is within the dead band.

    Returns:
        The samples, as they are if they need nothing; by how much they were sharp, and how much longer they are now.
        Those of a temporary file are in one again.

    Raises:
        ConfigError: The tuning is out of range.
        OutputError: There is no room for the temporary file.
    """
    if cents is None:
        cents = estimate_tuning(samples, sample_rate)
        cents = 0.0 if abs(cents) <= DEAD_BAND_CENTS else cents
    # a whole rate is exact to 0.1 cents, and makes the stretch exact
    played_rate = round(sample_rate * 2 ** (checked_cents(cents) / 1200))
    if played_rate == sample_rate:
        return Retuned(samples, 0.0, 1.0)
    if isinstance(samples, np.memmap):  # too long for memory
        blocks = in_blocks(samples, BLOCK_SAMPLES)
        played = on_disk(resample_blocks(blocks, len(samples), sample_rate, played_rate))
    else:
        played = resample(samples, sample_rate, played_rate)
    return Retuned(played, float(cents), played_rate / sample_rate)


def checked_cents(cents: float) -> float:
    """Refuse what is no tuning.

    Args:
        cents: Above A4 = 440 Hz.

    Returns:
        The same.

    Raises:
        ConfigError: It is out of +-100 or not a number.
    """
    if not abs(cents) <= MOST_CENTS:
        raise ConfigError(f"The tuning must be within +-{MOST_CENTS:g} cents, not {cents!r}; None estimates it.")
    return cents


def a4_hz(cents: float) -> float:
    """Give the A4 of a tuning.

    Args:
        cents: Above 440 Hz.

    Returns:
        Its frequency, in Hz.

    >>> round(a4_hz(-100), 1)
    415.3
    """
    return A4_HZ * 2 ** (cents / 1200)


def _deviations(samples: NDArray[np.floating], sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """How far each peak of the spectra lies above A4 or a semitone from it, in cents, and how much it counts."""
    size = 2 ** round(np.log2(FRAME_S * sample_rate))
    low = max(SIDE_BINS, round(LOWEST_HZ * size / sample_rate))
    high = min(size // 2 - SIDE_BINS, round(HIGHEST_HZ * size / sample_rate))
    if len(samples) < size or low >= high:
        return np.zeros(0), np.zeros(0)
    starts = np.linspace(0, len(samples) - size, min(MOST_FRAMES, 2 * len(samples) // size)).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[starts].astype(np.float32)
    frames /= max(np.abs(frames).max(), np.finfo(np.float32).tiny)
    levels = np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32)))[:, low - SIDE_BINS : high + SIDE_BINS]
    before, here, after = (levels[:, SIDE_BINS + step : step - SIDE_BINS] for step in (-1, 0, 1))
    sides = np.maximum(levels[:, : -2 * SIDE_BINS], levels[:, 2 * SIDE_BINS :])
    least = np.maximum(LEAST_PEAK * here.max(axis=1, keepdims=True), LEAST_LEVEL * here.max())
    peaks = (here > before) & (here > after) & (here > SIDE_RATIO * sides) & (here >= least)
    # the logarithm of a Hann window's main lobe is nearly a parabola
    left, mid, right = (np.log(np.maximum(level[peaks], 1e-50, dtype=float)) for level in (before, here, after))
    at = low + np.nonzero(peaks)[1] + (left - right) / (2 * (left - 2 * mid + right))
    return 1200 * np.log2(at * sample_rate / size / A4_HZ), np.sqrt(here[peaks])


def _wrapped(cents: np.ndarray) -> np.ndarray:
    """The same but for whole semitones, in (-50, 50]."""
    return 50 - (50 - cents) % 100
