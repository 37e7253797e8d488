"""Full-capacity unitary recurrent layer (uRNN).

A unitary state matrix keeps the norm of what it multiplies, so that gradients neither vanish nor explode through it.
The optimisers of :mod:`audiocx.optim` keep it unitary.

Source: Arjovsky et al., "Unitary Evolution Recurrent Neural Networks", 2016; Wisdom et al., "Full-Capacity Unitary
Recurrent Neural Networks", 2016.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from .cell import (
    ActivationDerivatives,
    ComplexStateActivation,
    ComplexStateMatrix,
    Radius,
    RecurrentCell,
    RecurrentLayer,
    StateActivationName,
    activate,
    differentiable_gradients,
    segments,
)
from .functional import radial
from .linear import ComplexLinear

__all__ = ["ComplexUnitaryRNNCell", "ComplexUnitaryRNN"]


class ComplexUnitaryRNNCell(RecurrentCell):
    """Single step of the unitary recurrent layer: h' = f(W h + V x), W unitary.

    Args:
        in_features: I, complex features of the input.
        hidden_features: H, complex units of the state.
        activation: f, "modrelu" or "hirose"; see :class:`audiocx.nn.ComplexStateActivation`.

    Shape:
        - Input: real [B, 2I], real parts first, or complex [B, I]; state [B, 2H] or [B, H].
        - Output: next state, [B, 2H] or [B, H], same kind as the input.

    Raises:
        ValueError: Unknown activation.

    Source: Arjovsky et al. 2016, section 4; Wisdom et al. 2016, section 4, for W of full capacity. Differs in that W
    starts as a random unitary matrix and the state as zero, where theirs is learnt.
    """

    def __init__(self, in_features: int, hidden_features: int, activation: StateActivationName = "modrelu") -> None:
        super().__init__(in_features, hidden_features)
        self.input = ComplexLinear(in_features, hidden_features, False, "rayleigh", "glorot")
        self.state = ComplexStateMatrix(hidden_features)
        self.activation = ComplexStateActivation(activation, hidden_features)

    def input_projections(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return V x."""
        return (self.input(x),)

    def state_matrices(self) -> tuple[Tensor, ...]:
        """Return W."""
        return (self.state.transposed(),)

    def step(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        """Return the next state."""
        return self.activation(torch.addmm(projections[0], hidden, matrices[0]))

    def run(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        """Return the states of all steps."""
        return _Steps.apply(self.activation.radius, self.activation.weight, *projections, *matrices, hidden)


class ComplexUnitaryRNN(RecurrentLayer):
    """Unitary recurrent layer: h_t = f(W h_(t-1) + V x_t), W unitary.

    For real outputs put a ``torch.nn.Linear`` of 2H inputs after it, over real and imaginary parts of the states.

    Args:
        in_features: I, complex features of the input.
        hidden_features: H, complex units of the state.
        activation: f, "modrelu" or "hirose"; see :class:`audiocx.nn.ComplexStateActivation`.

    Shape:
        - Input: real [B, T, 2I], real parts first, or complex [B, T, I]; initial state [B, 2H] or [B, H], optional.
        - Output: states [B, T, 2H] or [B, T, H] and the last of them, [B, 2H] or [B, H]; same kind as the input.

    Raises:
        ValueError: Unknown activation.

    Source: See :class:`ComplexUnitaryRNNCell`.

    Examples:
        >>> layer = ComplexUnitaryRNN(2, 8)
        >>> states, last = layer(torch.randn(4, 20, 2, dtype=torch.complex64))
        >>> states.shape, last.shape
        (torch.Size([4, 20, 8]), torch.Size([4, 8]))
    """

    def __init__(self, in_features: int, hidden_features: int, activation: StateActivationName = "modrelu") -> None:
        super().__init__(ComplexUnitaryRNNCell(in_features, hidden_features, activation))


def _plain_steps(radius: Radius, weight: Tensor, projection: Tensor, matrix: Tensor, hidden: Tensor) -> Tensor:
    """Run the recurrence of :class:`_Steps` in plain operations."""
    states = []
    for now in projection:
        hidden = radial(torch.addmm(now, hidden, matrix), lambda length: radius(length, weight), -1)
        states.append(hidden)
    return torch.stack(states)


class _Steps(torch.autograd.Function):
    """Recurrence: input projections [T, B, 2H], matrix [2H, 2H] and initial state [B, 2H] to states [T, B, 2H]."""

    @staticmethod
    def forward(ctx: Any, radius: Radius, weight: Tensor, projection: Tensor, matrix: Tensor, hidden: Tensor) -> Tensor:
        times, batch, size = projection.shape
        phases, lengths = projection.new_empty(times, batch, size), projection.new_empty(times, batch, size // 2)
        states = projection.new_empty(times + 1, batch, size)
        states[0] = hidden
        for now, state, follows, phase, length in zip(projection, states, states[1:], phases, lengths, strict=False):
            torch.addmm(now, state, matrix, out=phase)
            activate(phase, length, radius, weight, follows.view(batch, 2, -1))
        ctx.radius = radius
        # Projections and initial state only for gradients that are differentiated again.
        ctx.save_for_backward(weight, projection, matrix, hidden, phases, lengths, states)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, grad_states: Tensor) -> tuple[Tensor | None, ...]:
        weight, projection, matrix, hidden, phases, lengths, states = ctx.saved_tensors
        if torch.is_grad_enabled():
            run = functools.partial(_plain_steps, ctx.radius)
            return None, *differentiable_gradients(run, (weight, projection, matrix, hidden), (grad_states,))
        grad_projection = torch.empty_like(phases)
        grad_matrix, grad_weight = torch.zeros_like(matrix), torch.zeros_like(weight)
        hidden, back = torch.zeros_like(states[0]), matrix.T.contiguous()
        sequences = (grad_states, grad_projection, phases, lengths, states[:-1])
        for upstream, out, phase, length, state in reversed([*segments(*sequences)]):
            derivatives = ActivationDerivatives(ctx.radius, weight, length, phase)
            for time, (grad_state, grad_now) in reversed([*enumerate(zip(upstream, out, strict=True))]):
                gradient = hidden + grad_state
                derivatives.backward(time, gradient.unflatten(1, (2, -1)), grad_now.unflatten(1, (2, -1)))
                hidden = grad_now @ back
            grad_matrix.addmm_(state.flatten(0, 1).T, out.flatten(0, 1))
            grad_weight += derivatives.weight_gradient()
        return None, grad_weight, grad_projection, grad_matrix, hidden
