"""Complex-valued bilinear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .functional import check_channels, complex_linear, describe, split, to_channels, to_complex
from .init import Criterion, Scheme, init_complex_, parameter_options

__all__ = ["ComplexBilinear"]


class ComplexBilinear(nn.Module):
    """Complex bilinear layer: y_k = u^H W_k v + b_k, or u^T W_k v + b_k.

    Args:
        in1_features: I, complex features of u.
        in2_features: J, complex features of v.
        out_features: O, complex features of the output.
        bias: Add a learnable complex bias, initially 0.
        conjugate: Conjugate u. Without, and with real inputs and weights, the layer is ``torch.nn.Bilinear``.
        scheme: Initialisation of W as a matrix [O, I J], "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of W, "he" or "glorot".
        device: Of the parameters.
        dtype: Of the parameters, real.

    Shape:
        - Inputs: real [*, 2I] and [*, 2J], real parts first, or complex [*, I] and [*, J].
        - Output: [*, 2O] or [*, O], same kind as the inputs.

    Attributes:
        weight_real: Real part of W, [O, I, J].
        weight_imag: Imaginary part of W, [O, I, J].
        bias: Real parts of b, then imaginary parts, [2O]; None without bias.

    Raises:
        ValueError: Unknown scheme or criterion, a dtype that is not real, or inputs that do not fit.

    Examples:
        >>> layer = ComplexBilinear(4, 5, 3)
        >>> u, v = (torch.randn(8, size, dtype=torch.complex64) for size in (4, 5))
        >>> layer(u, v).shape
        torch.Size([8, 3])
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        conjugate: bool = True,
        scheme: Scheme = "unitary",
        criterion: Criterion = "he",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.conjugate = conjugate
        options = parameter_options(device, dtype)
        self.weight_real = nn.Parameter(torch.empty(out_features, in1_features, in2_features, **options))
        self.weight_imag = nn.Parameter(torch.empty(out_features, in1_features, in2_features, **options))
        self.bias = nn.Parameter(torch.zeros(2 * out_features, **options)) if bias else None
        init_complex_(self.weight_real, self.weight_imag, scheme, criterion)

    def check_inputs(self, u: Tensor, v: Tensor) -> None:
        """Raise ValueError unless the inputs fit, real or complex."""
        check_channels(self, u, self.weight_real.shape[1], -1)
        check_channels(self, v, self.weight_real.shape[2], -1)
        if u.is_complex() != v.is_complex() or u.shape[:-1] != v.shape[:-1]:
            raise ValueError(
                f"{type(self).__name__} takes two inputs [*, features] that differ in their features alone, both real "
                f"or both complex, not {describe(u)} and {describe(v)}."
            )

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """Apply the layer.

        Args:
            u: Real [*, 2I] or complex [*, I].
            v: Real [*, 2J] or complex [*, J].

        Returns:
            Real [*, 2O] or complex [*, O].
        """
        self.check_inputs(u, v)
        if u.is_complex():
            return to_complex(self._product(to_channels(u, -1), to_channels(v, -1)).to(u.real.dtype), -1)
        return self._product(u, v)

    def _product(self, u: Tensor, v: Tensor) -> Tensor:
        sizes = self.weight_real.shape[:2]
        # W_k v first: one product of matrices, of all outputs and features of u.
        product = complex_linear(v, self.weight_real.flatten(0, 1), self.weight_imag.flatten(0, 1))
        real, imag = (part.unflatten(-1, sizes) for part in split(product, -1))
        u_real, u_imag = (part.unsqueeze(-1).to(product.dtype) for part in split(u, -1))
        u_imag = -u_imag if self.conjugate else u_imag
        y = torch.cat([real @ u_real - imag @ u_imag, imag @ u_real + real @ u_imag], -2).squeeze(-1)
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        rows, one, two = self.weight_real.shape
        return (
            f"in1_features={one}, in2_features={two}, out_features={rows}, bias={self.bias is not None}, "
            f"conjugate={self.conjugate}"
        )
