"""Pooling and upsampling of complex feature maps."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import accepts_complex, adaptive_magnitude_max_pool, describe, magnitude_max_pool

Size = int | tuple[int, ...]
OutputSize = int | tuple[int | None, ...]
UpsampleMode = Literal["nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear"]

_SHAPES = ("[B, C, L]", "[B, C, H, W]", "[B, C, D, H, W]")
_UPSAMPLE_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}

__all__ = [
    "ComplexAdaptiveAvgPool1d",
    "ComplexAdaptiveAvgPool2d",
    "ComplexAdaptiveAvgPool3d",
    "ComplexAvgPool",
    "ComplexAvgPool1d",
    "ComplexAvgPool2d",
    "ComplexAvgPool3d",
    "ComplexUpsample",
    "MagnitudeAdaptiveMaxPool1d",
    "MagnitudeAdaptiveMaxPool2d",
    "MagnitudeAdaptiveMaxPool3d",
    "MagnitudeMaxPool",
    "MagnitudeMaxPool1d",
    "MagnitudeMaxPool2d",
    "MagnitudeMaxPool3d",
    "UpsampleMode",
]


class _Pool(nn.Module):
    axes: tuple[int, ...]

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex, with or without batch."""
        pooled = self.pooled_axes(x)
        if x.ndim - pooled not in (1, 2) or (not x.is_complex() and x.shape[-1 - pooled] % 2):
            expected = " or ".join(_SHAPES[axes - 1] for axes in self.axes)
            raise ValueError(
                f"{type(self).__name__} takes a complex tensor {expected}, or real channels, 2C instead of C, with or "
                f"without B, not {describe(x)}."
            )

    def pooled_axes(self, x: Tensor) -> int:
        """Return the number of axes to pool over."""
        return self.axes[0]

    @accepts_complex(dim=lambda pool, x: -1 - pool.pooled_axes(x))
    def forward(self, x: Tensor) -> Tensor:
        """Pool each window."""
        pooled = self.pooled_axes(x)
        return self._pool(x, pooled) if x.ndim == pooled + 2 else self._pool(x[None], pooled)[0]

    def _pool(self, x: Tensor, axes: int) -> Tensor:
        raise NotImplementedError


class _WindowPool(_Pool):
    axes: tuple[int, ...] = (1, 2)

    def __init__(self, kernel_size: Size, stride: Size | None, padding: Size, ceil_mode: bool) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size
        self.padding, self.ceil_mode = padding, ceil_mode

    def pooled_axes(self, x: Tensor) -> int:
        """Return the number of axes to pool over; the input of an old pool, with a single size, has B."""
        if len(self.axes) == 1:
            return self.axes[0]
        sizes = [len(size) for size in (self.kernel_size, self.stride, self.padding) if isinstance(size, Sized)]
        return max(sizes) if sizes else 2 if x.ndim == 4 else 1

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        sizes = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{sizes}, ceil_mode={self.ceil_mode}"


