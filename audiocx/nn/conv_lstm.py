"""Convolutional LSTM, complex or real."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .cell import Sequence, as_dtype, differentiable_gradients, in_plain_operations, run_packed
from .conv import ComplexConv1d
from .functional import complex_weight, describe, to_channels, to_complex
from .init import Scheme, init_complex_, init_real_

__all__ = ["ComplexConvLSTM", "ConvLSTM"]

GATES = 4  # input, forget, output, candidate


class ConvLSTM(nn.Module):
    """Convolutional LSTM over time, with convolutions over one other axis such as frequency; complex or real.

    i, f, o = sigmoid(W x + U h + b), c' = f c + i tanh(W' x + U' h + b'), h' = o tanh(c'), with a W, U and b for each
    gate. In the complex layer W and U are complex; sigmoid and tanh act on real and imaginary parts separately, and
    the elementwise products are real: real part by real part, imaginary by imaginary. :class:`ComplexConvLSTM` is the
    same layer for networks that are never real.

    All inputs are convolved in one call; the recurrence has an explicit backward pass. It trains several times as
    fast as step by step under autograd (benchmarks/predictor_step.py).

    Args:
        in_channels: I, channels of the input, complex channels if ``complex``.
        hidden_channels: H, channels of the state, likewise.
        kernel_size: Odd size of the kernels over F; F is kept.
        complex: Use complex weights.
        scheme: Initialisation of each gate's kernels under Glorot's criterion, "unitary" (real: orthogonal) or
            "rayleigh" (real: normal).
        forget_bias: Initial bias of the forget gate; all others start at 0.

    Shape:
        - Input: real [B, T, 2I, F], real parts first, or complex [B, T, I, F]; real [B, T, I, F] of the real layer.
        - Output: hidden states [B, T, 2H, F] or [B, T, H, F], same kind as the input; and the last hidden and cell
          state, always real, [B, 2H, F] ([B, H, F] of the real layer).

    Raises:
        ValueError: ``kernel_size`` is even.

    Source: Shi et al., "Convolutional LSTM Network", 2015, equation 3, without its peepholes; DCN, section 4.3.

    Examples:
        >>> layer = ConvLSTM(1, 8)
        >>> states, (hidden, cell) = layer(torch.randn(4, 20, 1, 30, dtype=torch.complex64))
        >>> states.shape, hidden.shape
        (torch.Size([4, 20, 8, 30]), torch.Size([4, 16, 30]))
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: int = 3,
        complex: bool = True,
        scheme: Scheme = "unitary",
        forget_bias: float = 0.0,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0 or kernel_size < 1:
            raise ValueError(
                f"kernel_size must be an odd number, so that the axis keeps its length, not {kernel_size}."
            )
        self.in_channels, self.hidden_channels, self.kernel_size = in_channels, hidden_channels, kernel_size
        self.complex = complex
        layer: type[Any] = ComplexConv1d if complex else nn.Conv1d
        maps = GATES * hidden_channels
        # These hold the parameters; forward multiplies by them in its own layout.
        self.input: Any = layer(in_channels, maps, kernel_size)
        self.recurrent: Any = layer(hidden_channels, maps, kernel_size, bias=False)
        self._initialise(scheme, forget_bias)

    @property
    def state_channels(self) -> int:
        """Real channels of a state: 2H, or H of the real layer."""
        return self.hidden_channels * (2 if self.complex else 1)

    @torch.no_grad()
    def _initialise(self, scheme: Scheme, forget_bias: float) -> None:
        for conv in (self.input, self.recurrent):
            if self.complex:
                for real, imag in zip(conv.weight_real.chunk(GATES), conv.weight_imag.chunk(GATES), strict=True):
                    init_complex_(real, imag, scheme, "glorot")
            else:
                for kernel in conv.weight.chunk(GATES):
                    init_real_(kernel, scheme, "glorot")
        nn.init.zeros_(self.input.bias)
        self.input.bias.unflatten(0, (-1, GATES, self.hidden_channels))[:, 1] = forget_bias

    def forward(
        self, x: Sequence, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Sequence, tuple[Tensor, Tensor]]:
        """Run the recurrence over time.

        Args:
            x: Inputs, real [B, T, 2I, F] or complex [B, T, I, F], with or without B; or a packed sequence of such
                frames.
            state: Final hidden and cell state of an earlier call, to continue from it, real or complex; zeros when
                None.

        Returns:
            The hidden states of all steps, and the last hidden and cell state.

        Raises:
            ValueError: Input or state of another shape, or no time steps.
            TypeError: Input or state of a wider dtype than the parameters.
        """
        if isinstance(x, PackedSequence):
            packed, (hidden, cell) = run_packed(self._run_part, x, state)
            return packed, (hidden, cell)
        if x.ndim == 3:
            y, (hidden, cell) = self.forward(x[None], None if state is None else (state[0][None], state[1][None]))
            return y[0], (hidden[0], cell[0])
        self._check(x)
        if x.is_complex():
            y, state = self.forward(to_channels(x, 2), state)
            return to_complex(y, 2), state
        dtype = self.input.bias.dtype
        with torch.autocast(x.device.type, enabled=False):
            # Time first, channels last: each step is contiguous and convolutions are matrix products.
            steps = as_dtype(self, x, dtype).permute(1, 0, 3, 2)
            projection = F.linear(
                _unfold(steps, self.kernel_size), self._matrix(self.input), self._by_gate(self.input.bias)
            )
            hidden, cell = self._zero_states(steps) if state is None else self._given_states(x, state, dtype)
            run = _step_through if in_plain_operations(x) else _Steps.apply
            y, last = run(projection, self._matrix(self.recurrent).T, hidden, cell)
        return y.permute(1, 0, 3, 2), (y[-1].transpose(1, 2), last.transpose(1, 2))

    def _run_part(self, x: Tensor, states: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self.forward(x, states)

    def _check(self, x: Tensor) -> None:
        name, channels = type(self).__name__, self.in_channels
        if x.is_complex() and not self.complex:
            raise ValueError(f"{name} with complex=False takes a real tensor [B, T, {channels}, F], not {describe(x)}.")
        size = channels if x.is_complex() or not self.complex else 2 * channels
        if x.ndim != 4 or x.shape[2] != size or x.shape[1] == 0:
            native = f"a complex tensor [B, T, {channels}, F], or real channels " if self.complex else "a real tensor "
            raise ValueError(
                f"{name} takes {native}[B, T, {2 * channels if self.complex else channels}, F], with or without B and "
                f"of at least one time step, not {describe(x)}."
            )

    def _given_states(self, x: Tensor, state: tuple[Tensor, Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the initial states as [B, F, S]."""
        hidden, cell = (to_channels(part) if part.is_complex() else part for part in state)
        shape = [x.shape[0], self.state_channels, x.shape[3]]
        for part, given in zip((hidden, cell), state, strict=True):
            if [*part.shape] != shape:
                raise ValueError(f"{type(self).__name__} takes states real {shape}, not {describe(given)}.")
        return as_dtype(self, hidden, dtype).transpose(1, 2), as_dtype(self, cell, dtype).transpose(1, 2)

    def _zero_states(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        zeros = steps.new_zeros(steps.shape[1], steps.shape[2], self.state_channels)
        return zeros, zeros

    def _matrix(self, conv: Any) -> Tensor:
        """Return a kernel as the matrix [4 S, K C] that multiplies a window of K positions; S real state channels."""
        kernel = complex_weight(conv.weight_real, conv.weight_imag) if self.complex else conv.weight
        return self._by_gate(kernel).transpose(1, 2).flatten(1)

    def _by_gate(self, weight: Tensor) -> Tensor:
        """Order rows by gate, then by real and imaginary part, which a gate treats alike."""
        return weight.unflatten(0, (-1, GATES, self.hidden_channels)).transpose(0, 1).flatten(0, 2)

    def extra_repr(self) -> str:
        """Return the settings activated by ``repr``."""
        return f"{self.in_channels}, {self.hidden_channels}, kernel_size={self.kernel_size}, complex={self.complex}"


class ComplexConvLSTM(ConvLSTM):
    """Complex convolutional LSTM over time: :class:`ConvLSTM` with ``complex=True``.

    Args:
        in_channels: I, complex channels of the input.
        hidden_channels: H, complex channels of the state.
        kernel_size: Odd size of the kernels over F; F is kept.
        scheme: Initialisation of each gate's kernels under Glorot's criterion, "unitary" or "rayleigh".
        forget_bias: Initial bias of the forget gate; all others start at 0.

    Shape:
        - Input: real [B, T, 2I, F], real parts first, or complex [B, T, I, F].
        - Output: hidden states [B, T, 2H, F] or [B, T, H, F], same kind as the input; and the last hidden and cell
          state, real [B, 2H, F].

    Raises:
        ValueError: ``kernel_size`` is even.

    Source: See :class:`ConvLSTM`.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: int = 3,
        scheme: Scheme = "unitary",
        forget_bias: float = 0.0,
    ) -> None:
        super().__init__(in_channels, hidden_channels, kernel_size, True, scheme, forget_bias)


def _unfold(x: Tensor, kernel_size: int) -> Tensor:
    """Concatenate the channels of the K positions around each position: [*, F, C] to [*, F, K C]."""
    if kernel_size == 1:
        return x
    margin, size = kernel_size // 2, x.shape[-2]
    padded = F.pad(x, (0, 0, margin, margin))
    return torch.cat([padded[..., tap : tap + size, :] for tap in range(kernel_size)], -1)


def _step_through(projection: Tensor, matrix: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Run the recurrence of :class:`_Steps` in plain operations, which a compiler or an exporter can trace."""
    channels, states = hidden.shape[-1], []
    for now in projection:
        gates = now + _unfold(hidden, matrix.shape[0] // channels) @ matrix
        input_gate, forget_gate, output_gate = gates[..., : 3 * channels].sigmoid().chunk(3, -1)
        cell = forget_gate * cell + input_gate * gates[..., 3 * channels :].tanh()
        hidden = output_gate * cell.tanh()
        states.append(hidden)
    return torch.stack(states), cell


class _Steps(torch.autograd.Function):
    """Recurrence: projections [T, B, F, 4 S], matrix [K S, 4 S], initial states [B, F, S] to states [T, B, F, S]."""

    @staticmethod
    def forward(ctx: Any, projection: Tensor, matrix: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        (times, batch, size, _), channels = projection.shape, hidden.shape[-1]
        margin = matrix.shape[0] // channels // 2
        rows = matrix.contiguous()
        gates = torch.empty_like(projection, memory_format=torch.contiguous_format)
        # Each state is zero-padded, so that a window of K positions is K S contiguous numbers.
        states = projection.new_zeros(times + 1, batch, size + 2 * margin, channels)
        cells = projection.new_empty(times + 1, batch, size, channels)
        states[0, :, margin : margin + size], cells[0] = hidden, cell
        for time in range(times):
            gate = gates[time]
            torch.addmm(
                projection[time].flatten(0, 1), _windows(states[time], size), rows, out=gate.view(-1, gate.shape[-1])
            )
            gate[..., : 3 * channels].sigmoid_()
            gate[..., 3 * channels :].tanh_()
            input_gate, forget_gate, output_gate, candidate = gate.chunk(GATES, -1)
            torch.mul(forget_gate, cells[time], out=cells[time + 1]).addcmul_(input_gate, candidate)
            torch.mul(output_gate, cells[time + 1].tanh(), out=states[time + 1, :, margin : margin + size])
        # The inputs only for gradients that are differentiated again.
        ctx.save_for_backward(projection, matrix, hidden, cell, gates, states, cells)
        return states[1:, :, margin : margin + size], cells[-1].clone()

    @staticmethod
    def backward(ctx: Any, grad_states: Tensor, grad_cell: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, gates, states, cells = ctx.saved_tensors
        if torch.is_grad_enabled():
            return differentiable_gradients(_step_through, tuple(inputs), (grad_states, grad_cell))
        matrix = inputs[1]
        times, batch, size, channels = grad_states.shape
        taps = matrix.shape[0] // channels
        margin = taps // 2
        grad_projection, transposed = torch.empty_like(gates), matrix.T.contiguous()
        # Gradients of hidden and cell state, backwards in time.
        padded, cell = torch.zeros_like(states[0]), grad_cell.clone(memory_format=torch.contiguous_format)
        for time in reversed(range(times)):
            input_gate, forget_gate, output_gate, candidate = gates[time].chunk(GATES, -1)
            grad_input_gate, grad_forget_gate, grad_output_gate, grad_candidate = grad_projection[time].chunk(GATES, -1)
            activated, hidden = cells[time + 1].tanh(), padded[:, margin : margin + size] + grad_states[time]
            torch.mul(hidden, activated, out=grad_output_gate).mul_(output_gate * (1 - output_gate))
            cell.addcmul_(hidden * output_gate, 1 - activated * activated)
            torch.mul(cell, candidate, out=grad_input_gate).mul_(input_gate * (1 - input_gate))
            torch.mul(cell, cells[time], out=grad_forget_gate).mul_(forget_gate * (1 - forget_gate))
            torch.mul(cell, input_gate, out=grad_candidate).mul_(1 - candidate * candidate)
            cell.mul_(forget_gate)
            windows = (grad_projection[time].flatten(0, 1) @ transposed).view(batch, size, taps, channels)
            padded.zero_()
            for tap in range(taps):
                padded[:, tap : tap + size] += windows[:, :, tap]
        rows = grad_projection.flatten(0, 2)
        # The gradient of the matrix, for all steps at once, one kernel position at a time.
        shifted = (states[:times, :, tap : tap + size].reshape(-1, channels) for tap in range(taps))
        return grad_projection, torch.cat([part.T @ rows for part in shifted]), padded[:, margin : margin + size], cell


def _windows(state: Tensor, size: int) -> Tensor:
    """Copy the window around each position of a padded state: [B, F + K - 1, S] to [B F, K S]."""
    batch, padded, channels = state.shape
    taps = padded - size + 1
    shape, strides = (batch, size, taps * channels), (padded * channels, channels, 1)
    return state.as_strided(shape, strides, state.storage_offset()).reshape(batch * size, -1)
