"""Predictors of speech spectra: the next frame from all frames so far.

A complex or a real convolutional LSTM over frequency, or, over all bins at once, a plain LSTM or a unitary (uRNN) or
gated (cgRNN) complex recurrent network, each with a linear readout to the real and the imaginary part of the next
frame. By default they have 88,442 (complex), 87,194 (real), 135,548 (LSTM), 134,808 (uRNN) and 87,794
(cgRNN) parameters.

Source: DCN, section 4.3, which compares with the full-capacity uRNN of Wisdom et al. 2016; Wolter and Yao 2018 for the
cgRNN. The readout, the loss and the units of all but the ConvLSTMs are our choice; the paper does not give them.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..nn import ComplexGatedRNN, ComplexLinear, ComplexUnitaryRNN, ConvLSTM
from ..nn.functional import magnitude, split
from ..nn.init import Scheme, init_real_
from ..stft import BINS, FLOOR_POWER
from .configs import PredictorConfig

__all__ = ["PredictorNetwork", "State", "compress", "expand"]

# Hidden and cell state of each layer; for uRNN and cgRNN, real and imaginary part of the state.
State = tuple[tuple[Tensor, Tensor], ...]
# Log magnitudes above the floor reach 10; divided by this they are in a network's usual range.
_SPAN = 5.0


class PredictorNetwork(nn.Module):
    """Predictor of every frame of a spectrum from those before it.

    Shape: input complex64 [B, T, F], F = 129, as returned by :func:`audiocx.stft.stft`; output the same, where
    frame t is the prediction of frame t + 1.

    Args:
        config: Configuration.
    """

    kind: ClassVar[str] = "predictor"

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.config = config
        self.core = _CORES[config.architecture](config)

    def forward(self, spectra: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict the next frame from every frame and those before it.

        Args:
            spectra: See the class for shapes.
            state: State returned by an earlier call, to continue from.

        Returns:
            The predictions, and the state after the last frame.
        """
        ahead, state = self.forecast(spectra, state)
        return ahead[:, :, 0], state

    def forecast(self, spectra: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict the next ``config.ahead`` frames from every frame and those before it.

        Args:
            spectra: See the class for shapes.
            state: State returned by an earlier call, to continue from.

        Returns:
            Complex64 [B, T, A, F], where [:, t, a] is the prediction of frame t + 1 + a, and the state after the last
            frame.
        """
        y, state = self.forecast_pairs(torch.view_as_real(spectra), state)
        return torch.view_as_complex(y.contiguous()), state

    def forecast_pairs(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Do the same as :meth:`forecast` without complex tensors, which ONNX lacks.

        Args:
            x: Real and imaginary parts of the spectra, float32 [B, T, F, 2].
            state: State returned by an earlier call, to continue from.

        Returns:
            Real and imaginary parts of the predictions, [B, T, A, F, 2], and the state after the last frame.
        """
        if self.config.front_end == "increment":
            return self._by_increment(x, state)
        if self.config.front_end == "compressed":
            x = compress(x)
        y, state = self.core(x, state)
        if self.config.front_end == "compressed":
            y = expand(y)
        return y, state

    def _by_increment(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Predict phase increments; the last pair of the state is the phase of the previous frame, as a phasor."""
        phasors = _phasors(x)
        if state is None:
            previous, core_state = x.new_tensor([1.0, 0.0]).expand_as(phasors[:, :1]), None
        else:
            previous, core_state = torch.stack(state[-1], -1).unsqueeze(1), state[:-1]
        # The hop is half a frame: the phase of a tone at the centre of bin k advances by k * pi.
        steady = (1.0 - 2.0 * (torch.arange(x.shape[2], device=x.device) % 2)).unsqueeze(-1)
        conjugate = x.new_tensor([1.0, -1.0])
        rotation = torch.cat([previous, phasors[:, :-1]], 1) * conjugate * steady
        y, states = self.core(_product(compress(x), rotation), core_state)
        phases = [phasors]
        for increment in (_phasors(y) * steady).unbind(2):
            phases.append(_product(phases[-1], increment))
        last_real, last_imag = phasors[:, -1].unbind(-1)
        return torch.stack(phases[1:], 2) * magnitude(expand(y), -1), (*states, (last_real, last_imag))

    def step(self, frame: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict the next frame of a live stream.

        Args:
            frame: Complex64 [B, F].
            state: State after the previous frame; None for the first.

        Returns:
            The prediction of the next frame, complex64 [B, F], and the state.
        """
        prediction, state = self.forward(frame.unsqueeze(1), state)
        return prediction.squeeze(1), state


class _ConvCore(nn.Module):
    """ConvLSTM layers and the readout: [B, T, F, 2] to [B, T, A, F, 2]."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.level, parts = config.level, 2 if config.complex else 1
        # Extra channels of a complex network have an imaginary part too; that of the level is zero.
        self.position = nn.Parameter(torch.zeros(parts * config.position, BINS)) if config.position else None
        channels = (1 if config.complex else 2) + config.level + config.position
        inputs = [channels, *[config.units] * (config.layers - 1)]
        options: dict[str, Any] = {"scheme": config.scheme, "forget_bias": config.forget_bias}
        self.layers = nn.ModuleList(
            ConvLSTM(count, config.units, config.kernel, config.complex, **options) for count in inputs
        )
        self.parts, self.skip = parts, config.skip
        features = config.units + channels * config.skip
        self.readout: nn.Module
        if config.complex:
            self.readout = ComplexLinear(features, config.ahead, scheme=config.scheme, criterion="glorot")
        else:
            self.readout = _linear(features, 2 * config.ahead, config.scheme)
        if self.position is not None and not self.position.is_meta:
            nn.init.normal_(self.position, std=0.1)

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        y = inputs = self._channels(x)
        states = []
        for index, layer in enumerate(self.layers):
            y, last = layer(y, None if state is None else state[index])
            states.append(last)
        if self.skip:
            both = zip(y.chunk(self.parts, 2), inputs.chunk(self.parts, 2), strict=True)
            y = torch.cat([part for pair in both for part in pair], 2)
        ahead = self.readout(y.transpose(2, 3)).unflatten(-1, (2, -1))
        return ahead.permute(0, 1, 4, 2, 3), tuple(states)

    def _channels(self, x: Tensor) -> Tensor:
        """Return spectra [B, T, F, 2] as feature maps [B, T, C, F], real parts first if the network is complex."""
        maps = x.transpose(2, 3)
        channels = list(maps.unsqueeze(2).unbind(3)) if self.parts == 2 else [maps]
        if self.level:
            level = magnitude(x, 3).transpose(2, 3)
            channels = [torch.cat([part, extra], 2) for part, extra in zip(channels, [level, 0 * level], strict=False)]
        if self.position is not None:
            learnt = self.position.expand(*x.shape[:2], -1, -1).chunk(self.parts, 2)
            channels = [torch.cat([part, extra], 2) for part, extra in zip(channels, learnt, strict=True)]
        return torch.cat(channels, 2)


class _PlainCore(nn.Module):
    """LSTM layers over all bins at once, and the readout: [B, T, F, 2] to [B, T, A, F, 2]."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2 * BINS, config.units, config.layers, batch_first=True)
        for name, parameter in self.lstm.named_parameters():
            if "weight" in name:
                for gate in parameter.chunk(4):
                    init_real_(gate, config.scheme, "glorot")
            else:
                nn.init.zeros_(parameter)
        self.readout = _linear(config.units, 2 * BINS * config.ahead, config.scheme)

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        y, last = self.lstm(x.flatten(2), None if state is None else state[0])
        return self.readout(y).unflatten(-1, (-1, *x.shape[2:])), (last,)


class _ComplexCore(nn.Module):
    """Unitary or gated layers over all bins at once, and the readout: [B, T, F, 2] to [B, T, A, F, 2]."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        layer = ComplexUnitaryRNN if config.architecture == "urnn" else ComplexGatedRNN
        inputs = [BINS, *[config.units] * (config.layers - 1)]
        self.layers = nn.ModuleList(layer(count, config.units) for count in inputs)
        self.readout = _linear(2 * config.units, 2 * BINS * config.ahead, config.scheme)

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        y, states = x.transpose(2, 3).flatten(2), []
        for index, layer in enumerate(self.layers):
            y, last = layer(y, None if state is None else torch.cat(state[index], 1))
            states.append(split(last, 1))
        return self.readout(y).unflatten(-1, (-1, *x.shape[2:])), tuple(states)


_CORES: dict[str, type[_ConvCore | _PlainCore | _ComplexCore]] = {
    "convlstm": _ConvCore,
    "lstm": _PlainCore,
    "urnn": _ComplexCore,
    "cgrnn": _ComplexCore,
}


def _linear(inputs: int, outputs: int, scheme: Scheme) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    init_real_(layer.weight, scheme, "glorot")
    nn.init.zeros_(layer.bias)
    return layer


def compress(x: Tensor) -> Tensor:
    """Compress magnitudes to their logarithm above the floor of the score; the phase is kept.

    Args:
        x: Spectra, real and imaginary part last, [..., 2].

    Returns:
        The same shape.
    """
    floor = FLOOR_POWER**0.5
    # At zero the factor has the limit 1 / (span * floor), which the clamped magnitude reaches up to rounding.
    safe = magnitude(x, -1).clamp_min(1e-3 * floor)
    return x * (torch.log1p(safe / floor) / (_SPAN * safe))


def expand(y: Tensor) -> Tensor:
    """Invert :func:`compress`.

    Args:
        y: Compressed spectra, [..., 2]; magnitudes are clamped to 5.

    Returns:
        The same shape.
    """
    # Far above the loudest speech; unclamped, the exponential would overflow.
    compressed = magnitude(y, -1).clamp(1e-6, 5.0)
    return y * (FLOOR_POWER**0.5 * torch.expm1(_SPAN * compressed) / compressed)


def _phasors(x: Tensor) -> Tensor:
    """Return the unit phasors of [..., 2]; 1 where the magnitude is zero."""
    magnitudes = magnitude(x, -1)
    nonzero = magnitudes > 1e-12
    return torch.where(nonzero, x / torch.where(nonzero, magnitudes, 1.0), x.new_tensor([1.0, 0.0]))


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply complex numbers, [..., 2] each."""
    (a_real, a_imag), (b_real, b_imag) = a.unbind(-1), b.unbind(-1)
    return torch.stack([a_real * b_real - a_imag * b_imag, a_real * b_imag + a_imag * b_real], -1)
