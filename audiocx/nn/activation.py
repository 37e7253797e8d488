"""Complex activations and dropout."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .functional import accepts_complex, check_channels, complex_dropout, crelu, modrelu, zrelu

__all__ = ["ComplexDropout", "CReLU", "ModReLU", "ZReLU"]


def _channel_axis(layer: nn.Module, x: Tensor) -> int:
    """Return 1, or 0 for a vector: layers without parameters take any shape of a complex tensor."""
    return min(1, x.ndim - 1)


class CReLU(nn.Module):
    """ReLU on the real and on the imaginary part: CReLU(z) = ReLU(Re z) + i ReLU(Im z).

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Source: DCN, section 3.4.

    Examples:
        >>> CReLU()(torch.tensor([[1 + 2j, -1 + 2j, -1 - 2j]]))
        tensor([[1.+2.j, 0.+2.j, 0.+0.j]])
    """

    @accepts_complex(dim=_channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.crelu`."""
        return crelu(x)


class ZReLU(nn.Module):
    """Identity where both parts are non-negative (phase in [0, pi/2]), 0 elsewhere.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Source: Guberman, "On complex valued convolutional neural networks", 2016; DCN, section 3.4.

    Examples:
        >>> ZReLU()(torch.tensor([[3 + 4j, -3 + 4j, -3 - 4j]])).abs()
        tensor([[5., 0., 0.]])
    """

    @accepts_complex(dim=_channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.zrelu`."""
        return zrelu(x, _channel_axis(self, x))


class ModReLU(nn.Module):
    """ReLU on the shifted magnitude; the phase is kept: modReLU(z) = ReLU(|z| + b) z / |z|.

    Args:
        channels: C, complex channels. Each has a learnable real bias b, initially 0.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Raises:
        ValueError: The input has another number of channels; one without batch is not taken.

    Source: Arjovsky et al., "Unitary Evolution Recurrent Neural Networks", 2016, equation 8.

    Examples:
        >>> layer = ModReLU(1)
        >>> _ = nn.init.constant_(layer.bias, -2.5)
        >>> layer(torch.tensor([[3 + 4j]])).detach()
        tensor([[1.5000+2.j]])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, len(self.bias))

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.modrelu`."""
        return modrelu(x, self.bias)

    def extra_repr(self) -> str:
        """Return the size shown by ``repr``."""
        return str(len(self.bias))


class ComplexDropout(nn.Module):
    """Dropout of whole complex numbers: real and imaginary part share one mask.

    Args:
        p: Probability of an element to be zeroed, 0 <= p <= 1. The others are scaled by 1 / (1 - p).

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Raises:
        ValueError: p is out of range.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"The dropout probability must lie in [0, 1], not {p}.")
        self.p = p

    @accepts_complex(dim=_channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.complex_dropout`."""
        return complex_dropout(x, self.p, self.training, _channel_axis(self, x))

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"p={self.p}"
