"""Complex-valued linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .functional import accepts_complex, check_channels, complex_linear
from .init import Criterion, Scheme, init_complex_

__all__ = ["ComplexLinear"]


class ComplexLinear(nn.Module):
    """Complex linear layer: y = W z + b.

    Args:
        in_features: I, complex features of the input.
        out_features: O, complex features of the output.
        bias: Add a learnable complex bias, initially 0.
        scheme: Initialisation of W, "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of W, "he" or "glorot".

    Shape:
        - Input: real [*, 2I], real parts first, or complex [*, I].
        - Output: [*, 2O] or [*, O], same kind as the input.

    Attributes:
        weight_real: Real part of W, float32 [O, I].
        weight_imag: Imaginary part of W, float32 [O, I].
        bias: Real parts of b, then imaginary parts, float32 [2O]; None without bias.

    Raises:
        ValueError: Unknown scheme or criterion, or an input of other features.

    Source: DCN, section 3.2.

    Examples:
        >>> layer = ComplexLinear(4, 3)
        >>> layer(torch.randn(8, 4, dtype=torch.complex64)).shape
        torch.Size([8, 3])
        >>> layer(torch.randn(8, 2 * 4)).shape
        torch.Size([8, 6])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        scheme: Scheme = "unitary",
        criterion: Criterion = "he",
    ) -> None:
        super().__init__()
        self.weight_real = nn.Parameter(torch.empty(out_features, in_features))
        self.weight_imag = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(2 * out_features)) if bias else None
        init_complex_(self.weight_real, self.weight_imag, scheme, criterion)

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, self.weight_real.shape[1], -1)

    @accepts_complex(dim=-1)
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return complex_linear(x, self.weight_real, self.weight_imag, self.bias)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        rows, columns = self.weight_real.shape
        return f"in_features={columns}, out_features={rows}, bias={self.bias is not None}"
