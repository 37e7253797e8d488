"""Complex gated recurrent layer (cgRNN): the gates of a GRU with a unitary state matrix.

The unitary matrix preserves the state and the gates select what enters it. The optimisers of :mod:`audiocx.optim`
keep the matrix unitary.

Source: Wolter and Yao, "Complex Gated Recurrent Neural Networks", 2018.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cell import (
    ActivationDerivatives,
    ComplexStateActivation,
    ComplexStateMatrix,
    Radius,
    RecurrentCell,
    RecurrentLayer,
    StateActivationName,
    States,
    activate,
    differentiable_gradients,
    inner_product,
    segments,
)
from .functional import complex_weight, magnitude, radial
from .init import init_complex_, parameter_options
from .linear import ComplexLinear

__all__ = ["ComplexGate", "GateName", "ComplexGatedRNNCell", "ComplexGatedRNN"]

GateName = Literal["mod-sigmoid", "prod", "hirose", "single"]
# Maps mixed pre-activations (ComplexGate.mix) and the learnable numbers [K, 2, 1], if any, to both gates [*, 2H].
GateFunction = Callable[[Tensor, Any], Tensor]


def _sigmoid(z: Tensor, weight: Any) -> Tensor:
    return z.sigmoid()


def _prod(z: Tensor, weight: Any) -> Tensor:
    real, imag = z.sigmoid().chunk(2, -1)
    return real * imag


def _hirose(z: Tensor, weight: Any) -> Tensor:
    (real, imag), (m, a, b) = z.unflatten(-1, (2, 2, -1)).unbind(-3), weight
    length = magnitude(z, -1).unflatten(-1, (2, -1))
    # At |z| = 0 the gate is 0 whatever the phase; only its gradient must be defined.
    phase = torch.atan2(imag, torch.where(length == 0, 1.0, real))
    return (torch.tanh(length / m.square()) * torch.sigmoid(a * phase + b)).flatten(-2)


# Each with the initial values of its learnable numbers.
_GATES: dict[str, tuple[GateFunction, tuple[float, ...]]] = {
    "mod-sigmoid": (_sigmoid, (0.0,)),
    "prod": (_prod, ()),
    "hirose": (_hirose, (1.0, 2.0, 4.0)),
    "single": (_sigmoid, ()),
}


class ComplexGate(nn.Module):
    """Reset and update gate: maps complex pre-activations z to real numbers in [0, 1].

    - "mod-sigmoid": sigma(a Re z + (1 - a) Im z) with a learnable a in [0, 1], initially 0.5.
    - "prod": sigma(Re z) sigma(Im z).
    - "hirose": tanh(|z| / m^2) sigma(a arg z + b) with learnable m, a, b, initially 1, 2, 4.
    - "single": sigma(Re z) is the reset gate and sigma(Im z) the update gate of one shared z.

    With the first three, each gate has a pre-activation and learnable numbers of its own.

    Args:
        name: "mod-sigmoid", "prod", "hirose" or "single".
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [*, 2GH], real parts first, reset before update; G is 2, or 1 for "single".
        - Output: real [*, 2H], reset before update.

    Raises:
        ValueError: Unknown name.

    Source: Wolter and Yao 2018, on gating units. Initial values, and arg z in the Hirose gate (printed as z / |z|),
    are those of their code; "single" is proposed there as future work.
    """

    def __init__(
        self,
        name: GateName,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if name not in _GATES:
            raise ValueError(f"The gate must be {', '.join(map(repr, _GATES))}, not {name!r}.")
        self.name, starts, options = name, _GATES[name][1], parameter_options(device, dtype)
        self.values = 1 if name == "single" else 2
        self.weight = nn.Parameter(torch.tensor(starts, **options).view(-1, 1, 1).repeat(1, 2, 1)) if starts else None

    @property
    def function(self) -> GateFunction:
        """Function from mixed pre-activations and :attr:`function_weight` to both gates."""
        return _GATES[self.name][0]

    @property
    def function_weight(self) -> Tensor | None:
        """Learnable numbers of :attr:`function`; None for "mod-sigmoid", whose a belongs to :meth:`mix`."""
        return None if self.name == "mod-sigmoid" else self.weight

    def mix(self, z: Tensor) -> Tensor:
        """Apply the linear part of a gate; it can be applied to the weight matrix instead, once for all time steps.

        Args:
            z: Pre-activations [*, 2GH], or a weight matrix with these columns.

        Returns:
            a Re z + (1 - a) Im z, [*, 2H], for "mod-sigmoid"; z itself for the others.
        """
        if self.name != "mod-sigmoid" or self.weight is None:
            return z
        real, imag = z.unflatten(-1, (2, 2, -1)).unbind(-3)
        return torch.lerp(imag, real, self.weight[0].sigmoid()).flatten(-2)

    def forward(self, z: Tensor) -> Tensor:
        """Return both gates."""
        return self.function(self.mix(z), self.function_weight)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return repr(self.name)


class ComplexGatedRNNCell(RecurrentCell[Tensor]):
    """Single step of the complex gated recurrent layer.

    r = f_g(W_r h + V_r x + b_r), z = f_g(W_z h + V_z x + b_z), c = f_a(W (r h) + V x + b), h' = z c + (1 - z) h. The
    gates r and z are real, everything else is complex, and W is unitary.

    Args:
        in_features: I, complex features of the input.
        hidden_features: H, complex units of the state.
        gate: f_g, "mod-sigmoid", "prod", "hirose" or "single"; see :class:`ComplexGate`.
        activation: f_a, "modrelu" or "hirose"; see :class:`audiocx.nn.ComplexStateActivation`.
        unitary: Keep W unitary.
        gate_bias: Initial value of the real and the imaginary parts of b_r and b_z; b starts at 0. At 4 the gates
            are nearly open, and the untrained layer is nearly a unitary one; it still forgets some 2 % per step,
            too much over hundreds of steps. At 6 it remembers over 500 steps and still trains (recipes/synthetic).
        unitary_gates: Keep W_r and W_z unitary too; the gates can then hardly saturate.
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, 2I], real parts first, or complex [B, I]; state [B, 2H] or [B, H].
        - Output: next state, [B, 2H] or [B, H], same kind as the input.

    Raises:
        ValueError: Unknown gate or activation.

    Source: Wolter and Yao 2018, on gating units and on implementation. Differs in the initialisation: W is a random
    unitary matrix (theirs is Arjovsky's product of simple ones), the other weights have Rayleigh magnitudes (theirs
    are uniform).
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
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, hidden_features)
        self.gate = ComplexGate(gate, device, dtype)
        self.activation = ComplexStateActivation(activation, hidden_features, device, dtype)
        self.input = ComplexLinear(in_features, hidden_features, True, "rayleigh", "glorot", device, dtype)
        self.state = ComplexStateMatrix(hidden_features, unitary, device, dtype)
        values = self.gate.values
        self.gate_input = ComplexLinear(in_features, values * hidden_features, device=device, dtype=dtype)
        weights = (self.gate_input.weight_real.detach(), self.gate_input.weight_imag.detach())
        for real, imag in zip(*(weight.chunk(values) for weight in weights), strict=True):
            init_complex_(real, imag, "rayleigh", "glorot")
        self.gate_state = nn.ModuleList(
            ComplexStateMatrix(hidden_features, unitary_gates, device, dtype) for _ in range(values)
        )
        nn.init.constant_(self.gate_input.get_parameter("bias"), gate_bias)

    def input_projections(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return V_r x + b_r and V_z x + b_z, mixed and side by side, and V x + b."""
        layer: Any = self.gate_input  # of Any, because parametrizations and torch.func replace parameters by tensors
        weight = self.gate.mix(complex_weight(layer.weight_real, layer.weight_imag).T)
        return F.linear(x, weight.T, self.gate.mix(layer.bias)), self.input(x)

    def state_matrices(self, steps: int) -> tuple[Tensor, ...]:
        """Return W_r and W_z, mixed and side by side, and W."""
        real, imag = torch.cat([cast(Tensor, part.weight) for part in self.gate_state], 1)
        return self.gate.mix(complex_weight(real, imag).T).contiguous(), self.state.transposed()

    def step(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the next state."""
        functions = (self.gate.function, self.activation.radius)
        inputs: Any = (*projections, *matrices, *state)
        return (_plain_step(functions, self.gate.function_weight, self.activation.weight, *inputs),)

    def run(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the states of all steps."""
        functions = (self.gate.function, self.activation.radius)
        inputs = (self.gate.function_weight, self.activation.weight, *projections, *matrices, *state)
        return (_Steps.apply(functions, *inputs),)


class ComplexGatedRNN(RecurrentLayer[Tensor]):
    """Complex gated recurrent layer; :class:`ComplexGatedRNNCell` has the equations.

    For real outputs put a ``torch.nn.Linear`` of 2H inputs after it, over real and imaginary parts of the states.

    Args:
        in_features: I, complex features of the input.
        hidden_features: H, complex units of the state.
        gate: "mod-sigmoid", "prod", "hirose" or "single"; see :class:`ComplexGate`.
        activation: "modrelu" or "hirose"; see :class:`audiocx.nn.ComplexStateActivation`.
        unitary: Keep W unitary.
        gate_bias: Initial value of the gates' biases; see :class:`ComplexGatedRNNCell`.
        unitary_gates: Keep W_r and W_z unitary too.
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, T, 2I], real parts first, or complex [B, T, I]; initial state [B, 2H] or [B, H], optional.
        - Output: states [B, T, 2H] or [B, T, H] and the last of them, [B, 2H] or [B, H]; same kind as the input.

    Raises:
        ValueError: Unknown gate or activation.

    Source: See :class:`ComplexGatedRNNCell`.

    Examples:
        >>> layer = ComplexGatedRNN(2, 8)
        >>> states, last = layer(torch.randn(4, 20, 2, dtype=torch.complex64))
        >>> states.shape, last.shape
        (torch.Size([4, 20, 8]), torch.Size([4, 8]))
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
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            ComplexGatedRNNCell(
                in_features, hidden_features, gate, activation, unitary, gate_bias, unitary_gates, device, dtype
            )
        )


