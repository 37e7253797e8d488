"""Real/complex layer factory: convolutions, activations and norms, and the chain of layers that holds them."""

from __future__ import annotations

import copy
from typing import Literal, TypeVar

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

__all__ = ["Activation", "Layers", "Norm", "activation", "conv", "folded", "in_bfloat16", "norm"]

M = TypeVar("M", bound=nn.Module)

Activation = Literal["crelu", "zrelu", "modrelu"]
Norm = Literal["whitening", "naive", "none"]


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
    """Make a convolution over two axes, complex or real, initialised by He's criterion.

    Args:
        complex: Whether the network is complex.
        channels: Of the input, complex ones where it is.
        maps: Of the output, likewise.
        kernel: Its size.
        stride: Step.
        padding: Zeros on either side.
        dilation: Distance of the taps.
        bias: Adds a learnt bias, 0 at first.
        scheme: "unitary" (real: orthogonal) or "rayleigh" (real: normal).
        standardized: Standardises its weights, which must be unitary; see :mod:`audiocx.nn.standardized`.

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
    """Make an activation; real ones are ReLU."""
    if not complex:
        return nn.ReLU()
    if name == "modrelu":
        return ModReLU(channels)
    return CReLU() if name == "crelu" else ZReLU()


def norm(complex: bool, channels: int, name: Norm = "whitening") -> nn.Module:
    """Make a batch norm, or nothing; real ones are batch norm or nothing."""
    if name == "none":
        return nn.Identity()
    return ComplexBatchNorm(channels, variant=name) if complex else nn.BatchNorm2d(channels, eps=1e-4)


class Layers(nn.Sequential):
    """A chain of layers with a forward of its own, which the compiler takes as one graph; nn.Sequential's it splits."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply one after the other."""
        for layer in self:
            x = layer(x)
        return x


def folded(module: M) -> M:
    """Make the same network for inference: normalisation folded into the convolutions.

    Args:
        module: In evaluation mode, its layers a chain, ``body``, as those of each block in it are. It shares with the
            result what is not folded, and is not changed.

    Returns:
        A network that gives the same logits up to rounding, and does not train.
    """
    layers = [folded(layer) if hasattr(layer, "body") else layer for layer in module.body]  # type: ignore[union-attr]
    light = copy.copy(module)
    light._modules = dict(module._modules)
    light.body = Layers(*fold_sequence(layers))
    light.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return light.eval()


def in_bfloat16(module: M) -> M:
    """Make the same network for inference in half precision, but for its front end.

    Args:
        module: As :func:`folded` gives it. It shares its front end with the result, and is not changed.

    Returns:
        A network that gives float32 logits right to about two digits, and does not train.
    """
    light = copy.copy(module)
    light._modules = dict(module._modules)
    light.body = _InBfloat16(copy.deepcopy(module.body))  # type: ignore[arg-type]
    return light.eval()


class _InBfloat16(nn.Module):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x.bfloat16()).float()
        return result
