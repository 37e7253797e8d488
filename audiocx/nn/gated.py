"""The complex gated recurrent layer (cgRNN): gates as of a GRU on a state that a unitary matrix turns.

The unitary matrix keeps what is in the state, the gates choose what comes in; the optimisers of :mod:`audiocx.optim`
keep it unitary.

Source: Wolter and Yao, "Complex Gated Recurrent Neural Networks", 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .cell import Cell, Layer, Radius, Slopes, StateActivation, StateActivationName, StateMatrix, activate, dot
from .functional import complex_weight, magnitude
from .init import init_complex_
from .linear import ComplexLinear

__all__ = ["Gate", "GateName", "GatedCell", "GatedRNN"]

GateName = Literal["mod-sigmoid", "prod", "hirose", "single"]
# Both gates, reset and update [*, 2H], of values z [*, 2GH] and of K learnt numbers a gate [K, 2, 1], if any.
GateFunction = Callable[[Tensor, Any], Tensor]


def _mod_sigmoid(z: Tensor, weight: Any) -> Tensor:
    real, imag = z.unflatten(-1, (2, 2, -1)).unbind(-3)
    return torch.lerp(imag, real, weight[0].sigmoid()).sigmoid().flatten(-2)


def _prod(z: Tensor, weight: Any) -> Tensor:
    real, imag = z.sigmoid().chunk(2, -1)
    return real * imag


def _hirose(z: Tensor, weight: Any) -> Tensor:
    (real, imag), (m, a, b) = z.unflatten(-1, (2, 2, -1)).unbind(-3), weight
    length = magnitude(z, -1).unflatten(-1, (2, -1))
    # Without magnitude the gate is shut, whatever the phase; its gradient must only not be undefined.
    phase = torch.atan2(imag, torch.where(length == 0, 1.0, real))
    return (torch.tanh(length / m.square()) * torch.sigmoid(a * phase + b)).flatten(-2)


def _single(z: Tensor, weight: Any) -> Tensor:
    return z.sigmoid()


# With what the learnt numbers start at.
_GATES: dict[str, tuple[GateFunction, tuple[float, ...]]] = {
    "mod-sigmoid": (_mod_sigmoid, (0.0,)),
    "prod": (_prod, ()),
    "hirose": (_hirose, (1.0, 2.0, 4.0)),
    "single": (_single, ()),
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
        """What makes the gates of values and of the learnt numbers."""
        return _GATES[self.name][0]

    def forward(self, z: Tensor) -> Tensor:
        """Gives both gates."""
        return self.function(z, self.weight)

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
            hundreds of steps; 8 keeps it for thousands (recipes/synthetic). b starts at 0.
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
        """Gives V_r x + b_r with V_z x + b_z, and V x + b."""
        return self.gate_input(x), self.input(x)

    def matrices(self) -> tuple[Tensor, ...]:
        """Gives W_r with W_z, and W."""
        real, imag = torch.cat([part.get_parameter("weight") for part in self.gate_state], 1)
        return complex_weight(real, imag).T.contiguous(), self.state.transposed()

    def step(self, drives: tuple[Tensor, ...], matrices: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        """Gives the state that follows."""
        gates = self.gate(torch.addmm(drives[0], hidden, matrices[0]))
        # The same gate for real and imaginary parts.
        reset, update = gates.unflatten(-1, (2, 1, -1)).unbind(-3)
        parts = hidden.unflatten(-1, (2, -1))
        candidate = self.activation(torch.addmm(drives[1], (reset * parts).flatten(-2), matrices[1]))
        return torch.lerp(parts, candidate.unflatten(-1, (2, -1)), update).flatten(-2)

    def run(self, drives: tuple[Tensor, ...], matrices: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        """Gives all the states that follow."""
        functions = (self.gate.function, self.activation.radius)
        return _Steps.apply(functions, self.gate.weight, self.activation.weight, *drives, *matrices, hidden)


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
    """The recurrence: drives [T, B, 2GH] and [T, B, 2H], their matrices and a state [B, 2H] to states [T, B, 2H]."""

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
        pre, gates, held, phases = (drive.new_empty(times, batch, n) for n in (gate_drive.shape[-1], size, size, size))
        lengths, states = drive.new_empty(times, batch, size // 2), drive.new_empty(times + 1, batch, size)
        states[0] = hidden
        steps = zip(gate_drive, drive, pre, gates, held, phases, lengths, states, states[1:], strict=False)
        for gate_now, now, z, both, kept, phase, length, state, follows in steps:
            torch.addmm(gate_now, state, gate_matrix, out=z)
            reset, update = both.copy_(gate(z, gate_weight)).view(batch, 2, 1, -1).unbind(1)
            parts = state.view(batch, 2, -1)
            torch.mul(reset, parts, out=kept.view(batch, 2, -1))
            torch.addmm(now, kept, matrix, out=phase)
            torch.lerp(parts, activate(phase, length, radius, weight), update, out=follows.view(batch, 2, -1))
        ctx.functions = functions
        ctx.save_for_backward(gate_weight, weight, gate_matrix, matrix, pre, gates, held, phases, lengths, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_states: Tensor) -> tuple[Tensor | None, ...]:
        gate_weight, weight, gate_matrix, matrix, pre, gates, held, phases, lengths, states = ctx.saved_tensors
        (times, batch, _), (gate, radius) = phases.shape, ctx.functions
        phases, parts = phases.unflatten(2, (2, -1)), states[:-1].unflatten(2, (2, -1))
        slopes, opening = Slopes(radius, weight, lengths, phases), _Opening(gate, gate_weight, pre)
        ahead = slopes.radii.unsqueeze(2) * phases - parts
        reset, update = gates.view(times, batch, 2, 1, -1).unbind(2)
        to_pre, to_drive, to_gates = torch.empty_like(pre), torch.empty_like(held), torch.empty_like(gates)
        hidden, backs = torch.zeros_like(states[0]), (gate_matrix.T.contiguous(), matrix.T.contiguous())
        steps = zip(to_states, to_pre, to_drive, to_gates, ahead, parts, reset, update, opening.slopes, strict=True)
        for time, (to_state, to_z, out, both, toward, state, kept, new, opens) in reversed([*enumerate(steps)]):
            gradient = (hidden + to_state).view(batch, 2, -1)
            to_reset, to_update = both.view(batch, 2, -1).unbind(1)
            dot(gradient, toward, to_update)
            to_new = gradient * new
            slopes.back(time, to_new, out.view(batch, 2, -1))
            to_held = (out @ backs[1]).view(batch, 2, -1)
            dot(to_held, state, to_reset)
            # The gates' values have real and imaginary parts; of "single" one is a gate's, the other the other's.
            torch.mul(opens, both.unsqueeze(1), out=to_z.view_as(opens))
            hidden = torch.addmm((gradient - to_new).addcmul_(kept, to_held).flatten(1), to_z, backs[0])
        to_gate_matrix = states[:-1].flatten(0, 1).T @ to_pre.flatten(0, 1)
        to_matrix = held.flatten(0, 1).T @ to_drive.flatten(0, 1)
        to_weights = opening.to_weight(to_gates), slopes.to_weight()
        return None, *to_weights, to_pre, to_drive, to_gate_matrix, to_matrix, hidden


class _Opening:
    """The derivatives of both gates at all the values [T, B, 2GH] that a run has met."""

    def __init__(self, gate: GateFunction, weight: Tensor | None, pre: Tensor) -> None:
        self.weight = None if weight is None else weight.detach().requires_grad_()
        with torch.enable_grad():
            pre = pre.detach().requires_grad_()
            self.graph = gate(pre, self.weight)
            (slopes,) = torch.autograd.grad(self.graph.sum(), pre, retain_graph=weight is not None)
        self.slopes = slopes.unflatten(2, (-1, self.graph.shape[2]))  # [T, B, G, 2H]

    def to_weight(self, gradient: Tensor) -> Tensor | None:
        """Gives the gradient of the learnt numbers, if any, once all steps have been led back."""
        return None if self.weight is None else torch.autograd.grad(self.graph, self.weight, gradient)[0]
