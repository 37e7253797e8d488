"""Recurrent networks for synthetic problems: one layer over the sequence, and a linear readout at every step.

Their sizes, of the literature for the cgRNN, the uRNN and the GRU, give them about 40 thousand weights each. Structured
uRNN and KRU have them in inputs and readout, hence fewer on the adding problem; the README lists all.

Source: Wolter and Yao, "Complex Gated Recurrent Neural Networks", 2018, on the synthetic problems.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from associative_lstm import AssociativeLSTM
from goru import GORU
from kru import KRU
from torch import Tensor, nn

from audiocx.config import check_fields
from audiocx.nn import ComplexGatedRNN, ComplexUnitaryRNN
from audiocx.nn.cell import StateActivationName
from audiocx.nn.gated import GateName
from audiocx.optim import unitary_drift

LayerName = Literal["cgrnn", "urnn", "structured-urnn", "gru", "lstm", "associative-lstm", "goru", "kru"]
_UNITS: dict[str, int] = {
    "cgrnn": 80,
    "urnn": 140,
    "structured-urnn": 864,
    "gru": 112,
    "lstm": 97,
    "associative-lstm": 44,
    "goru": 128,
    "kru": 1024,
}
# Layers that take real and imaginary parts.
_COMPLEX = {"cgrnn", "urnn", "structured-urnn", "kru"}
# Further settings of each layer.
_OPTIONS: dict[str, set[str]] = {
    "cgrnn": {"gate", "activation", "unitary", "unitary_gates", "gate_bias"},
    "urnn": {"activation"},
    "structured-urnn": {"activation"},
    "associative-lstm": {"copies"},
    "kru": {"penalty"},
}


@dataclass(frozen=True)
class SequenceConfig:
    """Configuration of a recurrent network for sequences of numbers.

    Attributes:
        layer: "cgrnn", the complex gated one, "urnn", the unitary one, "gru" or "lstm", PyTorch's, "associative-lstm",
            "goru", the gated orthogonal one, or "kru", the one with a Kronecker product for a matrix.
        inputs: Number of real inputs at each step.
        outputs: Number of real outputs at each step.
        hidden: Number of units, complex ones of "cgrnn", "urnn", "associative-lstm" and "kru"; None for about 40
            thousand weights.
        gate: Gate of "cgrnn"; see :class:`audiocx.nn.ComplexGate`.
        activation: State activation of "cgrnn" and "urnn"; see :class:`audiocx.nn.ComplexStateActivation`.
        unitary: Whether the state matrix of a cgRNN stays unitary; a uRNN's always does.
        unitary_gates: Whether the state matrices of its gates do too.
        gate_bias: Initial value of its gates' biases.
        copies: Number of memories of an associative LSTM.
        penalty: Factor of the loss that keeps the matrices of a KRU near unitary ones.
    """

    kind: ClassVar[str] = "sequence"

    layer: LayerName
    inputs: int
    outputs: int
    hidden: int | None = None
    gate: GateName = "mod-sigmoid"
    activation: StateActivationName = "modrelu"
    unitary: bool = True
    unitary_gates: bool = False
    gate_bias: float = 4.0
    copies: int = 8
    penalty: float = 100.0

    def __post_init__(self) -> None:
        """Check the names and the ranges."""
        check_fields(self, inputs="[1, inf)", outputs="[1, inf)", hidden="[1, inf)")
        check_fields(self, copies="[1, inf)", penalty="[0, inf)")
        foreign = set().union(*_OPTIONS.values()) - _OPTIONS.get(self.layer, set())
        for field in fields(self):
            if field.name in foreign and getattr(self, field.name) != field.default:
                raise ValueError(f"{field.name} does not belong to layer = {self.layer!r}; leave it out")

    @property
    def units(self) -> int:
        """Number of units of the layer."""
        return _UNITS[self.layer] if self.hidden is None else self.hidden


_LAYERS: dict[str, Callable[[SequenceConfig], nn.Module]] = {
    "cgrnn": lambda c: ComplexGatedRNN(
        c.inputs, c.units, c.gate, c.activation, c.unitary, c.gate_bias, c.unitary_gates
    ),
    "urnn": lambda c: ComplexUnitaryRNN(c.inputs, c.units, c.activation),
    "structured-urnn": lambda c: ComplexUnitaryRNN(c.inputs, c.units, c.activation, "arjovsky"),
    "gru": lambda c: nn.GRU(c.inputs, c.units, batch_first=True),
    "lstm": lambda c: nn.LSTM(c.inputs, c.units, batch_first=True),
    "associative-lstm": lambda c: AssociativeLSTM(c.inputs, c.units, c.copies),
    "goru": lambda c: GORU(c.inputs, c.units),
    "kru": lambda c: KRU(c.inputs, c.units),
}


class SequenceNetwork(nn.Module):
    """A recurrent layer and a linear readout of its state at every step.

    A complex layer gets the inputs as real parts, with imaginary parts of zero. Its readout is of the real and the
    imaginary parts of its states.

    Shape: input [B, T, inputs] real; output [B, T, outputs] real.

    Args:
        config: Its configuration.
    """

    kind: ClassVar[str] = "sequence"

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        self.complex = config.layer in _COMPLEX
        self.layer: Any = _LAYERS[config.layer](config)
        parts = 2 if self.complex or config.layer == "associative-lstm" else 1
        self.readout = nn.Linear(config.units * parts, config.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs; see the class for shapes."""
        if self.complex:
            x = torch.cat([x, torch.zeros_like(x)], -1)
        states, _ = self.layer(x)
        # Time is the first dimension in the layers' memory; this multiplies without a copy.
        outputs: Tensor = self.readout(states.transpose(0, 1)).transpose(0, 1)
        return outputs

    def penalty(self) -> Tensor | float:
        """Return what is added to the loss in training, for the matrices of a KRU: the sum of ||W_f^H W_f - I||^2."""
        return self.config.penalty * self.layer.cell.departures().sum() if self.config.layer == "kru" else 0.0

    def drift(self) -> float:
        """Return the largest distance ||W^H W - I|| of the matrices that are to stay unitary; 0 if there are none."""
        if self.config.layer == "kru":
            return float(self.layer.cell.departures().detach().max().sqrt())
        return unitary_drift(self)
