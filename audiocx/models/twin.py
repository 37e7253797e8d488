"""Layers that a complex network and its real twin have in each other's place."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from ..nn import ComplexBatchNorm, ComplexConv2d, CReLU, ModReLU, ZReLU
from ..nn.init import Scheme, init_real_

__all__ = ["Activation", "Norm", "activation", "conv", "norm"]

Activation = Literal["crelu", "zrelu", "modrelu"]
Norm = Literal["whitening", "naive", "none"]


def conv(
    complex: bool, channels: int, maps: int, *sizes: Any, scheme: Scheme = "unitary", bias: bool = True
) -> nn.Module:
    """Makes a convolution over two axes, complex or real, initialised by He's criterion.

    Args:
        complex: Which of the twins.
        channels: Of the input, complex ones where it is.
        maps: Of the output, likewise.
        sizes: Kernel size, stride, padding and dilation, as of ``torch.nn.Conv2d``.
        scheme: "unitary" (real: orthogonal) or "rayleigh" (real: normal).
        bias: Adds a learnt bias, 0 at first.

    Returns:
        The layer.
    """
    if complex:
        return ComplexConv2d(channels, maps, *sizes, bias=bias, scheme=scheme)
    layer = nn.Conv2d(channels, maps, *sizes, bias=bias)
    init_real_(layer.weight, scheme)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def activation(complex: bool, channels: int, name: Activation = "crelu") -> nn.Module:
    """Makes an activation; real ones are ReLU."""
    if not complex:
        return nn.ReLU()
    if name == "modrelu":
        return ModReLU(channels)
    return CReLU() if name == "crelu" else ZReLU()


def norm(complex: bool, channels: int, name: Norm = "whitening") -> nn.Module:
    """Makes a batch norm, or nothing; real ones are batch norm or nothing."""
    if name == "none":
        return nn.Identity()
    return ComplexBatchNorm(channels, variant=name) if complex else nn.BatchNorm2d(channels, eps=1e-4)
