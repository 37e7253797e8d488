"""The short-time Fourier transform of speech, and its log magnitude.

Frames of 256 samples under a periodic Hann window, every 128 samples; 256 zeros stand before the first sample and
after the last, and nothing is centred: frame t covers samples 128 (t - 2) to 128 (t - 2) + 255. Frame 0 is silence.

Source: Wisdom et al., "Full-Capacity Unitary Recurrent Neural Networks", 2016, section 5.3; DCN, section 4.3.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

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
# The power under which everything counts as silence: -50 dB, where a sinusoid of amplitude 1 has 36 dB.
FLOOR_POWER = 1e-5
SILENCE_DB = 10 * math.log10(FLOOR_POWER)


def frame_count(samples: int) -> int:
    """Return how many frames a signal has.

    Args:
        samples: Its length.

    Returns:
        T = samples // 128 + 3.
    """
    return (samples + FRAME_SAMPLES) // HOP_SAMPLES + 1


def stft(samples: Tensor) -> Tensor:
    """Transform a signal.

    Args:
        samples: Float [*, N], in +-1.

    Returns:
        Spectra, complex64 [*, T, F], not normalised, T = N // 128 + 3, F = 129.
    """
    padded = F.pad(samples.float(), (FRAME_SAMPLES, FRAME_SAMPLES))
    frames = padded.unfold(-1, FRAME_SAMPLES, HOP_SAMPLES)
    return torch.fft.rfft(frames * _hann(samples.device))


def istft(spectra: Tensor, length: int) -> Tensor:
    """Make a signal of spectra, the one whose transform comes closest to them.

    Args:
        spectra: Complex [*, T, F].
        length: N, of the signal.

    Returns:
        Samples, float32 [*, N].

    Raises:
        ValueError: That many samples do not have T frames.

    Source: Griffin & Lim, "Signal estimation from modified short-time Fourier transform", 1984, equation 6.
    """
    if frame_count(length) != spectra.shape[-2]:
        raise ValueError(f"{length} samples have {frame_count(length)} frames, not {spectra.shape[-2]}.")
    hann = _hann(spectra.device)
    frames = torch.fft.irfft(spectra, FRAME_SAMPLES) * hann
    # Frames overlap by half: each stretch of 128 samples is the second half of one and the first of the next.
    first, second = frames.unflatten(-1, (2, HOP_SAMPLES)).unbind(-2)
    weight = hann[:HOP_SAMPLES] ** 2 + hann[HOP_SAMPLES:] ** 2
    samples = ((first[..., 1:, :] + second[..., :-1, :]) / weight).flatten(-2)
    # The first stretch was left out above.
    start = FRAME_SAMPLES - HOP_SAMPLES
    return samples[..., start : start + length].float()


def log_power_db(spectra: Tensor) -> Tensor:
    """Return the levels that predictions are scored by.

    Args:
        spectra: Complex, any shape.

    Returns:
        10 log10(1e-5 + |X|^2), in dB, of the same shape, at least -50.
    """
    return 10 * torch.log10(FLOOR_POWER + spectra.real**2 + spectra.imag**2)


def _hann(device: torch.device) -> Tensor:
    return torch.hann_window(FRAME_SAMPLES, periodic=True, device=device)


def stft_frames(samples: NDArray[np.float32], start: int, stop: int) -> Tensor:
    """Transform a part of a recording: some frames of what :func:`stft` makes of the whole.

    Args:
        samples: The recording, float32 [N].
        start: First frame.
        stop: Frame after the last, at most T = N // 128 + 3.

    Returns:
        Spectra, complex64 [stop - start, F].
    """
    first, after = (start - 2) * HOP_SAMPLES, (stop - 1) * HOP_SAMPLES
    inside = samples[max(0, first) : after]
    before = max(0, -first)
    stretch = np.pad(inside, (before, after - first - before - len(inside)))
    # The transform adds two frames on either side, of its own zeros.
    return stft(torch.from_numpy(stretch))[2:-2]
