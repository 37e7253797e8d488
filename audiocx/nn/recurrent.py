"""Recurrent layers: an LSTM whose products are convolutions, complex or real."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .conv import ComplexConv1d
from .functional import complex_weight, to_channels, to_complex
from .init import Scheme, init_complex_, init_real_

__all__ = ["ConvLSTM"]

GATES = 4  # input, forget, output, candidate


class ConvLSTM(nn.Module):
    """LSTM over time whose products are convolutions over one other axis, such as frequency.

    i, f, o = sigmoid(W x + U h + b), c = f c + i tanh(W' x + U' h + b'), h = o tanh(c). In the complex layer W and U
    are complex; sigmoid and tanh act on real and imaginary parts separately, and the elementwise products stay real:
    real part with real part, imaginary with imaginary.

    The convolution of the inputs is one call for all the time there is; only that of the state steps, with a gradient
    of its own which also gathers the weights' in one call. This trains several times as fast as letting autograd
    follow the steps (benchmarks/predictor_step.py).

    Shape: input [B, T, 2I, F] real, real parts first, or [B, T, I, F] complex (of the real layer: [B, T, I, F] real);
    output [B, T, 2H, F] or [B, T, H, F], of the input's kind; states [B, 2H, F] (or [B, H, F]), always real.

    Args:
        in_channels: I; complex ones where the layer is.
        hidden_channels: H, likewise.
        kernel_size: Taps over F, an odd number; F stays.
        complex: Complex weights, or those of the real twin.
        scheme: Initialisation of each gate's kernels under Glorot's criterion, "unitary" (real: orthogonal) or
            "rayleigh" (real: normal).
        forget_bias: What the forget gate's bias starts at; all the others start at 0.

    Raises:
        ValueError: The kernel is of even length.

    Source: Shi et al., "Convolutional LSTM Network", 2015, equation 3, without its peepholes; DCN, section 4.3.
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
            raise ValueError(f"kernel_size is an odd number, for the axis to keep its length, not {kernel_size}.")
        self.in_channels, self.hidden_channels, self.kernel_size = in_channels, hidden_channels, kernel_size
        self.complex = complex
        layer: type[Any] = ComplexConv1d if complex else nn.Conv1d
        maps = GATES * hidden_channels
        # For their parameters; forward multiplies by them in its own layout.
        self.input: Any = layer(in_channels, maps, kernel_size)
        self.recurrent: Any = layer(hidden_channels, maps, kernel_size, bias=False)
        self._initialise(scheme, forget_bias)

    @property
    def state_channels(self) -> int:
        """Real channels of a state: 2H, of the real layer H."""
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

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Runs over time.

        Args:
            x: The inputs; see the class for shapes.
            state: What an earlier call gave, to go on from there: hidden and cell state; zeros when None.

        Returns:
            The hidden states of all times, and hidden and cell state after the last.
        """
        if x.is_complex():
            y, state = self.forward(to_channels(x, 2), state)
            return to_complex(y, 2), state
        with torch.autocast(x.device.type, enabled=False):
            # Time first, channels last: a step's memory lies together, and convolutions are products of matrices.
            steps = x.permute(1, 0, 3, 2).to(self.input.bias.dtype)
            drive = F.linear(
                _neighbours(steps, self.kernel_size), self._matrix(self.input), self._by_gate(self.input.bias)
            )
            hidden, cell = self._start(steps) if state is None else (part.transpose(1, 2) for part in state)
            y, last = _Steps.apply(drive, self._matrix(self.recurrent).T, hidden, cell)
        return y.permute(1, 0, 3, 2), (y[-1].transpose(1, 2), last.transpose(1, 2))

    def _start(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        zeros = steps.new_zeros(steps.shape[1], steps.shape[2], self.state_channels)
        return zeros, zeros

    def _matrix(self, conv: Any) -> Tensor:
        """A kernel as the matrix [4 S, K C] that multiplies a stretch of K positions."""
        kernel = complex_weight(conv.weight_real, conv.weight_imag) if self.complex else conv.weight
        return self._by_gate(kernel).transpose(1, 2).flatten(1)

    def _by_gate(self, weight: Tensor) -> Tensor:
        """Orders rows by gate, then by real and imaginary part, which within a gate are treated alike."""
        return weight.unflatten(0, (-1, GATES, self.hidden_channels)).transpose(0, 1).flatten(0, 2)

    def extra_repr(self) -> str:
        """Names the sizes."""
        return f"{self.in_channels}, {self.hidden_channels}, kernel_size={self.kernel_size}, complex={self.complex}"


def _neighbours(x: Tensor, kernel_size: int) -> Tensor:
    """Puts the channels of each position and its neighbours side by side: [*, F, C] to [*, F, K C]."""
    if kernel_size == 1:
        return x
    reach, size = kernel_size // 2, x.shape[-2]
    padded = F.pad(x, (0, 0, reach, reach))
    return torch.cat([padded[..., tap : tap + size, :] for tap in range(kernel_size)], -1)


class _Steps(torch.autograd.Function):
    """The recurrence: drive [T, B, F, 4 S], matrix [K S, 4 S], states [B, F, S] to states [T, B, F, S] and the last."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, matrix: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        (times, batch, size, _), channels = drive.shape, hidden.shape[-1]
        reach = matrix.shape[0] // channels // 2
        matrix = matrix.contiguous()
        gates = torch.empty_like(drive, memory_format=torch.contiguous_format)
        # Each state with zeros around it, so that a stretch of K positions is K S numbers in a row.
        states = drive.new_zeros(times + 1, batch, size + 2 * reach, channels)
        cells = drive.new_empty(times + 1, batch, size, channels)
        states[0, :, reach : reach + size], cells[0] = hidden, cell
        for time in range(times):
            gate = gates[time]
            torch.addmm(
                drive[time].flatten(0, 1), _stretches(states[time], size), matrix, out=gate.view(-1, gate.shape[-1])
            )
            gate[..., : 3 * channels].sigmoid_()
            gate[..., 3 * channels :].tanh_()
            admit, keep, emit, candidate = gate.chunk(GATES, -1)
            torch.mul(keep, cells[time], out=cells[time + 1]).addcmul_(admit, candidate)
            torch.mul(emit, cells[time + 1].tanh(), out=states[time + 1, :, reach : reach + size])
        ctx.save_for_backward(gates, states, cells, matrix)
        return states[1:, :, reach : reach + size], cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_states: Tensor, to_cell: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        gates, states, cells, matrix = ctx.saved_tensors
        times, batch, size, channels = to_states.shape
        taps = matrix.shape[0] // channels
        reach = taps // 2
        to_drive, transposed = torch.empty_like(gates), matrix.T.contiguous()
        # Gradients of the state and of the cell as time runs back.
        padded, cell = torch.zeros_like(states[0]), to_cell.clone(memory_format=torch.contiguous_format)
        for time in reversed(range(times)):
            admit, keep, emit, candidate = gates[time].chunk(GATES, -1)
            to_admit, to_keep, to_emit, to_candidate = to_drive[time].chunk(GATES, -1)
            shown, hidden = cells[time + 1].tanh(), padded[:, reach : reach + size] + to_states[time]
            torch.mul(hidden, shown, out=to_emit).mul_(emit * (1 - emit))
            cell.addcmul_(hidden * emit, 1 - shown * shown)
            torch.mul(cell, candidate, out=to_admit).mul_(admit * (1 - admit))
            torch.mul(cell, cells[time], out=to_keep).mul_(keep * (1 - keep))
            torch.mul(cell, admit, out=to_candidate).mul_(1 - candidate * candidate)
            cell.mul_(keep)
            stretches = (to_drive[time].flatten(0, 1) @ transposed).view(batch, size, taps, channels)
            padded.zero_()
            for tap in range(taps):
                padded[:, tap : tap + size] += stretches[:, :, tap]
        rows = to_drive.flatten(0, 2)
        # The same product for all times at once, tap by tap.
        shifted = (states[:times, :, tap : tap + size].reshape(-1, channels) for tap in range(taps))
        return to_drive, torch.cat([part.T @ rows for part in shifted]), padded[:, reach : reach + size], cell


def _stretches(state: Tensor, size: int) -> Tensor:
    """Copies the stretch around each position out of a padded state: [B, F + K - 1, S] to [B F, K S]."""
    batch, padded, channels = state.shape
    taps = padded - size + 1
    shape, strides = (batch, size, taps * channels), (padded * channels, channels, 1)
    return state.as_strided(shape, strides, state.storage_offset()).reshape(batch * size, -1)
