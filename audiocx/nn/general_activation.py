"""Activations made of any real function: of both parts, or of the magnitude; and the magnitude itself."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from .activation import channel_axis
from .functional import accepts_complex, magnitude, radial, to_channels

__all__ = ["Magnitude", "RadialActivation", "SplitActivation"]


class _General(nn.Module):
    """A layer with a real function and a channel axis."""

    def __init__(self, function: Callable[[Tensor], Tensor], dim: int = 1) -> None:
        super().__init__()
        self.function, self.dim = function, dim

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``; a function that is a layer is shown by torch."""
        name = [] if isinstance(self.function, nn.Module) else [getattr(self.function, "__name__", "function")]
        return ", ".join([*name, *([] if self.dim == 1 else [f"dim={self.dim}"])])


class SplitActivation(_General):
    """Any real activation on the real and on the imaginary part: f(Re z) + i f(Im z).

    Args:
        function: f, elementwise: a layer such as ``torch.nn.ELU()`` or a function. Its parameters, if any, are shared
            by both parts.
        dim: Channel axis.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Examples:
        >>> import torch
        >>> SplitActivation(nn.Softsign())(torch.tensor([[1 - 3j]]))
        tensor([[0.5000-0.7500j]])
    """

    @accepts_complex(dim=channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return self.function(x)


class RadialActivation(_General):
    """Any real function of the magnitude; the phase is kept: f(|z|) z / |z|, and 0 at z = 0.

    For example ``torch.log1p``, or r / (1 + r) (``torch.nn.Softsign()``; Georgiou & Koutsougeras 1992).

    Args:
        function: f, elementwise, of magnitudes: a layer or a function.
        dim: Channel axis.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Source: Hirose, "Continuous complex-valued back-propagation learning", 1992; Georgiou & Koutsougeras, "Complex
    domain backpropagation", 1992.

    Examples:
        >>> import torch
        >>> RadialActivation(nn.Softsign())(torch.tensor([[3 + 4j, 0j]]))
        tensor([[0.5000+0.6667j, 0.0000+0.0000j]])
    """

    @accepts_complex(dim=channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.radial`."""
        return radial(x, self.function, channel_axis(self, x))


class Magnitude(nn.Module):
    """Magnitudes |z|, real, with gradient 0 (not NaN) at z = 0.

    Args:
        dim: Channel axis.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: real [B, C, *].

    Examples:
        >>> import torch
        >>> Magnitude()(torch.tensor([[3 + 4j]]))
        tensor([[5.]])
    """

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.magnitude`."""
        axis = channel_axis(self, x)
        return magnitude(to_channels(x, axis) if x.is_complex() else x, axis)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return "" if self.dim == 1 else f"dim={self.dim}"
