"""Complex gated recurrent unit (GRU)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cell import RecurrentCell, RecurrentLayer, States, differentiable_gradients, segments
from .functional import complex_weight
from .init import Scheme, parameter_options
from .linear import ComplexLinear
from .lstm import by_gate, init_by_gate

__all__ = ["ComplexGRU", "ComplexGRUCell"]

GATES = 3  # reset, update, candidate


class ComplexGRUCell(RecurrentCell[Tensor]):
    """Single step of the complex GRU.

    r, z = sigmoid(W x + U h + b), n = tanh(W' x + b' + r (U' h + d)), h' = (1 - z) n + z h, with complex W, U and b for
    each gate. Sigmoid and tanh act on real and imaginary parts separately, and so do the elementwise products: the
    gates of the real parts are sigmoid(Re z), those of the imaginary parts sigmoid(Im z).

    Args:
        in_features: I, complex features of the input.
        hidden_features: H, complex units of the state.
        bias: Add b, b' and d, initially 0.
        scheme: Initialisation of each gate's matrices under Glorot's criterion, "unitary" or "rayleigh".
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, 2I], real parts first, or complex [B, I]; state [B, 2H] or [B, H].
        - Output: next state, [B, 2H] or [B, H], same kind as the input.

    Raises:
        ValueError: Unknown scheme.

    Source: Cho et al. 2014, with the reset gate behind the product, as in ``torch.nn.GRU``; gates as in
    :class:`ComplexLSTMCell`. :class:`ComplexGatedRNNCell` differs: its gates are real and its matrix unitary.

    Examples:
        >>> cell = ComplexGRUCell(2, 8)
        >>> cell(torch.randn(4, 2, dtype=torch.complex64)).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        bias: bool = True,
        scheme: Scheme = "unitary",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, hidden_features)
        maps, options = GATES * hidden_features, parameter_options(device, dtype)
        self.input = ComplexLinear(in_features, maps, bias, **options)
        self.state = ComplexLinear(hidden_features, maps, False, **options)
        for layer in (self.input, self.state):
            init_by_gate(layer, GATES, scheme)
        # d; those of the gates would add to b.
        self.candidate_bias = nn.Parameter(torch.zeros(2 * hidden_features, **options)) if bias else None

    def input_projections(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return W x + b of the gates and the candidate, side by side."""
        layer: Any = self.input
        weight = by_gate(complex_weight(layer.weight_real, layer.weight_imag), GATES)
        return (F.linear(x, weight, None if layer.bias is None else by_gate(layer.bias, GATES)),)

    def state_matrices(self, steps: int) -> tuple[Tensor, ...]:
        """Return U of the gates and the candidate, side by side, and 0, 0, d."""
        layer: Any = self.state
        matrix = by_gate(complex_weight(layer.weight_real, layer.weight_imag), GATES).T.contiguous()
        if self.candidate_bias is None:
            return matrix, matrix.new_zeros(matrix.shape[1])
        return matrix, F.pad(self.candidate_bias, (2 * len(self.candidate_bias), 0))

    def step(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the next state."""
        return (_plain_step(projections[0], *matrices, *state),)

    def run(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the states of all steps."""
        return (_Steps.apply(*projections, *matrices, *state),)


class ComplexGRU(RecurrentLayer[Tensor]):
    """Complex GRU over time; :class:`ComplexGRUCell` has the equations.

    All inputs are projected in one product; the recurrence has an explicit backward pass. Several layers and both
    directions: :class:`audiocx.nn.ComplexStackedRNN`.

    Args:
        in_features: I, complex features of the input.
        hidden_features: H, complex units of the state.
        bias: Add biases, initially 0.
        scheme: Initialisation of each gate's matrices under Glorot's criterion, "unitary" or "rayleigh".
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, T, 2I], real parts first, or complex [B, T, I]; initial state [B, 2H] or [B, H], optional.
        - Output: states [B, T, 2H] or [B, T, H] and the last of them, [B, 2H] or [B, H]; same kind as the input.

    Raises:
        ValueError: Unknown scheme.

    Source: See :class:`ComplexGRUCell`.

    Examples:
        >>> layer = ComplexGRU(2, 8)
        >>> states, last = layer(torch.randn(4, 20, 2, dtype=torch.complex64))
        >>> states.shape, last.shape
        (torch.Size([4, 20, 8]), torch.Size([4, 8]))
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        bias: bool = True,
        scheme: Scheme = "unitary",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(ComplexGRUCell(in_features, hidden_features, bias, scheme, device, dtype))


def _plain_step(projection: Tensor, matrix: Tensor, bias: Tensor, hidden: Tensor) -> Tensor:
    """Return the next state [B, S] in plain operations."""
    size = hidden.shape[-1]
    product = torch.addmm(bias, hidden, matrix)
    reset, update = (projection[..., : 2 * size] + product[..., : 2 * size]).sigmoid().chunk(2, -1)
    candidate = torch.addcmul(projection[..., 2 * size :], reset, product[..., 2 * size :]).tanh()
    return torch.lerp(candidate, hidden, update)


def _plain_steps(projection: Tensor, matrix: Tensor, bias: Tensor, hidden: Tensor) -> Tensor:
    """Run the recurrence of :class:`_Steps` in plain operations."""
    states = []
    for now in projection:
        hidden = _plain_step(now, matrix, bias, hidden)
        states.append(hidden)
    return torch.stack(states)


class _Steps(torch.autograd.Function):
    """Recurrence: projections [T, B, 3S], matrix [S, 3S], bias [3S] and state [B, S] to states [T, B, S]."""

    @staticmethod
    def forward(ctx: Any, projection: Tensor, matrix: Tensor, bias: Tensor, hidden: Tensor) -> Tensor:
        size = hidden.shape[1]
        # Both gates and the product U' h + d that the reset gate multiplies, side by side.
        gates = torch.empty_like(projection, memory_format=torch.contiguous_format)
        candidates = projection.new_empty(len(projection), *hidden.shape)
        states = projection.new_empty(1 + len(projection), *hidden.shape)
        states[0] = hidden
        inputs = (projection[..., : 2 * size], projection[..., 2 * size :])
        views = (*inputs, gates, gates[..., : 2 * size], *gates.chunk(GATES, -1), candidates, states, states[1:])
        for now, own, pre, both, reset, update, product, candidate, state, follows in zip(*views, strict=False):
            torch.addmm(bias, state, matrix, out=pre)
            both.add_(now).sigmoid_()
            torch.addcmul(own, reset, product, out=candidate).tanh_()
            torch.lerp(candidate, state, update, out=follows)
        # Projections, bias and initial state only for gradients that are differentiated again.
        ctx.save_for_backward(projection, matrix, bias, hidden, gates, candidates, states)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, grad_states: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, gates, candidates, states = ctx.saved_tensors
        if torch.is_grad_enabled():
            return differentiable_gradients(_plain_steps, tuple(inputs), (grad_states,))
        _, matrix, bias, _ = inputs
        grad_projection, states = torch.empty_like(gates), states[:-1]
        grad_matrix, grad_bias = torch.zeros_like(matrix), torch.zeros_like(bias)
        hidden, back = torch.zeros_like(states[0]), matrix.T.contiguous()
        for upstream, out, gate, candidate, state in reversed(
            [*segments(grad_states, grad_projection, gates, candidates, states)]
        ):
            reset, update, product = gate.chunk(GATES, -1)
            of_candidate = (1 - update) * (1 - candidate.square())
            of_product = of_candidate * reset
            slopes = (of_product * (1 - reset) * product, (state - candidate) * update * (1 - update), of_product)
            # Derivatives of the next state by U h + d of all three, then its gradients, step by step.
            grad_products, gradients = torch.stack(slopes, 2), torch.empty_like(of_product)
            views = (upstream, gradients, grad_products, update)
            for grad_state, gradient, grad, kept in reversed([*zip(*views, strict=True)]):
                torch.add(hidden, grad_state, out=gradient)
                grad.mul_(gradient.unsqueeze(1))
                hidden = torch.addmm(gradient * kept, grad.flatten(1), back)
            grad_products = grad_products.flatten(2)
            out.copy_(grad_products)
            torch.mul(gradients, of_candidate, out=out.chunk(GATES, -1)[2])  # that of U' h + d has the reset gate
            grad_matrix.addmm_(state.flatten(0, 1).T, grad_products.flatten(0, 1))
            grad_bias += grad_products.sum((0, 1))
        return grad_projection, grad_matrix, grad_bias, hidden
