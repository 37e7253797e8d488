"""Convolutional LSTM over one or two axes, complex or real."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .cell import Sequence, States, as_dtype, convert_kind, full_precision, in_plain_operations, run_packed
from .conv import ComplexConv1d, ComplexConv2d
from .functional import complex_weight, describe, to_channels
from .init import Scheme, init_real_, parameter_options
from .lstm import GATES, LSTMSteps, by_gate, convolve, forget_bias_, init_by_gate, lstm_steps

__all__ = ["ComplexConvLSTM", "ComplexConvLSTM2d", "ConvLSTM", "ConvLSTM2d"]


class _ConvLSTM(nn.Module):
    """Convolutional LSTM over time and further axes L."""

    axes: str  # names of the axes L

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        complex: bool = True,
        scheme: Scheme = "unitary",
        forget_bias: float = 0.0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        number = len(self.axes.split(", "))
        self.taps = tuple(kernel_size) if isinstance(kernel_size, Iterable) else (kernel_size,) * number
        if len(self.taps) != number or any(size % 2 == 0 or size < 1 for size in self.taps):
            numbers = "an odd number" if number == 1 else f"an odd number, or {number} of them"
            raise ValueError(f"kernel_size must be {numbers}, so that each axis keeps its length, not {kernel_size}.")
        self.in_channels, self.hidden_channels, self.kernel_size = in_channels, hidden_channels, kernel_size
        self.complex = complex
        layers: list[Any] = [ComplexConv1d, ComplexConv2d] if complex else [nn.Conv1d, nn.Conv2d]
        layer, maps, options = layers[number - 1], GATES * hidden_channels, parameter_options(device, dtype)
        # These hold the parameters; forward multiplies by them in its own layout.
        self.input: Any = layer(in_channels, maps, kernel_size, **options)
        self.recurrent: Any = layer(hidden_channels, maps, kernel_size, bias=False, **options)
        for conv in (self.input, self.recurrent):
            if complex:
                init_by_gate(conv, GATES, scheme)
            else:
                for kernel in conv.weight.detach().chunk(GATES):
                    init_real_(kernel, scheme, "glorot")
        forget_bias_(self.input, forget_bias, self.parts)

    @property
    def parts(self) -> int:
        """Real channels of a channel: 2, or 1 of the real layer."""
        return 2 if self.complex else 1

    @property
    def state_channels(self) -> int:
        """Real channels of a state: 2H, or H of the real layer."""
        return self.hidden_channels * self.parts

    def forward(
        self, x: Sequence, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Sequence, tuple[Tensor, Tensor]]:
        """Run the recurrence over time.

        Args:
            x: Inputs, real [B, T, 2I, *L] or complex [B, T, I, *L], with or without B; or a packed sequence of such
                frames. L stands for the further axes.
            state: Final hidden and cell state of an earlier call, to continue from it, real [B, 2H, *L] or complex
                [B, H, *L]; zeros when None.

        Returns:
            The hidden states of all steps, [B, T, 2H, *L] or [B, T, H, *L], or packed as the input; and the last hidden
            and cell state. All are of the same kind as the input.

        Raises:
            ValueError: Input or state of another shape, or no time steps.
            TypeError: Input or state of a wider dtype than the parameters.
        """
        if isinstance(x, PackedSequence):
            packed, (hidden, cell) = run_packed(self._run, x, self._unpack(state, x.data, int(x.batch_sizes[0])))
            return packed, (hidden, cell)
        batched = x[None] if x.ndim == 2 + len(self.taps) else x
        self._check(batched)
        if batched is x:
            y, (hidden, cell) = self._run(x, self._unpack(state, x, x.shape[0]))
            return y, (hidden, cell)
        given = None if state is None else tuple(part[None] for part in state)
        y, (hidden, cell) = self._run(batched, self._unpack(given, batched, 1))
        return y[0], (hidden[0], cell[0])

    def _run(self, x: Tensor, state: States | None) -> tuple[Tensor, States]:
        """Run over inputs [B, T, *] of either kind from states [B, *] of the same kind."""
        self._check(x)
        channels, dtype = to_channels(x, 2) if x.is_complex() else x, self.input.bias.dtype
        with full_precision(x):
            # Time first, channels last: each step is contiguous and convolutions are matrix products.
            steps = as_dtype(self, channels, dtype).transpose(0, 1)
            by_position = steps.movedim(2, -1)
            projection = convolve(by_position, self._kernel(self.input), self._by_gate(self.input.bias))
            if state is None:
                shape = (x.shape[0], *x.shape[3:], self.state_channels)
                hidden, cell = projection.new_zeros(shape), projection.new_zeros(shape)
            else:
                real = (to_channels(part, 1) if part.is_complex() else part for part in state)
                hidden, cell = (as_dtype(self, part, dtype).movedim(1, -1) for part in real)
            run = lstm_steps if in_plain_operations(x) else LSTMSteps.apply
            y, last = run(projection, self._kernel(self.recurrent), hidden, cell)
        y = y.movedim(-1, 2)
        kinds = [(y.transpose(0, 1), 2), (y[-1], 1), (last.movedim(-1, 1), 1)]
        states, *ends = (convert_kind(part, x, dim) for part, dim in kinds)
        return states, tuple(ends)

    def _check(self, x: Tensor) -> None:
        name, channels, axes = type(self).__name__, self.in_channels, self.axes
        if x.is_complex() and not self.complex:
            raise ValueError(
                f"{name} with complex=False takes a real tensor [B, T, {channels}, {axes}], not {describe(x)}."
            )
        size = channels if x.is_complex() else self.parts * channels
        if x.ndim != 3 + len(self.taps) or x.shape[2] != size or x.shape[1] == 0:
            native = f"complex tensor [B, T, {channels}, {axes}], or real channels" if self.complex else "real tensor"
            raise ValueError(
                f"{name} takes a {native} [B, T, {self.parts * channels}, {axes}], with or without B and of at least "
                f"one time step, not {describe(x)}."
            )

    def _unpack(self, state: States | None, x: Tensor, batch: int) -> States | None:
        """Check a state [B, *] given by the user, and return it in the kind of the input."""
        if state is None:
            return None
        sizes = [batch, *x.shape[-len(self.taps) :]]
        native, channels = ([sizes[0], size, *sizes[1:]] for size in (self.hidden_channels, self.state_channels))
        fitting = [native if part.is_complex() and self.complex else channels for part in state]
        kinds = any(part.is_complex() for part in state) and not self.complex
        if len(state) != 2 or kinds or [list(part.shape) for part in state] != fitting:
            wanted = f"complex {native}, or real channels {channels}" if self.complex else f"real {channels}"
            given = ", ".join(map(describe, state))
            raise ValueError(f"{type(self).__name__} takes a state of 2 tensors, {wanted}, not {given}.")
        return tuple(convert_kind(part, x, 1) for part in state)

    def _kernel(self, conv: Any) -> Tensor:
        """Return the real kernel [4S, C, *K], ordered by gate."""
        return self._by_gate(complex_weight(conv.weight_real, conv.weight_imag) if self.complex else conv.weight)

    def _by_gate(self, weight: Tensor) -> Tensor:
        return by_gate(weight) if self.complex else weight

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"{self.in_channels}, {self.hidden_channels}, kernel_size={self.kernel_size}, complex={self.complex}"


class ConvLSTM(_ConvLSTM):
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
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, T, 2I, F], real parts first, or complex [B, T, I, F]; real [B, T, I, F] of the real layer.
          Initial hidden and cell state, as the last ones, optional.
        - Output: hidden states [B, T, 2H, F] or [B, T, H, F]; and the last hidden and cell state, [B, 2H, F] or
          [B, H, F]. All of the same kind as the input.

    Raises:
        ValueError: ``kernel_size`` is even.

    Source: Shi et al., "Convolutional LSTM Network", 2015, equation 3, without its peepholes; DCN, section 4.3.

    Examples:
        >>> layer = ConvLSTM(1, 8)
        >>> states, (hidden, cell) = layer(torch.randn(4, 20, 1, 30, dtype=torch.complex64))
        >>> states.shape, hidden.shape
        (torch.Size([4, 20, 8, 30]), torch.Size([4, 8, 30]))
    """

    axes = "F"