class ComplexAvgPool(_WindowPool):
    """Average pooling over one or two axes: the name of version 0.1.

    Use :class:`ComplexAvgPool1d` or :class:`ComplexAvgPool2d`, which take the same arguments. With a single size an
    input of three axes is [B, C, L] here, never [C, H, W].
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    def _pool(self, x: Tensor, axes: int) -> Tensor:
        if axes == 3 and x.dtype in (torch.float16, torch.bfloat16) and not x.is_cuda:  # PyTorch has none there
            return self._pool(x.float(), axes).to(x.dtype)
        pool: Callable[..., Tensor] = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[axes - 1]
        return pool(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"{super().extra_repr()}, count_include_pad={self.count_include_pad}"


class ComplexAvgPool1d(ComplexAvgPool):
    """Average pooling over one axis; linear, and so the same for real and imaginary parts.

    Args:
        kernel_size: Size of the window.
        stride: Step of the window; ``kernel_size`` when None.
        padding: Zeros on both sides, at most half the window.
        ceil_mode: Keep a last window that reaches beyond the end.
        count_include_pad: Count the zeros of ``padding`` in the average.

    Shape:
        - Input: real [B, 2C, L], real parts first, or complex [B, C, L]; with or without B.
        - Output: [B, 2C, L'] or [B, C, L'], same kind as the input; sizes as for ``torch.nn.AvgPool1d``.

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
        kernel_size: Size of the window, one number or (height, width), as are the next two.
        stride: Step of the window; ``kernel_size`` when None.
        padding: Zeros on both sides, at most half the window.
        ceil_mode: Keep a last window that reaches beyond the end.
        count_include_pad: Count the zeros of ``padding`` in the average.

    Shape:
        - Input: real [B, 2C, H, W], real parts first, or complex [B, C, H, W]; with or without B.
        - Output: [B, 2C, H', W'] or [B, C, H', W'], same kind as the input; sizes as for ``torch.nn.AvgPool2d``.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.
    """

    axes = (2,)


class ComplexAvgPool3d(ComplexAvgPool):
    """Average pooling over three axes; linear, and so the same for real and imaginary parts.

    Args:
        kernel_size: Size of the window, one number or (depth, height, width), as are the next two.
        stride: Step of the window; ``kernel_size`` when None.
        padding: Zeros on both sides, at most half the window.
        ceil_mode: Keep a last window that reaches beyond the end.
        count_include_pad: Count the zeros of ``padding`` in the average.

    Shape:
        - Input: real [B, 2C, D, H, W], real parts first, or complex [B, C, D, H, W]; with or without B.
        - Output: [B, 2C, D', H', W'] or [B, C, D', H', W'], same kind as the input; sizes as for
          ``torch.nn.AvgPool3d``.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.
    """

    axes = (3,)


class MagnitudeMaxPool(_WindowPool):
    """Max pooling by magnitude over one or two axes: the name of version 0.1.

    Use :class:`MagnitudeMaxPool1d` or :class:`MagnitudeMaxPool2d`, which take the same arguments. With a single size
    an input of three axes is [B, C, L] here, never [C, H, W].
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation = dilation

    def _pool(self, x: Tensor, axes: int) -> Tensor:
        return magnitude_max_pool(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"{super().extra_repr()}, dilation={self.dilation}"


class MagnitudeMaxPool1d(MagnitudeMaxPool):
    """Max pooling by magnitude over one axis: selects the complex number of greatest magnitude, with its phase.

    Args:
        kernel_size: Size of the window.
        stride: Step of the window; ``kernel_size`` when None.
        padding: Positions added on both sides, never selected; at most half the window.
        dilation: Spacing of the window's elements.
        ceil_mode: Keep a last window that reaches beyond the end.

    Shape:
        - Input: real [B, 2C, L], real parts first, or complex [B, C, L]; with or without B.
        - Output: [B, 2C, L'] or [B, C, L'], same kind as the input; sizes as for ``torch.nn.MaxPool1d``.

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
        kernel_size: Size of the window, one number or (height, width), as are the next three.
        stride: Step of the window; ``kernel_size`` when None.
        padding: Positions added on both sides, never selected; at most half the window.
        dilation: Spacing of the window's elements.
        ceil_mode: Keep a last window that reaches beyond the end.

    Shape:
        - Input: real [B, 2C, H, W], real parts first, or complex [B, C, H, W]; with or without B.
        - Output: [B, 2C, H', W'] or [B, C, H', W'], same kind as the input; sizes as for ``torch.nn.MaxPool2d``.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.
    """

    axes = (2,)


class MagnitudeMaxPool3d(MagnitudeMaxPool):
    """Max pooling by magnitude over three axes: selects the complex number of greatest magnitude, with its phase.

    Args:
        kernel_size: Size of the window, one number or (depth, height, width), as are the next three.
        stride: Step of the window; ``kernel_size`` when None.
        padding: Positions added on both sides, never selected; at most half the window.
        dilation: Spacing of the window's elements.
        ceil_mode: Keep a last window that reaches beyond the end.

    Shape:
        - Input: real [B, 2C, D, H, W], real parts first, or complex [B, C, D, H, W]; with or without B.
        - Output: [B, 2C, D', H', W'] or [B, C, D', H', W'], same kind as the input; sizes as for
          ``torch.nn.MaxPool3d``.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.
    """

    axes = (3,)


class _AdaptivePool(_Pool):
    def __init__(self, output_size: OutputSize) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(_AdaptivePool):
    def _pool(self, x: Tensor, axes: int) -> Tensor:
        pools = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
        pool: Callable[..., Tensor] = pools[axes - 1]
        return pool(x, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    def _pool(self, x: Tensor, axes: int) -> Tensor:
        return adaptive_magnitude_max_pool(x, self.output_size)


class ComplexAdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Average pooling over one axis, to a given size.

    Args:
        output_size: L', number of windows.

    Shape:
        - Input: real [B, 2C, L], real parts first, or complex [B, C, L]; with or without B.
        - Output: [B, 2C, L'] or [B, C, L'], same kind as the input.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.

    Examples:
        >>> import torch
        >>> ComplexAdaptiveAvgPool1d(1)(torch.tensor([[[1 + 1j, 3 - 1j, 2 + 3j]]]))
        tensor([[[2.+1.j]]])
    """

    axes = (1,)


class ComplexAdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Average pooling over two axes, to a given size.

    Args:
        output_size: Windows, one number or (H', W'); None keeps an axis as it is.

    Shape:
        - Input: real [B, 2C, H, W], real parts first, or complex [B, C, H, W]; with or without B.
        - Output: [B, 2C, H', W'] or [B, C, H', W'], same kind as the input.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.
    """

    axes = (2,)


class ComplexAdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Average pooling over three axes, to a given size.

    Args:
        output_size: Windows, one number or (D', H', W'); None keeps an axis as it is.

    Shape:
        - Input: real [B, 2C, D, H, W], real parts first, or complex [B, C, D, H, W]; with or without B.
        - Output: [B, 2C, D', H', W'] or [B, C, D', H', W'], same kind as the input.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.
    """

    axes = (3,)


class MagnitudeAdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Max pooling by magnitude over one axis, to a given size; the selected numbers keep their phase.

    Args:
        output_size: L', number of windows.

    Shape:
        - Input: real [B, 2C, L], real parts first, or complex [B, C, L]; with or without B.
        - Output: [B, 2C, L'] or [B, C, L'], same kind as the input.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.

    Examples:
        >>> import torch
        >>> MagnitudeAdaptiveMaxPool1d(1)(torch.tensor([[[1 + 1j, 3 - 1j, 2 + 3j]]]))
        tensor([[[2.+3.j]]])
    """

    axes = (1,)


class MagnitudeAdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Max pooling by magnitude over two axes, to a given size; the selected numbers keep their phase.

    Args:
        output_size: Windows, one number or (H', W'); None keeps an axis as it is.

    Shape:
        - Input: real [B, 2C, H, W], real parts first, or complex [B, C, H, W]; with or without B.
        - Output: [B, 2C, H', W'] or [B, C, H', W'], same kind as the input.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.
    """

    axes = (2,)


class MagnitudeAdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Max pooling by magnitude over three axes, to a given size; the selected numbers keep their phase.

    Args:
        output_size: Windows, one number or (D', H', W'); None keeps an axis as it is.

    Shape:
        - Input: real [B, 2C, D, H, W], real parts first, or complex [B, C, D, H, W]; with or without B.
        - Output: [B, 2C, D', H', W'] or [B, C, D', H', W'], same kind as the input.

    Raises:
        ValueError: The input has another number of axes, or an odd number of real channels.
    """

    axes = (3,)


class ComplexUpsample(nn.Module):
    """Upsampling over one, two or three axes; every mode is linear in the numbers, and so the same for both parts.

    Between numbers of different phase, linear modes pass through smaller magnitudes: through 0 between z and -z.

    Args:
        size: Sizes of the output, one number or one per axis.
        scale_factor: Factors of the sizes, one number or one per axis; either this or ``size``.
        mode: "nearest" or "nearest-exact" (one to three axes), "linear" (one), "bilinear" or "bicubic" (two),
            "trilinear" (three).
        align_corners: Keep the first and the last number of each axis; for linear and bicubic modes.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: Same kind as the input; sizes as for ``torch.nn.Upsample``.

    Raises:
        ValueError: Neither or both of ``size`` and ``scale_factor``, an unknown mode, ``align_corners`` with "nearest",
            or an input that does not fit.

    Examples:
        >>> import torch
        >>> ComplexUpsample(scale_factor=2)(torch.tensor([[[1 + 1j, 3j]]]))
        tensor([[[1.+1.j, 1.+1.j, 0.+3.j, 0.+3.j]]])
    """

    def __init__(
        self,
        size: Size | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: UpsampleMode = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError("ComplexUpsample takes either size or scale_factor.")
        if mode not in get_args(UpsampleMode):
            raise ValueError(f"The mode must be one of {', '.join(get_args(UpsampleMode))}, not {mode!r}.")
        if align_corners is not None and mode not in _UPSAMPLE_AXES:
            raise ValueError(f"align_corners is for {', '.join(_UPSAMPLE_AXES)}, not {mode}; leave it out.")
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        axes = _UPSAMPLE_AXES.get(self.mode)
        fits = x.ndim - 2 in ((1, 2, 3) if axes is None else (axes,))
        if not fits or (not x.is_complex() and x.shape[1] % 2):
            expected = " or ".join(_SHAPES) if axes is None else _SHAPES[axes - 1]
            raise ValueError(
                f"ComplexUpsample(mode={self.mode!r}) takes a complex tensor {expected}, or real channels, 2C instead "
                f"of C, not {describe(x)}."
            )

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return F.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        sizes = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        return f"{sizes}, mode={self.mode!r}, align_corners={self.align_corners}"
