"""Window networks, the transcribers of "Deep Complex Networks": a logit for each note at a window's centre.

The paper's four networks are shallow or deep, real or complex. With 84 outputs and the paper's front ends they have
14,755,988 (shallow real), 14,930,152 (shallow complex), 9,995,348 (deep real) and 8,752,772 (deep complex) parameters.

Other architectures are the gated recurrent network of :mod:`audiocx.models.recurrent` and the residual networks of
:mod:`audiocx.models.residual`.

Source: DCN, section 4.2 and its table 3.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..config import check_fields
from ..nn import ComplexAvgPool2d, ComplexLinear
from ..nn.functional import split
from ..nn.init import Scheme, init_real_
from .frontend import FrontEnd, FrontEndName
from .layer_factory import Activation, Layers, Norm, activation, conv, norm
from .recurrent import FrameStates
from .residual import REDUCTION, WIDTHS, ImaginaryInput, MeanOver, Width, residual_layers

__all__ = ["MaxPool", "TranscriberConfig", "TranscriberNetwork"]

DENSE_UNITS = 2048
# Initial bias of the logits: most notes are silent most of the time, and the network need not learn it first.
OUTPUT_BIAS = -5.0
# Architectures whose input is the sequence of frames of a window.
_FRAMED = ("cgrnn", "residual")


@dataclass(frozen=True)
class TranscriberConfig:
    """Configuration of a window network.

    Attributes:
        architecture: "deep" (six convolutions), "shallow" (one), "cgrnn" (a gated recurrent layer over the frames of
            the window, complex only) or "residual" (a residual network over the frames and their bins).
        complex: Whether the network is complex, or its real counterpart.
        front_end: "raw", "analytic", "spectrum", "compressed" or "magnitudes", applied to each frame of the window;
            see :class:`audiocx.models.frontend.FrontEnd`.
        bins: Frequency bins kept; None for the paper's: half the spectrum for complex networks, all for real ones.
        outputs: Number of notes: 88 for the piano, 84 for MusicNet.
        lowest_note: MIDI number of output 0.
        sample_rate: Hz.
        window_samples: Length of the window.
        first_kernel: Kernel size of the deep networks' first convolution (7 in the paper, 6 in its code).
        activation: Activation of complex networks: "crelu", "zrelu" or "modrelu". Real ones have ReLU.
        norm: Normalisation of deep networks: "whitening", "naive" or "none". Real ones have batch norm or "none".
        scheme: Initialisation: "unitary" (real: orthogonal) or "rayleigh" (real: normal), under He's criterion.
        frame_samples: Length of the frames that a window is cut into, for "cgrnn" and "residual".
        frame_hop_samples: Hop of these frames; one of them lies at the window's centre.
        hidden: Complex units of the recurrent network in each direction.
        bidirectional: Add a recurrent layer that runs backwards; see :class:`audiocx.models.recurrent.FrameStates`.
        width: Width of residual networks: "WS" (wide and shallow), "DN" (deep and narrow) or "IB" (in between).
        blocks: Blocks in each stage of residual networks; None for the paper's, 14 to 23.
    """

    kind: ClassVar[str] = "transcriber"
    hop_samples: ClassVar[None] = None  # frames are independent: it runs at any hop

    architecture: Literal["deep", "shallow", "cgrnn", "residual"] = "deep"
    complex: bool = True
    front_end: FrontEndName = "compressed"
    bins: int | None = None
    outputs: int = 88
    lowest_note: int = 21
    sample_rate: int = 11025
    window_samples: int = 4096
    first_kernel: int = 7
    activation: Activation = "crelu"
    norm: Norm = "whitening"
    scheme: Scheme = "unitary"
    frame_samples: int = 2048
    frame_hop_samples: int = 512
    hidden: int = 512
    bidirectional: bool = False
    width: Width = "WS"
    blocks: int | None = None

    def __post_init__(self) -> None:
        """Check the names and the ranges."""
        sizes = ("sample_rate", "window_samples", "first_kernel", "frame_samples", "frame_hop_samples", "hidden")
        check_fields(self, **dict.fromkeys((*sizes, "blocks"), "[1, inf)"))
        if not 1 <= self.outputs <= 128 - self.lowest_note or self.lowest_note < 0:
            raise ValueError(f"notes {self.lowest_note} to {self.lowest_note + self.outputs - 1} leave MIDI's 0 to 127")
        if self.window_samples % 2 or self.frame_samples % 2:
            raise ValueError("window_samples and frame_samples must be even")
        frame, hop = self.framing
        if self.window_samples < frame or (self.window_samples - frame) % (2 * hop):
            raise ValueError(
                f"window_samples={self.window_samples} has no frame at its centre; set it to frame_samples={frame} and "
                f"a multiple of {2 * hop}, twice frame_hop_samples"
            )
        if self.bins is not None and not 1 <= self.bins <= frame:
            name = "frame_samples" if self.architecture in _FRAMED else "window_samples"
            raise ValueError(f"bins={self.bins} lies outside 1 to {name}={frame}")
        if self.architecture == "cgrnn" and not self.complex:
            raise ValueError("the cgrnn is complex; set complex = true")

    @property
    def framing(self) -> tuple[int, int]:
        """Length and hop of the frames that a window is cut into; for most architectures the window itself."""
        if self.architecture in _FRAMED:
            return self.frame_samples, self.frame_hop_samples
        return self.window_samples, self.window_samples


class _Block(NamedTuple):
    channels: int
    stride: int = 1
    pooled: bool = True


_DEEP_COMPLEX = (_Block(16, 2), _Block(32, 2), _Block(64), _Block(64), _Block(128, pooled=False), _Block(128))
_DEEP_REAL = (_Block(64, 3), _Block(64, 2), _Block(128), _Block(128), _Block(256, pooled=False), _Block(256))
_DEEP_KERNEL = 3
_SHALLOW_KERNEL, _SHALLOW_STRIDE, _SHALLOW_POOL = 512, 16, (4, 2)


def _conv(config: TranscriberConfig, channels: int, maps: int, kernel: int, stride: int, padding: int = 0) -> nn.Module:
    # A 1-D convolution as a 2-D one of height 1; see TranscriberNetwork.forward.
    return conv(config.complex, channels, maps, (1, kernel), (1, stride), (0, padding), scheme=config.scheme)


def _deep(config: TranscriberConfig, channels: int, length: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    kernel = config.first_kernel
    for block in _DEEP_COMPLEX if config.complex else _DEEP_REAL:
        # The complex network pads ("same"), the real one does not ("valid").
        padding = (kernel - 1) // 2 if config.complex else 0
        layers.append(_conv(config, channels, block.channels, kernel, block.stride, padding))
        length = (length + 2 * padding - kernel) // block.stride + 1
        if block.pooled:
            layers.append(norm(config.complex, block.channels, config.norm))
        layers.append(activation(config.complex, block.channels, config.activation))
        if block.pooled:
            layers.append(ComplexAvgPool2d((1, 2)) if config.complex else MaxPool(2, 2))
            length //= 2
        channels, kernel = block.channels, _DEEP_KERNEL
    _check_length(config, length)
    units = length * channels * (2 if config.complex else 1)
    return [*layers, nn.Flatten(), _dense(units, config.scheme), nn.ReLU(), _output(DENSE_UNITS, config.outputs)]


def _shallow(config: TranscriberConfig, channels: int, length: int) -> list[nn.Module]:
    pool, step = _SHALLOW_POOL
    length = ((length - _SHALLOW_KERNEL) // _SHALLOW_STRIDE + 1 - pool) // step + 1
    _check_length(config, length)
    if not config.complex:
        conv = _conv(config, channels, 64, _SHALLOW_KERNEL, _SHALLOW_STRIDE)
        dense = _dense(64 * length, config.scheme)
        pooling = MaxPool(pool, step)
        return [conv, nn.ReLU(), pooling, nn.Flatten(), dense, nn.ReLU(), _output(DENSE_UNITS, config.outputs)]
    out = ComplexLinear(DENSE_UNITS, config.outputs, scheme=config.scheme, criterion="glorot")
    nn.init.constant_(out.bias[: config.outputs], OUTPUT_BIAS)  # type: ignore[index]
    return [
        _conv(config, channels, 32, _SHALLOW_KERNEL, _SHALLOW_STRIDE),
        activation(config.complex, 32, config.activation),
        ComplexAvgPool2d((1, pool), (1, step)),
        nn.Flatten(),
        ComplexLinear(32 * length, DENSE_UNITS, scheme=config.scheme),
        activation(config.complex, DENSE_UNITS, config.activation),
        out,
        _RealPart(),
    ]


def _cgrnn(config: TranscriberConfig, channels: int, length: int) -> list[nn.Module]:
    states = FrameStates(length, config.hidden, config.bidirectional)
    return [states, _output((4 if config.bidirectional else 2) * config.hidden, config.outputs)]


def _residual(config: TranscriberConfig, channels: int, length: int) -> list[nn.Module]:
    filters, blocks = WIDTHS[config.width, config.complex]
    blocks = blocks if config.blocks is None else config.blocks
    style = (config.activation, config.norm, config.scheme)
    layers = residual_layers(config.complex, channels, filters, blocks, *style)
    maps, bins = REDUCTION * filters * (2 if config.complex else 1), math.ceil(length / REDUCTION)
    # The paper averages over time and frequency, which loses the pitch; here over time only.
    return [*layers, MeanOver(2), nn.Flatten(), _output(maps * bins, config.outputs)]


class MaxPool(nn.Module):
    """Maxima over the last axis, as nn.MaxPool1d's, by comparing shifted copies.

    torch.compile fuses these comparisons with the adjacent layers, forward and backward; the gradient of nn.MaxPool1d
    is a scatter, which takes a quarter of the real network's training step.

    Args:
        kernel_size: Length of the window.
        stride: Stride of the window.
    """

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Tensor) -> Tensor:
        """Pool the last axis."""
        span = (x.shape[-1] - self.kernel_size) // self.stride * self.stride + 1
        shifted = [x[..., first : first + span : self.stride] for first in range(self.kernel_size)]
        return functools.reduce(torch.maximum, shifted)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class _RealPart(nn.Module):
    """The real parts of complex outputs, as logits."""

    def forward(self, x: Tensor) -> Tensor:
        return split(x)[0]


def _check_length(config: TranscriberConfig, length: int) -> None:
    if length < 1:
        sizes = f"window_samples={config.window_samples}, bins={config.bins}"
        raise ValueError(f"{sizes} is too short for the {config.architecture} network; enlarge window_samples or bins")


def _dense(units: int, scheme: Scheme) -> nn.Linear:
    layer = nn.Linear(units, DENSE_UNITS)
    init_real_(layer.weight, scheme)
    nn.init.zeros_(layer.bias)
    return layer


def _output(units: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(units, outputs)
    init_real_(layer.weight, criterion="glorot")
    nn.init.constant_(layer.bias, OUTPUT_BIAS)
    return layer


_ARCHITECTURES: dict[str, Callable[[TranscriberConfig, int, int], list[nn.Module]]] = {
    "deep": _deep,
    "shallow": _shallow,
    "cgrnn": _cgrnn,
    "residual": _residual,
}


class TranscriberNetwork(nn.Module):
    """A front end, applied to each frame of a window, and the layers after it.

    Shape: input [B, window_samples] float32, samples in +-1; output [B, outputs] logits.

    Args:
        config: Configuration.
    """

    kind: ClassVar[str] = "transcriber"

    def __init__(self, config: TranscriberConfig) -> None:
        super().__init__()
        self.config = config
        frame_samples, self.frame_hop_samples = config.framing
        bins = config.bins or (frame_samples // 2 if config.complex else frame_samples)
        self.front_end = FrontEnd(config.front_end, frame_samples, bins, config.complex)
        learns_imaginary = config.complex and self.front_end.channels == 1
        channels = self.front_end.channels // (2 if config.complex and not learns_imaginary else 1)
        layers = _ARCHITECTURES[config.architecture](config, channels, self.front_end.length)
        inputs = [ImaginaryInput(channels, config.norm, config.scheme)] if learns_imaginary else []
        self.body = Layers(*inputs, *layers)

    def forward(self, windows: Tensor) -> Tensor:
        """Return the logits of the notes that sound at the windows' centres."""
        frames = windows.unfold(1, self.front_end.window_samples, self.frame_hop_samples)
        x = self.front_end(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).transpose(1, 2)
        # channels_last, which PyTorch has for 4-D tensors only, is nearly twice as fast on a CPU.
        return self.body(x.contiguous(memory_format=torch.channels_last))