class ComplexConvLSTM(ConvLSTM):
    """Complex convolutional LSTM over time: :class:`ConvLSTM` with ``complex=True``.

    Args:
        in_channels: I, complex channels of the input.
        hidden_channels: H, complex channels of the state.
        kernel_size: Odd size of the kernels over F; F is kept.
        scheme: Initialisation of each gate's kernels under Glorot's criterion, "unitary" or "rayleigh".
        forget_bias: Initial bias of the forget gate; all others start at 0.
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, T, 2I, F], real parts first, or complex [B, T, I, F].
        - Output: hidden states [B, T, 2H, F] or [B, T, H, F]; and the last hidden and cell state, [B, 2H, F] or
          [B, H, F]. All of the same kind as the input.

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
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, hidden_channels, kernel_size, True, scheme, forget_bias, device, dtype)


class ConvLSTM2d(_ConvLSTM):
    """Convolutional LSTM over time, with convolutions over two other axes; complex or real.

    The equations are those of :class:`ConvLSTM`. :class:`ComplexConvLSTM2d` is the same layer for networks that are
    never real.

    Args:
        in_channels: I, channels of the input, complex channels if ``complex``.
        hidden_channels: O, channels of the state, likewise.
        kernel_size: Odd size of the kernels over H and W, one number or two; H and W are kept.
        complex: Use complex weights.
        scheme: Initialisation of each gate's kernels under Glorot's criterion, "unitary" (real: orthogonal) or
            "rayleigh" (real: normal).
        forget_bias: Initial bias of the forget gate; all others start at 0.
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, T, 2I, H, W], real parts first, or complex [B, T, I, H, W]; real [B, T, I, H, W] of the real
          layer. Initial hidden and cell state, as the last ones, optional.
        - Output: hidden states [B, T, 2O, H, W] or [B, T, O, H, W]; and the last hidden and cell state,
          [B, 2O, H, W] or [B, O, H, W]. All of the same kind as the input.

    Raises:
        ValueError: ``kernel_size`` is even.

    Source: Shi et al., "Convolutional LSTM Network", 2015, equation 3, without its peepholes; DCN, section 4.3.

    Examples:
        >>> layer = ConvLSTM2d(1, 4)
        >>> states, (hidden, cell) = layer(torch.randn(2, 5, 1, 8, 9, dtype=torch.complex64))
        >>> states.shape, hidden.shape
        (torch.Size([2, 5, 4, 8, 9]), torch.Size([2, 4, 8, 9]))
    """

    axes = "H, W"


class ComplexConvLSTM2d(ConvLSTM2d):
    """Complex convolutional LSTM over time and two axes: :class:`ConvLSTM2d` with ``complex=True``.

    Args:
        in_channels: I, complex channels of the input.
        hidden_channels: O, complex channels of the state.
        kernel_size: Odd size of the kernels over H and W, one number or two; H and W are kept.
        scheme: Initialisation of each gate's kernels under Glorot's criterion, "unitary" or "rayleigh".
        forget_bias: Initial bias of the forget gate; all others start at 0.
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, T, 2I, H, W], real parts first, or complex [B, T, I, H, W].
        - Output: hidden states [B, T, 2O, H, W] or [B, T, O, H, W]; and the last hidden and cell state,
          [B, 2O, H, W] or [B, O, H, W]. All of the same kind as the input.

    Raises:
        ValueError: ``kernel_size`` is even.

    Source: See :class:`ConvLSTM2d`.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        scheme: Scheme = "unitary",
        forget_bias: float = 0.0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, hidden_channels, kernel_size, True, scheme, forget_bias, device, dtype)
