"""The transform and the levels of :mod:`audiocx.stft` on tensors, for training and GPUs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..stft import FLOOR_POWER, FRAME_SAMPLES, HANN, HOP_SAMPLES

__all__ = ["log_power_db", "stft"]


def stft(samples: Tensor) -> Tensor:
    """Compute the short-time Fourier transform; see :func:`audiocx.stft.stft`.

    Args:
        samples: Signal, float [*, N], in +-1.

    Returns:
        Spectra, complex64 [*, T, F].
    """
    padded = F.pad(samples.float(), (FRAME_SAMPLES, FRAME_SAMPLES))
    frames = padded.unfold(-1, FRAME_SAMPLES, HOP_SAMPLES)
    return torch.fft.rfft(frames * torch.from_numpy(HANN).to(samples.device))


def log_power_db(spectra: Tensor) -> Tensor:
    """Return log power spectra in dB, with gradients; see :func:`audiocx.stft.log_power_db`.

    Args:
        spectra: Complex, any shape.

    Returns:
        Levels of the same shape, at least -50.
    """
    return 10 * torch.log10(FLOOR_POWER + spectra.real**2 + spectra.imag**2)
