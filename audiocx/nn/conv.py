"""Complex-valued convolutions over one, two and three axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeVar, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import accepts_complex, complex_conv, describe
from .init import Criterion, Scheme, check_real, copy_real, init_complex_, parameter_options

__all__ = ["ComplexConv1d", "ComplexConv2d", "ComplexConv3d", "ConvolutionBase", "PaddingMode", "Size"]

Size = int | tuple[int, ...]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
Conv = TypeVar("Conv", bound="ConvolutionBase")


class ConvolutionBase(nn.Module):
    """Sizes, parameters and checks of convolutions, transposed or not.

    Attributes:
        axes: Number of axes.
        real_type: The real layer's class.
        real_settings: Arguments of both, besides sizes and bias.
        transposed: The kernel is [I, O / groups, *K], not [O, I / groups, *K].
    """

    axes: int
    real_type: type[nn.Module]
    transposed = False
    real_settings: tuple[str, ...] = ("stride", "padding", "dilation", "groups")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        dilation: Size,
        groups: int,
        bias: bool,
        device: torch.device | str | int | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}.")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = self._per_axis(kernel_size)
        self.stride, self.dilation = self._per_axis(stride), self._per_axis(dilation)
        rows, columns = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape, options = (rows, columns // groups, *self.kernel_size), parameter_options(device, dtype)
        self.weight_real = nn.Parameter(torch.empty(shape, **options))
        self.weight_imag = nn.Parameter(torch.empty(shape, **options))
        self.bias = nn.Parameter(torch.zeros(2 * out_channels, **options)) if bias else None

    @classmethod
    def from_real(cls: type[Conv], real: Any) -> Conv:
        """Make a complex layer from a real one: A * z + b, with real A and b.

        The real layer's output for the real parts is that of the new one, and the imaginary parts are convolved with A
        alone. The imaginary parts of W and b are zero, and parameters like the others.

        Args:
            real: Layer of I to O channels, of the class in ``torch.nn`` without ``Complex``; I and O are complex ones
                then. Its weights are copied.

        Returns:
            Layer of the same settings, dtype, device and mode.

        Raises:
            TypeError: Another layer, or one whose weights are not real.
        """
        check_real(cls, real, cls.real_type)
        settings: dict[str, Any] = {name: getattr(real, name) for name in cls.real_settings}
        settings.update(bias=real.bias is not None, device="meta", dtype=real.weight.dtype)
        return copy_real(cls(real.in_channels, real.out_channels, real.kernel_size, **settings), real)

    def _per_axis(self, size: Size) -> tuple[int, ...]:
        # Not isinstance(size, int), which integers of NumPy are not.
        sizes = tuple(size) if isinstance(size, Iterable) else (size,) * self.axes
        if len(sizes) != self.axes:
            raise ValueError(f"{type(self).__name__} takes one number or {self.axes}, not {sizes}.")
        return sizes

    def weights(self) -> tuple[Tensor, Tensor]:
        """Return the real and the imaginary part of the kernel."""
        return self.weight_real, self.weight_imag

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex, with or without batch."""
        channels = self.in_channels
        if x.ndim - self.axes not in (1, 2) or x.shape[-1 - self.axes] != (1 if x.is_complex() else 2) * channels:
            places = ("L", "H, W", "D, H, W")[self.axes - 1]
            raise ValueError(
                f"{type(self).__name__} takes a complex tensor [B, {channels}, {places}], or real channels "
                f"[B, {2 * channels}, {places}], with or without B, not {describe(x)}."
            )


