"""Complex long short-term memory (LSTM), and the recurrence that it shares with the convolutional one."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_weight

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
    "convolve",
    "forget_bias_",
    "init_by_gate",
    "lstm_gates",
    "lstm_steps",
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
        return cast(States, LSTMSteps.apply(*projections, matrices[0].T, *state))


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


def convolve(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve over axes L, padded so that they keep their length, or multiply by a matrix where there are none.

    Args:
        x: Shape [*, *L, C], with none, one or two axes L.
        kernel: Shape [O, C, *K], of odd sizes.
        bias: Shape [O].

    Returns:
        Shape [*, *L, O].
    """
    if kernel.ndim < 4:
        return F.linear(x if kernel.ndim == 2 else _unfold(x, kernel.shape[2]), _matrix(kernel), bias)
    # Windows of two axes would take many times the memory of the input.
    frames = x.flatten(0, -4).contiguous().movedim(-1, 1)  # channels last in memory
    y = F.conv2d(frames, kernel, bias, padding=_padding(kernel))
    return y.movedim(1, -1).unflatten(0, x.shape[:-3])


def lstm_steps(projection: Tensor, kernel: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Run the recurrence of :class:`LSTMSteps` in plain operations, which a compiler or an exporter can trace."""
    states = []
    for now in projection:
        hidden, cell = lstm_gates(now + convolve(hidden, kernel), cell)
        states.append(hidden)
    return torch.stack(states), cell


class LSTMSteps(torch.autograd.Function):
    """Recurrence of an LSTM, convolutional over one or two axes L or, without such axes, not.

    Its inputs are projections [T, B, *L, 4S], the kernel [4S, S, *K], and hidden and cell state [B, *L, S]; its outputs
    the hidden states [T, B, *L, S] and the last cell state.
    """

    @staticmethod
    def forward(ctx: Any, projection: Tensor, kernel: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Run the recurrence."""
        times, channels, product = len(projection), hidden.shape[-1], _Product(kernel)
        gates = torch.empty_like(projection, memory_format=torch.contiguous_format)
        states, cells = product.new_states(hidden, 1 + times), projection.new_empty(1 + times, *hidden.shape)
        inner = product.interior(states)
        inner[0], cells[0] = hidden, cell
        parts = (gates[..., : 3 * channels], *gates.chunk(GATES, -1))
        views = (projection, gates, *parts, states, cells, inner[1:], cells[1:])
        for now, pre, sigmoids, i, f, o, candidate, state, before, follows, after in zip(*views, strict=False):
            product.add(now, state, pre)
            sigmoids.sigmoid_()
            candidate.tanh_()
            torch.mul(f, before, out=after).addcmul_(i, candidate)
            torch.mul(o, after.tanh(), out=follows)
        # The inputs only for gradients that are differentiated again.
        ctx.save_for_backward(projection, kernel, hidden, cell, gates, states, cells)
        return inner[1:], cells[-1].clone()

    @staticmethod
    def backward(ctx: Any, grad_states: Tensor, grad_cell: Tensor) -> tuple[Tensor | None, ...]:
        """Backpropagate through it."""
        *inputs, gates, states, cells = ctx.saved_tensors
        if torch.is_grad_enabled():
            return differentiable_gradients(lstm_steps, tuple(inputs), (grad_states, grad_cell))
        grad_gates, channels, product = torch.empty_like(gates), grad_cell.shape[-1], _Product(inputs[1])
        # Gradients of hidden and cell state, backwards in time.
        hidden, cell = torch.zeros_like(grad_cell), grad_cell.clone(memory_format=torch.contiguous_format)
        sequences = (grad_states, grad_gates, gates, cells[:-1], cells[1:])
        for upstream, out, gate, before, after in reversed([*segments(*sequences)]):
            slopes, pairs = _derivatives(out, gate, before, after), out[..., : 2 * channels].unflatten(-1, (2, -1))
            _, forget_gates, _, _ = gate.chunk(GATES, -1)
            _, _, outputs, candidates = out.chunk(GATES, -1)
            views = (upstream, slopes, pairs, outputs, candidates, forget_gates, out)
            for grad_state, slope, pair, output, candidate, forget, grad in reversed([*zip(*views, strict=True)]):
                gradient = hidden + grad_state
                cell.addcmul_(gradient, slope)
                pair.mul_(cell.unsqueeze(-2))
                output.mul_(gradient)
                candidate.mul_(cell)
                cell.mul_(forget)
                hidden = product.gradient(grad)
        return grad_gates, product.kernel_gradient(states[:-1], grad_gates), hidden, cell


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


class _Product:
    """Product of hidden states with a kernel, and its gradients.

    Over one axis the states are zero-padded in memory, so that a window of K positions is K S contiguous numbers.

    Args:
        kernel: Shape [4S, S, *K].
    """

    def __init__(self, kernel: Tensor) -> None:
        self.kernel, self.maps = kernel, kernel.ndim == 4
        self.taps = kernel.shape[2] if kernel.ndim == 3 else 1
        self.margin = self.taps // 2
        if self.maps:
            self.kernel = kernel.contiguous(memory_format=torch.channels_last)
        else:
            self.matrix = _matrix(kernel).contiguous()  # [4S, K S]
            self.transposed = self.matrix.T.contiguous()

    def new_states(self, hidden: Tensor, times: int) -> Tensor:
        """Return zeros [T, B, *L, S] with margins."""
        if not self.margin:
            return hidden.new_zeros(times, *hidden.shape)
        batch, size, channels = hidden.shape
        return hidden.new_zeros(times, batch, size + 2 * self.margin, channels)

    def interior(self, states: Tensor) -> Tensor:
        """Return the view without margins."""
        return states[..., self.margin : -self.margin, :] if self.margin else states

    def add(self, now: Tensor, state: Tensor, out: Tensor) -> None:
        """Write projections [B, *L, 4S] plus the product of a state with margins into ``out``."""
        if self.maps:
            product = F.conv2d(state.movedim(-1, 1), self.kernel, padding=_padding(self.kernel))
            torch.add(now, product.movedim(1, -1), out=out)
        else:
            torch.addmm(now.flatten(0, -2), self._windows(state), self.transposed, out=out.flatten(0, -2))

    def _windows(self, state: Tensor) -> Tensor:
        """Copy the window around each position to [B F, K S]."""
        if state.ndim == 2:
            return state
        batch, padded, channels = state.shape
        shape, strides = (batch, padded - 2 * self.margin, self.taps * channels), (padded * channels, channels, 1)
        return state.as_strided(shape, strides, state.storage_offset()).reshape(-1, shape[-1])

    def gradient(self, grad: Tensor) -> Tensor:
        """Return the gradient of a state [B, *L, S] from that of the product, [B, *L, 4S]."""
        if self.maps:
            return F.conv_transpose2d(grad.movedim(-1, 1), self.kernel, padding=_padding(self.kernel)).movedim(1, -1)
        windows = grad @ self.matrix
        if grad.ndim == 2:
            return windows
        batch, size, _ = grad.shape
        padded = grad.new_zeros(batch, size + 2 * self.margin, self.matrix.shape[1] // self.taps)
        for tap, part in enumerate(windows.chunk(self.taps, -1)):
            padded[:, tap : tap + size] += part
        return self.interior(padded)

    def kernel_gradient(self, states: Tensor, grads: Tensor) -> Tensor:
        """Return the gradient of the kernel, for all steps at once."""
        if self.maps:
            inputs, outputs = (part.flatten(0, 1).movedim(-1, 1) for part in (states, grads))
            shape, padding = [*self.kernel.shape], _padding(self.kernel)
            return conv2d_weight(inputs, shape, outputs, padding=padding)
        rows, channels, size = grads.flatten(0, -2).T, states.shape[-1], grads.shape[-2]
        if states.ndim == 3:
            return rows @ states.flatten(0, 1)
        # One kernel position at a time.
        shifted = (states[:, :, tap : tap + size].reshape(-1, channels) for tap in range(self.taps))
        return torch.stack([rows @ part for part in shifted], -1)


def _padding(kernel: Tensor) -> tuple[int, ...]:
    return tuple(size // 2 for size in kernel.shape[2:])


def _matrix(kernel: Tensor) -> Tensor:
    """Return a kernel [O, C, *K] as the matrix that multiplies windows, [O, K C]."""
    return kernel.movedim(1, -1).flatten(1)


def _unfold(x: Tensor, taps: int) -> Tensor:
    """Concatenate the channels of the K positions around each position: [*, F, C] to [*, F, K C]."""
    if taps == 1:
        return x
    margin, size = taps // 2, x.shape[-2]
    padded = F.pad(x, (0, 0, margin, margin))
    return torch.cat([padded[..., tap : tap + size, :] for tap in range(taps)], -1)
