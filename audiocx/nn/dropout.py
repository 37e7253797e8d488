"""Dropout of complex numbers, and of whole complex channels (feature maps)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .activation import channel_axis
from .functional import accepts_complex, complex_dropout, describe, split

__all__ = ["ComplexDropout", "ComplexDropout1d", "ComplexDropout2d", "ComplexDropout3d"]


class _Dropout(nn.Module):
    """A layer with a probability."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"The dropout probability must lie in [0, 1], not {p}.")
        self.p = p

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"p={self.p}"


class ComplexDropout(_Dropout):
    """Dropout of whole complex numbers: real and imaginary part share one mask.

    Args:
        p: Probability of an element to be zeroed, 0 <= p <= 1. The others are scaled by 1 / (1 - p).
        dim: Channel axis.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Raises:
        ValueError: p is out of range.
    """

    def __init__(self, p: float = 0.5, dim: int = 1) -> None:
        super().__init__(p)
        self.dim = dim

    @accepts_complex(dim=channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.complex_dropout`."""
        return complex_dropout(x, self.p, self.training, channel_axis(self, x))


class _ChannelDropout(_Dropout):
    """Dropout over a number of axes."""

    axes: int

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input has a channel axis, and a batch or none."""
        if x.ndim - self.axes not in (1, 2):
            sizes = ("L", "H, W", "D, H, W")[self.axes - 1]
            raise ValueError(
                f"{type(self).__name__} takes a complex tensor [B, C, {sizes}] or real channels [B, 2C, {sizes}], "
                f"with or without B, not {describe(x)}."
            )

    @accepts_complex(dim=lambda layer, x: x.ndim - layer.axes - 1)
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        if not self.training or self.p == 0:
            return x
        channel = x.ndim - self.axes - 1
        real, _ = split(x, channel)
        mask = F.dropout(real.new_ones(real.shape[: channel + 1]), self.p)
        mask = mask.unsqueeze(channel)[(...,) + (None,) * self.axes]
        return (x.unflatten(channel, (2, -1)) * mask).flatten(channel, channel + 1)


class ComplexDropout1d(_ChannelDropout):
    """Dropout of whole complex channels over one axis: all of a channel's numbers share one mask.

    Args:
        p: Probability of a channel to be zeroed in training, 0 <= p <= 1. The others are scaled by 1 / (1 - p).

    Shape:
        - Input: real [B, 2C, L], real parts first, or complex [B, C, L]; with or without B.
        - Output: same shape and kind as the input.

    Raises:
        ValueError: p is out of range, or an input of other axes.

    Source: Tompson et al., "Efficient object localization using convolutional networks", 2015, section 3.2.

    Examples:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> ComplexDropout1d(0.5)(torch.full((1, 4, 3), 3 + 4j)).abs()
        tensor([[[ 0.,  0.,  0.],
                 [ 0.,  0.,  0.],
                 [10., 10., 10.],
                 [ 0.,  0.,  0.]]])
    """

    axes = 1


class ComplexDropout2d(_ChannelDropout):
    """Dropout of whole complex channels over two axes; see :class:`ComplexDropout1d`.

    Args:
        p: Probability of a channel to be zeroed in training, 0 <= p <= 1. The others are scaled by 1 / (1 - p).

    Shape:
        - Input: real [B, 2C, H, W], real parts first, or complex [B, C, H, W]; with or without B.
        - Output: same shape and kind as the input.

    Raises:
        ValueError: p is out of range, or an input of other axes.
    """

    axes = 2


class ComplexDropout3d(_ChannelDropout):
    """Dropout of whole complex channels over three axes; see :class:`ComplexDropout1d`.

    Args:
        p: Probability of a channel to be zeroed in training, 0 <= p <= 1. The others are scaled by 1 / (1 - p).

    Shape:
        - Input: real [B, 2C, D, H, W], real parts first, or complex [B, C, D, H, W]; with or without B.
        - Output: same shape and kind as the input.

    Raises:
        ValueError: p is out of range, or an input of other axes.
    """

    axes = 3
