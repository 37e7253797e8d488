"""Recurrent networks for synthetic problems: one layer over the sequence, and a linear readout at every step.

With the sizes of the literature they have about 40 thousand weights each: on the memory problem 45,211 (cgRNN of 80
units), 44,669 (uRNN of 140) and 42,681 (GRU of 112), on the adding problem 40,083, 40,181 and 39,089.

Source: Wolter and Yao, "Complex Gated Recurrent Neural Networks", 2018, on the synthetic problems.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from audiocx.config import check_fields
from audiocx.nn import ComplexGatedRNN, ComplexUnitaryRNN
from audiocx.nn.cell import StateActivationName
from audiocx.nn.gated import GateName

LayerName = Literal["cgrnn", "urnn", "gru"]
_UNITS: dict[str, int] = {"cgrnn": 80, "urnn": 140, "gru": 112}
# Further settings of each layer.
_OPTIONS: dict[str, set[str]] = {
    "cgrnn": {"gate", "activation", "unitary", "unitary_gates", "gate_bias"},
    "urnn": {"activation"},
    "gru": set(),
}


@dataclass(frozen=True)
class SequenceConfig:
    """Configuration of a recurrent network for sequences of numbers.

    Attributes:
        layer: "cgrnn", the complex gated one, "urnn", the unitary one, or "gru", PyTorch's.
        inputs: Number of real inputs at each step.
        outputs: Number of real outputs at each step.
        hidden: Number of units, complex ones of "cgrnn" and "urnn"; None for about 40 thousand weights.
        gate: Gate of "cgrnn"; see :class:`audiocx.nn.ComplexGate`.
        activation: State activation of "cgrnn" and "urnn"; see :class:`audiocx.nn.ComplexStateActivation`.
        unitary: Whether the state matrix of a cgRNN stays unitary; a uRNN's always does.
        unitary_gates: Whether the state matrices of its gates do too.
        gate_bias: Initial value of its gates' biases.
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

    def __post_init__(self) -> None:
        """Check the names and the ranges."""
        check_fields(self, inputs="[1, inf)", outputs="[1, inf)", hidden="[1, inf)")
        foreign = _OPTIONS["cgrnn"] - _OPTIONS[self.layer]
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
    "gru": lambda c: nn.GRU(c.inputs, c.units, batch_first=True),
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
        self.complex = config.layer != "gru"
        self.layer: Any = _LAYERS[config.layer](config)
        self.readout = nn.Linear(config.units * (2 if self.complex else 1), config.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs; see the class for shapes."""
        if self.complex:
            x = torch.cat([x, torch.zeros_like(x)], -1)
        states, _ = self.layer(x)
        # Time is the first dimension in the layers' memory; this multiplies without a copy.
        outputs: Tensor = self.readout(states.transpose(0, 1)).transpose(0, 1)
        return outputs
