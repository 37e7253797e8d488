"""Every layer on a device beside the same layer on the processor in double precision, forward and backward."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from audiocx import nn as ours
from audiocx.kinds import build
from audiocx.models import NoteConfig, TranscriberConfig
from audiocx.nn.cell import StateActivationName
from audiocx.nn.gated import GateName

# Of the largest value in a tensor: float32 rounds to 6e-8, TF32 to 5e-4, and sums add some of these up.
TOLERANCES = {"float32": 1e-4, "TF32": 2e-2}

# Inputs' shape, real channels, and what makes the layer.
Made = tuple[tuple[int, ...], Callable[[], nn.Module]]

_MAP, _LINE, _ROWS, _TIMES = (4, 32, 12, 20), (4, 32, 64), (8, 64), (4, 6, 64)
_VOLUME, _SEQUENCE, _SOUND = (2, 8, 6, 5, 7), (4, 10, 64), (4, 2000)


class _Twice(nn.Module):
    """A layer of two inputs, the second of which is the first with the examples in reverse order."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Any:
        """Apply the layer."""
        return self.layer(x, x.flip(0))


_ACTIVATIONS: tuple[StateActivationName, ...] = ("modrelu", "hirose")
_GATES: tuple[GateName, ...] = ("mod-sigmoid", "prod", "hirose", "single")
LAYERS: dict[str, Made] = {
    "ComplexConv1d": (_LINE, partial(ours.ComplexConv1d, 16, 24, 5, padding="same")),
    "ComplexConv2d": (_MAP, partial(ours.ComplexConv2d, 16, 24, 3, padding=1, dilation=1)),
    "ComplexConv2d, large steps": ((4, 2, 1, 2048), partial(ours.ComplexConv2d, 1, 32, (1, 512), (1, 16))),
    "StandardizedComplexConv2d": (_MAP, partial(ours.StandardizedComplexConv2d, 16, 24, 3, padding=1)),
    "StandardizedConv2d": (_MAP, partial(ours.StandardizedConv2d, 32, 24, 3, padding=1)),
    "ComplexLinear": (_ROWS, partial(ours.ComplexLinear, 32, 48)),
    "ComplexBatchNorm": (_MAP, partial(ours.ComplexBatchNorm, 16)),
    "ComplexBatchNorm, naive": (_MAP, partial(ours.ComplexBatchNorm, 16, variant="naive")),
    "CReLU": (_MAP, ours.CReLU),
    "ZReLU": (_MAP, ours.ZReLU),
    "ModReLU": (_MAP, partial(ours.ModReLU, 16)),
    "ComplexDropout, evaluation mode": (_MAP, lambda: ours.ComplexDropout(0.5).eval()),
    "ComplexAvgPool": (_MAP, partial(ours.ComplexAvgPool, 2)),
    "ComplexAvgPool1d": (_LINE, partial(ours.ComplexAvgPool1d, 2)),
    "ComplexAvgPool2d": (_MAP, partial(ours.ComplexAvgPool2d, 2)),
    "MagnitudeMaxPool": (_MAP, partial(ours.MagnitudeMaxPool, 2)),
    "MagnitudeMaxPool1d": (_LINE, partial(ours.MagnitudeMaxPool1d, 2)),
    "MagnitudeMaxPool2d": (_MAP, partial(ours.MagnitudeMaxPool2d, 2)),
    **{
        kind.__name__: (_MAP, partial(kind))
        for kind in (ours.CGELU, ours.CSigmoid, ours.CTanh, ours.Cardioid, ours.Magnitude, ours.ModTanh)
    },
    "CPReLU": (_MAP, partial(ours.CPReLU, 16)),
    "ComplexAdaptiveAvgPool1d": (_LINE, partial(ours.ComplexAdaptiveAvgPool1d, 9)),
    "ComplexAdaptiveAvgPool2d": (_MAP, partial(ours.ComplexAdaptiveAvgPool2d, (5, 7))),
    "ComplexAdaptiveAvgPool3d": (_VOLUME, partial(ours.ComplexAdaptiveAvgPool3d, 2)),
    "ComplexAffine": (_MAP, partial(ours.ComplexAffine, 16)),
    "ComplexAvgPool3d": (_VOLUME, partial(ours.ComplexAvgPool3d, 2)),
    "ComplexBilinear": (_ROWS, lambda: _Twice(ours.ComplexBilinear(32, 32, 24))),
    "ComplexConv3d": (_VOLUME, partial(ours.ComplexConv3d, 4, 6, 3)),
    "ComplexConvTranspose1d": (_LINE, partial(ours.ComplexConvTranspose1d, 16, 24, 4, 2)),
    "ComplexConvTranspose2d": (_MAP, partial(ours.ComplexConvTranspose2d, 16, 24, 4, 2, 1)),
    "ComplexConvTranspose3d": (_VOLUME, partial(ours.ComplexConvTranspose3d, 4, 6, 3)),
    "ComplexDropout1d, evaluation mode": (_LINE, lambda: ours.ComplexDropout1d(0.5).eval()),
    "ComplexDropout2d, evaluation mode": (_MAP, lambda: ours.ComplexDropout2d(0.5).eval()),
    "ComplexDropout3d, evaluation mode": (_VOLUME, lambda: ours.ComplexDropout3d(0.5).eval()),
    "ComplexGroupNorm": (_MAP, partial(ours.ComplexGroupNorm, 4, 16)),
    "ComplexLayerNorm": (_SEQUENCE, partial(ours.ComplexLayerNorm, 32)),
    "ComplexMSELoss": (_MAP, lambda: _Twice(ours.ComplexMSELoss())),
    # Biases of keys have no effect, and gradients that are nothing but rounding.
    "ComplexMultiheadAttention": (_SEQUENCE, partial(ours.ComplexMultiheadAttention, 32, 4, bias=False)),
    "ComplexPhaseShift": (_MAP, partial(ours.ComplexPhaseShift, 16)),
    "ComplexPositionalEncoding": (_SEQUENCE, partial(ours.ComplexPositionalEncoding, 32)),
    "ComplexRMSNorm": (_SEQUENCE, partial(ours.ComplexRMSNorm, 32)),
    "ComplexRotaryEncoding": (_SEQUENCE, partial(ours.ComplexRotaryEncoding, 32)),
    "ComplexScale": (_MAP, partial(ours.ComplexScale, 16)),
    "ComplexSoftmax": (_MAP, ours.ComplexSoftmax),
    "ComplexSyncBatchNorm": (_MAP, partial(ours.ComplexSyncBatchNorm, 16)),
    "ComplexTransformerDecoderLayer": (
        _SEQUENCE,
        lambda: _Twice(ours.ComplexTransformerDecoderLayer(32, 4, 48, dropout=0.0, bias=False)),
    ),
    "ComplexTransformerEncoderLayer": (
        _SEQUENCE,
        partial(ours.ComplexTransformerEncoderLayer, 32, 4, 48, dropout=0.0, bias=False),
    ),
    "ComplexUpsample": (_MAP, partial(ours.ComplexUpsample, scale_factor=2, mode="bilinear")),
    "ISTFT": ((2, 2, 65, 20), partial(ours.ISTFT, 128)),
    "LogMagnitudeLoss": (_MAP, lambda: _Twice(ours.LogMagnitudeLoss())),
    "MagnitudeAdaptiveMaxPool1d": (_LINE, partial(ours.MagnitudeAdaptiveMaxPool1d, 9)),
    "MagnitudeAdaptiveMaxPool2d": (_MAP, partial(ours.MagnitudeAdaptiveMaxPool2d, (5, 7))),
    "MagnitudeAdaptiveMaxPool3d": (_VOLUME, partial(ours.MagnitudeAdaptiveMaxPool3d, 2)),
    "MagnitudeMaxPool3d": (_VOLUME, partial(ours.MagnitudeMaxPool3d, 2)),
    "MultiResolutionSTFTLoss": (_SOUND, lambda: _Twice(ours.MultiResolutionSTFTLoss([(256, 64, 256)]))),
    "PhaseLoss": (_MAP, lambda: _Twice(ours.PhaseLoss())),
    "RadialActivation": (_MAP, partial(ours.RadialActivation, torch.tanh)),
    "SISDRLoss": (_SOUND, lambda: _Twice(ours.SISDRLoss())),
    "STFT": (_SOUND, partial(ours.STFT, 128, real_channels=True)),
    "SplitActivation": (_MAP, partial(ours.SplitActivation, torch.tanh)),
    "ComplexConvLSTM": ((4, 6, 8, 20), partial(ours.ComplexConvLSTM, 4, 8)),
    "ComplexStructuredStateMatrix": (_ROWS, partial(ours.ComplexStructuredStateMatrix, 32)),
    "ComplexUnitaryRNN, arjovsky": (_TIMES, partial(ours.ComplexUnitaryRNN, 32, 24, structure="arjovsky")),
    "ComplexConvLSTM2d": ((4, 5, 8, 6, 7), partial(ours.ComplexConvLSTM2d, 4, 8)),
    "ConvLSTM2d, real": ((4, 5, 8, 6, 7), partial(ours.ConvLSTM2d, 8, 8, complex=False)),
    "ComplexLSTM": (_TIMES, partial(ours.ComplexLSTM, 32, 24)),
    "ComplexLSTMCell": (_ROWS, partial(ours.ComplexLSTMCell, 32, 24)),
    "ComplexGRU": (_TIMES, partial(ours.ComplexGRU, 32, 24)),
    "ComplexGRUCell": (_ROWS, partial(ours.ComplexGRUCell, 32, 24)),
    "ComplexStackedRNN": (_TIMES, partial(ours.ComplexStackedRNN, ours.ComplexLSTM, 32, 24, 2, 0.0, True)),
    "ConvLSTM": ((4, 6, 8, 20), partial(ours.ConvLSTM, 4, 8)),
    "ConvLSTM, real": ((4, 6, 8, 20), partial(ours.ConvLSTM, 8, 8, complex=False)),
    **{
        f"ComplexStateActivation, {name}": (_ROWS, partial(ours.ComplexStateActivation, name, 32))
        for name in _ACTIVATIONS
    },
    **{
        f"ComplexUnitaryRNNCell, {name}": (_ROWS, partial(ours.ComplexUnitaryRNNCell, 32, 24, name))
        for name in _ACTIVATIONS
    },
    **{f"ComplexUnitaryRNN, {name}": (_TIMES, partial(ours.ComplexUnitaryRNN, 32, 24, name)) for name in _ACTIVATIONS},
    **{f"ComplexGate, {name}": ((8, 128), partial(ours.ComplexGate, name)) for name in _GATES},
    **{
        f"{kind.__name__}, {gate}": (shape, partial(kind, 32, 24, gate=gate))
        for kind, shape in ((ours.ComplexGatedRNNCell, _ROWS), (ours.ComplexGatedRNN, _TIMES))
        for gate in _GATES
    },
}
# Some gradients of a network are nothing but rounding, such as of a bias before a norm: all are compared as one.
NETWORKS: dict[str, Made] = {
    "the deep complex network": ((2, 4096), lambda: build(TranscriberConfig(scheme="rayleigh"))),
    "the deep real network": ((2, 4096), lambda: build(TranscriberConfig(complex=False, scheme="rayleigh"))),
    "the note network": ((1, 4096 + 16 * 128), lambda: build(NoteConfig())),
}


