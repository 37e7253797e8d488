"""The transcribers of "Deep Complex Networks": one window of samples in, a logit for each note at its centre out.

Four networks, shallow or deep, real or complex. With 84 outputs and the paper's front ends they have 14,755,988
(shallow real), 14,930,152 (shallow complex), 9,995,348 (deep real) and 8,752,772 (deep complex) parameters.

Besides, the gated recurrent network of :mod:`audiocx.models.recurrent`, and the residual networks of
:mod:`audiocx.models.residual`.

Source: DCN, section 4.2 and its table 3.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from ..nn import ComplexAvgPool2d, ComplexLinear
from ..nn.functional import split
from ..nn.init import Scheme, init_real_
from .frontend import FrontEnd, FrontEndName
from .layer_factory import Activation, Layers, Norm, activation, conv, norm
from .recurrent import FrameStates
from .residual import REDUCTION, WIDTHS, ImaginaryInput, MeanOver, Width, residual_layers

__all__ = ["TranscriberConfig", "TranscriberNetwork"]

DENSE_UNITS = 2048
# Most notes are silent most of the time; starting there saves the network from learning it first.
OUTPUT_BIAS = -5.0
# Architectures that run over the frames of a window.
_FRAMED = ("cgrnn", "residual")


@dataclass(frozen=True)
class TranscriberConfig:
    """All that is needed to build a transcriber.

    Attributes:
        architecture: "deep" (six convolutions), "shallow" (one), "cgrnn" (a gated recurrent layer over the frames of
            the window, complex alone) or "residual" (a residual network over the frames and their bins).
        complex: The complex network, or its real twin.
        front_end: "raw", "analytic", "spectrum", "compressed" or "magnitudes", of each frame where there are several;
            see :class:`audiocx.models.frontend.FrontEnd`.
        bins: Frequency bins kept; None for the paper's: half the spectrum for complex networks, all for real ones.
        outputs: Number of notes: 88 for the piano, 84 for MusicNet.
        lowest_note: MIDI number of output 0.
        sample_rate: Hz.
        window_samples: Length of the window.
        first_kernel: Taps of the deep networks' first convolution (the paper says 7, its code has 6).
        activation: Of complex networks: "crelu", "zrelu" or "modrelu". Real ones have ReLU.
        norm: Of deep networks: "whitening", "naive" or "none". Real ones have batch norm or "none".
        scheme: Initialisation: "unitary" (real: orthogonal) or "rayleigh" (real: normal), under He's criterion.
        frame_samples: Length of the frames that a window is cut into, for the networks that run over frames.
        frame_hop_samples: Their distance; one of them lies at the window's centre.
        hidden: Complex units of the recurrent network in each direction.
        bidirectional: Lets a second recurrent layer run backwards; see :class:`audiocx.models.recurrent.FrameStates`.
        width: Of residual networks: "WS" (wide and shallow), "DN" (deep and narrow) or "IB" (in between).
        blocks: Of residual networks: blocks a stage; None for the paper's, 14 to 23.
    """

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
        """Checks the names and the ranges."""
        for name, hint in get_type_hints(TranscriberConfig).items():
            if get_origin(hint) is Literal and getattr(self, name) not in get_args(hint):
                options = ", ".join(map(repr, get_args(hint)))
                raise ValueError(f"{name} is one of {options}, not {getattr(self, name)!r}")
        if not 1 <= self.outputs <= 128 - self.lowest_note or self.lowest_note < 0:
            raise ValueError(f"notes {self.lowest_note} to {self.lowest_note + self.outputs - 1} leave MIDI's 0 to 127")
        if self.window_samples % 2 or self.window_samples < 2 or self.sample_rate < 1 or self.first_kernel < 1:
            raise ValueError("window_samples must be even, sample_rate and first_kernel positive")
        if min(self.frame_samples, self.frame_hop_samples, self.hidden) < 1 or self.frame_samples % 2:
            raise ValueError("frame_samples must be even, frame_samples, frame_hop_samples and hidden positive")
        frame, hop = self.framing
        if self.window_samples < frame or (self.window_samples - frame) % (2 * hop):
            raise ValueError(
                f"window_samples={self.window_samples} has no frame at its centre; set it to frame_samples={frame} and "
                f"a multiple of {2 * hop}, twice frame_hop_samples"
            )
        if self.bins is not None and not 1 <= self.bins <= frame:
            name = "frame_samples" if self.architecture in _FRAMED else "window_samples"
            raise ValueError(f"bins={self.bins} lies outside 1 to {name}={frame}")
        if self.blocks is not None and self.blocks < 1:
            raise ValueError(f"blocks must be positive, not {self.blocks}")
        if self.architecture == "cgrnn" and not self.complex:
            raise ValueError("the cgrnn is complex; set complex = true")

    @property
    def framing(self) -> tuple[int, int]:
        """Length and distance of the frames that a window is cut into: of most networks one, the window itself."""
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
    # Over one axis, as a two-dimensional convolution of height 1: see TranscriberNetwork.forward.
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
            layers.append(ComplexAvgPool2d((1, 2)) if config.complex else _MaxPool(2, 2))
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
        shrink = _MaxPool(pool, step)
        return [conv, nn.ReLU(), shrink, nn.Flatten(), dense, nn.ReLU(), _output(DENSE_UNITS, config.outputs)]
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
    maps, places = REDUCTION * filters * (2 if config.complex else 1), math.ceil(length / REDUCTION)
    # The paper's average over all places would forget which bins sounded: this one is over time alone.
    return [*layers, MeanOver(2), nn.Flatten(), _output(maps * places, config.outputs)]


class _MaxPool(nn.Module):
    """Maxima over the last axis, as nn.MaxPool1d's, by comparing shifted copies.

    The compiler fuses these comparisons with the layers around them, both ways; the gradient of PyTorch's own pooling
    it scatters, which takes a quarter of the real network's training step.
    """

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Tensor) -> Tensor:
        span = (x.shape[-1] - self.kernel_size) // self.stride * self.stride + 1
        shifted = [x[..., first : first + span : self.stride] for first in range(self.kernel_size)]
        return functools.reduce(torch.maximum, shifted)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class _RealPart(nn.Module):
    """The real parts alone, as logits: the shallow complex network's outputs."""

    def forward(self, x: Tensor) -> Tensor:
        return split(x)[0]


