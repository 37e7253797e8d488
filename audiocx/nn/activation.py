"""Complex activations as layers, and dropout with one mask for both parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .functional import accepts_complex, complex_dropout, crelu, modrelu, zrelu

__all__ = ["ComplexDropout", "CReLU", "ModReLU", "ZReLU"]


class CReLU(nn.Module):
    """ReLU on the real and on the imaginary part.

    Shape: [B, 2C, *] real, real parts first, or [B, C, *] complex; output as input.

    Source: DCN, section 3.4.
    """

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Applies :func:`audiocx.nn.functional.crelu`."""
        return crelu(x)


class ZReLU(nn.Module):
    """Keeps z where both its parts are >= 0, else gives 0.

    Shape: [B, 2C, *] real, real parts first, or [B, C, *] complex; output as input.

    Source: Guberman 2016; DCN, section 3.4.
    """

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Applies :func:`audiocx.nn.functional.zrelu`."""
        return zrelu(x)


class ModReLU(nn.Module):
    """ReLU(|z| + b) z / |z| with a learnt real b per channel, 0 at first.

    Shape: [B, 2C, *] real, real parts first, or [B, C, *] complex; output as input.

    Args:
        channels: C, complex.

    Source: Arjovsky et al. 2016, equation 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Applies :func:`audiocx.nn.functional.modrelu`."""
        return modrelu(x, self.bias)


class ComplexDropout(nn.Module):
    """Zeroes complex numbers whole, with one mask for both parts, while training.

    Shape: [B, 2C, *] real, real parts first, or [B, C, *] complex; output as input.

    Args:
        p: Probability of zeroing, 0 <= p <= 1.

    Raises:
        ValueError: p out of range.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"The dropout probability lies in [0, 1], not {p}.")
        self.p = p

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Applies :func:`audiocx.nn.functional.complex_dropout`."""
        return complex_dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """Names the probability."""
        return f"p={self.p}"