def _plain_step(
    functions: tuple[GateFunction, Radius],
    gate_weight: Tensor | None,
    weight: Tensor,
    gate_projection: Tensor,
    projection: Tensor,
    gate_matrix: Tensor,
    matrix: Tensor,
    hidden: Tensor,
) -> Tensor:
    """Return the next state [B, 2H] in plain operations."""
    gate, radius = functions
    gates = gate(torch.addmm(gate_projection, hidden, gate_matrix), gate_weight)
    # The axis of length 1 stands for real and imaginary part, which share a gate.
    reset, update = gates.unflatten(-1, (2, 1, -1)).unbind(-3)
    parts = hidden.unflatten(-1, (2, -1))
    pre = torch.addmm(projection, (reset * parts).flatten(-2), matrix)
    candidate = radial(pre, lambda length: radius(length, weight), -1)
    return torch.lerp(parts, candidate.unflatten(-1, (2, -1)), update).flatten(-2)


def _plain_steps(
    functions: tuple[GateFunction, Radius],
    gate_weight: Tensor | None,
    weight: Tensor,
    gate_projection: Tensor,
    projection: Tensor,
    gate_matrix: Tensor,
    matrix: Tensor,
    hidden: Tensor,
) -> Tensor:
    """Run the recurrence of :class:`_Steps` in plain operations."""
    states = []
    for gate_now, now in zip(gate_projection, projection, strict=True):
        hidden = _plain_step(functions, gate_weight, weight, gate_now, now, gate_matrix, matrix, hidden)
        states.append(hidden)
    return torch.stack(states)


