"""The complex gated recurrent layer (cgRNN): gates as of a GRU on a state that a unitary matrix turns.

The unitary matrix keeps what is in the state, the gates choose what comes in; the optimisers of :mod:`audiocx.optim`
keep it unitary.

Source: Wolter and Yao, "Complex Gated Recurrent Neural Networks", 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
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
    dot,
    stretches,
)
from .functional import complex_weight, magnitude
from .init import init_complex_
from .linear import ComplexLinear

__all__ = ["Gate", "GateName", "GatedCell", "GatedRNN"]

GateName = Literal["mod-sigmoid", "prod", "hirose", "single"]
# Both gates, reset and update [*, 2H], of values z mixed (Gate.mix) and of K learnt numbers a gate [K, 2, 1], if any.
GateFunction = Callable[[Tensor, Any], Tensor]


def _sigmoid(z: Tensor, weight: Any) -> Tensor:
    return z.sigmoid()


def _prod(z: Tensor, weight: Any) -> Tensor:
    real, imag = z.sigmoid().chunk(2, -1)
    return real * imag


def _hirose(z: Tensor, weight: Any) -> Tensor:
    (real, imag), (m, a, b) = z.unflatten(-1, (2, 2, -1)).unbind(-3), weight
    length = magnitude(z, -1).unflatten(-1, (2, -1))
    # Without magnitude the gate is shut, whatever the phase; its gradient must only not be undefined.
    phase = torch.atan2(imag, torch.where(length == 0, 1.0, real))
    return (torch.tanh(length / m.square()) * torch.sigmoid(a * phase + b)).flatten(-2)


# With what the learnt numbers start at.
_GATES: dict[str, tuple[GateFunction, tuple[float, ...]]] = {
    "mod-sigmoid": (_sigmoid, (0.0,)),
    "prod": (_prod, ()),
    "hirose": (_hirose, (1.0, 2.0, 4.0)),
    "single": (_sigmoid, ()),
}


class Gate(nn.Module):
    """The reset and the update gate, real numbers from 0 to 1 made of complex ones.

    "mod-sigmoid" is sigma(a Re z + (1 - a) Im z) with a in [0, 1], 0.5 at first; "prod" is sigma(Re z) sigma(Im z);
    "hirose" is tanh(|z| / m^2) sigma(a arg z + b), with m = 1, a = 2, b = 4 at first. Of these each gate has values z
    and learnt numbers of its own. "single" makes both gates of the same values: sigma(Re z) and sigma(Im z).

    Shape: [*, 2GH] real, real parts first and reset before update; output [*, 2H], reset before update. G is 2, of
    "single" 1.

    Args:
        name: "mod-sigmoid", "prod", "hirose" or "single".

    Raises:
        ValueError: Unknown name.

    Source: Wolter and Yao 2018, on gating units, and their code for what the learnt numbers start at and for arg z in
    the Hirose gate, where in print z / |z| stands for the phase; "single" is what they name as future work.
    """

    def __init__(self, name: GateName) -> None:
        super().__init__()
        if name not in _GATES:
            raise ValueError(f"The gate is {', '.join(map(repr, _GATES))}, not {name!r}.")
        self.name, starts = name, _GATES[name][1]
        self.values = 1 if name == "single" else 2
        self.weight = nn.Parameter(torch.tensor(starts).view(-1, 1, 1).repeat(1, 2, 1)) if starts else None

    @property
    def function(self) -> GateFunction:
        """What makes the gates of mixed values and of the learnt numbers that are left."""
        return _GATES[self.name][0]

    @property
    def left(self) -> Tensor | None:
        """The learnt numbers that mixing has not taken."""
        return None if self.name == "mod-sigmoid" else self.weight

    def mix(self, z: Tensor) -> Tensor:
        """Does what is linear in a gate; of a matrix that makes z it may as well be done once, before the product.

        Args:
            z: Values [*, 2GH], or the columns that make them.

        Returns:
            Of "mod-sigmoid" a Re z + (1 - a) Im z, [*, 2H]; of the others z itself.
        """
        if self.name != "mod-sigmoid":
            return z
        real, imag = z.unflatten(-1, (2, 2, -1)).unbind(-3)
        return torch.lerp(imag, real, self.get_parameter("weight")[0].sigmoid()).flatten(-2)

    def forward(self, z: Tensor) -> Tensor:
        """Gives both gates."""
        return self.function(self.mix(z), self.left)

    def extra_repr(self) -> str:
        """Names the gate."""
        return repr(self.name)


class GatedCell(Cell):
    """One step of the complex gated recurrent layer.

    r = f_g(W_r h + V_r x + b_r), z likewise, c = f_a(W (r h) + V x + b), h' = z c + (1 - z) h; the gates r and z are
    real, everything else is complex, and W stays unitary.

    Shape: input [B, 2I] real, real parts first, or [B, I] complex; output [B, 2H] or [B, H], of the input's kind;
    states of either kind.

    Args:
        in_features: I, complex.
        hidden_features: H, complex.
        gate: f_g, "mod-sigmoid", "prod", "hirose" or "single"; see :class:`Gate`.
        activation: f_a, "modrelu" or "hirose"; see :class:`audiocx.nn.StateActivation`.
        unitary: Whether W stays unitary.
        gate_bias: What real and imaginary part of b_r and b_z start at: 4 opens the gates, and before it has learnt
            the layer is all but a unitary one. It then still forgets some 2 % a step, which is everything over
            hundreds of steps; 6 remembers over 500 and still learns to choose (recipes/synthetic). b starts at 0.
        unitary_gates: Whether W_r and W_z stay unitary too; the gates can then hardly saturate.

    Raises:
        ValueError: Unknown gate or activation.

    Source: Wolter and Yao 2018, on gating units and on implementation. Theirs but not ours: W starts as Arjovsky's
    product of simple unitary matrices, everything else uniform; here as any unitary matrix, with Rayleigh magnitudes.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        gate: GateName = "mod-sigmoid",
        activation: StateActivationName = "modrelu",
        unitary: bool = True,
        gate_bias: float = 4.0,
        unitary_gates: bool = False,
    ) -> None:
        super().__init__(hidden_features)
        self.gate = Gate(gate)
        self.activation = StateActivation(activation, hidden_features)
        self.input = ComplexLinear(in_features, hidden_features, True, "rayleigh", "glorot")
        self.state = StateMatrix(hidden_features, unitary)
        values = self.gate.values
        self.gate_input = ComplexLinear(in_features, values * hidden_features)
        weights = (self.gate_input.weight_real.detach(), self.gate_input.weight_imag.detach())
        for real, imag in zip(*(weight.chunk(values) for weight in weights), strict=True):
            init_complex_(real, imag, "rayleigh", "glorot")
        self.gate_state = nn.ModuleList(StateMatrix(hidden_features, unitary_gates) for _ in range(values))
        nn.init.constant_(self.gate_input.get_parameter("bias"), gate_bias)

    def drives(self, x: Tensor) -> tuple[Tensor, ...]:
        """Gives V_r x + b_r with V_z x + b_z, mixed, and V x + b."""
        opening = self.gate_input
        weight = self.gate.mix(complex_weight(opening.weight_real, opening.weight_imag).T)
        return F.linear(x, weight.T, self.gate.mix(opening.get_parameter("bias"))), self.input(x)

    def matrices(self) -> tuple[Tensor, ...]:
        """Gives W_r with W_z, mixed, and W."""
        real, imag = torch.cat([part.get_parameter("weight") for part in self.gate_state], 1)
        return self.gate.mix(complex_weight(real, imag).T).contiguous(), self.state.transposed()

    def step(self, drives: tuple[Tensor, ...], matrices: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        """Gives the state that follows."""
        gates = self.gate.function(torch.addmm(drives[0], hidden, matrices[0]), self.gate.left)
        # The same gate for real and imaginary parts.
        reset, update = gates.unflatten(-1, (2, 1, -1)).unbind(-3)
        parts = hidden.unflatten(-1, (2, -1))
        candidate = self.activation(torch.addmm(drives[1], (reset * parts).flatten(-2), matrices[1]))
        return torch.lerp(parts, candidate.unflatten(-1, (2, -1)), update).flatten(-2)

    def run(self, drives: tuple[Tensor, ...], matrices: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        """Gives all the states that follow."""
        functions = (self.gate.function, self.activation.radius)
        return _Steps.apply(functions, self.gate.left, self.activation.weight, *drives, *matrices, hidden)


class GatedRNN(Layer):
    """Complex gated recurrent layer over time; the equations are :class:`GatedCell`'s.

    A linear layer of 2H inputs reads real values out of the states' real and imaginary parts.

    Shape: input [B, T, 2I] real, real parts first, or [B, T, I] complex; output [B, T, 2H] or [B, T, H], of the
    input's kind; states [B, 2H] or [B, H], given back likewise.

    Args:
        in_features: I, complex.
        hidden_features: H, complex.
        gate: "mod-sigmoid", "prod", "hirose" or "single"; see :class:`Gate`.
        activation: "modrelu" or "hirose"; see :class:`audiocx.nn.StateActivation`.
        unitary: Whether W stays unitary.
        gate_bias: What real and imaginary part of the gates' biases start at.
        unitary_gates: Whether W_r and W_z stay unitary too.

    Raises:
        ValueError: Unknown gate or activation.

    Source: see :class:`GatedCell`.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        gate: GateName = "mod-sigmoid",
        activation: StateActivationName = "modrelu",
        unitary: bool = True,
        gate_bias: float = 4.0,
        unitary_gates: bool = False,
    ) -> None:
        super().__init__(GatedCell(in_features, hidden_features, gate, activation, unitary, gate_bias, unitary_gates))


class _Steps(torch.autograd.Function):
    """The recurrence: drives [T, B, GH] and [T, B, 2H], their matrices and a state [B, 2H] to states [T, B, 2H].

    GH, real, are 2H or 4H values that the gates are made of, mixed.
    """

    @staticmethod
    def forward(
        ctx: Any,
        functions: tuple[GateFunction, Radius],
        gate_weight: Tensor | None,
        weight: Tensor,
        gate_drive: Tensor,
        drive: Tensor,
        gate_matrix: Tensor,
        matrix: Tensor,
        hidden: Tensor,
    ) -> Tensor:
        (times, batch, size), (gate, radius) = drive.shape, functions
        # The gates and what they hold are made anew on the way back: fetching them from memory costs more.
        pre, phases = drive.new_empty(gate_drive.shape), drive.new_empty(drive.shape)
        lengths, states = drive.new_empty(times, batch, size // 2), drive.new_empty(times + 1, batch, size)
        states[0] = hidden
        for gate_now, now, z, phase, length, state, follows in zip(
            gate_drive, drive, pre, phases, lengths, states, states[1:], strict=False
        ):
            torch.addmm(gate_now, state, gate_matrix, out=z)
            reset, update = gate(z, gate_weight).view(batch, 2, 1, -1).unbind(1)
            parts = state.view(batch, 2, -1)
            torch.addmm(now, (reset * parts).view(batch, -1), matrix, out=phase)
            torch.lerp(parts, activate(phase, length, radius, weight), update, out=follows.view(batch, 2, -1))
        ctx.functions = functions
        ctx.save_for_backward(gate_weight, weight, gate_matrix, matrix, pre, phases, lengths, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_states: Tensor) -> tuple[Tensor | None, ...]:
        gate_weight, weight, gate_matrix, matrix, pre, phases, lengths, states = ctx.saved_tensors
        gate, radius = ctx.functions
        to_pre, to_drive, states = torch.empty_like(pre), torch.empty_like(phases), states[:-1]
        to_gate_matrix, to_matrix, to_weight = (torch.zeros_like(part) for part in (gate_matrix, matrix, weight))
        to_gate_weight = None if gate_weight is None else torch.zeros_like(gate_weight)
        hidden, backs = torch.zeros_like(states[0]), (gate_matrix.T.contiguous(), matrix.T.contiguous())
        whole = (to_states, to_pre, to_drive, pre, phases, lengths, states)
        for ahead, to_z, out, z, phase, length, state in reversed([*stretches(*whole)]):
            slopes, opening = ActivationDerivatives(radius, weight, length, phase), _Opening(gate, gate_weight, z)
            held = (opening.reset * state.unflatten(2, (2, -1))).flatten(2)
            hidden = _back(hidden, (ahead, to_z, out, state), slopes, opening, backs)
            to_gate_matrix.addmm_(state.flatten(0, 1).T, to_z.flatten(0, 1))
            to_matrix.addmm_(held.flatten(0, 1).T, out.flatten(0, 1))
            to_weight += slopes.to_weight()
            if to_gate_weight is not None:
                to_gate_weight += opening.to_weight()
        return None, to_gate_weight, to_weight, to_pre, to_drive, to_gate_matrix, to_matrix, hidden


def _back(
    hidden: Tensor,
    steps: tuple[Tensor, ...],
    slopes: ActivationDerivatives,
    opening: _Opening,
    backs: tuple[Tensor, Tensor],
) -> Tensor:
    """Leads a gradient [B, 2H] back through a stretch of steps, all [S, B, *], and gives what has come through."""
    to_states, to_pre, to_drive, states = steps
    batch, states = states.shape[1], states.unflatten(2, (2, -1))
    toward = slopes.radii.unsqueeze(2) * slopes.phases - states
    to_gates = opening.gradient.unflatten(2, (2, -1)).unbind(2)
    own = (opening.reset, opening.update, opening.slopes, opening.gradient, *to_gates)
    views = zip(to_states, to_pre, to_drive, states, toward, *own, strict=True)
    for time, view in reversed([*enumerate(views)]):
        to_state, to_z, out, state, ahead, reset, update, opens, to_both, to_reset, to_update = view
        gradient = (hidden + to_state).view(batch, 2, -1)
        dot(gradient, ahead, to_update)
        to_new = gradient * update
        slopes.back(time, to_new, out.view(batch, 2, -1))
        to_held = (out @ backs[1]).view(batch, 2, -1)
        dot(to_held, state, to_reset)
        # Both parts of a gate's value have its gradient; mixed values, and those of "single", are one a gate.
        torch.mul(opens, to_both.view(batch, 1, -1), out=to_z.view_as(opens))
        hidden = gradient.sub_(to_new).addcmul_(reset, to_held).view(batch, -1).addmm_(to_z, backs[0])
    return hidden


class _Opening:
    """Both gates and their derivatives at all the values [S, B, GH] that a stretch of steps has met."""

    def __init__(self, gate: GateFunction, weight: Tensor | None, pre: Tensor) -> None:
        self.weight = None if weight is None else weight.detach().requires_grad_()
        with torch.enable_grad():
            pre = pre.detach().requires_grad_()
            self.graph = gate(pre, self.weight)
            (slopes,) = torch.autograd.grad(self.graph.sum(), pre, retain_graph=weight is not None)
        self.reset, self.update = self.graph.detach().unflatten(2, (2, 1, -1)).unbind(2)  # [S, B, 1, H]
        self.slopes = slopes.unflatten(2, (-1, self.graph.shape[2]))  # [S, B, 1 or 2, 2H]
        self.gradient = torch.empty_like(self.graph)  # of the gates, to be filled

    def to_weight(self) -> Tensor:
        """Gives the gradient of the learnt numbers, where there are any, once all steps have been led back."""
        assert self.weight is not None
        return torch.autograd.grad(self.graph, self.weight, self.gradient)[0]
