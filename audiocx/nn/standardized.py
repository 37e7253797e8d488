"""Convolutions with standardised weights, an alternative to batch normalisation.

The mean of each filter is removed and its energy is a learnable gain. Nothing depends on the batch, and for inference
the weights are computed once (:func:`audiocx.nn.fold_sequence`).

Source: Qiao et al., "Micro-batch training with batch-channel normalization and weight standardization", 2019; with a
gain and without normalisation: Brock et al., "Characterizing signal propagation to close the performance gap in
unnormalized ResNets", ICLR 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .conv import ComplexConv2d
from .init import init_real_, refine_

__all__ = ["StandardizedComplexConv2d", "StandardizedConv2d"]

# Keeps the gradient of a constant filter finite.
_EPSILON = 1e-8
# He's criterion gives a filter, real or complex, an energy of 2.
_GAIN = math.sqrt(2)


class StandardizedConv2d(nn.Conv2d):
    """Real convolution over two axes with standardised weights, initialised orthogonally.

    The real counterpart of :class:`StandardizedComplexConv2d`.

    Args:
        arguments: Those of ``torch.nn.Conv2d``.
        options: Those of ``torch.nn.Conv2d``.

    Shape:
        As ``torch.nn.Conv2d``.

    Attributes:
        gain: Norm of each filter, [O], initially sqrt 2.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gain = nn.Parameter(_gain(self.weight))
        init_real_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> StandardizedConv2d:
        before = self.gain.dtype
        super()._apply(fn, recurse)
        refine_(self.gain, before, _GAIN)
        return self

    def standard_weight(self) -> Tensor:
        """Return the standardised filters, [O, I / groups, *K]."""
        return _standardized(self.gain, self.weight)[0]

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer."""
        return self._conv_forward(input, self.standard_weight(), self.bias)


class StandardizedComplexConv2d(ComplexConv2d):
    """Complex convolution over two axes with standardised weights: W' = g (W - mean W) / ||W - mean W||.

    Args:
        arguments: Those of :class:`ComplexConv2d`.
        options: Those of :class:`ComplexConv2d`.

    Shape:
        As :class:`ComplexConv2d`.

    Attributes:
        gain: g, the norm of each filter, [O], initially sqrt 2.

    Examples:
        >>> real, imag = StandardizedComplexConv2d(2, 3, 5).weights()
        >>> (real**2 + imag**2).sum((1, 2, 3)).detach()
        tensor([2.0000, 2.0000, 2.0000])
    """

    real_type = StandardizedConv2d

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gain = nn.Parameter(_gain(self.weight_real))

    @classmethod
    def from_real(cls, real: StandardizedConv2d) -> StandardizedComplexConv2d:
        """Make a complex layer from a :class:`StandardizedConv2d`; see :meth:`ComplexConv2d.from_real`."""
        layer = super().from_real(real)
        layer.gain = nn.Parameter(real.gain.detach().clone(), real.gain.requires_grad)
        return layer

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> StandardizedComplexConv2d:
        before = self.gain.dtype
        super()._apply(fn, recurse)
        refine_(self.gain, before, _GAIN)
        return self

    def weights(self) -> tuple[Tensor, Tensor]:
        """Return the real and the imaginary part of the standardised filters, [O, I / groups, *K] each."""
        real, imag = _standardized(self.gain, self.weight_real, self.weight_imag)
        return real, imag


def _gain(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(torch.full((len(weight),), _GAIN, dtype=weight.dtype, device=weight.device))


def _standardized(gain: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
    dtype, axes = parts[0].dtype, tuple(range(1, parts[0].ndim))
    if dtype in (torch.float16, torch.bfloat16):  # where squares vanish
        return tuple(part.to(dtype) for part in _standardized(gain.float(), *(part.float() for part in parts)))
    centred = [part - part.mean(axes, keepdim=True) for part in parts]
    energy = torch.stack([part.square().sum(axes) for part in centred]).sum(0)
    scale = (gain * torch.rsqrt(energy + _EPSILON)).view(-1, *(1 for _ in axes))
    return tuple(part * scale for part in centred)
