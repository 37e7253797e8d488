"""The predictors of speech spectra: frames up to now in, the next frame out.

A complex or a real convolutional LSTM over frequency, or, over all bins at once, a plain LSTM or a unitary (uRNN) or
gated (cgRNN) complex recurrent network, each with a linear readout to the real and the imaginary part of the frame that
follows. Unless told otherwise they have 88,442 (complex), 87,194 (real), 135,548 (LSTM), 134,808 (uRNN) and 87,794
(cgRNN) parameters.

Source: DCN, section 4.3, which compares with the full-capacity uRNN of Wisdom et al. 2016; Wolter and Yao 2018 for the
cgRNN. The readout, the loss and the units of all but the ConvLSTMs are our reading, for the paper leaves them open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from ..nn import ComplexGatedRNN, ComplexLinear, ComplexUnitaryRNN, ConvLSTM
from ..nn.functional import magnitude, split
from ..nn.init import Scheme, init_real_
from ..stft import BINS, FLOOR_POWER

__all__ = ["PredictorConfig", "PredictorNetwork", "State"]

# Hidden and cell state of each layer; of a uRNN or cgRNN, real and imaginary part of its state.
State = tuple[tuple[Tensor, Tensor], ...]
# Of the paper's ConvLSTMs, complex and real; of an LSTM and a uRNN of about 135 thousand parameters, and a cgRNN of as
# many as the ConvLSTMs.
_HIDDEN = {
    ("convlstm", True): 60,
    ("convlstm", False): 84,
    ("lstm", False): 83,
    ("urnn", True): 130,
    ("cgrnn", True): 54,
}
# Logarithms of magnitudes over the floor reach 10; divided by this they suit a network.
_SPAN = 5.0


@dataclass(frozen=True)
class PredictorConfig:
    """All that is needed to build a predictor.

    Attributes:
        architecture: "convlstm", "lstm", "urnn" or "cgrnn".
        complex: The complex ConvLSTM, or its real twin; the plain LSTM is real, uRNN and cgRNN are complex.
        hidden: Maps of the ConvLSTM, or units of the others, complex ones where it is; None for those of the table.
        layers: Recurrent layers, one above the other.
        kernel: Taps of the ConvLSTM over frequency.
        front_end: "linear" takes and gives spectra as they are, as the paper does; "compressed" takes and gives the
            logarithm of their magnitude over the floor of the score, phase kept; "advance" does the same, but phases
            are by how much more each bin turned, since the frame before, than a tone in its middle does: a steady
            tone then stays the same number, whatever its frequency.
        level: Gives the ConvLSTM the magnitude as one more channel.
        position: Channels that are learnt for each bin, for the ConvLSTM to know where in the spectrum it is.
        skip: Lets the ConvLSTM's readout see the input too; that the next frame is much like the last it then knows.
        forget_bias: What the forget gates' biases of the ConvLSTM start at.
        scheme: Initialisation: "unitary" (real: orthogonal) or "rayleigh" (real: normal), under Glorot's criterion; of
            uRNN and cgRNN that of the readout alone.
        ahead: How many frames are predicted at once, from the next on.
    """

    architecture: Literal["convlstm", "lstm", "urnn", "cgrnn"] = "convlstm"
    complex: bool = True
    hidden: int | None = None
    layers: int = 1
    kernel: int = 3
    front_end: Literal["linear", "compressed", "advance"] = "linear"
    level: bool = False
    position: int = 0
    skip: bool = False
    forget_bias: float = 0.0
    scheme: Scheme = "unitary"
    ahead: int = 1

    def __post_init__(self) -> None:
        """Checks the names and the ranges."""
        for name, hint in get_type_hints(PredictorConfig).items():
            if get_origin(hint) is Literal and getattr(self, name) not in get_args(hint):
                options = ", ".join(map(repr, get_args(hint)))
                raise ValueError(f"{name} is one of {options}, not {getattr(self, name)!r}")
        if self.architecture == "lstm" and self.complex:
            raise ValueError("the plain LSTM is real; set complex = false")
        if self.architecture in ("urnn", "cgrnn") and not self.complex:
            raise ValueError(f"the {self.architecture} is complex; set complex = true")
        if self.architecture != "convlstm" and (self.level or self.position or self.skip):
            raise ValueError("level, position and skip belong to the ConvLSTM")
        if self.kernel % 2 == 0 or min(self.kernel, self.layers, self.units, self.ahead) < 1 or self.position < 0:
            raise ValueError("kernel must be odd, layers, hidden and ahead positive, position 0 or more")

    @property
    def units(self) -> int:
        """Maps or units of each layer."""
        return _HIDDEN[self.architecture, self.complex] if self.hidden is None else self.hidden


class PredictorNetwork(nn.Module):
    """Predicts every frame of a spectrum from those before it.

    Shape: input complex64 [B, T, F], F = 129, as :func:`audiocx.stft.stft` gives it; output the same, where frame t
    is the prediction of frame t + 1.

    Args:
        config: What to build.
    """

    kind: ClassVar[str] = "predictor"

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.config = config
        self.core = _CORES[config.architecture](config)

    def forward(self, spectra: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predicts from all frames.

        Args:
            spectra: See the class for shapes.
            state: What an earlier call gave, to go on from there.

        Returns:
            The predictions, and the state after the last frame.
        """
        ahead, state = self.forecast(spectra, state)
        return ahead[:, :, 0], state

    def forecast(self, spectra: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predicts from all frames, as far ahead as the network was built for.

        Args:
            spectra: See the class for shapes.
            state: What an earlier call gave, to go on from there.

        Returns:
            Complex64 [B, T, A, F], where [:, t, a] is the prediction of frame t + 1 + a, and the state after the last
            frame.
        """
        x = torch.view_as_real(spectra)
        if self.config.front_end == "advance":
            return self._by_advance(x, state)
        if self.config.front_end == "compressed":
            x = _compressed(x)
        y, state = self.core(x, state)
        if self.config.front_end == "compressed":
            y = _expanded(y)
        return torch.view_as_complex(y.contiguous()), state

    def _by_advance(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Predicts by how much each bin turns; the state's last pair is where it stood in the frame before."""
        turns = _phasors(x)
        if state is None:
            before, core_state = torch.ones_like(turns[:, :1]), None
        else:
            before, core_state = torch.complex(*state[-1]).unsqueeze(1), state[:-1]
        # A hop is half a frame: a tone in the middle of bin k turns by k half turns.
        steady = 1.0 - 2.0 * (torch.arange(x.shape[2], device=x.device) % 2)
        since = torch.cat([before, turns[:, :-1]], 1).conj() * steady
        y, states = self.core(torch.view_as_real(torch.view_as_complex(_compressed(x)) * since), core_state)
        phases = turns.unsqueeze(2) * (_phasors(y) * steady).cumprod(2)
        return phases * magnitude(_expanded(y), -1).squeeze(-1), (*states, (turns[:, -1].real, turns[:, -1].imag))

    def step(self, frame: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predicts from one frame more, on a live stream.

        Args:
            frame: Complex64 [B, F].
            state: That after the frame before; None for the first.

        Returns:
            The prediction of the frame that follows, complex64 [B, F], and the state.
        """
        prediction, state = self.forward(frame.unsqueeze(1), state)
        return prediction.squeeze(1), state


class _ConvCore(nn.Module):
    """ConvLSTM layers and the readout: [B, T, F, 2] to [B, T, A, F, 2]."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.level, parts = config.level, 2 if config.complex else 1
        # A complex network's extra channels have an imaginary part too; the level's is zero.
        self.position = nn.Parameter(torch.zeros(parts * config.position, BINS)) if config.position else None
        channels = (1 if config.complex else 2) + config.level + config.position
        inputs = [channels, *[config.units] * (config.layers - 1)]
        options: dict[str, Any] = {"scheme": config.scheme, "forget_bias": config.forget_bias}
        self.layers = nn.ModuleList(
            ConvLSTM(count, config.units, config.kernel, config.complex, **options) for count in inputs
        )
        self.parts, self.skip = parts, config.skip
        seen = config.units + channels * config.skip
        self.readout: nn.Module
        if config.complex:
            self.readout = ComplexLinear(seen, config.ahead, scheme=config.scheme, criterion="glorot")
        else:
            self.readout = _linear(seen, 2 * config.ahead, config.scheme)
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
        """[B, T, F, 2] as feature maps [B, T, C, F], real parts first where the network is complex."""
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


def _compressed(x: Tensor) -> Tensor:
    """Takes the logarithm of magnitudes over the floor: [..., 2] to the same."""
    length = magnitude(x, -1)
    floor = FLOOR_POWER**0.5
    # At zero the factor has a limit, 1 / (span * floor), from which it differs by nothing there.
    safe = length.clamp_min(1e-3 * floor)
    return x * (torch.log1p(safe / floor) / (_SPAN * safe))


def _expanded(y: Tensor) -> Tensor:
    """The inverse of compressing."""
    # Beyond 10 octaves over the loudest speech nothing more is to be said, and nothing to overflow.
    length = magnitude(y, -1).clamp(1e-6, 5.0)
    return y * (FLOOR_POWER**0.5 * torch.expm1(_SPAN * length) / length)


def _phasors(x: Tensor) -> Tensor:
    """Directions of [..., 2], complex [...]; 1 where there is none."""
    length = magnitude(x, -1)
    there = length > 1e-12
    directions = torch.view_as_complex((x / torch.where(there, length, 1)).contiguous())
    return torch.where(there.squeeze(-1), directions, 1)
