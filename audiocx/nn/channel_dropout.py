"""Dropout of whole complex channels (feature maps)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import accepts_complex, describe, split

__all__ = ["ComplexDropout1d", "ComplexDropout2d", "ComplexDropout3d"]


class _ChannelDropout(nn.Module):
    """Dropout over a number of axes."""

    axes: int

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"The dropout probability must lie in [0, 1], not {p}.")
        self.p = p

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
        real, imag = split(x, channel)
        # Of one position, or of none where an axis has none.
        mask = real
        for axis in range(-self.axes, 0):
            mask = mask.narrow(axis, 0, min(1, mask.shape[axis]))
        mask = F.dropout(torch.ones_like(mask), self.p)
        return torch.cat([real * mask, imag * mask], channel)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"p={self.p}"


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
