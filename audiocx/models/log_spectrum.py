"""Front end of the note networks: samples to complex spectra over log frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..nn.functional import magnitude
from .configs import Phase
from .filtered_spectrum import FilteredSpectrum

__all__ = ["LogSpectrum"]

# Magnitudes become log1p(_GAIN * amplitude) / _SPAN: -80 dBFS is still distinct from silence, full scale about 2.
_GAIN = 1e4
_SPAN = 4.0


class LogSpectrum(nn.Module):
    """Complex spectra of several window lengths over one axis of log frequency.

    Each window's Fourier transform, its phase referred to the window's centre, is mapped to bins a fraction of a
    semitone apart by triangular filters, as wide as the wider bin spacing of the two spectra. Magnitudes are
    compressed by log1p.

    The phase "increment" is the phase difference to the previous frame, less that of a tone at the bin's centre
    frequency: for a steady partial it shows the offset from that frequency, independent of the partial's start; at an
    onset it jumps. "centred" is the phase itself, and "none" keeps magnitudes only.

    Where a phase is noise, so is the real part that it rotates. ``magnitude_bias`` adds that many times the magnitude
    to the real part (and divides by 1 + magnitude_bias): from 1 on, the real part is never negative and follows the
    magnitude at any phase.

    Shape: input [B, N] float32, N = T * hop_samples + the longest window; output [B, 2W, T, F], real parts first, W
    the number of windows, or of magnitudes [B, W, T, F]. Frame t is centred at sample (t + 1) * hop_samples + longest
    window / 2: the first frame's increment needs one frame before it.

    Args:
        sample_rate: Hz.
        hop_samples: Hop from frame to frame.
        windows: Lengths of the Hann windows in samples, even, the longest first.
        lowest_note: MIDI number of the lowest semitone.
        semitones: Number of semitones; F = semitones * bins_per_semitone.
        bins_per_semitone: An odd number; the middle bin of each semitone is in tune (A4 = 440 Hz).
        phase: "increment", "centred" or "none".
        magnitude_bias: Weight of the magnitude in the real part, 0 or more.

    Raises:
        ValueError: A window is odd or longer than the first, bins_per_semitone is even, the phase unknown, or
            magnitude_bias negative.
    """

    steady: Tensor

    def __init__(
        self,
        sample_rate: int,
        hop_samples: int,
        windows: Sequence[int],
        lowest_note: int,
        semitones: int,
        bins_per_semitone: int = 3,
        phase: Phase = "increment",
        magnitude_bias: float = 0.0,
    ) -> None:
        super().__init__()
        if phase not in get_args(Phase):
            raise ValueError(f"phase is one of {', '.join(map(repr, get_args(Phase)))}, not {phase!r}")
        if not windows or any(size % 2 or size > windows[0] for size in windows) or bins_per_semitone % 2 == 0:
            raise ValueError("windows are even, the longest first, and bins_per_semitone is odd")
        if magnitude_bias < 0:
            raise ValueError(f"magnitude_bias must be 0 or more, not {magnitude_bias}")
        self.hop_samples, self.windows = hop_samples, tuple(windows)
        self.phase, self.magnitude_bias = phase, magnitude_bias
        self.channels = len(windows) * (1 if phase == "none" else 2)
        # On the CPU even if the network is built on "meta" to be loaded later.
        bins = torch.arange(semitones * bins_per_semitone, dtype=torch.float64, device="cpu")
        offsets = bins - bins_per_semitone // 2
        freq_hz = 440 * 2 ** ((lowest_note - 69 + offsets / bins_per_semitone) / 12)
        increment = 2 * torch.pi * freq_hz * hop_samples / sample_rate
        # Buffers are not saved: they follow from the settings.
        self.register_buffer("steady", -(increment % (2 * torch.pi)).float(), persistent=False)
        ratio = 2 ** (1 / (12 * bins_per_semitone))
        self.spectra = nn.ModuleList(
            FilteredSpectrum(_triangles(freq_hz, sample_rate, size, ratio), hop_samples) for size in windows
        )

    @torch.autocast("cpu", enabled=False)
    @torch.autocast("cuda", enabled=False)
    def forward(self, samples: Tensor) -> Tensor:
        """Compute the spectra; see the class for shapes."""
        # Complex numbers are pairs of real ones on axis 2: ONNX has no complex type.
        x = torch.stack([self._spectrum(samples, index) for index in range(len(self.windows))], 1)
        magnitudes = magnitude(x, 2)
        z, current = x[..., 1:, :], magnitudes[..., 1:, :]
        compressed = torch.log1p(_GAIN * current) / _SPAN
        if self.phase == "none":
            return compressed.squeeze(2)
        if self.phase == "increment":
            z = self._phase_increments(z, x[..., :-1, :], magnitudes[..., :-1, :])
        z = z * (compressed / current.clamp_min(1e-9))
        if self.magnitude_bias:
            real, imag = z.split(1, 2)
            z = torch.cat([real + self.magnitude_bias * compressed, imag], 2) / (1 + self.magnitude_bias)
        return z.transpose(1, 2).flatten(1, 2)

    def _spectrum(self, samples: Tensor, index: int) -> Tensor:
        """Return the spectrum over log frequency by one of the windows, real [B, 2, T + 1, F]."""
        margin = (self.windows[0] - self.windows[index]) // 2
        spectrum: Tensor = self.spectra[index](samples[:, margin : samples.shape[1] - margin])
        return spectrum

    def _phase_increments(self, z: Tensor, previous: Tensor, magnitudes: Tensor) -> Tensor:
        """Rotate z [B, W, 2, T, F] back by the previous frame's phase and the increment of a tone at the bin's centre.

        ``magnitudes`` [B, W, 1, T, F] are those of the previous frame.
        """
        real, imag = (previous / magnitudes.clamp_min(torch.finfo(magnitudes.dtype).tiny)).unbind(2)
        real = real + (magnitudes == 0).squeeze(2)  # phase 0 after silence
        cos, sin = self.steady.cos(), self.steady.sin()
        real, imag = real * cos + imag * sin, real * sin - imag * cos
        x, y = z.unbind(2)
        return torch.stack([x * real - y * imag, x * imag + y * real], 2)

    def extra_repr(self) -> str:
        """Return the sizes."""
        sizes = f"hop_samples={self.hop_samples}, windows={self.windows}"
        return f"{sizes}, phase={self.phase!r}, magnitude_bias={self.magnitude_bias}"


def _triangles(freq_hz: Tensor, sample_rate: int, size: int, ratio: float) -> Tensor:
    """Return triangular filters [size / 2 + 1, F] from a window's FFT bins to log frequency.

    Their alternating signs refer the phase to the window's centre.
    """
    centres = freq_hz * size / sample_rate
    widths = (centres * (ratio - 1)).clamp_min(1.0)
    bins = torch.arange(size // 2 + 1, dtype=torch.float64, device=centres.device)
    weights = F.relu(1 - (bins[:, None] - centres).abs() / widths)
    # Divided by the width, for wider filters sum over more bins of the same partial.
    return (weights / widths * (1.0 - 2.0 * (bins % 2))[:, None]).float()
