"""Filtered spectra of one window length: by FFT, and by matrix products for exported networks.

Each filter looks at few neighbouring lines, so that filters are applied in bands, groups of neighbouring filters and
only their lines: a twelfth of the multiplications of one product with all lines.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FilteredSpectrum", "MatmulSpectrum"]

# Few matrix products, and few weights of zero.
_BAND_FILTERS = 24


class FilteredSpectrum(nn.Module):
    """The short-time Fourier transform with a Hann window of unit area, mapped to bins by real filters.

    Shape: input [B, N] float32, N >= size; output [B, 2, T, F], real parts, then imaginary parts; frame t begins at
    sample t * hop_samples.

    Args:
        filters: Weights of lines in filters, float32 [size / 2 + 1, F].
        hop_samples: Hop from frame to frame.
    """

    hann: Tensor

    def __init__(self, filters: Tensor, hop_samples: int) -> None:
        super().__init__()
        self.filters, self.hop_samples, self.size = filters, hop_samples, 2 * (len(filters) - 1)
        self.ranges: list[tuple[int, int]] = []
        # On the CPU even if the network is built on "meta" to be loaded later: buffers are not saved.
        hann = torch.hann_window(self.size, dtype=torch.float32, device="cpu") * (2 / self.size)
        self.register_buffer("hann", hann, persistent=False)
        for index, band in enumerate(filters.split(_BAND_FILTERS, 1)):
            lines = band.any(1).nonzero().flatten().tolist() or [0]
            self.ranges.append((lines[0], lines[-1] + 1))
            self.register_buffer(f"band_{index}", band[slice(*self.ranges[-1])].clone(), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """Compute the spectra; see the class for shapes."""
        frames = samples.unfold(1, self.size, self.hop_samples) * self.hann
        lines = torch.view_as_real(torch.fft.rfft(frames)).mT
        # As one matrix: the filters are real, so they apply to real and imaginary parts alike.
        rows = lines.flatten(0, 2)
        bands = [rows[:, start:stop] @ band for (start, stop), band in self.bands()]
        return torch.cat(bands, 1).unflatten(0, lines.shape[:3]).transpose(1, 2)

    def bands(self) -> list[tuple[tuple[int, int], Tensor]]:
        """Return each band's lines, from first to before last, and its weights, [lines, filters]."""
        return [(lines, getattr(self, f"band_{index}")) for index, lines in enumerate(self.ranges)]


class MatmulSpectrum(FilteredSpectrum):
    """The same by a convolution and matrix products: one step of Cooley and Tukey's algorithm.

    The input's length is a multiple of the greatest common divisor of size and hop_samples.

    onnxruntime's own DFT takes longer than all convolutions of a note network; this takes a tenth of it.

    Args:
        filters: Weights of lines in filters, float32 [size / 2 + 1, F]; none of the last line.
        hop_samples: Hop from frame to frame; it and the size have an even common divisor.

    Source: Cooley & Tukey, "An algorithm for the machine calculation of complex Fourier series", 1965.
    """

    kernels: Tensor
    rows: Tensor

    def __init__(self, filters: Tensor, hop_samples: int) -> None:
        super().__init__(filters, hop_samples)
        # The sum over samples i + outer * j goes over j first; lines are l + inner * k, k < outer / 2.
        size, evens = self.size, range(2, hop_samples + 1, 2)
        outer = max(n for n in evens if size % n == 0 and hop_samples % n == 0 and n * n <= size)
        self.outer, self.inner = outer, size // outer
        i, j = (torch.arange(n, dtype=torch.float64, device="cpu") for n in (outer, self.inner))
        samples = i[:, None] + outer * j
        kernels = torch.stack(_phasor(samples[:, None] * j[:, None], size), 1)
        kernels = kernels * self.hann.double()[samples.long()][:, None, None]
        real, imag = _phasor(i[: outer // 2, None] * i, outer)
        rows = torch.stack([torch.stack([real, -imag], -1), torch.stack([imag, real], -1)])
        self.register_buffer("kernels", kernels.float().flatten(0, 2).unsqueeze(1), persistent=False)
        self.register_buffer("rows", rows.float().flatten(2).flatten(0, 1), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """Compute the spectra; see :class:`FilteredSpectrum` for shapes."""
        outer = self.outer
        x = samples.unflatten(1, (-1, outer)).mT
        y = F.conv1d(x, self.kernels, stride=self.hop_samples // outer, groups=outer)
        # [B, outer * 2 * inner, T] to [B, outer * 2, inner * T]: nothing moves in memory, the frames last.
        y = self.rows @ y.unflatten(1, (2 * outer, self.inner)).flatten(2)
        lines = y.view(samples.shape[0], 2, self.size // 2, -1)
        return torch.cat([lines[:, :, start:stop].mT @ band for (start, stop), band in self.bands()], -1)


def _phasor(products: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return exp(-2 pi i products / size), the real and the imaginary part."""
    angles = -2 * torch.pi * (products % size) / size
    return angles.cos(), angles.sin()
