"""Complex-valued transposed convolutions over one, two and three axes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .conv import ConvolutionBase, Size
from .functional import accepts_complex, complex_conv_transpose
from .init import Criterion, Scheme, init_complex_

__all__ = ["ComplexConvTranspose1d", "ComplexConvTranspose2d", "ComplexConvTranspose3d"]


class _ComplexConvTranspose(ConvolutionBase):
    transposed = True
    real_settings = (*ConvolutionBase.real_settings, "output_padding")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        scheme: Scheme = "unitary",
        criterion: Criterion = "he",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups, bias, device, dtype)
        self.padding, self.output_padding = self._per_axis(padding), self._per_axis(output_padding)
        self._start(scheme, criterion)

    @torch.no_grad()
    def _start(self, scheme: Scheme, criterion: Criterion) -> None:
        """Draw the weights of the convolution with as many inputs a unit: of a stride s, one position in s counts."""
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        real, imag = (torch.empty(shape, dtype=part.dtype, device=part.device) for part in self.weights())
        init_complex_(real, imag, scheme, criterion)
        if real.is_meta:
            return
        scale = math.sqrt(math.prod(map(min, self.kernel_size, self.stride)))
        for weight, part in zip(self.weights(), (real, imag), strict=True):
            by_group = part.unflatten(0, (self.groups, -1)).transpose(1, 2).flatten(0, 1)
            weight.copy_(by_group * scale)

    @accepts_complex(dim=lambda layer, x: -1 - layer.axes)
    def forward(self, x: Tensor, output_size: tuple[int, ...] | None = None) -> Tensor:
        """Apply the layer.

        Args:
            x: Input.
            output_size: Sizes of the output's last axes, instead of those by ``output_padding``.
        """
        extra = self.output_padding if output_size is None else self._output_padding(x, output_size)
        real, imag = self.weights()
        return complex_conv_transpose(
            x, real, imag, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )  # fmt: skip

    def _output_padding(self, x: Tensor, output_size: tuple[int, ...]) -> tuple[int, ...]:
        wanted = tuple(output_size)[-self.axes :]
        settings = zip(x.shape[-self.axes :], self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        least = tuple((n - 1) * step - 2 * pad + gap * (size - 1) + 1 for n, size, step, pad, gap in settings)
        extra = tuple(want - size for want, size in zip(wanted, least, strict=False))
        if len(wanted) != self.axes or not all(0 <= n < step for n, step in zip(extra, self.stride, strict=True)):
            most = tuple(size + step - 1 for size, step in zip(least, self.stride, strict=True))
            raise ValueError(f"output_size must lie between {least} and {most} for this input, not {wanted}.")
        return extra

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, output_padding={self.output_padding}, dilation={self.dilation}, "
            f"groups={self.groups}, bias={self.bias is not None}"
        )


class ComplexConvTranspose1d(_ComplexConvTranspose):
    """Complex transposed convolution over one axis: the map whose matrix is the transpose of a convolution's, plus b.

    The kernel is not conjugated: as for ``torch.nn.ConvTranspose1d`` of a complex dtype, each number of the input
    puts W times itself into the output.

    Args:
        in_channels: I, complex channels of the input.
        out_channels: O, complex channels of the output.
        kernel_size: K, size of the kernel.
        stride: Step of the kernel in the output.
        padding: Positions taken off both sides of the output.
        output_padding: Positions added at its end; less than the stride or the dilation.
        groups: Number of groups of complex channels.
        bias: Add a learnable complex bias, initially 0.
        dilation: Spacing of the kernel's elements.
        scheme: Initialisation of W, "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of W, "he" or "glorot", times the stride, because only one position of the kernel in
            ``stride`` meets a number.
        device: Device of the parameters.
        dtype: Dtype of the parameters, real; the start weights have its full precision.

    Shape:
        - Input: real [B, 2I, L], real parts first, or complex [B, I, L]; with or without B.
        - Output: [B, 2O, L'] or [B, O, L'], same kind as the input; sizes as for
          ``torch.nn.ConvTranspose1d``, or by ``forward(x, output_size)``.

    Attributes:
        weight_real: Real part of W, [I, O / groups, K].
        weight_imag: Imaginary part of W, same shape.
        bias: Real parts of b, then imaginary parts, [2O]; None without bias.

    Raises:
        ValueError: ``groups`` does not divide the channels, a size has the wrong number of axes, a name is unknown,
            the dtype not real, or the input or ``output_size`` does not fit.

    Examples:
        >>> layer = ComplexConvTranspose1d(4, 2, 4, stride=2, padding=1)
        >>> layer(torch.randn(8, 4, 50, dtype=torch.complex64)).shape
        torch.Size([8, 2, 100])
    """

    axes = 1
    real_type = nn.ConvTranspose1d


class ComplexConvTranspose2d(_ComplexConvTranspose):
    """Complex transposed convolution over two axes: the map whose matrix is the transpose of a convolution's, plus b.

    The kernel is not conjugated: as for ``torch.nn.ConvTranspose2d`` of a complex dtype, each number of the input
    puts W times itself into the output.

    Args:
        in_channels: I, complex channels of the input.
        out_channels: O, complex channels of the output.
        kernel_size: K, size of the kernel, one number or (height, width), as are stride, padding,
            output_padding and dilation.
        stride: Step of the kernel in the output.
        padding: Positions taken off both sides of the output.
        output_padding: Positions added at its end; less than the stride or the dilation.
        groups: Number of groups of complex channels.
        bias: Add a learnable complex bias, initially 0.
        dilation: Spacing of the kernel's elements.
        scheme: Initialisation of W, "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of W, "he" or "glorot", times the stride, because only one position of the kernel in
            ``stride`` meets a number.
        device: Device of the parameters.
        dtype: Dtype of the parameters, real; the start weights have its full precision.

    Shape:
        - Input: real [B, 2I, H, W], real parts first, or complex [B, I, H, W]; with or without B.
        - Output: [B, 2O, H', W'] or [B, O, H', W'], same kind as the input; sizes as for
          ``torch.nn.ConvTranspose2d``, or by ``forward(x, output_size)``.

    Attributes:
        weight_real: Real part of W, [I, O / groups, Kh, Kw].
        weight_imag: Imaginary part of W, same shape.
        bias: Real parts of b, then imaginary parts, [2O]; None without bias.

    Raises:
        ValueError: ``groups`` does not divide the channels, a size has the wrong number of axes, a name is unknown,
            the dtype not real, or the input or ``output_size`` does not fit.

    Examples:
        >>> layer = ComplexConvTranspose2d(4, 2, 4, stride=2, padding=1)
        >>> layer(torch.randn(8, 4, 5, 6, dtype=torch.complex64)).shape
        torch.Size([8, 2, 10, 12])
    """

    axes = 2
    real_type = nn.ConvTranspose2d


class ComplexConvTranspose3d(_ComplexConvTranspose):
    """Complex transposed convolution over three axes: the map whose matrix is the transpose of a convolution's, plus b.

    The kernel is not conjugated: as for ``torch.nn.ConvTranspose3d`` of a complex dtype, each number of the input
    puts W times itself into the output.

    Args:
        in_channels: I, complex channels of the input.
        out_channels: O, complex channels of the output.
        kernel_size: K, size of the kernel, one number or (depth, height, width), as are stride, padding,
            output_padding and dilation.
        stride: Step of the kernel in the output.
        padding: Positions taken off both sides of the output.
        output_padding: Positions added at its end; less than the stride or the dilation.
        groups: Number of groups of complex channels.
        bias: Add a learnable complex bias, initially 0.
        dilation: Spacing of the kernel's elements.
        scheme: Initialisation of W, "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of W, "he" or "glorot", times the stride, because only one position of the kernel in
            ``stride`` meets a number.
        device: Device of the parameters.
        dtype: Dtype of the parameters, real; the start weights have its full precision.

    Shape:
        - Input: real [B, 2I, D, H, W], real parts first, or complex [B, I, D, H, W]; with or without B.
        - Output: [B, 2O, D', H', W'] or [B, O, D', H', W'], same kind as the input; sizes as for
          ``torch.nn.ConvTranspose3d``, or by ``forward(x, output_size)``.

    Attributes:
        weight_real: Real part of W, [I, O / groups, Kd, Kh, Kw].
        weight_imag: Imaginary part of W, same shape.
        bias: Real parts of b, then imaginary parts, [2O]; None without bias.

    Raises:
        ValueError: ``groups`` does not divide the channels, a size has the wrong number of axes, a name is unknown,
            the dtype not real, or the input or ``output_size`` does not fit.

    Examples:
        >>> layer = ComplexConvTranspose3d(4, 2, 4, stride=2, padding=1)
        >>> layer(torch.randn(8, 4, 2, 3, 4, dtype=torch.complex64)).shape
        torch.Size([8, 2, 4, 6, 8])
    """

    axes = 3
    real_type = nn.ConvTranspose3d
