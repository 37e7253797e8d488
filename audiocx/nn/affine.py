"""Affine map of each complex channel by a real 2x2 matrix."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from .functional import accepts_complex, check_channels, split

__all__ = ["ComplexAffine"]


class ComplexAffine(nn.Module):
    """Widely linear map of each channel: (Re y, Im y) = M (Re z, Im z) + b, with a general real 2x2 matrix M.

    The affine part of other libraries' normalisations, whose M need not be symmetric as in :class:`ComplexBatchNorm`;
    :func:`from_complextorch` and :func:`from_torchcvnn` put it after a normalisation where it is not.

    Args:
        channels: C, complex channels.
        dim: Channel axis, 1 or -1.
        device: Of the parameters.
        dtype: Of the parameters, real.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *]; with ``dim=-1`` [*, 2C] or [*, C].
        - Output: same shape and kind as the input.

    Attributes:
        weight: Entries rr, ri, ir and ii of M, float32 [4, C], initially the identity.
        bias: Real parts of b, then imaginary parts, float32 [2C], initially 0.

    Raises:
        ValueError: The input has other channels.

    Source: Picinbono and Chevalier, "Widely linear estimation with complex data", 1995.

    Examples:
        >>> layer = ComplexAffine(1)
        >>> with torch.no_grad():
        ...     _ = layer.weight.copy_(torch.tensor([[1.0], [0.0], [0.0], [-1.0]]))  # the conjugate
        >>> layer(torch.tensor([[3 + 4j]])).detach()
        tensor([[3.-4.j]])
    """

    def __init__(
        self,
        channels: int,
        dim: Literal[1, -1] = 1,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.dim = channels, dim
        self.weight = nn.Parameter(torch.zeros(4, channels, device=device, dtype=dtype))
        nn.init.ones_(self.weight[::3])
        self.bias = nn.Parameter(torch.zeros(2 * channels, device=device, dtype=dtype))

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, self.channels, self.dim)

    @accepts_complex(dim=lambda layer, x: layer.dim)
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        shape = [1] * x.ndim
        shape[self.dim] = self.channels
        rr, ri, ir, ii, b_real, b_imag = (part.to(x.dtype).view(shape) for part in (*self.weight, *self.bias.chunk(2)))
        real, imag = split(x, self.dim)
        parts = [(b_real, rr, ri), (b_imag, ir, ii)]
        return torch.cat([torch.addcmul(torch.addcmul(b, a, real), c, imag) for b, a, c in parts], self.dim)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return str(self.channels) if self.dim == 1 else f"{self.channels}, dim={self.dim}"
