"""Residual networks of "Deep Complex Networks", over images or spectrograms, complex and real.

The imaginary part of a real input is learnt. A convolution and three stages of residual blocks follow; from one stage
to the next the feature maps are halved in height and width and doubled in number. For images of 3 channels and 10
classes the complex ones have 1,758,556 (WS), 1,757,474 (DN) and 1,755,597 (IB) parameters, the real ones 1,724,536,
1,714,996 and 1,752,282.

Source: DCN, sections 3.7 and 4.1. The paper leaves open which stages end in a projection: here, as in its authors'
code, all but the last, and no convolution has a bias where there is a norm.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..nn.functional import split
from ..nn.init import Scheme, init_real_
from .configs import Activation, Norm, Width
from .layer_factory import Layers, activation, conv, norm

__all__ = [
    "REDUCTION",
    "WIDTHS",
    "ImaginaryInput",
    "MeanOver",
    "ResidualBlock",
    "StageProjection",
    "residual_layers",
    "residual_network",
]


# By width and whether the network is complex: feature maps of the first stage (complex ones of the complex networks),
# and blocks a stage. Wide and shallow, deep and narrow, in between.
WIDTHS: dict[tuple[Width, bool], tuple[int, int]] = {
    ("WS", True): (12, 16),
    ("DN", True): (10, 23),
    ("IB", True): (11, 19),
    ("WS", False): (18, 14),
    ("DN", False): (14, 23),
    ("IB", False): (16, 18),
}
_STAGES = 3
_STEP = 2
# Factor by which the last stage has more feature maps than the first, and less height and width.
REDUCTION = _STEP ** (_STAGES - 1)
_KERNEL, _PADDING = (3, 3), (1, 1)


class ImaginaryInput(nn.Module):
    """Imaginary part of a real input, learnt from it by the operations of one real residual block.

    Shape: [B, C, H, W] real; output [B, 2C, H, W], the input followed by its BN-ReLU-Conv-BN-ReLU-Conv.

    Args:
        channels: C.
        norm_name: Name of the normalisation, which is real: "none" for none.
        scheme: Initialisation; see :func:`audiocx.models.layer_factory.conv`.

    Source: DCN, section 3.7 (its authors' code has 1x1 kernels; here they are 3x3, as in the blocks).
    """

    def __init__(self, channels: int, norm_name: Norm = "whitening", scheme: Scheme = "unitary") -> None:
        super().__init__()
        self.body = ResidualBlock(False, channels, norm_name=norm_name, scheme=scheme).body

    def forward(self, x: Tensor) -> Tensor:
        """Append the imaginary part."""
        return torch.cat([x, self.body(x)], 1)


class ResidualBlock(nn.Module):
    """Residual block: norm, activation and 3x3 convolution, twice, added to the input.

    Shape: [B, 2C, H, W], real parts first, or [B, C, H, W] real; output as input.

    Args:
        complex: Whether the block is complex.
        channels: C; complex channels if it is complex.
        activation_name: "crelu", "zrelu" or "modrelu"; the real one has ReLU.
        norm_name: Name of the normalisation; see :func:`audiocx.models.layer_factory.norm`.
        scheme: Initialisation; see :func:`audiocx.models.layer_factory.conv`.
    """

    def __init__(
        self,
        complex: bool,
        channels: int,
        activation_name: Activation = "crelu",
        norm_name: Norm = "whitening",
        scheme: Scheme = "unitary",
    ) -> None:
        super().__init__()
        unit = (complex, channels, activation_name, norm_name, scheme)
        self.body = Layers(*_unit(*unit), *_unit(*unit))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; see the class for shapes."""
        return x + self.body(x)


class StageProjection(nn.Module):
    """Projection between stages: subsampling by two, concatenated with a 1x1 convolution of the result.

    Shape: [B, 2C, H, W], real parts first, or [B, C, H, W] real; output [B, 4C, H', W'] or [B, 2C, H', W'] with
    H' = ceil(H / 2), W' = ceil(W / 2), the input's channels first.

    Args:
        complex: Whether the projection is complex.
        channels: C; complex channels if it is complex.
        bias: Whether the convolution has a bias.
        scheme: Initialisation; see :func:`audiocx.models.layer_factory.conv`.
    """

    def __init__(self, complex: bool, channels: int, bias: bool = False, scheme: Scheme = "unitary") -> None:
        super().__init__()
        self.complex = complex
        self.body = Layers(conv(complex, channels, channels, (1, 1), bias=bias, scheme=scheme))

    def forward(self, x: Tensor) -> Tensor:
        """Subsample, then project: a 1x1 convolution commutes with subsampling."""
        x = x[:, :, ::_STEP, ::_STEP]
        y = self.body(x)
        # All the real parts first.
        parts = [part for pair in zip(split(x), split(y), strict=True) for part in pair] if self.complex else [x, y]
        return torch.cat(parts, 1)


class MeanOver(nn.Module):
    """Mean over some axes.

    Args:
        axes: Axes to average over; of [B, C, H, W], 2 and 3 are the spatial ones.
    """

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        """Average over the axes."""
        return x.mean(self.axes)

    def extra_repr(self) -> str:
        """Return the axes."""
        return ", ".join(map(str, self.axes))


def residual_layers(
    complex: bool,
    channels: int,
    filters: int,
    blocks: int,
    activation_name: Activation = "crelu",
    norm_name: Norm = "whitening",
    scheme: Scheme = "unitary",
) -> list[nn.Module]:
    """Make all layers before the pooling: Conv-BN-Act and three stages of residual blocks.

    Args:
        complex: Whether the network is complex.
        channels: Input channels; complex channels if it is complex.
        filters: Feature maps of the first stage; the last has four times as many.
        blocks: Residual blocks a stage.
        activation_name: "crelu", "zrelu" or "modrelu"; the real one has ReLU.
        norm_name: Name of the normalisation; see :func:`audiocx.models.layer_factory.norm`.
        scheme: Initialisation; see :func:`audiocx.models.layer_factory.conv`.

    Returns:
        The layers, from [B, 2 channels, H, W] to [B, 8 filters, ceil(H / 4), ceil(W / 4)], real parts first; the real
        ones from [B, channels, H, W] to [B, 4 filters, ...].
    """
    bias = norm_name == "none"
    layers: list[nn.Module] = [
        conv(complex, channels, filters, _KERNEL, padding=_PADDING, bias=bias, scheme=scheme),
        norm(complex, filters, norm_name),
        activation(complex, filters, activation_name),
    ]
    for stage in range(_STAGES):
        if stage > 0:
            layers.append(StageProjection(complex, filters, bias, scheme))
            filters *= 2
        layers += [ResidualBlock(complex, filters, activation_name, norm_name, scheme) for _ in range(blocks)]
    return layers


def residual_network(complex: bool, channels: int, outputs: int, width: Width = "WS") -> Layers:
    """Make the paper's residual classifier of real images.

    Args:
        complex: Whether the network is complex; it then learns the imaginary part of the image.
        channels: Channels of the image.
        outputs: Number of classes.
        width: "WS" (wide and shallow), "DN" (deep and narrow) or "IB" (in between).

    Returns:
        The network, from images [B, channels, H, W] to logits [B, outputs].
    """
    filters, blocks = WIDTHS[width, complex]
    dense = nn.Linear(REDUCTION * filters * (2 if complex else 1), outputs)
    init_real_(dense.weight, criterion="glorot")
    nn.init.zeros_(dense.bias)
    inputs = [ImaginaryInput(channels)] if complex else []
    return Layers(*inputs, *residual_layers(complex, channels, filters, blocks), MeanOver(2, 3), dense)


def _unit(
    complex: bool, channels: int, activation_name: Activation, norm_name: Norm, scheme: Scheme
) -> list[nn.Module]:
    """Make norm, activation and convolution."""
    return [
        norm(complex, channels, norm_name),
        activation(complex, channels, activation_name),
        conv(complex, channels, channels, _KERNEL, padding=_PADDING, bias=norm_name == "none", scheme=scheme),
    ]
