"""Pooling of complex feature maps."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .functional import accepts_complex, describe, magnitude_max_pool

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

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex, with or without batch."""
        pooled = self.pooled_axes(x)
        if x.ndim - pooled not in (1, 2) or (not x.is_complex() and x.shape[-1 - pooled] % 2):
            expected = " or ".join(("[B, C, L]", "[B, C, H, W]")[axes - 1] for axes in self.axes)
            raise ValueError(
                f"{type(self).__name__} takes a complex tensor {expected}, or real channels, 2C instead of C, with or "
                f"without B, not {describe(x)}."
            )

    def pooled_axes(self, x: Tensor) -> int:
        """Return the number of axes to pool over; the input of an old pool, with a single size, has B."""
        if len(self.axes) == 1:
            return self.axes[0]
        sizes = [len(size) for size in (self.kernel_size, self.stride) if not isinstance(size, int)]
        return max(sizes) if sizes else 2 if x.ndim == 4 else 1

    @accepts_complex(dim=lambda pool, x: -1 - pool.pooled_axes(x))
    def forward(self, x: Tensor) -> Tensor:
        """Pool each window."""
        pooled = self.pooled_axes(x)
        return self._pool(x, pooled) if x.ndim == pooled + 2 else self._pool(x[None], pooled)[0]

    def _pool(self, x: Tensor, axes: int) -> Tensor:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class ComplexAvgPool(_Pool):
    """Average pooling over one or two axes: the name of version 0.1.

    Use :class:`ComplexAvgPool1d` or :class:`ComplexAvgPool2d`. With a single size an input of three axes is
    [B, C, L] here, never [C, H, W].

    Args:
        kernel_size: Size of the window, one number or one per axis.
        stride: Step of the window; ``kernel_size`` when None.
    """

    def _pool(self, x: Tensor, axes: int) -> Tensor:
        pool = F.avg_pool2d if axes == 2 else F.avg_pool1d
        return pool(x, self.kernel_size, self.stride)


class ComplexAvgPool1d(ComplexAvgPool):
    """Average pooling over one axis; linear, and so the same for real and imaginary parts.

    Args:
        kernel_size: Size of the window.
        stride: Step of the window; ``kernel_size`` when None.

    Shape:
        - Input: real [B, 2C, L], real parts first, or complex [B, C, L]; with or without B.
        - Output: [B, 2C, L'] or [B, C, L'], same kind as the input, L' = floor((L - kernel_size) / stride) + 1.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.

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
        - Input: real [B, 2C, H, W], real parts first, or complex [B, C, H, W]; with or without B.
        - Output: [B, 2C, H', W'] or [B, C, H', W'], same kind as the input; sizes as for ``torch.nn.AvgPool2d``.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.
    """

    axes = (2,)


class MagnitudeMaxPool(_Pool):
    """Max pooling by magnitude over one or two axes: the name of version 0.1.

    Use :class:`MagnitudeMaxPool1d` or :class:`MagnitudeMaxPool2d`. With a single size an input of three axes is
    [B, C, L] here, never [C, H, W].

    Args:
        kernel_size: Size of the window, one number or one per axis.
        stride: Step of the window; ``kernel_size`` when None.
    """

    def _pool(self, x: Tensor, axes: int) -> Tensor:
        return magnitude_max_pool(x, self.kernel_size, self.stride)


class MagnitudeMaxPool1d(MagnitudeMaxPool):
    """Max pooling by magnitude over one axis: selects the complex number of greatest magnitude, with its phase.

    Args:
        kernel_size: Size of the window.
        stride: Step of the window; ``kernel_size`` when None.

    Shape:
        - Input: real [B, 2C, L], real parts first, or complex [B, C, L]; with or without B.
        - Output: [B, 2C, L'] or [B, C, L'], same kind as the input, L' = floor((L - kernel_size) / stride) + 1.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.

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
        - Input: real [B, 2C, H, W], real parts first, or complex [B, C, H, W]; with or without B.
        - Output: [B, 2C, H', W'] or [B, C, H', W'], same kind as the input; sizes as for ``torch.nn.MaxPool2d``.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.
    """

    axes = (2,)
