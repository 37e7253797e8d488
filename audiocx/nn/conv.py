"""Complex-valued convolutions over one and over two axes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import accepts_complex, complex_conv, describe
from .init import Criterion, Scheme, init_complex_

__all__ = ["ComplexConv1d", "ComplexConv2d"]

Size = int | tuple[int, ...]


class _ComplexConv(nn.Module):
    axes: int

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
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}.")
        kernel = self._per_axis(kernel_size)
        self.stride, self.dilation, self.groups = self._per_axis(stride), self._per_axis(dilation), groups
        self.padding, self.end_padding = self._padding(padding, kernel)
        shape = (out_channels, in_channels // groups, *kernel)
        self.weight_real = nn.Parameter(torch.empty(shape))
        self.weight_imag = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(2 * out_channels)) if bias else None
        init_complex_(self.weight_real, self.weight_imag, scheme, criterion)

    def _per_axis(self, size: Size) -> tuple[int, ...]:
        sizes = (size,) * self.axes if isinstance(size, int) else tuple(size)
        if len(sizes) != self.axes:
            raise ValueError(f"{type(self).__name__} takes one number or {self.axes}, not {sizes}.")
        return sizes

    def _padding(self, padding: Size | str, kernel: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the zeros added on both sides, and the further ones at the end, of each axis."""
        none = (0,) * self.axes
        if not isinstance(padding, str):
            return self._per_axis(padding), none
        if padding == "valid":
            return none, none
        if padding == "same":
            total = [gap * (size - 1) for size, gap in zip(kernel, self.dilation, strict=True)]
            return tuple(size // 2 for size in total), tuple(size % 2 for size in total)
        raise ValueError(f"padding must be a number, 'same' or 'valid', not {padding!r}.")

    def weights(self) -> tuple[Tensor, Tensor]:
        """Return the real and the imaginary part of the kernel, [O, I / groups, *K] each."""
        return self.weight_real, self.weight_imag

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex, with or without batch."""
        channels = self.weight_real.shape[1] * self.groups
        if x.ndim - self.axes not in (1, 2) or x.shape[-1 - self.axes] != (1 if x.is_complex() else 2) * channels:
            places = ("L", "H, W")[self.axes - 1]
            raise ValueError(
                f"{type(self).__name__} takes a complex tensor [B, {channels}, {places}], or real channels "
                f"[B, {2 * channels}, {places}], with or without B, not {describe(x)}."
            )

    @accepts_complex(dim=lambda layer, x: -1 - layer.axes)
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        real, imag = self.weights()
        if any(self.end_padding):  # "same" with an even kernel
            x = F.pad(x, [size for end in reversed(self.end_padding) for size in (0, end)])
        return complex_conv(x, real, imag, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        out_channels, in_channels, *kernel = self.weight_real.shape
        padding = "'same'" if any(self.end_padding) else self.padding
        return (
            f"{in_channels * self.groups}, {out_channels}, kernel_size={tuple(kernel)}, stride={self.stride}, "
            f"padding={padding}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
        )


class ComplexConv1d(_ComplexConv):
    """Complex convolution (cross-correlation) over one axis: y = W * z + b.

    Args:
        in_channels: I, complex channels of the input.
        out_channels: O, complex channels of the output.
        kernel_size: K, size of the kernel.
        stride: Step of the kernel.
        padding: Zeros added on both sides, or "valid" (none) or "same": L' = ceil(L / stride); an even kernel gets
            one zero more at the end.
        dilation: Spacing of the kernel's elements.
        groups: Number of groups of complex channels.
        bias: Add a learnable complex bias, initially 0.
        scheme: Initialisation of W, "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of W, "he" or "glorot".

    Shape:
        - Input: real [B, 2I, L], real parts first, or complex [B, I, L]; with or without B.
        - Output: [B, 2O, L'] or [B, O, L'], same kind as the input; sizes as for ``torch.nn.Conv1d``.

    Attributes:
        weight_real: Real part of W, float32 [O, I / groups, K].
        weight_imag: Imaginary part of W, same shape.
        bias: Real parts of b, then imaginary parts, float32 [2O]; None without bias.

    Raises:
        ValueError: ``groups`` does not divide the channels, a size has the wrong number of axes, or the input another
            shape.

    Source: DCN, section 3.2.

    Examples:
        >>> layer = ComplexConv1d(2, 4, 7, padding="same")
        >>> layer(torch.randn(8, 2, 100, dtype=torch.complex64)).shape
        torch.Size([8, 4, 100])
    """

    axes = 1


class ComplexConv2d(_ComplexConv):
    """Complex convolution (cross-correlation) over two axes: y = W * z + b.

    Args:
        in_channels: I, complex channels of the input.
        out_channels: O, complex channels of the output.
        kernel_size: K, size of the kernel, one number or (height, width), as are the next three.
        stride: Step of the kernel.
        padding: Zeros added on both sides, or "valid" (none) or "same": L' = ceil(L / stride); an even kernel gets
            one zero more at the end.
        dilation: Spacing of the kernel's elements.
        groups: Number of groups of complex channels.
        bias: Add a learnable complex bias, initially 0.
        scheme: Initialisation of W, "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of W, "he" or "glorot".

    Shape:
        - Input: real [B, 2I, H, W], real parts first, or complex [B, I, H, W]; with or without B.
        - Output: [B, 2O, H', W'] or [B, O, H', W'], same kind as the input; sizes as for ``torch.nn.Conv2d``.

    Attributes:
        weight_real: Real part of W, float32 [O, I / groups, Kh, Kw].
        weight_imag: Imaginary part of W, same shape.
        bias: Real parts of b, then imaginary parts, float32 [2O]; None without bias.

    Raises:
        ValueError: ``groups`` does not divide the channels, a size has the wrong number of axes, or the input another
            shape.

    Source: DCN, section 3.2.

    Examples:
        >>> layer = ComplexConv2d(2, 4, (3, 5), padding="same")
        >>> layer(torch.randn(8, 2, 20, 30, dtype=torch.complex64)).shape
        torch.Size([8, 4, 20, 30])
    """

    axes = 2
