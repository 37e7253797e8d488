"""Pooling of complex feature maps."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .functional import accepts_complex, magnitude_max_pool

Size = int | tuple[int, ...]

__all__ = ["ComplexAvgPool", "MagnitudeMaxPool"]


class ComplexAvgPool(nn.Module):
    """Averages complex numbers; being linear, it treats both parts alike.

    Shape: [B, 2C, L] or [B, 2C, H, W] real, real parts first, or complex with C channels; output of the input's kind.

    Args:
        kernel_size: Pool length, along each axis or one number an axis.
        stride: Step; ``kernel_size`` when None.
    """

    def __init__(self, kernel_size: Size, stride: Size | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Pools."""
        pool = F.avg_pool2d if x.ndim == 4 else F.avg_pool1d
        return pool(x, self.kernel_size, self.stride)

    def extra_repr(self) -> str:
        """Names the sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class MagnitudeMaxPool(nn.Module):
    """Takes from each pool the complex number of the greatest magnitude, its phase with it.

    Shape: [B, 2C, L] or [B, 2C, H, W] real, real parts first, or complex with C channels; output of the input's kind.

    Args:
        kernel_size: Pool length, along each axis or one number an axis.
        stride: Step; ``kernel_size`` when None.
    """

    def __init__(self, kernel_size: Size, stride: Size | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Pools."""
        return magnitude_max_pool(x, self.kernel_size, self.stride)

    def extra_repr(self) -> str:
        """Names the sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"