class _Steps(torch.autograd.Function):
    """Recurrence: input projections, matrices and initial state [B, 2H] to states [T, B, 2H].

    The projections are [T, B, M] of the gates and [T, B, 2H] of the candidate state; M is 2H or, for gates that cannot
    be mixed before the product, 4H.
    """

    @staticmethod
    def forward(
        ctx: Any,
        functions: tuple[GateFunction, Radius],
        gate_weight: Tensor | None,
        weight: Tensor,
        gate_projection: Tensor,
        projection: Tensor,
        gate_matrix: Tensor,
        matrix: Tensor,
        hidden: Tensor,
    ) -> Tensor:
        (times, batch, size), (gate, radius) = projection.shape, functions
        # The backward pass recomputes the gates: that costs less than writing and reading them.
        pre, phases = projection.new_empty(gate_projection.shape), projection.new_empty(projection.shape)
        lengths, states = projection.new_empty(times, batch, size // 2), projection.new_empty(times + 1, batch, size)
        states[0] = hidden
        for gate_now, now, z, phase, length, state, follows in zip(
            gate_projection, projection, pre, phases, lengths, states, states[1:], strict=False
        ):
            torch.addmm(gate_now, state, gate_matrix, out=z)
            reset, update = gate(z, gate_weight).view(batch, 2, 1, -1).unbind(1)
            parts = state.view(batch, 2, -1)
            torch.addmm(now, (reset * parts).view(batch, -1), matrix, out=phase)
            torch.lerp(parts, activate(phase, length, radius, weight), update, out=follows.view(batch, 2, -1))
        ctx.functions = functions
        # Projections and initial state only for gradients that are differentiated again.
        inputs = (gate_weight, weight, gate_projection, projection, gate_matrix, matrix, hidden)
        ctx.save_for_backward(*inputs, pre, phases, lengths, states)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, grad_states: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, pre, phases, lengths, states = ctx.saved_tensors
        if torch.is_grad_enabled():
            run = functools.partial(_plain_steps, ctx.functions)
            return None, *differentiable_gradients(run, tuple(inputs), (grad_states,))
        gate_weight, weight, _, _, gate_matrix, matrix, _ = inputs
        gate, radius = ctx.functions
        grad_pre, grad_projection, states = torch.empty_like(pre), torch.empty_like(phases), states[:-1]
        grad_gate_matrix, grad_matrix, grad_weight = (torch.zeros_like(part) for part in (gate_matrix, matrix, weight))
        grad_gate_weight = None if gate_weight is None else torch.zeros_like(gate_weight)
        hidden, transposed = torch.zeros_like(states[0]), (gate_matrix.T.contiguous(), matrix.T.contiguous())
        sequences = (grad_states, grad_pre, grad_projection, pre, phases, lengths, states)
        for grad_state, grad_z, out, z, phase, length, state in reversed([*segments(*sequences)]):
            derivatives = ActivationDerivatives(radius, weight, length, phase)
            gates = _GateDerivatives(gate, gate_weight, z)
            reset_state = (gates.reset * state.unflatten(2, (2, -1))).flatten(2)
            hidden = _backward_segment(hidden, (grad_state, grad_z, out, state), derivatives, gates, transposed)
            grad_gate_matrix.addmm_(state.flatten(0, 1).T, grad_z.flatten(0, 1))
            grad_matrix.addmm_(reset_state.flatten(0, 1).T, out.flatten(0, 1))
            grad_weight += derivatives.weight_gradient()
            if grad_gate_weight is not None:
                grad_gate_weight += gates.weight_gradient()
        return None, grad_gate_weight, grad_weight, grad_pre, grad_projection, grad_gate_matrix, grad_matrix, hidden


def _backward_segment(
    hidden: Tensor,
    steps: tuple[Tensor, ...],
    derivatives: ActivationDerivatives,
    gates: _GateDerivatives,
    transposed: tuple[Tensor, Tensor],
) -> Tensor:
    """Backpropagate the state's gradient [B, 2H] through a segment of steps, [S, B, *] each, and return it."""
    grad_states, grad_pre, grad_projection, states = steps
    batch, states = states.shape[1], states.unflatten(2, (2, -1))
    change = derivatives.radii.unsqueeze(2) * derivatives.phases - states  # candidate minus state
    grad_gates = gates.gradient.unflatten(2, (2, -1)).unbind(2)
    of_gates = (gates.reset, gates.update, gates.derivative, gates.gradient, *grad_gates)
    views = zip(grad_states, grad_pre, grad_projection, states, change, *of_gates, strict=True)
    for time, view in reversed([*enumerate(views)]):
        grad_state, grad_z, out, state, step, reset, update, derivative, grad_both, grad_reset, grad_update = view
        gradient = (hidden + grad_state).view(batch, 2, -1)
        inner_product(gradient, step, grad_update)
        grad_candidate = gradient * update
        derivatives.backward(time, grad_candidate, out.view(batch, 2, -1))
        grad_reset_state = (out @ transposed[1]).view(batch, 2, -1)
        inner_product(grad_reset_state, state, grad_reset)
        # Real and imaginary part of a pre-activation both receive the gradient of its gate.
        torch.mul(derivative, grad_both.view(batch, 1, -1), out=grad_z.view_as(derivative))
        hidden = (
            gradient.sub_(grad_candidate)
            .addcmul_(reset, grad_reset_state)
            .view(batch, -1)
            .addmm_(grad_z, transposed[0])
        )
    return hidden


class _GateDerivatives:
    """Both gates and their derivatives over one segment of steps, from pre-activations [S, B, M]."""

    def __init__(self, gate: GateFunction, weight: Tensor | None, pre: Tensor) -> None:
        self.weight = None if weight is None else weight.detach().requires_grad_()
        with torch.enable_grad():
            pre = pre.detach().requires_grad_()
            self.graph = gate(pre, self.weight)
            (derivative,) = torch.autograd.grad(self.graph.sum(), pre, retain_graph=weight is not None)
        self.reset, self.update = self.graph.detach().unflatten(2, (2, 1, -1)).unbind(2)  # [S, B, 1, H]
        self.derivative = derivative.unflatten(2, (-1, self.graph.shape[2]))  # [S, B, 1 or 2, 2H]
        self.gradient = torch.empty_like(self.graph)  # of both gates, filled step by step

    def weight_gradient(self) -> Tensor:
        """Return the gradient of the learnable numbers, which must exist, after the segment's backward pass."""
        assert self.weight is not None
        return torch.autograd.grad(self.graph, self.weight, self.gradient)[0]
