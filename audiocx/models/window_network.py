"""Window networks, the transcribers of "Deep Complex Networks": a logit for each note at a window's centre.

The paper's four networks are shallow or deep, real or complex. With 84 outputs and the paper's front ends they have
14,755,988 (shallow real), 14,930,152 (shallow complex), 9,995,348 (deep real) and 8,752,772 (deep complex) parameters.

Other architectures are the gated recurrent network of :mod:`audiocx.models.recurrent`, the transformer of
:mod:`audiocx.models.transformer`, the residual networks of :mod:`audiocx.models.residual`, and translation-invariant
networks after Thickstun et al. 2018.

Source: DCN, section 4.2 and its table 3.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ..nn import ComplexAvgPool2d, ComplexLinear
from ..nn.functional import split
from ..nn.init import init_real_
from .configs import Scheme, TranscriberConfig
from .frontend import BINS_PER_SEMITONE, FrontEnd, PitchFrontEnd
from .layer_factory import Layers, activation, conv, norm
from .recurrent import FrameStates
from .residual import REDUCTION, WIDTHS, ImaginaryInput, MeanOver, residual_layers
from .transformer import FrameTransformer

__all__ = ["MaxPool", "TranscriberNetwork"]

DENSE_UNITS = 2048
# Initial bias of the logits: most notes are silent most of the time, and the network need not learn it first.
OUTPUT_BIAS = -5.0


class _Block(NamedTuple):
    channels: int
    stride: int = 1
    pooled: bool = True


_DEEP_COMPLEX = (_Block(16, 2), _Block(32, 2), _Block(64), _Block(64), _Block(128, pooled=False), _Block(128))
_DEEP_REAL = (_Block(64, 3), _Block(64, 2), _Block(128), _Block(128), _Block(256, pooled=False), _Block(256))
_DEEP_KERNEL = 3
_SHALLOW_KERNEL, _SHALLOW_STRIDE, _SHALLOW_POOL = 512, 16, (4, 2)
# The invariant networks' first convolution spans two octaves on either side, up to the fourth harmonic. As many weights
# of either kind.
_INVARIANT_KERNEL, _INVARIANT_MAPS = 2 * 24 * BINS_PER_SEMITONE + 1, {True: 48, False: 64}


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


def _transformer(config: TranscriberConfig, channels: int, length: int) -> list[nn.Module]:
    encoder = FrameTransformer(length, config.hidden, config.heads, config.layers)
    return [encoder, _output(2 * config.hidden, config.outputs)]


def _invariant(config: TranscriberConfig, channels: int, length: int) -> list[nn.Module]:
    frame, hop = config.framing
    frames = (config.window_samples - frame) // hop + 1
    maps, semitone = _INVARIANT_MAPS[config.complex], (1, BINS_PER_SEMITONE)
    layers: list[nn.Module] = []
    # Along the bins, over all frames, and from bins to notes.
    for kernel, growth in (((1, _INVARIANT_KERNEL), 1), ((frames, 1), 2), (semitone, 2)):
        padding = (0, kernel[1] // 2 if kernel[1] > BINS_PER_SEMITONE else 0)
        stride = semitone if kernel == semitone else (1, 1)
        maps *= growth
        bias = config.norm == "none"
        layers.append(conv(config.complex, channels, maps, kernel, stride, padding, bias=bias, scheme=config.scheme))
        layers += [norm(config.complex, maps, config.norm), activation(config.complex, maps, config.activation)]
        channels = maps
    output = _output(maps * (2 if config.complex else 1), 1)
    return [*layers, _SharedOutput(output)]


class _SharedOutput(nn.Module):
    """The same linear layer for every note: [B, C, 1, P] to logits [B, P]."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x.squeeze(2).mT)
        return y.squeeze(2)


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
    "transformer": _transformer,
    "invariant": _invariant,
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
        if config.front_end == "pitches":
            scale = (config.sample_rate, config.lowest_note, config.outputs)
            self.front_end: FrontEnd | PitchFrontEnd = PitchFrontEnd(frame_samples, *scale, config.complex)
        else:
            bins = config.bins or (frame_samples // 2 if config.complex else frame_samples)
            self.front_end = FrontEnd(config.front_end, frame_samples, bins, config.complex, config.modes)
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

    def probabilities(self, windows: Tensor) -> Tensor:
        """Return the probabilities of the notes that sound at the windows' centres."""
        return self(windows).float().sigmoid()
