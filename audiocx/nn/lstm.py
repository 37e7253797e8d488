"""Complex long short-term memory (LSTM), and the recurrence that it shares with the convolutional one."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from .cell import RecurrentCell, RecurrentLayer, States, differentiable_gradients, segments
from .functional import complex_weight
from .init import Scheme, init_complex_, parameter_options
from .linear import ComplexLinear

__all__ = [
    "GATES",
    "ComplexLSTM",
    "ComplexLSTMCell",
    "LSTMSteps",
    "by_gate",
    "forget_bias_",
    "init_by_gate",
    "lstm_gates",
    "lstm_steps",
    "unfold",
]

GATES = 4  # input, forget, output, candidate


class ComplexLSTMCell(RecurrentCell[tuple[Tensor, Tensor]]):
    """Single step of the complex LSTM.

    i, f, o = sigmoid(W x + U h + b), c' = f c + i tanh(W' x + U' h + b'), h' = o tanh(c'), with complex W, U and b for
    each gate. Sigmoid and tanh act on real and imaginary parts separately, and so do the elementwise products: the
    gates of the real parts are sigmoid(Re z), those of the imaginary parts sigmoid(Im z). A gate thus keeps between
    none and all of each part.

    Args:
        in_features: I, complex features of the input.
        hidden_features: H, complex units of the state.
        bias: Add b, initially 0 but for ``forget_bias``.
        scheme: Initialisation of each gate's matrices under Glorot's criterion, "unitary" or "rayleigh".
        forget_bias: Initial bias of the forget gate.
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, 2I], real parts first, or complex [B, I]; hidden and cell state, [B, 2H] or [B, H] each.
        - Output: next hidden and cell state, [B, 2H] or [B, H] each, same kind as the input.

    Raises:
        ValueError: Unknown scheme, or ``forget_bias`` without bias.

    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; gates as in the complex
    convolutional LSTM of DCN, section 4.3. Other libraries multiply a state by the complex number
    sigmoid(Re z) + i sigmoid(Im z), which turns it by up to 90 degrees and may enlarge it, by up to sqrt 2 a step.

    Examples:
        >>> cell = ComplexLSTMCell(2, 8)
        >>> hidden, state = cell(torch.randn(4, 2, dtype=torch.complex64))
        >>> hidden.shape, state.shape
        (torch.Size([4, 8]), torch.Size([4, 8]))
    """

    state_tensors = 2

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        bias: bool = True,
        scheme: Scheme = "unitary",
        forget_bias: float = 0.0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, hidden_features)
        if forget_bias and not bias:
            raise ValueError("forget_bias is the start of a bias; leave bias=True, or forget_bias at 0.")
        maps, options = GATES * hidden_features, parameter_options(device, dtype)
        self.input = ComplexLinear(in_features, maps, bias, **options)
        self.state = ComplexLinear(hidden_features, maps, False, **options)
        for layer in (self.input, self.state):
            init_by_gate(layer, GATES, scheme)
        if bias:
            forget_bias_(self.input, forget_bias)

    def input_projections(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return W x + b of all gates, side by side."""
        layer: Any = self.input
        weight = by_gate(complex_weight(layer.weight_real, layer.weight_imag), GATES)
        return (F.linear(x, weight, None if layer.bias is None else by_gate(layer.bias, GATES)),)

    def state_matrices(self, steps: int) -> tuple[Tensor, ...]:
        """Return U of all gates, side by side."""
        layer: Any = self.state
        return (by_gate(complex_weight(layer.weight_real, layer.weight_imag), GATES).T.contiguous(),)

    def step(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the next hidden and cell state."""
        return lstm_gates(torch.addmm(projections[0], state[0], matrices[0]), state[1])

    def run(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the hidden states of all steps and the last cell state."""
        return cast(States, LSTMSteps.apply((), *projections, *matrices, *state))


class ComplexLSTM(RecurrentLayer[tuple[Tensor, Tensor]]):
    """Complex LSTM over time; :class:`ComplexLSTMCell` has the equations.

    All inputs are projected in one product; the recurrence has an explicit backward pass. Several layers and both
    directions: :class:`audiocx.nn.ComplexStackedRNN`.

    Args:
        in_features: I, complex features of the input.
        hidden_features: H, complex units of the state.
        bias: Add biases, initially 0 but for ``forget_bias``.
        scheme: Initialisation of each gate's matrices under Glorot's criterion, "unitary" or "rayleigh".
        forget_bias: Initial bias of the forget gate.
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, T, 2I], real parts first, or complex [B, T, I]; initial hidden and cell state, [B, 2H] or
          [B, H] each, optional.
        - Output: hidden states [B, T, 2H] or [B, T, H]; and the last hidden and cell state, [B, 2H] or [B, H] each.
          All of the same kind as the input.

    Raises:
        ValueError: Unknown scheme, or ``forget_bias`` without bias.

    Source: See :class:`ComplexLSTMCell`.

    Examples:
        >>> layer = ComplexLSTM(2, 8)
        >>> states, (hidden, cell) = layer(torch.randn(4, 20, 2, dtype=torch.complex64))
        >>> states.shape, hidden.shape, cell.shape
        (torch.Size([4, 20, 8]), torch.Size([4, 8]), torch.Size([4, 8]))
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        bias: bool = True,
        scheme: Scheme = "unitary",
        forget_bias: float = 0.0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(ComplexLSTMCell(in_features, hidden_features, bias, scheme, forget_bias, device, dtype))


def by_gate(weight: Tensor, gates: int = GATES) -> Tensor:
    """Order rows by gate, then by real and imaginary part, which a gate treats alike.

    Args:
        weight: Rows by part, then by gate, [2 G H, *].
        gates: G.

    Returns:
        The same rows by gate, then by part.
    """
    return weight.unflatten(0, (2, gates, -1)).transpose(0, 1).flatten(0, 2)


def init_by_gate(layer: Any, gates: int, scheme: Scheme) -> None:
    """Initialise a complex layer of several gates, [G H, *], each gate by itself under Glorot's criterion."""
    weights = (layer.weight_real.detach(), layer.weight_imag.detach())
    for real, imag in zip(*(weight.chunk(gates) for weight in weights), strict=True):
        init_complex_(real, imag, scheme, "glorot")


@torch.no_grad()
def forget_bias_(layer: Any, value: float, parts: int = 2) -> None:
    """Start the biases of a layer of four gates, [4 H] for each part, at 0, those of the forget gate at a value."""
    layer.bias.zero_()
    layer.bias.unflatten(0, (parts, GATES, -1))[:, 1] = value


def lstm_gates(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Return the next hidden and cell state.

    Args:
        gates: Pre-activations of input, forget and output gate and of the candidate, [*, 4S].
        cell: Cell state, [*, S].
    """
    channels = cell.shape[-1]
    input_gate, forget_gate, output_gate = gates[..., : 3 * channels].sigmoid().chunk(3, -1)
    cell = forget_gate * cell + input_gate * gates[..., 3 * channels :].tanh()
    return output_gate * cell.tanh(), cell


def unfold(x: Tensor, taps: tuple[int, ...]) -> Tensor:
    """Concatenate the channels of the positions around each position, zeros beyond the edges.

    Args:
        x: Shape [*, *L, C].
        taps: Odd sizes of the window over the axes L; K is their product.

    Returns:
        Shape [*, *L, K C].
    """
    if all(size == 1 for size in taps):
        return x
    edges = [edge for size in reversed(taps) for edge in (size // 2, size // 2)]
    padded, sizes = F.pad(x, [0, 0, *edges]), x.shape[-1 - len(taps) : -1]
    return torch.cat([_shift(padded, offsets, sizes) for offsets in _offsets(taps)], -1)


def lstm_steps(
    taps: tuple[int, ...], projection: Tensor, matrix: Tensor, hidden: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Run the recurrence of :class:`LSTMSteps` in plain operations, which a compiler or an exporter can trace."""
    states = []
    for now in projection:
        hidden, cell = lstm_gates(now + unfold(hidden, taps) @ matrix, cell)
        states.append(hidden)
    return torch.stack(states), cell


class LSTMSteps(torch.autograd.Function):
    """Recurrence of an LSTM, convolutional over the axes L or, without such axes, not.

    Its inputs are the sizes of the kernel over L, K in all, projections [T, B, *L, 4S], the matrix [K S, 4S], and
    hidden and cell state [B, *L, S]; its outputs the hidden states [T, B, *L, S] and the last cell state.
    """

    @staticmethod
    def forward(
        ctx: Any, taps: tuple[int, ...], projection: Tensor, matrix: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run the recurrence."""
        times, (batch, *sizes, channels) = len(projection), hidden.shape
        rows, gates = matrix.contiguous(), torch.empty_like(projection, memory_format=torch.contiguous_format)
        # Each state is zero-padded, so that windows are strided views.
        padded = [size + tap - 1 for size, tap in zip(sizes, taps, strict=True)]
        states = projection.new_zeros(times + 1, batch, *padded, channels)
        cells, inner = projection.new_empty(times + 1, *hidden.shape), _interior(states, taps, sizes)
        inner[0], cells[0] = hidden, cell
        flat = (projection.flatten(1, -2), gates.flatten(1, -2))
        views = (*flat, gates[..., : 3 * channels], *gates.chunk(GATES, -1), states, cells, inner[1:], cells[1:])
        for now, pre, sigmoids, i, f, o, candidate, state, before, follows, after in zip(*views, strict=False):
            torch.addmm(now, _windows(state, taps, sizes), rows, out=pre)
            sigmoids.sigmoid_()
            candidate.tanh_()
            torch.mul(f, before, out=after).addcmul_(i, candidate)
            torch.mul(o, after.tanh(), out=follows)
        ctx.taps = taps
        # The inputs only for gradients that are differentiated again.
        ctx.save_for_backward(projection, matrix, hidden, cell, gates, states, cells)
        return inner[1:], cells[-1].clone()

    @staticmethod
    def backward(ctx: Any, grad_states: Tensor, grad_cell: Tensor) -> tuple[Tensor | None, ...]:
        """Backpropagate through it."""
        *inputs, gates, states, cells = ctx.saved_tensors
        taps: tuple[int, ...] = ctx.taps
        if torch.is_grad_enabled():
            run = functools.partial(lstm_steps, taps)
            return None, *differentiable_gradients(run, tuple(inputs), (grad_states, grad_cell))
        sizes, channels = grad_cell.shape[1:-1], grad_cell.shape[-1]
        grad_gates, back = torch.empty_like(gates), inputs[1].T.contiguous()
        # Gradients of hidden and cell state, backwards in time.
        hidden, cell = torch.zeros_like(grad_cell), grad_cell.clone(memory_format=torch.contiguous_format)
        sequences = (grad_states, grad_gates, gates, cells[:-1], cells[1:])
        for upstream, out, gate, before, after in reversed([*segments(*sequences)]):
            slopes, pairs = _derivatives(out, gate, before, after), out[..., : 2 * channels].unflatten(-1, (2, -1))
            _, forget_gates, _, _ = gate.chunk(GATES, -1)
            _, _, outputs, candidates = out.chunk(GATES, -1)
            views = (upstream, slopes, pairs, outputs, candidates, forget_gates, out.flatten(1, -2))
            for grad_state, slope, pair, output, candidate, forget, grad in reversed([*zip(*views, strict=True)]):
                gradient = hidden + grad_state
                cell.addcmul_(gradient, slope)
                pair.mul_(cell.unsqueeze(-2))
                output.mul_(gradient)
                candidate.mul_(cell)
                cell.mul_(forget)
                hidden = _fold(grad @ back, taps, hidden.shape)
        rows = grad_gates.flatten(0, -2)
        # The gradient of the matrix, for all steps at once, one kernel position at a time.
        shifted = (_shift(states[:-1], offset, sizes).reshape(-1, channels) for offset in _offsets(taps))
        return None, grad_gates, torch.cat([part.T @ rows for part in shifted]), hidden, cell


def _derivatives(out: Tensor, gates: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Write what gradients of the state are multiplied by to give those of the pre-activations.

    Args:
        out: Derivatives of the next cell state by the pre-activations of input and forget gate and of the candidate,
            and of the next hidden state by that of the output gate, [*, 4S].
        gates: Gates and candidate, [*, 4S].
        before: Cell states, [*, S].
        after: The next ones, [*, S].

    Returns:
        Derivatives of the next hidden by the next cell state, [*, S].
    """
    i, f, o, candidate = gates.chunk(GATES, -1)
    of_input, of_forget, of_output, of_candidate = out.chunk(GATES, -1)
    activated = after.tanh()
    for gate, factor, slope in ((i, candidate, of_input), (f, before, of_forget), (o, activated, of_output)):
        torch.mul(gate, 1 - gate, out=slope).mul_(factor)
    torch.mul(i, 1 - candidate.square(), out=of_candidate)
    return o * (1 - activated.square())


def _offsets(taps: tuple[int, ...]) -> itertools.product[tuple[int, ...]]:
    """Return the positions within a window, in the order of its memory."""
    return itertools.product(*map(range, taps))


def _shift(padded: Tensor, offsets: tuple[int, ...], sizes: Sequence[int]) -> Tensor:
    """Return the view [*, *L, C] of a padded tensor at offsets, one for each axis of L."""
    for axis, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        padded = padded.narrow(axis - 1 - len(offsets), offset, size)
    return padded


def _interior(padded: Tensor, taps: tuple[int, ...], sizes: Sequence[int]) -> Tensor:
    """Return the view of a padded tensor without its margins."""
    return _shift(padded, tuple(size // 2 for size in taps), sizes)


def _windows(state: Tensor, taps: tuple[int, ...], sizes: Sequence[int]) -> Tensor:
    """Copy the window around each position of a padded state, to [B * prod(L), K C]."""
    first, *others, last = state.stride()
    shape = (state.shape[0], *sizes, *taps, state.shape[-1])
    view = state.as_strided(shape, (first, *others, *others, last), state.storage_offset())
    return view.reshape(-1, math.prod(taps) * state.shape[-1])


def _fold(windows: Tensor, taps: tuple[int, ...], shape: Sequence[int]) -> Tensor:
    """Add up windows [B * prod(L), K C] at the positions [B, *L, C] that they were copied from."""
    batch, *sizes, channels = shape
    if not taps:
        return windows
    padded = windows.new_zeros(batch, *(size + tap - 1 for size, tap in zip(sizes, taps, strict=True)), channels)
    parts = windows.view(batch, *sizes, -1, channels).unbind(-2)
    for offset, part in zip(_offsets(taps), parts, strict=True):
        _shift(padded, offset, sizes).add_(part)
    return _interior(padded, taps, sizes)
