"""The unitary recurrent layer: its state is turned by a unitary matrix, so that nothing in it fades or explodes.

The matrix is of full capacity, any unitary one; the optimisers of :mod:`audiocx.optim` keep it unitary.

Source: Arjovsky et al., "Unitary Evolution Recurrent Neural Networks", 2016; Wisdom et al., "Full-Capacity Unitary
Recurrent Neural Networks", 2016.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .cell import (
    ActivationDerivatives,
    Cell,
    Layer,
    Radius,
    StateActivation,
    StateActivationName,
    StateMatrix,
    activate,
    stretches,
)
from .linear import ComplexLinear

__all__ = ["UnitaryCell", "UnitaryRNN"]


class UnitaryCell(Cell):
    """One step of the unitary recurrent layer: h' = f(W h + V x), W unitary.

    Shape: input [B, 2I] real, real parts first, or [B, I] complex; output [B, 2H] or [B, H], of the input's kind;
    states of either kind.

    Args:
        in_features: I, complex.
        hidden_features: H, complex.
        activation: f, "modrelu" or "hirose"; see :class:`audiocx.nn.StateActivation`.

    Raises:
        ValueError: Unknown activation.

    Source: Arjovsky et al. 2016, section 4; Wisdom et al. 2016, section 4, for W of full capacity. Here W starts as a
    random unitary matrix and the state, which they learn, as zero.
    """

    def __init__(self, in_features: int, hidden_features: int, activation: StateActivationName = "modrelu") -> None:
        super().__init__(hidden_features)
        self.input = ComplexLinear(in_features, hidden_features, False, "rayleigh", "glorot")
        self.state = StateMatrix(hidden_features)
        self.activation = StateActivation(activation, hidden_features)

    def drives(self, x: Tensor) -> tuple[Tensor, ...]:
        """Gives V x."""
        return (self.input(x),)

    def matrices(self) -> tuple[Tensor, ...]:
        """Gives W."""
        return (self.state.transposed(),)

    def step(self, drives: tuple[Tensor, ...], matrices: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        """Gives the state that follows."""
        return self.activation(torch.addmm(drives[0], hidden, matrices[0]))

    def run(self, drives: tuple[Tensor, ...], matrices: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        """Gives all the states that follow."""
        return _Steps.apply(self.activation.radius, self.activation.weight, *drives, *matrices, hidden)


class UnitaryRNN(Layer):
    """Unitary recurrent layer over time: h_t = f(W h_(t-1) + V x_t), W unitary.

    A linear layer of 2H inputs reads real values out of the states' real and imaginary parts.

    Shape: input [B, T, 2I] real, real parts first, or [B, T, I] complex; output [B, T, 2H] or [B, T, H], of the
    input's kind; states [B, 2H] or [B, H], given back likewise.

    Args:
        in_features: I, complex.
        hidden_features: H, complex.
        activation: f, "modrelu" or "hirose".

    Raises:
        ValueError: Unknown activation.

    Source: see :class:`UnitaryCell`.
    """

    def __init__(self, in_features: int, hidden_features: int, activation: StateActivationName = "modrelu") -> None:
        super().__init__(UnitaryCell(in_features, hidden_features, activation))


class _Steps(torch.autograd.Function):
    """The recurrence: drive [T, B, 2H], matrix [2H, 2H] and state [B, 2H] to states [T, B, 2H]."""

    @staticmethod
    def forward(ctx: Any, radius: Radius, weight: Tensor, drive: Tensor, matrix: Tensor, hidden: Tensor) -> Tensor:
        times, batch, size = drive.shape
        phases, lengths = drive.new_empty(times, batch, size), drive.new_empty(times, batch, size // 2)
        states = drive.new_empty(times + 1, batch, size)
        states[0] = hidden
        for now, state, follows, phase, length in zip(drive, states, states[1:], phases, lengths, strict=False):
            torch.addmm(now, state, matrix, out=phase)
            activate(phase, length, radius, weight, follows.view(batch, 2, -1))
        ctx.radius = radius
        ctx.save_for_backward(weight, matrix, phases, lengths, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_states: Tensor) -> tuple[None, Tensor, Tensor, Tensor, Tensor]:
        weight, matrix, phases, lengths, states = ctx.saved_tensors
        to_drive, to_matrix, to_weight = torch.empty_like(phases), torch.zeros_like(matrix), torch.zeros_like(weight)
        hidden, back = torch.zeros_like(states[0]), matrix.T.contiguous()
        whole = (to_states, to_drive, phases, lengths, states[:-1])
        for ahead, out, phase, length, state in reversed([*stretches(*whole)]):
            slopes = ActivationDerivatives(ctx.radius, weight, length, phase)
            for time, (to_state, to_now) in reversed([*enumerate(zip(ahead, out, strict=True))]):
                gradient = hidden + to_state
                slopes.back(time, gradient.unflatten(1, (2, -1)), to_now.unflatten(1, (2, -1)))
                hidden = to_now @ back
            to_matrix.addmm_(state.flatten(0, 1).T, out.flatten(0, 1))
            to_weight += slopes.to_weight()
        return None, to_weight, to_drive, to_matrix, hidden
