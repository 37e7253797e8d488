"""Recurrent networks for synthetic problems: one layer over the sequence, and a linear readout at every step.

With the sizes of the literature they have about 40 thousand weights each: on the memory problem 45,211 (cgRNN of 80
units), 44,669 (uRNN of 140) and 42,681 (GRU of 112), on the adding problem 40,083, 40,181 and 39,089.

Source: Wolter and Yao, "Complex Gated Recurrent Neural Networks", 2018, on the synthetic problems.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from ..nn import ComplexGatedRNN, ComplexUnitaryRNN
from ..nn.cell import StateActivationName
from ..nn.gated import GateName

__all__ = ["SequenceConfig", "SequenceNetwork"]

LayerName = Literal["cgrnn", "urnn", "gru"]
_UNITS: dict[str, int] = {"cgrnn": 80, "urnn": 140, "gru": 112}
# What else is to be set of each layer.
_OPTIONS: dict[str, set[str]] = {
    "cgrnn": {"gate", "activation", "unitary", "unitary_gates", "gate_bias"},
    "urnn": {"activation"},
    "gru": set(),
}


@dataclass(frozen=True)
class SequenceConfig:
    """All that is needed to build a recurrent network for sequences of numbers.

    Attributes:
        layer: "cgrnn", the complex gated one, "urnn", the unitary one, or "gru", PyTorch's.
        inputs: Real numbers a step that go in.
        outputs: Those that come out.
        hidden: Units, complex ones of "cgrnn" and "urnn"; None for those that make about 40 thousand weights.
        gate: Of "cgrnn"; see :class:`audiocx.nn.ComplexGate`.
        activation: Of the state of "cgrnn" and "urnn"; see :class:`audiocx.nn.ComplexStateActivation`.
        unitary: Whether the matrix of a cgRNN's state stays unitary; a uRNN's always does.
        unitary_gates: Whether those of its gates do too.
        gate_bias: What its gates' biases start at.
    """

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
        """Checks the names and the ranges."""
        names = {"layer": LayerName, "gate": GateName, "activation": StateActivationName}
        for name, options in names.items():
            if getattr(self, name) not in get_args(options):
                raise ValueError(f"{name} is one of {str(get_args(options))[1:-1]}, not {getattr(self, name)!r}")
        if min(self.inputs, self.outputs, self.units) < 1:
            raise ValueError("inputs, outputs and hidden must be positive")
        strange = _OPTIONS["cgrnn"] - _OPTIONS[self.layer]
        for field in fields(self):
            if field.name in strange and getattr(self, field.name) != field.default:
                raise ValueError(f"{field.name} does not belong to layer = {self.layer!r}; leave it out")

    @property
    def units(self) -> int:
        """Units of the layer."""
        return _UNITS[self.layer] if self.hidden is None else self.hidden


_LAYERS: dict[str, Callable[[SequenceConfig], nn.Module]] = {
    "cgrnn": lambda c: ComplexGatedRNN(
        c.inputs, c.units, c.gate, c.activation, c.unitary, c.gate_bias, c.unitary_gates
    ),
    "urnn": lambda c: ComplexUnitaryRNN(c.inputs, c.units, c.activation),
    "gru": lambda c: nn.GRU(c.inputs, c.units, batch_first=True),
}


class SequenceNetwork(nn.Module):
    """Answers at every step of a sequence by all steps up to it.

    To a complex layer the inputs are real parts; their imaginary parts are zero. What is read out are the real and the
    imaginary parts of its states.

    Shape: input [B, T, inputs] real; output [B, T, outputs] real.

    Args:
        config: What to build.
    """

    kind: ClassVar[str] = "sequence"

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        self.complex = config.layer != "gru"
        self.layer: Any = _LAYERS[config.layer](config)
        self.readout = nn.Linear(config.units * (2 if self.complex else 1), config.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Gives the answers; see the class for shapes."""
        if self.complex:
            x = torch.cat([x, torch.zeros_like(x)], -1)
        states, _ = self.layer(x)
        # The layers' memory has time first; a product of it as it lies copies nothing.
        answers: Tensor = self.readout(states.transpose(0, 1)).transpose(0, 1)
        return answers
