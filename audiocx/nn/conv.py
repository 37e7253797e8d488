"""Complex-valued convolutions over one and two axes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .functional import accepts_complex, complex_conv
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
        self.padding = self._padding(padding, kernel)
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

    def _padding(self, padding: Size | str, kernel: tuple[int, ...]) -> tuple[int, ...]:
        if not isinstance(padding, str):
            return self._per_axis(padding)
        if padding == "valid":
            return (0,) * self.axes
        if padding == "same":
            # Half the kernel on either side: the length stays, divided by the stride and rounded up, for odd kernels.
            return tuple(d * (k - 1) // 2 for k, d in zip(kernel, self.dilation, strict=True))
        raise ValueError(f"padding is a number, 'same' or 'valid', not {padding!r}.")

    def weights(self) -> tuple[Tensor, Tensor]:
        """Gives the real and the imaginary part that it convolves with, [O, I / groups, *K] each."""
        return self.weight_real, self.weight_imag

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Applies the layer; see the class for shapes."""
        real, imag = self.weights()
        return complex_conv(x, real, imag, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """Names the sizes."""
        out_channels, in_channels, *kernel = self.weight_real.shape
        return (
            f"{in_channels * self.groups}, {out_channels}, kernel_size={tuple(kernel)}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
        )


class ComplexConv1d(_ComplexConv):
    """Complex convolution over one axis.

    Shape: input [B, 2I, L] real, real parts first, or [B, I, L] complex; output [B, 2O, L'] or [B, O, L'], of the
    input's kind.

    Args:
        in_channels: I, complex.
        out_channels: O, complex.
        kernel_size: Taps.
        stride: Step.
        padding: Zeros on either side, or "same" (half the kernel) or "valid" (none).
        dilation: Distance of the taps.
        groups: Groups of complex channels.
        bias: Adds a learnt bias, 0 at first.
        scheme: Initialisation, "unitary" or "rayleigh".
        criterion: "he" or "glorot".

    Raises:
        ValueError: ``groups`` does not divide the channels, or a size has the wrong number of axes.

    Source: DCN, section 3.2.
    """

    axes = 1


class ComplexConv2d(_ComplexConv):
    """Complex convolution over two axes; arguments and source as in :class:`ComplexConv1d`.

    Shape: input [B, 2I, H, W] real, real parts first, or [B, I, H, W] complex; output [B, 2O, H', W'] or
    [B, O, H', W'], of the input's kind.
    """

    axes = 2