class _ComplexConv(ConvolutionBase):
    real_settings = (*ConvolutionBase.real_settings, "padding_mode")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        scheme: Scheme = "unitary",
        criterion: Criterion = "he",
        padding_mode: PaddingMode = "zeros",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups, bias, device, dtype)
        if padding_mode not in get_args(PaddingMode):
            raise ValueError(f"padding_mode must be one of {', '.join(get_args(PaddingMode))}, not {padding_mode!r}.")
        self.padding_mode = padding_mode
        self.padding, self.end_padding = self._padding(padding)
        init_complex_(self.weight_real, self.weight_imag, scheme, criterion)

    def _padding(self, padding: Size | str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the positions added on both sides, and the further ones at the end, of each axis."""
        none = (0,) * self.axes
        if not isinstance(padding, str):
            return self._per_axis(padding), none
        if padding == "valid":
            return none, none
        if padding == "same":
            total = [gap * (size - 1) for size, gap in zip(self.kernel_size, self.dilation, strict=True)]
            return tuple(size // 2 for size in total), tuple(size % 2 for size in total)
        raise ValueError(f"padding must be a number, 'same' or 'valid', not {padding!r}.")

    @accepts_complex(dim=lambda layer, x: -1 - layer.axes)
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        real, imag = self.weights()
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = self._padded(x), (0,) * self.axes
        elif any(self.end_padding):  # "same" with an even kernel
            x = F.pad(x, [size for end in reversed(self.end_padding) for size in (0, end)])
        return complex_conv(x, real, imag, self.bias, self.stride, padding, self.dilation, self.groups)

    def _padded(self, x: Tensor) -> Tensor:
        """Return the input with what ``padding_mode`` puts around it."""
        if x.ndim == self.axes + 1:  # "circular" needs a batch
            return self._padded(x[None])[0]
        both = zip(reversed(self.padding), reversed(self.end_padding), strict=True)
        return F.pad(x, [size for start, end in both for size in (start, start + end)], self.padding_mode)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        padding = "'same'" if any(self.end_padding) else self.padding
        mode = "" if self.padding_mode == "zeros" else f", padding_mode={self.padding_mode}"
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={padding}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}{mode}"
        )


class ComplexConv1d(_ComplexConv):
    """Complex convolution (cross-correlation) over one axis: y = W * z + b.

    Args:
        in_channels: I, complex channels of the input.
        out_channels: O, complex channels of the output.
        kernel_size: K, size of the kernel.
        stride: Step of the kernel.
        padding: Positions added on both sides, or "valid" (none) or "same": L' = ceil(L / stride); an even kernel gets
            one more at the end.
        dilation: Spacing of the kernel's elements.
        groups: Number of groups of complex channels.
        bias: Add a learnable complex bias, initially 0.
        scheme: Initialisation of W, "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of W, "he" or "glorot".
        padding_mode: What the added positions hold, "zeros", "reflect", "replicate" or "circular".
        device: Device of the parameters.
        dtype: Dtype of the parameters, real; the start weights have its full precision.

    Shape:
        - Input: real [B, 2I, L], real parts first, or complex [B, I, L]; with or without B.
        - Output: [B, 2O, L'] or [B, O, L'], same kind as the input; sizes as for ``torch.nn.Conv1d``.

    Attributes:
        weight_real: Real part of W, [O, I / groups, K].
        weight_imag: Imaginary part of W, same shape.
        bias: Real parts of b, then imaginary parts, [2O]; None without bias.

    Raises:
        ValueError: ``groups`` does not divide the channels, a size has the wrong number of axes, a name is unknown,
            the dtype not real, or the input of another shape.

    Source: DCN, section 3.2.

    Examples:
        >>> layer = ComplexConv1d(2, 4, 7, padding="same")
        >>> layer(torch.randn(8, 2, 100, dtype=torch.complex64)).shape
        torch.Size([8, 4, 100])
    """

    axes = 1
    real_type = nn.Conv1d


class ComplexConv2d(_ComplexConv):
    """Complex convolution (cross-correlation) over two axes: y = W * z + b.

    Args:
        in_channels: I, complex channels of the input.
        out_channels: O, complex channels of the output.
        kernel_size: K, size of the kernel, one number or (height, width), as are the next three.
        stride: Step of the kernel.
        padding: Positions added on both sides, or "valid" (none) or "same": L' = ceil(L / stride); an even kernel gets
            one more at the end.
        dilation: Spacing of the kernel's elements.
        groups: Number of groups of complex channels.
        bias: Add a learnable complex bias, initially 0.
        scheme: Initialisation of W, "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of W, "he" or "glorot".
        padding_mode: What the added positions hold, "zeros", "reflect", "replicate" or "circular".
        device: Device of the parameters.
        dtype: Dtype of the parameters, real; the start weights have its full precision.

    Shape:
        - Input: real [B, 2I, H, W], real parts first, or complex [B, I, H, W]; with or without B.
        - Output: [B, 2O, H', W'] or [B, O, H', W'], same kind as the input; sizes as for ``torch.nn.Conv2d``.

    Attributes:
        weight_real: Real part of W, [O, I / groups, Kh, Kw].
        weight_imag: Imaginary part of W, same shape.
        bias: Real parts of b, then imaginary parts, [2O]; None without bias.

    Raises:
        ValueError: ``groups`` does not divide the channels, a size has the wrong number of axes, a name is unknown,
            the dtype not real, or the input of another shape.

    Source: DCN, section 3.2.

    Examples:
        >>> layer = ComplexConv2d(2, 4, (3, 5), padding="same")
        >>> layer(torch.randn(8, 2, 20, 30, dtype=torch.complex64)).shape
        torch.Size([8, 4, 20, 30])
    """

    axes = 2
    real_type = nn.Conv2d


class ComplexConv3d(_ComplexConv):
    """Complex convolution (cross-correlation) over three axes: y = W * z + b.

    Args:
        in_channels: I, complex channels of the input.
        out_channels: O, complex channels of the output.
        kernel_size: K, size of the kernel, one number or (depth, height, width), as are the next three.
        stride: Step of the kernel.
        padding: Positions added on both sides, or "valid" (none) or "same": L' = ceil(L / stride); an even kernel gets
            one more at the end.
        dilation: Spacing of the kernel's elements.
        groups: Number of groups of complex channels.
        bias: Add a learnable complex bias, initially 0.
        scheme: Initialisation of W, "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of W, "he" or "glorot".
        padding_mode: What the added positions hold, "zeros", "reflect", "replicate" or "circular".
        device: Device of the parameters.
        dtype: Dtype of the parameters, real; the start weights have its full precision.

    Shape:
        - Input: real [B, 2I, D, H, W], real parts first, or complex [B, I, D, H, W]; with or without B.
        - Output: [B, 2O, D', H', W'] or [B, O, D', H', W'], same kind as the input; sizes as for ``torch.nn.Conv3d``.

    Attributes:
        weight_real: Real part of W, [O, I / groups, Kd, Kh, Kw].
        weight_imag: Imaginary part of W, same shape.
        bias: Real parts of b, then imaginary parts, [2O]; None without bias.

    Raises:
        ValueError: ``groups`` does not divide the channels, a size has the wrong number of axes, a name is unknown,
            the dtype not real, or the input of another shape.

    Source: DCN, section 3.2.

    Examples:
        >>> layer = ComplexConv3d(2, 4, (1, 3, 5), padding="same")
        >>> layer(torch.randn(8, 2, 4, 6, 7, dtype=torch.complex64)).shape
        torch.Size([8, 4, 4, 6, 7])
    """

    axes = 3
    real_type = nn.Conv3d