class Error(NamedTuple):
    """The greatest difference beside the largest value of the same tensor.

    Attributes:
        forward: In the outputs and the buffers.
        backward: In the gradients of the input and of all weights.
    """

    forward: float
    backward: float


def error_of(name: str, device: torch.device) -> Error:
    """Compares a layer or network of that name on a device with the processor's in double precision."""
    shape, make = {**LAYERS, **NETWORKS}[name]
    torch.manual_seed(0)
    layer, x = make(), torch.randn(shape)
    true, on_device = copy.deepcopy(layer).double(), layer.to(device)
    expected, got = _run(true, x.double()), _run(on_device, x.to(device))
    if name in NETWORKS:
        expected, got = (tuple([torch.cat([y.flatten() for y in some])] for some in parts) for parts in (expected, got))
    forward, backward = (
        max((_relative(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
        for one, other in zip(expected, got, strict=True)
    )
    return Error(forward, backward)


def _run(layer: nn.Module, x: Tensor) -> tuple[list[Tensor], ...]:
    """Outputs and buffers; gradients."""
    x.requires_grad_()
    outputs = [y for y in _tensors(layer(x)) if y.is_floating_point()]
    torch.manual_seed(1)
    loss = sum((y * torch.randn(y.shape, dtype=torch.float64).to(y)).sum() for y in outputs)
    weights = [weight for weight in layer.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(loss, [x, *weights], allow_unused=True)  # type: ignore[arg-type]
    buffers = [buffer for buffer in layer.buffers() if buffer.is_floating_point()]
    return [*outputs, *buffers], [part for part in gradients if part is not None]


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [part for some in value for part in _tensors(some)] if value is not None else []


def _relative(true: Tensor, other: Tensor) -> float:
    true, other = true.detach(), other.detach().cpu().double()
    largest = float(true.abs().max())
    return float((true - other).abs().max()) / largest if largest else float(other.abs().max())
