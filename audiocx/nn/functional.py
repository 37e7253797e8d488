"""Functional form of the complex-valued layers.

A complex feature map of C channels is a real tensor of 2C channels, real parts first, then imaginary parts. All
functions work on that form; :func:`to_channels` and :func:`to_complex` convert between it and native complex tensors.

Source: Trabelsi et al., "Deep Complex Networks", ICLR 2018 (DCN).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "accepts_complex",
    "adaptive_magnitude_max_pool",
    "cardioid",
    "cgelu",
    "check_channels",
    "complex_conv",
    "complex_conv_transpose",
    "complex_dropout",
    "complex_linear",
    "complex_softmax",
    "complex_weight",
    "cprelu",
    "crelu",
    "csigmoid",
    "ctanh",
    "describe",
    "from_interleaved",
    "magnitude",
    "magnitude_max_pool",
    "modrelu",
    "modtanh",
    "radial",
    "split",
    "to_channels",
    "to_complex",
    "to_interleaved",
    "zrelu",
]

SoftmaxVariant = Literal["phase", "magnitude", "real", "split"]

_SMALL_MATRIX = 2**16  # entries
_FEW_CHANNELS = 16
_HALF = (torch.float16, torch.bfloat16)


def to_channels(z: Tensor, dim: int = 1) -> Tensor:
    """Convert a native complex tensor to real channels, real parts first.

    Args:
        z: Complex tensor, shape [..., C, ...] with C at ``dim``.
        dim: Channel axis.

    Returns:
        Real tensor, shape [..., 2C, ...].

    Examples:
        >>> to_channels(torch.tensor([[1 + 2j, 3 + 4j]]))
        tensor([[1., 3., 2., 4.]])
    """
    return torch.cat([z.real, z.imag], dim)


def to_complex(x: Tensor, dim: int = 1) -> Tensor:
    """Convert real channels, real parts first, to a native complex tensor; the inverse of :func:`to_channels`.

    Args:
        x: Real floating-point tensor, shape [..., 2C, ...] with 2C at ``dim``.
        dim: Channel axis.

    Returns:
        Complex tensor, shape [..., C, ...].

    Raises:
        ValueError: The channel axis is of odd length.

    Examples:
        >>> to_complex(torch.tensor([[1.0, 3.0, 2.0, 4.0]]))
        tensor([[1.+2.j, 3.+4.j]])
    """
    real, imag = split(x, dim)
    return torch.complex(real.contiguous(), imag.contiguous())


def to_interleaved(x: Tensor, dim: int = 1) -> Tensor:
    """Bring real channels, real parts first, into the order re, im, re, im that some programs and files use.

    Args:
        x: Shape [..., 2C, ...] with 2C at ``dim``.
        dim: Channel axis.

    Returns:
        Shape [..., 2C, ...].

    Raises:
        ValueError: The channel axis is of odd length.

    Examples:
        >>> to_interleaved(torch.tensor([[1.0, 3.0, 2.0, 4.0]]))
        tensor([[1., 2., 3., 4.]])
    """
    dim %= x.ndim
    return torch.stack(split(x, dim), dim + 1).flatten(dim, dim + 1)


def from_interleaved(x: Tensor, dim: int = 1) -> Tensor:
    """Bring channels re, im, re, im into the order real parts first; the inverse of :func:`to_interleaved`.

    Args:
        x: Shape [..., 2C, ...] with 2C at ``dim``.
        dim: Channel axis.

    Returns:
        Shape [..., 2C, ...].

    Raises:
        ValueError: The channel axis is of odd length.

    Examples:
        >>> from_interleaved(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
        tensor([[1., 3., 2., 4.]])
    """
    dim %= x.ndim
    split(x, dim)  # refuses an odd length
    return x.unflatten(dim, (-1, 2)).transpose(dim, dim + 1).flatten(dim, dim + 1)


def split(x: Tensor, dim: int = 1) -> tuple[Tensor, Tensor]:
    """Return views of the real and of the imaginary parts.

    Args:
        x: Real tensor, shape [..., 2C, ...] with 2C at ``dim``.
        dim: Channel axis.

    Returns:
        Two views, shape [..., C, ...] each.

    Raises:
        ValueError: The channel axis is of odd length.
    """
    size = x.shape[dim]
    if size % 2:
        raise ValueError(f"A complex feature map has an even number of channels, real parts first, not {size}.")
    # The gradient of chunk is one concatenation; that of two narrowed views would be a sum of two full-size tensors.
    real, imag = x.chunk(2, dim)
    return real, imag


def describe(x: Tensor) -> str:
    """Return an input's kind and shape, for messages of errors.

    Args:
        x: Any tensor.

    Examples:
        >>> describe(torch.zeros(2, 3))
        'real [2, 3]'
    """
    return f"{'complex' if x.is_complex() else 'real'} {[*x.shape]}"


def check_channels(layer: object, x: Tensor, channels: int, dim: int = 1) -> None:
    """Raise ValueError unless a layer's input has the right number of channels.

    Args:
        layer: The layer, for its name.
        x: Real [..., 2C, ...] or complex [..., C, ...].
        channels: C.
        dim: Channel axis, 1 (inputs [B, C, *]) or -1 (inputs [*, C]).
    """
    if x.ndim <= max(dim, 0) or x.shape[dim] != (channels if x.is_complex() else 2 * channels):
        shapes = [f"[B, {size}, *]" if dim == 1 else f"[*, {size}]" for size in (channels, 2 * channels)]
        raise ValueError(
            f"{type(layer).__name__} takes a complex tensor {shapes[0]} or real channels {shapes[1]}, "
            f"not {describe(x)}."
        )


def accepts_complex(
    dim: int | Callable[[Any, Tensor], int],
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Decorate a layer's ``forward`` to also take a native complex tensor, and to return one then.

    A method ``check_input`` of the layer, if there is one, sees the input as it was given. Under autocast the result
    has the input's dtype.

    Args:
        dim: Channel axis of the layer's input, or a function of layer and input that returns it.

    Returns:
        A decorator for ``forward(self, x)``, which may have further arguments.
    """

    def decorate(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @functools.wraps(forward)
        def either(self: Any, x: Tensor, *arguments: Any, **options: Any) -> Tensor:
            if hasattr(self, "check_input"):
                self.check_input(x)
            if x.is_complex():
                axis = dim if isinstance(dim, int) else dim(self, x)
                y = forward(self, to_channels(x, axis), *arguments, **options)
                # Under autocast y may be of half precision, which has hardly any complex arithmetic.
                return to_complex(y.to(x.real.dtype) if y.dtype in _HALF else y, axis)
            return forward(self, x, *arguments, **options)

        return either

    return decorate


def complex_weight(real: Tensor, imag: Tensor) -> Tensor:
    """Return the real matrix (or kernel) of the product with A + iB: [[A, -B], [B, A]].

    Args:
        real: A, shape [O, I, *].
        imag: B, shape [O, I, *].

    Returns:
        Real tensor, shape [2O, 2I, *].

    Source: DCN, section 3.2, equation 4.

    Examples:
        >>> complex_weight(torch.tensor([[1.0]]), torch.tensor([[2.0]]))
        tensor([[ 1., -2.],
                [ 2.,  1.]])
    """
    return torch.cat([torch.cat([real, -imag], 1), torch.cat([imag, real], 1)], 0)


def complex_linear(x: Tensor, real: Tensor, imag: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply a complex linear map, W z + b.

    Args:
        x: Shape [*, 2I], real parts first.
        real: Real part of the matrix, shape [O, I].
        imag: Imaginary part, shape [O, I].
        bias: Shape [2O], real parts first.

    Returns:
        Shape [*, 2O].
    """
    rows, (out_features, in_features) = math.prod(x.shape[:-1]), real.shape
    # Either build the real matrix of twice the size and multiply once, or multiply by both parts and combine the
    # results. The smaller of matrix and results should be copied; for a small matrix only the calls count.
    size = out_features * in_features
    if size < _SMALL_MATRIX or rows * (in_features + out_features) >= size:
        return F.linear(x, complex_weight(real, imag), bias)
    parts = x.unflatten(-1, (2, in_features))
    by_real, by_imag = F.linear(parts, real), F.linear(parts, imag)
    y = torch.cat([by_real[..., 0, :] - by_imag[..., 1, :], by_real[..., 1, :] + by_imag[..., 0, :]], -1)
    return y if bias is None else y + bias


def complex_conv(
    x: Tensor,
    real: Tensor,
    imag: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """Apply a complex convolution (cross-correlation) over one, two or three axes.

    Args:
        x: Shape [B, 2I, L], [B, 2I, H, W] or [B, 2I, D, H, W], real parts first; or without B.
        real: Real part of the kernel, shape [O, I / groups, *K], a size for each axis.
        imag: Imaginary part, same shape.
        bias: Shape [2O].
        stride: Step of the kernel, one number or one per axis.
        padding: Zeros on both sides, one number or one per axis.
        dilation: Spacing of the kernel's elements, one number or one per axis.
        groups: Groups of complex channels.

    Returns:
        Shape [B, 2O, *], sizes as those of the real convolution; without batch if the input is.

    Source: DCN, section 3.2.
    """
    if x.ndim == real.ndim - 1:
        return complex_conv(x[None], real, imag, bias, stride, padding, dilation, groups)[0]
    conv: Callable[..., Tensor] = (F.conv1d, F.conv2d, F.conv3d)[x.ndim - 3]
    if groups == 1:
        weight = complex_weight(real, imag)
        *others, step = (stride,) * (x.ndim - 2) if isinstance(stride, int) else stride
        edge, gap = (size if isinstance(size, int) else size[-1] for size in (padding, dilation))
        whole = x.ndim < 5 and step > 1 and weight.shape[-1] % step == 0 and edge == 0 and gap == 1
        if whole and weight.shape[1] < _FEW_CHANNELS:
            x, weight, stride = _steps_as_channels(x, step), _steps_as_channels(weight, step), (*others, 1)
        return conv(x, weight, bias, stride, padding, dilation)
    kernel = torch.cat([complex_weight(a, b) for a, b in zip(real.chunk(groups), imag.chunk(groups), strict=True)])
    y = conv(_by_group(x, groups), kernel, None, stride, padding, dilation, groups)
    return _by_part(y, groups, bias)


def complex_conv_transpose(
    x: Tensor,
    real: Tensor,
    imag: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    output_padding: int | tuple[int, ...] = 0,
    groups: int = 1,
    dilation: int | tuple[int, ...] = 1,
) -> Tensor:
    """Apply a complex transposed convolution over one, two or three axes; the kernel is not conjugated.

    Args:
        x: Shape [B, 2I, L], [B, 2I, H, W] or [B, 2I, D, H, W], real parts first; or without B.
        real: Real part of the kernel, shape [I, O / groups, *K], a size for each axis.
        imag: Imaginary part, same shape.
        bias: Shape [2O].
        stride: Step of the kernel in the output, one number or one per axis.
        padding: Positions taken off both sides, one number or one per axis.
        output_padding: Positions added at the end, one number or one per axis.
        groups: Groups of complex channels.
        dilation: Spacing of the kernel's elements, one number or one per axis.

    Returns:
        Shape [B, 2O, *], sizes as those of the real transposed convolution; without batch if the input is.
    """
    if x.ndim == real.ndim - 1:
        return complex_conv_transpose(
            x[None], real, imag, bias, stride, padding, output_padding, groups, dilation
        )[0]  # fmt: skip
    conv: Callable[..., Tensor] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[x.ndim - 3]
    # Inputs are the rows here, so that the matrix of the product is transposed.
    if groups == 1:
        return conv(x, complex_weight(real, -imag), bias, stride, padding, output_padding, 1, dilation)
    kernel = torch.cat([complex_weight(a, -b) for a, b in zip(real.chunk(groups), imag.chunk(groups), strict=True)])
    y = conv(_by_group(x, groups), kernel, None, stride, padding, output_padding, groups, dilation)
    return _by_part(y, groups, bias)


def _by_group(x: Tensor, groups: int) -> Tensor:
    """Bring real and imaginary channels of each group next to each other, as a grouped convolution needs them."""
    return x.unflatten(1, (2, groups, -1)).transpose(1, 2).flatten(1, 3)


def _by_part(y: Tensor, groups: int, bias: Tensor | None) -> Tensor:
    """Bring all real parts to the front again, and add the bias."""
    y = y.unflatten(1, (groups, 2, -1)).transpose(1, 2).flatten(1, 3)
    return y if bias is None else y + bias.view(1, -1, *[1] * (y.ndim - 2))


def _steps_as_channels(x: Tensor, step: int) -> Tensor:
    """Move blocks of ``step`` positions of the last axis to the channels: [B, C, *, L] to [B, C * step, *, L // step].

    A convolution of stride ``step`` becomes one of stride 1 with more channels, which processors run faster: a kernel
    of 512 over a single complex channel with stride 16 trains 3.4 times as fast.
    """
    folded = x[..., : x.shape[-1] // step * step].unflatten(-1, (-1, step)).movedim(-1, 2).flatten(1, 2)
    # In memory channels last; vmap has no memory formats.
    return folded.movedim(1, -1).contiguous().movedim(-1, 1) if x.ndim == 4 else folded


def magnitude(x: Tensor, dim: int = 1) -> Tensor:
    """Return |z|, with gradient 0 (not NaN) at z = 0.

    Args:
        x: Shape [..., 2C, ...], real parts first at ``dim``.
        dim: Channel axis.

    Returns:
        Shape [..., C, ...], non-negative.
    """
    length, nonzero = _magnitude(x, dim)
    return torch.where(nonzero, length, 0.0)


def _magnitude(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return |z|, infinity at z = 0, and where z is not 0; squares, which overflow or vanish, are never formed."""
    real, imag = split(x, dim)
    nonzero = torch.logical_or(real, imag)
    # The gradient of hypot at 0 would be NaN.
    return _hypot(torch.where(nonzero, real, math.inf), imag), nonzero


def _hypot(a: Tensor, b: Tensor) -> Tensor:
    if not torch.onnx.is_in_onnx_export():
        return torch.hypot(a, b)
    # ONNX has none.
    a, b = a.abs(), b.abs()
    longer = torch.maximum(a, b)
    return longer * torch.sqrt(1 + (torch.minimum(a, b) / longer.clamp_min(torch.finfo(a.dtype).tiny)) ** 2)


def crelu(x: Tensor) -> Tensor:
    """Apply ReLU to the real and to the imaginary part.

    Args:
        x: Shape [*]; real parts may lie anywhere, because both parts are treated alike.

    Returns:
        Shape [*].

    Source: DCN, section 3.4.
    """
    return F.relu(x)


def zrelu(x: Tensor, dim: int = 1) -> Tensor:
    """Return z where both parts are non-negative (phase in [0, pi/2]), 0 elsewhere.

    Args:
        x: Shape [..., 2C, ...], real parts first at ``dim``.
        dim: Channel axis.

    Returns:
        Shape [..., 2C, ...].

    Source: Guberman 2016; DCN, section 3.4.
    """
    real, imag = split(x, dim)
    return _times(x, (torch.minimum(real, imag) >= 0).to(x.dtype), dim)


def _times(x: Tensor, factor: Tensor, dim: int) -> Tensor:
    """Multiply complex numbers [..., 2C, ...] by real ones [..., C, ...]."""
    dim %= x.ndim
    return (x.unflatten(dim, (2, -1)) * factor.unsqueeze(dim)).flatten(dim, dim + 1)


def radial(x: Tensor, radius: Callable[[Tensor], Tensor], dim: int = 1) -> Tensor:
    """Return radius(|z|) z / |z|: new magnitudes, same phases.

    Args:
        x: Shape [..., 2C, ...], real parts first at ``dim``.
        radius: Function of the magnitudes [..., C, ...] that returns the new ones.
        dim: Channel axis.

    Returns:
        Shape [..., 2C, ...]; 0, with gradient 0, at z = 0, where the phase is undefined.
    """
    if x.dtype in _HALF:
        return radial(x.float(), radius, dim).to(x.dtype)
    length, nonzero = _magnitude(x, dim)
    return _times(x, radius(torch.where(nonzero, length, 0.0)) / length.clamp_min(_least(x)), dim)


def _least(x: Tensor) -> float:
    """Return the least magnitude that is divided by; the derivative has its square, which must not vanish."""
    return 16 * math.sqrt(torch.finfo(x.dtype).tiny)


def modrelu(x: Tensor, bias: Tensor, dim: int = 1) -> Tensor:
    """Return ReLU(|z| + b) z / |z|.

    Args:
        x: Shape [..., 2C, ...], real parts first at ``dim``.
        bias: b, real, shape [C].
        dim: Channel axis.

    Returns:
        Shape [..., 2C, ...]; 0 at z = 0, where the phase is undefined.

    Source: Arjovsky et al. 2016, equation 8.
    """
    if x.dtype in _HALF:  # where b / |z| may overflow
        return modrelu(x.float(), bias.float(), dim).to(x.dtype)
    shape = [1] * x.ndim
    shape[dim] = -1
    # z ReLU(1 + b / |z|) takes half as many operations as :func:`radial`. At z = 0 the factor is ReLU(0 + b / inf).
    length, nonzero = _magnitude(x, dim)
    factor = torch.addcdiv(nonzero.to(x.dtype), bias.view(shape), length.clamp_min(_least(x)))
    return _times(x, F.relu(factor), dim)


def cprelu(x: Tensor, weight: Tensor, dim: int = 1) -> Tensor:
    """Apply a leaky ReLU of learnable slopes to the real and to the imaginary part.

    Args:
        x: Shape [..., 2C, ...], real parts first at ``dim``.
        weight: Slopes below 0, shape [2C], those of the real parts first.
        dim: Channel axis.

    Returns:
        Shape [..., 2C, ...].

    Source: He et al., "Delving deep into rectifiers", 2015, equation 1, on each part.
    """
    weight = weight.to(x.dtype)  # under autocast x may be of half precision
    if dim == 1:
        return F.prelu(x, weight)
    last = x.movedim(dim, -1)
    return F.prelu(last.reshape(-1, len(weight)), weight).view(last.shape).movedim(-1, dim)


def ctanh(x: Tensor) -> Tensor:
    """Apply tanh to the real and to the imaginary part.

    Args:
        x: Shape [*]; real parts may lie anywhere.

    Returns:
        Shape [*].

    Source: Hirose & Yoshida, "Generalization characteristics of complex-valued feedforward neural networks", 2012.
    """
    return torch.tanh(x)


def csigmoid(x: Tensor) -> Tensor:
    """Apply the logistic function to the real and to the imaginary part.

    Args:
        x: Shape [*]; real parts may lie anywhere.

    Returns:
        Shape [*].
    """
    return torch.sigmoid(x)


def cgelu(x: Tensor, approximate: str = "none") -> Tensor:
    """Apply GELU to the real and to the imaginary part.

    Args:
        x: Shape [*]; real parts may lie anywhere.
        approximate: "none" or "tanh", as in torch.

    Returns:
        Shape [*].

    Source: Hendrycks & Gimpel, "Gaussian error linear units", 2016, on each part.
    """
    return F.gelu(x, approximate=approximate)


def cardioid(x: Tensor, dim: int = 1) -> Tensor:
    """Return (1 + cos(arg z)) z / 2: z for positive numbers, 0 for negative ones; phases are kept.

    Args:
        x: Shape [..., 2C, ...], real parts first at ``dim``.
        dim: Channel axis.

    Returns:
        Shape [..., 2C, ...]; the derivative at z = 0, which depends on the direction, is taken as 1/2, its mean.

    Source: Virtue, Yu & Lustig, "Better than real: complex-valued neural nets for MRI fingerprinting", 2017.
    """
    if x.dtype in _HALF:
        return cardioid(x.float(), dim).to(x.dtype)
    length, _ = _magnitude(x, dim)
    return _times(x, 0.5 + 0.5 * (split(x, dim)[0] / length.clamp_min(_least(x))), dim)


def modtanh(x: Tensor, dim: int = 1) -> Tensor:
    """Return tanh(|z|) z / |z|: magnitudes saturate at 1, phases are kept.

    Args:
        x: Shape [..., 2C, ...], real parts first at ``dim``.
        dim: Channel axis.

    Returns:
        Shape [..., 2C, ...]; near z = 0 it is z, with derivative 1.

    Source: Hirose, "Continuous complex-valued back-propagation learning", 1992.
    """
    if x.dtype in _HALF:
        return modtanh(x.float(), dim).to(x.dtype)
    length = magnitude(x, dim).clamp_min(_least(x))
    return _times(x, torch.tanh(length) / length, dim)


def complex_softmax(x: Tensor, dim: int = 1, variant: SoftmaxVariant = "phase", over: int | None = None) -> Tensor:
    """Apply a softmax to complex numbers.

    Args:
        x: Shape [..., 2C, ...], real parts first at ``dim``.
        dim: Channel axis.
        variant: "phase": softmax(|z|) z / |z|; "magnitude": softmax(|z|); "real": softmax(Re z); "split":
            softmax(Re z) + i softmax(Im z).
        over: Axis along which magnitudes, or parts, add up to 1; the channel axis when None.

    Returns:
        Shape [..., 2C, ...] of "phase" and "split"; real weights [..., C, ...] of "magnitude" and "real". A number
        0, whose phase is undefined, stays 0 with "phase".

    Raises:
        ValueError: Unknown variant.

    Source: Eilers & Jiang, "Building blocks for a complex-valued transformer architecture", 2023.
    """
    axis = (dim if over is None else over) % x.ndim
    if variant == "real":
        return split(x, dim)[0].softmax(axis)
    if variant == "split":
        return torch.cat([part.softmax(axis) for part in split(x, dim)], dim)
    wide = x.float() if x.dtype in _HALF else x
    if variant == "magnitude":
        return magnitude(wide, dim).softmax(axis).to(x.dtype)
    if variant == "phase":
        return radial(wide, lambda length: length.softmax(axis), dim).to(x.dtype)
    raise ValueError(f"The variant must be 'phase', 'magnitude', 'real' or 'split', not {variant!r}.")


def magnitude_max_pool(
    x: Tensor,
    kernel: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Select the complex number of greatest magnitude in each window.

    Args:
        x: Shape [B, 2C, L], [B, 2C, H, W] or [B, 2C, D, H, W], real parts first.
        kernel: Size of the window, one number or one per axis.
        stride: Step of the window; ``kernel`` when None.
        padding: Positions added on both sides, never selected.
        dilation: Spacing of the window's elements, one number or one per axis.
        ceil_mode: Keep a last window that reaches beyond the end.

    Returns:
        Shape [B, 2C, *], sizes as those of the real max pooling.
    """
    pool: Callable[..., Any] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[x.ndim - 3]
    return _selected(x, pool(_measured(x), kernel, stride, padding, dilation, ceil_mode, return_indices=True)[1])


def adaptive_magnitude_max_pool(x: Tensor, output_size: int | tuple[int | None, ...]) -> Tensor:
    """Select the complex number of greatest magnitude in each of a given number of windows.

    Args:
        x: Shape [B, 2C, L], [B, 2C, H, W] or [B, 2C, D, H, W], real parts first.
        output_size: Windows, one number or one per axis; None keeps an axis as it is.

    Returns:
        Shape [B, 2C, *output_size].
    """
    pools = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)
    pool: Callable[..., Any] = pools[x.ndim - 3]
    return _selected(x, pool(_measured(x), output_size, return_indices=True)[1])


def _measured(x: Tensor) -> Tensor:
    """Return the magnitudes to select by; without gradient, which passes through the selected numbers alone."""
    real, imag = split(x.detach().float() if x.dtype in _HALF else x.detach())
    return _hypot(real, imag)


def _selected(x: Tensor, index: Tensor) -> Tensor:
    """Return the complex numbers [B, 2C, *] at positions [B, C, *] of the flattened axes."""
    both = torch.cat([index, index], 1)
    return x.flatten(2).gather(2, both.flatten(2)).view_as(both)


def complex_dropout(x: Tensor, p: float = 0.5, training: bool = True, dim: int = 1) -> Tensor:
    """Zero complex numbers at random, with one mask for both parts, and scale the others by 1 / (1 - p).

    Args:
        x: Shape [..., 2C, ...], real parts first at ``dim``.
        p: Probability of zeroing.
        training: Return the input unchanged when False.
        dim: Channel axis.

    Returns:
        Shape [..., 2C, ...].
    """
    if not training or p == 0:
        return x
    mask = F.dropout(torch.ones_like(split(x, dim)[0]), p)
    return _times(x, mask, dim)
