"""Complex-valued linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .functional import accepts_complex, check_channels, complex_linear
from .init import Criterion, Scheme, check_real, copy_real, init_complex_, parameter_options

__all__ = ["ComplexLinear"]


class ComplexLinear(nn.Module):
    """Complex linear layer: y = W z + b.

    Args:
        in_features: I, complex features of the input.
        out_features: O, complex features of the output.
        bias: Add a learnable complex bias, initially 0.
        scheme: Initialisation of W, "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of W, "he" or "glorot".
        device: Device of the parameters.
        dtype: Dtype of the parameters, real; the start weights have its full precision.

    Shape:
        - Input: real [*, 2I], real parts first, or complex [*, I].
        - Output: [*, 2O] or [*, O], same kind as the input.

    Attributes:
        weight_real: Real part of W, [O, I].
        weight_imag: Imaginary part of W, [O, I].
        bias: Real parts of b, then imaginary parts, [2O]; None without bias.

    Raises:
        ValueError: Unknown scheme or criterion, a dtype that is not real, or an input of other features.

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
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        options = parameter_options(device, dtype)
        self.weight_real = nn.Parameter(torch.empty(out_features, in_features, **options))
        self.weight_imag = nn.Parameter(torch.empty(out_features, in_features, **options))
        self.bias = nn.Parameter(torch.zeros(2 * out_features, **options)) if bias else None
        init_complex_(self.weight_real, self.weight_imag, scheme, criterion)

    @classmethod
    def from_real(cls, real: nn.Linear) -> ComplexLinear:
        """Make a complex layer from a real one: A z + b, with real A and b.

        The real layer's output for the real parts is that of the new one, and the imaginary parts are multiplied by A
        alone. The imaginary parts of W and b are zero, and parameters like the others.

        Args:
            real: Layer of I to O features; I and O are complex ones then. Its weights are copied.

        Returns:
            Layer of the same dtype, device and mode.

        Raises:
            TypeError: Another layer, or one whose weights are not real.

        Examples:
            >>> layer = ComplexLinear.from_real(torch.nn.Linear(4, 3))
            >>> layer
            ComplexLinear(in_features=4, out_features=3, bias=True)
        """
        check_real(cls, real, nn.Linear)
        layer = cls(
            real.in_features, real.out_features, real.bias is not None, device="meta", dtype=real.weight.dtype
        )  # fmt: skip
        return copy_real(layer, real)

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
