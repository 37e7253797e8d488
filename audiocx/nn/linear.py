"""Complex-valued fully connected layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .functional import accepts_complex, complex_linear
from .init import Criterion, Scheme, init_complex_

__all__ = ["ComplexLinear"]


class ComplexLinear(nn.Module):
    """Multiplies by a learnt complex matrix and adds a complex bias.

    Shape: input [*, 2I] real, real parts first, or [*, I] complex; output [*, 2O] or [*, O], of the input's kind.

    Args:
        in_features: I, complex.
        out_features: O, complex.
        bias: Adds a learnt bias, 0 at first.
        scheme: Initialisation, "unitary" or "rayleigh".
        criterion: "he" or "glorot".

    Source: DCN, section 3.2.
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

    @accepts_complex(dim=-1)
    def forward(self, x: Tensor) -> Tensor:
        """Applies the layer; see the class for shapes."""
        return complex_linear(x, self.weight_real, self.weight_imag, self.bias)

    def extra_repr(self) -> str:
        """Names the sizes."""
        rows, columns = self.weight_real.shape
        return f"in_features={columns}, out_features={rows}, bias={self.bias is not None}"
