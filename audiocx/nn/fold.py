"""Folding of batch normalisation into the preceding convolution, for inference.

Whitening is widely linear (z to a z + b conj(z)), not complex linear, so the folded layer is a general real
convolution over the 2C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .conv import ComplexConv2d
from .functional import complex_weight
from .norm import ComplexBatchNorm
from .standardized import StandardizedConv2d

__all__ = ["fold", "fold_sequence"]


@torch.no_grad()
def fold(conv: ComplexConv2d, norm: ComplexBatchNorm | None = None) -> nn.Conv2d:
    """Merge a complex convolution and the normalisation after it into one real convolution.

    Args:
        conv: Complex convolution of I to O complex channels, without groups.
        norm: Its normalisation; the running statistics are used. None for none.

    Returns:
        Real convolution of 2I to 2O channels, equal to both in evaluation mode up to rounding.

    Raises:
        ValueError: The convolution has groups.
    """
    if conv.groups != 1:
        raise ValueError("A grouped complex convolution cannot be folded; keep it as it is.")
    weight = complex_weight(*conv.weights())
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias
    if norm is not None:
        (rr, ri, ir, ii), shift = norm.affine()
        weight = _mix(weight, rr, ri, ir, ii)
        bias = _mix(bias[:, None, None, None], rr, ri, ir, ii).flatten() + shift
    out_channels, in_channels, height, width = weight.shape
    real = nn.Conv2d(in_channels, out_channels, (height, width), dtype=weight.dtype, device=weight.device)
    real.stride, real.padding, real.dilation = conv.stride, conv.padding, conv.dilation
    real.weight, real.bias = nn.Parameter(weight), nn.Parameter(bias)
    return real.train(conv.training)


@torch.no_grad()
def _plain(conv: StandardizedConv2d) -> nn.Conv2d:
    """Return the equal convolution with its weights standardised once."""
    out_channels, in_channels, height, width = conv.weight.shape
    plain = nn.Conv2d(in_channels * conv.groups, out_channels, (height, width), groups=conv.groups, device="meta")
    plain.stride, plain.padding, plain.dilation = conv.stride, conv.padding, conv.dilation
    plain.weight, plain.bias = nn.Parameter(conv.standard_weight()), conv.bias
    return plain.train(conv.training)


def _mix(weight: Tensor, rr: Tensor, ri: Tensor, ir: Tensor, ii: Tensor) -> Tensor:
    real, imag = weight.chunk(2)
    rr, ri, ir, ii = (entry.view(-1, 1, 1, 1) for entry in (rr, ri, ir, ii))
    return torch.cat([rr * real + ri * imag, ir * real + ii * imag])


def fold_sequence(layers: list[nn.Module]) -> list[nn.Module]:
    """Fold batch normalisation and weight standardisation into the convolutions of a sequence of layers.

    Args:
        layers: Layers in evaluation mode, complex or real.

    Returns:
        An equal sequence of real convolutions and the layers that cannot be folded, which are shared, not copied.

    Examples:
        >>> layers = [ComplexConv2d(1, 2, 3).eval(), ComplexBatchNorm(2).eval()]
        >>> fold_sequence(layers)
        [Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1))]
    """
    folded: list[nn.Module] = []
    for layer in layers:
        layer = _plain(layer) if isinstance(layer, StandardizedConv2d) else layer
        before = folded[-1] if folded else None
        if isinstance(layer, ComplexBatchNorm) and isinstance(before, ComplexConv2d) and before.groups == 1:
            folded[-1] = fold(before, layer)
        elif isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            folded[-1] = nn.utils.fusion.fuse_conv_bn_eval(before, layer)
        else:
            folded.append(layer)
    return [fold(layer) if isinstance(layer, ComplexConv2d) and layer.groups == 1 else layer for layer in folded]
