"""Several recurrent layers on top of each other, in one or both directions of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .cell import RecurrentLayer, Sequence, State, States, convert_kind
from .functional import complex_dropout, split, to_channels

__all__ = ["ComplexStackedRNN"]


class ComplexStackedRNN(nn.Module, Generic[State]):
    """Stack of complex recurrent layers of one kind, in one or both directions of time.

    The outputs of both directions are concatenated, those of the forward direction first.

    Args:
        layer: Class of the layers: :class:`ComplexLSTM`, :class:`ComplexGRU`, :class:`ComplexGatedRNN` or
            :class:`ComplexUnitaryRNN`.
        in_features: I, complex features of the input.
        hidden_features: H, complex units of each layer and direction.
        num_layers: Number of layers, N.
        dropout: Probability of zeroing a complex output of any layer but the last, in training.
        bidirectional: Add to each layer one that runs backwards in time; the number of directions D is 2 then, else 1.
        device: Device of the parameters.
        dtype: Their dtype.
        options: Further arguments of the layers, by keyword.

    Shape:
        - Input: real [B, T, 2I], real parts first, or complex [B, T, I], with or without B; or a packed sequence of
          such frames. Initial state, optional: [N * D, B, 2H] or [N * D, B, H], a tuple of two of them for
          :class:`ComplexLSTM`; directions of the first layer first.
        - Output: states of the last layer, [B, T, 2DH] or [B, T, DH], or packed as the input; and the final states of
          all layers and directions, [N * D, B, 2H] or [N * D, B, H]. Both of the same kind as the input.

    Attributes:
        layers: The layers, in the order of the states.

    Raises:
        ValueError: No layers, ``dropout`` outside [0, 1], or what the layers refuse.
        TypeError: Layers of another kind, as convolutional ones.

    Examples:
        >>> from audiocx.nn import ComplexLSTM
        >>> stack = ComplexStackedRNN(ComplexLSTM, 2, 8, num_layers=3, dropout=0.1, bidirectional=True)
        >>> states, (hidden, cell) = stack(torch.randn(4, 20, 2, dtype=torch.complex64))
        >>> states.shape, hidden.shape
        (torch.Size([4, 20, 16]), torch.Size([6, 4, 8]))
    """

    def __init__(
        self,
        layer: Callable[..., RecurrentLayer[State]],
        in_features: int,
        hidden_features: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if num_layers < 1 or not 0 <= dropout <= 1:
            raise ValueError(
                f"ComplexStackedRNN takes at least one layer and a dropout in [0, 1], not {num_layers} and {dropout}."
            )
        self.num_layers, self.dropout, self.directions = num_layers, dropout, 1 + bidirectional
        inputs = [in_features, *[self.directions * hidden_features] * (num_layers - 1)]
        self.layers = nn.ModuleList(
            layer(size, hidden_features, device=device, dtype=dtype, **options)
            for size in inputs
            for _ in range(self.directions)
        )
        if not all(isinstance(part, RecurrentLayer) for part in self.layers):
            raise TypeError(
                f"ComplexStackedRNN stacks recurrent layers of vectors, not {type(self.layers[0]).__name__}."
            )

    def forward(self, x: Sequence, state: State | None = None) -> tuple[Sequence, State]:
        """Run the layers over time; see the class for shapes.

        Args:
            x: Inputs.
            state: Final state of an earlier call, to continue from it; zeros when None. In both directions this
                continues the backward one from its final state at the earlier call's first step.

        Returns:
            The states of the last layer, and the final states.

        Raises:
            ValueError: Input or state of another shape, or no time steps.
            TypeError: Input or state of a wider dtype than the parameters.
        """
        given, order = _data(x), None
        if isinstance(x, PackedSequence):
            order = _reversed_order(x) if self.directions == 2 else None
        else:  # while the input is of the kind that was given
            cast(Any, self.layers[0]).cell.check_input(x[None] if x.ndim == 2 else x, "B, T")
        y: Any = _replace(x, to_channels(given, -1) if given.is_complex() else given)
        states, ends = self._states(state), []
        for first in range(0, len(self.layers), self.directions):
            if first:
                y = _replace(y, complex_dropout(_data(y), self.dropout, self.training, -1))
            forwards, end = self.layers[first](y, states[first])
            ends.append(end)
            if self.directions == 2:
                backwards, end = self.layers[first + 1](_reverse(y, order), states[first + 1])
                ends.append(end)
                both = (split(_data(part), -1) for part in (forwards, _reverse(backwards, order)))
                y = _replace(forwards, torch.cat([part for parts in zip(*both, strict=True) for part in parts], -1))
            else:
                y = forwards
        finals = [torch.stack(parts) for parts in zip(*[_parts(end) for end in ends], strict=True)]
        last = tuple(convert_kind(part, given, -1) for part in finals)
        return _replace(y, convert_kind(_data(y), given, -1)), cast(State, last if len(last) > 1 else last[0])

    def _states(self, state: Tensor | States | None) -> list[Any]:
        """Return the initial state of each layer and direction."""
        count = len(self.layers)
        if state is None:
            return [None] * count
        if any(part.ndim == 0 or len(part) != count for part in _parts(state)):
            shapes = ", ".join(str(list(part.shape)) for part in _parts(state))
            raise ValueError(
                f"ComplexStackedRNN of {self.num_layers} layers and {self.directions} directions takes states "
                f"[{count}, B, *], not {shapes}."
            )
        return list(state) if isinstance(state, Tensor) else list(zip(*state, strict=True))

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"num_layers={self.num_layers}, dropout={self.dropout}, bidirectional={self.directions == 2}"


def _parts(state: Tensor | States) -> States:
    return (state,) if isinstance(state, Tensor) else state


def _data(x: Tensor | PackedSequence) -> Tensor:
    return x.data if isinstance(x, PackedSequence) else x


def _replace(x: Any, data: Tensor) -> Any:
    """Return other data in the form of a tensor or packed sequence."""
    if isinstance(x, PackedSequence):
        return PackedSequence(data, x.batch_sizes, x.sorted_indices, x.unsorted_indices)
    return data


def _reverse(x: Any, order: Tensor | None) -> Any:
    """Reverse time in inputs [*, T, C], or in a packed sequence, each sequence by itself."""
    return x.flip(-2) if order is None else _replace(x, x.data[order])


def _reversed_order(x: PackedSequence) -> Tensor:
    """Return for each frame of a packed sequence the frame at the same distance from the other end of its sequence."""
    sizes = x.batch_sizes
    starts = sizes.cumsum(0) - sizes
    times = torch.arange(len(sizes)).repeat_interleave(sizes)
    sequences = torch.arange(len(times)) - starts[times]
    lengths = (sizes.unsqueeze(1) > torch.arange(int(sizes[0]))).sum(0)
    return (starts[lengths[sequences] - 1 - times] + sequences).to(x.data.device)
