"""The short-time Fourier transform of speech, its inverse, and log power spectra.

Frames of 256 samples with a periodic Hann window and a hop of 128 samples. The signal is padded with 256 zeros on
either side: frame t covers samples 128 (t - 2) to 128 (t - 2) + 255, and frame 0 is silent.

Source: S. Wisdom et al., "Full-Capacity Unitary Recurrent Neural Networks", 2016, section 5.3; C. Trabelsi et al.,
"Deep complex networks", ICLR 2018, section 4.3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BINS",
    "FRAME_SAMPLES",
    "HOP_SAMPLES",
    "SPEECH_RATE",
    "frame_count",
    "istft",
    "log_power_db",
    "stft",
    "stft_frames",
]

SPEECH_RATE = 8000  # Hz
FRAME_SAMPLES = 256
HOP_SAMPLES = FRAME_SAMPLES // 2
BINS = FRAME_SAMPLES // 2 + 1
# Power floor of log spectra: -50 dB, where a sinusoid of amplitude 1 has 36 dB.
FLOOR_POWER = 1e-5
SILENCE_DB = 10 * math.log10(FLOOR_POWER)
# The periodic Hann window.
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)).astype(np.float32)


def frame_count(samples: int) -> int:
    """Return the number of frames of a signal.

    Args:
        samples: Length of the signal in samples.

    Returns:
        T = samples // 128 + 3.
    """
    return (samples + FRAME_SAMPLES) // HOP_SAMPLES + 1


def stft(samples: NDArray[np.floating]) -> NDArray[np.complex64]:
    """Compute the short-time Fourier transform.

    Args:
        samples: Signal, float [*, N], in +-1.

    Returns:
        Spectra, complex64 [*, T, F], not normalised, T = N // 128 + 3, F = 129.
    """
    padded = np.pad(samples.astype(np.float32), [*[(0, 0)] * (samples.ndim - 1), (FRAME_SAMPLES, FRAME_SAMPLES)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES, -1)[..., ::HOP_SAMPLES, :]
    # NumPy 1 transforms in float64.
    return np.fft.rfft(frames * HANN).astype(np.complex64, copy=False)


def istft(spectra: NDArray[np.complexfloating], length: int) -> NDArray[np.float32]:
    """Compute the inverse transform: the signal whose spectra are closest in the least-squares sense.

    Args:
        spectra: Complex [*, T, F].
        length: Length N of the signal.

    Returns:
        Samples, float32 [*, N].

    Raises:
        ValueError: A signal of this length does not have T frames.

    Source: Griffin & Lim, "Signal estimation from modified short-time Fourier transform", 1984, equation 6.
    """
    if frame_count(length) != spectra.shape[-2]:
        raise ValueError(f"{length} samples have {frame_count(length)} frames, not {spectra.shape[-2]}.")
    frames = np.fft.irfft(spectra, FRAME_SAMPLES) * HANN
    # Frames overlap by half: each hop of 128 samples is the second half of one frame and the first half of the next.
    first, second = frames[..., :HOP_SAMPLES], frames[..., HOP_SAMPLES:]
    weight = HANN[:HOP_SAMPLES] ** 2 + HANN[HOP_SAMPLES:] ** 2
    hops = (first[..., 1:, :] + second[..., :-1, :]) / weight
    samples = hops.reshape(*hops.shape[:-2], -1)
    # The first half of frame 0 is left out above.
    start = FRAME_SAMPLES - HOP_SAMPLES
    return samples[..., start : start + length].astype(np.float32, copy=False)


def log_power_db(spectra: NDArray[np.complexfloating]) -> NDArray[Any]:
    """Return log power spectra, by which predictions are scored.

    Args:
        spectra: Complex, any shape.

    Returns:
        10 log10(1e-5 + |X|^2), in dB, of the same shape, at least -50.
    """
    levels: NDArray[Any] = 10 * np.log10(FLOOR_POWER + spectra.real**2 + spectra.imag**2)
    return levels


def stft_frames(samples: NDArray[np.float32], start: int, stop: int) -> NDArray[np.complex64]:
    """Compute some frames of the short-time Fourier transform of a recording.

    Args:
        samples: The recording, float32 [N].
        start: First frame.
        stop: Frame after the last, at most T = N // 128 + 3.

    Returns:
        The frames from start to stop of :func:`stft`, complex64 [stop - start, F].
    """
    first, after = (start - 2) * HOP_SAMPLES, (stop - 1) * HOP_SAMPLES
    inside = samples[max(0, first) : after]
    before = max(0, -first)
    padded = np.pad(inside, (before, after - first - before - len(inside)))
    # stft adds two frames of padding on either side.
    return stft(padded)[2:-2]
