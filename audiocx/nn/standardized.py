"""Convolutions whose weights are standardised: networks of them learn as with a batch norm, and cost as without.

Each filter is made free of its mean, and its energy is a learnt gain: no activations are averaged, a batch may be
small, and for inference the weights are computed once.

Source: Qiao et al., "Micro-batch training with batch-channel normalization and weight standardization", 2019; with a
gain and without a norm behind: Brock et al., "Characterizing signal propagation to close the performance gap in
unnormalized ResNets", ICLR 2021.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .conv import ComplexConv2d
from .init import init_real_

__all__ = ["StandardizedComplexConv2d", "StandardizedConv2d"]

# Keeps the gradient finite of a filter that is the same everywhere.
_EPSILON = 1e-8
# He's criterion gives a filter, real or complex, an energy of 2.
_GAIN = math.sqrt(2)


class StandardizedComplexConv2d(ComplexConv2d):
    """Complex convolution over two axes by filters of mean 0 and of a learnt energy.

    Shape: as :class:`ComplexConv2d`.

    Args:
        arguments: Those of :class:`ComplexConv2d`.

    Attributes:
        gain: Root of each filter's energy, the sum of its squared magnitudes, [O].
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gain = nn.Parameter(torch.full((len(self.weight_real),), _GAIN))

    def weights(self) -> tuple[Tensor, Tensor]:
        """Gives the real and the imaginary part of the standardised filters, [O, I / groups, *K] each."""
        real, imag = _standardized(self.gain, self.weight_real, self.weight_imag)
        return real, imag


class StandardizedConv2d(nn.Conv2d):
    """The real twin of :class:`StandardizedComplexConv2d`, initialised orthogonally.

    Shape: as ``torch.nn.Conv2d``.

    Args:
        arguments: Those of ``torch.nn.Conv2d``.

    Attributes:
        gain: Root of each filter's energy, [O].
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gain = nn.Parameter(torch.full((len(self.weight),), _GAIN))
        init_real_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def standard_weight(self) -> Tensor:
        """Gives the standardised filters, [O, I / groups, *K]."""
        return _standardized(self.gain, self.weight)[0]

    def forward(self, input: Tensor) -> Tensor:
        """Applies the layer."""
        return self._conv_forward(input, self.standard_weight(), self.bias)


def _standardized(gain: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
    axes = tuple(range(1, parts[0].ndim))
    centred = [part - part.mean(axes, keepdim=True) for part in parts]
    energy = torch.stack([part.square().sum(axes) for part in centred]).sum(0)
    scale = (gain * torch.rsqrt(energy + _EPSILON)).view(-1, *(1 for _ in axes))
    return tuple(part * scale for part in centred)