def _check_length(config: TranscriberConfig, length: int) -> None:
    if length < 1:
        taken = f"window_samples={config.window_samples}, bins={config.bins}"
        raise ValueError(f"{taken} is too short for the {config.architecture} network; enlarge window_samples or bins")


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
    """A front end, applied to each frame of a window, and the layers behind it.

    Shape: input [B, window_samples] float32, samples in +-1; output [B, outputs] logits.

    Args:
        config: What to build.
    """

    kind: ClassVar[str] = "transcriber"

    def __init__(self, config: TranscriberConfig) -> None:
        super().__init__()
        self.config = config
        frame_samples, self.frame_hop_samples = config.framing
        bins = config.bins or (frame_samples // 2 if config.complex else frame_samples)
        self.front_end = FrontEnd(config.front_end, frame_samples, bins, config.complex)
        learnt = config.complex and self.front_end.channels == 1
        channels = self.front_end.channels // 2 if config.complex and not learnt else self.front_end.channels
        layers = _ARCHITECTURES[config.architecture](config, channels, self.front_end.length)
        door = [ImaginaryInput(channels, config.norm, config.scheme)] if learnt else []
        self.body = Layers(*door, *layers)

    def forward(self, windows: Tensor) -> Tensor:
        """Gives the logits of the notes that sound at the windows' centres."""
        frames = windows.unfold(1, self.front_end.window_samples, self.frame_hop_samples)
        x = self.front_end(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).transpose(1, 2)
        # The channels lie innermost in memory, a format PyTorch has for images alone: nearly twice as fast on a CPU.
        return self.body(x.contiguous(memory_format=torch.channels_last))
