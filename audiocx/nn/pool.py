"""Pooling of complex feature maps."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .functional import accepts_complex, magnitude_max_pool

Size = int | tuple[int, ...]

__all__ = [
    "ComplexAvgPool",
    "ComplexAvgPool1d",
    "ComplexAvgPool2d",
    "MagnitudeMaxPool",
    "MagnitudeMaxPool1d",
    "MagnitudeMaxPool2d",
]


class _Pool(nn.Module):
    axes: tuple[int, ...] = (1, 2)

    def __init__(self, kernel_size: Size, stride: Size | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size

    def _check(self, x: Tensor) -> None:
        if x.ndim - 2 not in self.axes:
            expected = " or ".join(("[B, C, L]", "[B, C, H, W]")[axes - 1] for axes in self.axes)
            raise ValueError(f"{type(self).__name__} takes an input {expected}, not of shape {[*x.shape]}.")

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class ComplexAvgPool(_Pool):
    """Average pooling over one or two axes: the name of version 0.1.

    Use :class:`ComplexAvgPool1d` or :class:`ComplexAvgPool2d`, which check the number of axes.

    Args:
        kernel_size: Size of the window, one number or one per axis.
        stride: Step of the window; ``kernel_size`` when None.
    """

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Average each window."""
        self._check(x)
        pool = F.avg_pool2d if x.ndim == 4 else F.avg_pool1d
        return pool(x, self.kernel_size, self.stride)


class ComplexAvgPool1d(ComplexAvgPool):
    """Average pooling over one axis; linear, and so the same for real and imaginary parts.

    Args:
        kernel_size: Size of the window.
        stride: Step of the window; ``kernel_size`` when None.

    Shape:
        - Input: real [B, 2C, L], real parts first, or complex [B, C, L].
        - Output: [B, 2C, L'] or [B, C, L'], same kind as the input, L' = floor((L - kernel_size) / stride) + 1.

    Raises:
        ValueError: The input has another number of axes (in ``forward``).

    Examples:
        >>> import torch
        >>> ComplexAvgPool1d(2)(torch.tensor([[[1 + 1j, 3 - 1j]]]))
        tensor([[[2.+0.j]]])
    """

    axes = (1,)


class ComplexAvgPool2d(ComplexAvgPool):
    """Average pooling over two axes; linear, and so the same for real and imaginary parts.

    Args:
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window; ``kernel_size`` when None.

    Shape:
        - Input: real [B, 2C, H, W], real parts first, or complex [B, C, H, W].
        - Output: [B, 2C, H', W'] or [B, C, H', W'], same kind as the input; sizes as for ``torch.nn.AvgPool2d``.

    Raises:
        ValueError: The input has another number of axes (in ``forward``).
    """

    axes = (2,)


class MagnitudeMaxPool(_Pool):
    """Max pooling by magnitude over one or two axes: the name of version 0.1.

    Use :class:`MagnitudeMaxPool1d` or :class:`MagnitudeMaxPool2d`, which check the number of axes.

    Args:
        kernel_size: Size of the window, one number or one per axis.
        stride: Step of the window; ``kernel_size`` when None.
    """

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Select the number of greatest magnitude in each window."""
        self._check(x)
        return magnitude_max_pool(x, self.kernel_size, self.stride)


class MagnitudeMaxPool1d(MagnitudeMaxPool):
    """Max pooling by magnitude over one axis: selects the complex number of greatest magnitude, with its phase.

    Args:
        kernel_size: Size of the window.
        stride: Step of the window; ``kernel_size`` when None.

    Shape:
        - Input: real [B, 2C, L], real parts first, or complex [B, C, L].
        - Output: [B, 2C, L'] or [B, C, L'], same kind as the input, L' = floor((L - kernel_size) / stride) + 1.

    Raises:
        ValueError: The input has another number of axes (in ``forward``).

    Examples:
        >>> import torch
        >>> MagnitudeMaxPool1d(2)(torch.tensor([[[1 + 1j, 0 - 3j]]]))
        tensor([[[0.-3.j]]])
    """

    axes = (1,)


class MagnitudeMaxPool2d(MagnitudeMaxPool):
    """Max pooling by magnitude over two axes: selects the complex number of greatest magnitude, with its phase.

    Args:
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window; ``kernel_size`` when None.

    Shape:
        - Input: real [B, 2C, H, W], real parts first, or complex [B, C, H, W].
        - Output: [B, 2C, H', W'] or [B, C, H', W'], same kind as the input; sizes as for ``torch.nn.MaxPool2d``.

    Raises:
        ValueError: The input has another number of axes (in ``forward``).
    """

    axes = (2,)
