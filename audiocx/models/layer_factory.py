"""Real/complex layer factory: convolutions, activations and norms, and copies of networks for inference."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..nn import (
    ComplexBatchNorm,
    ComplexConv2d,
    CReLU,
    ModReLU,
    StandardizedComplexConv2d,
    StandardizedConv2d,
    ZReLU,
    fold_sequence,
)
from ..nn.init import Scheme, init_real_
from .configs import Activation, Norm

__all__ = ["Layers", "activation", "conv", "folded", "in_bfloat16", "norm"]

M = TypeVar("M", bound=nn.Module)


def conv(
    complex: bool,
    channels: int,
    maps: int,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    bias: bool = True,
    scheme: Scheme = "unitary",
    standardized: bool = False,
) -> nn.Module:
    """Make a 2-D convolution, complex or real, initialised by He's criterion.

    Args:
        complex: Whether the layer is complex.
        channels: Input channels; complex channels if it is complex.
        maps: Output channels; likewise.
        kernel: Kernel size.
        stride: Stride.
        padding: Zeros added on either side.
        dilation: Spacing of the taps.
        bias: Add a learnt bias, initially 0.
        scheme: "unitary" (real: orthogonal) or "rayleigh" (real: normal).
        standardized: Standardise the weights, which must be unitary; see :mod:`audiocx.nn.standardized`.

    Returns:
        The layer.
    """
    if standardized:
        kind = StandardizedComplexConv2d if complex else StandardizedConv2d
        return kind(channels, maps, kernel, stride, padding, dilation, bias=bias)
    if complex:
        return ComplexConv2d(channels, maps, kernel, stride, padding, dilation, bias=bias, scheme=scheme)
    layer = nn.Conv2d(channels, maps, kernel, stride, padding, dilation, bias=bias)
    init_real_(layer.weight, scheme)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def activation(complex: bool, channels: int, name: Activation = "crelu") -> nn.Module:
    """Make an activation; the real one is ReLU whatever the name."""
    if not complex:
        return nn.ReLU()
    if name == "modrelu":
        return ModReLU(channels)
    return CReLU() if name == "crelu" else ZReLU()


def norm(complex: bool, channels: int, name: Norm = "whitening") -> nn.Module:
    """Make a batch norm.

    Args:
        complex: Whether the layers around it are complex.
        channels: Channels; complex channels if they are.
        name: "whitening" or "naive" (:class:`audiocx.nn.ComplexBatchNorm`; between real layers nn.BatchNorm2d), "batch"
            (nn.BatchNorm2d, which takes real and imaginary parts as channels of their own), "paired" (between real
            layers only: a whitening norm that takes the second half of the channels as imaginary parts of the first)
            or "none".

    Returns:
        The layer; an identity for "none".

    Raises:
        ValueError: "paired" and an odd number of channels.
    """
    if name == "none":
        return nn.Identity()
    if name == "paired":
        if complex or channels % 2:
            raise ValueError(f"A paired norm is for an even number of real channels, not {channels}.")
        return ComplexBatchNorm(channels // 2)
    if name == "batch" or not complex:
        return nn.BatchNorm2d(channels * (2 if complex else 1), eps=1e-4)
    return ComplexBatchNorm(channels, variant=name)


class Layers(nn.Sequential):
    """nn.Sequential with a forward of its own, which torch.compile takes as one graph; it splits nn.Sequential's."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers in order."""
        for layer in self:
            x = layer(x)
        return x


def folded(module: M) -> M:
    """Return a copy for inference, with normalisation folded into the convolutions.

    Args:
        module: In evaluation mode, with its layers in a sequence ``body``, as in each of its blocks. It is not
            changed; layers that are not folded are shared with the result.

    Returns:
        A network with the same outputs up to rounding, which cannot be trained.
    """
    layers = [folded(layer) if hasattr(layer, "body") else layer for layer in module.body]  # type: ignore[union-attr]
    light = copy.copy(module)
    light._modules = dict(module._modules)
    light.body = Layers(*fold_sequence(layers))
    light.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return light.eval()


def in_bfloat16(module: M) -> M:
    """Return a copy for inference in bfloat16, except for the front end.

    Args:
        module: As returned by :func:`folded`. It is not changed; its front end is shared with the result.

    Returns:
        A network with float32 logits, accurate to about two digits, which cannot be trained.
    """
    light = copy.copy(module)
    light._modules = dict(module._modules)
    light.body = _InBfloat16(copy.deepcopy(module.body))  # type: ignore[arg-type]
    return light.eval()


class _InBfloat16(nn.Module):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers.bfloat16()

    def __getitem__(self, part: slice) -> _InBfloat16:
        return _InBfloat16(self.layers[part])  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x.bfloat16()).float()
        return result
