"""Base classes and state functions of the complex recurrent layers.

A cell takes single steps in plain operations, which autograd and compilers can follow. A layer over time projects all
inputs in one product, then runs the recurrence in an autograd function with an explicit backward pass, which
accumulates the weights' gradients one segment of steps at a time.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .functional import complex_weight, describe, radial, to_channels, to_complex
from .init import init_complex_, parameter_options

__all__ = [
    "ActivationDerivatives",
    "ComplexStateActivation",
    "ComplexStateMatrix",
    "Radius",
    "RecurrentCell",
    "RecurrentLayer",
    "State",
    "States",
    "SEGMENT_STEPS",
    "StateActivationName",
    "activate",
    "as_dtype",
    "convert_kind",
    "differentiable_gradients",
    "full_precision",
    "in_plain_operations",
    "inner_product",
    "run_packed",
    "segments",
]

# Time steps per segment of the backward pass: few enough for its intermediate results to stay in the processor's cache.
SEGMENT_STEPS = 16

Sequence = TypeVar("Sequence", Tensor, PackedSequence)
# State of a layer: hidden state, or hidden and cell state.
State = TypeVar("State", Tensor, tuple[Tensor, Tensor])
States = tuple[Tensor, ...]
StateActivationName = Literal["modrelu", "hirose"]
# Maps magnitudes [*, H] and one learnable number per unit [H] to new magnitudes.
Radius = Callable[[Tensor, Tensor], Tensor]
# Each with the initial value of its learnable number.
_RADII: dict[str, tuple[Radius, float]] = {
    "modrelu": (lambda length, b: F.relu(length + b), 0.0),
    "hirose": (lambda length, m: torch.tanh(length / m.square()), 1.0),
}


class ComplexStateMatrix(nn.Module):
    """Complex square matrix W of a recurrent layer, constrained to be unitary or free.

    The optimisers of :mod:`audiocx.optim` keep the unitary ones unitary. They find them by the module's attribute,
    because an attribute of the parameter would be lost in copies and when a checkpoint is loaded.

    Args:
        size: H, rows and columns.
        unitary: Initialise with a random unitary matrix and keep it unitary. Otherwise the matrix is initialised with
            Rayleigh magnitudes under Glorot's criterion and trained without constraint.
        device: Device of the parameter.
        dtype: Its dtype.

    Attributes:
        weight: Real part and imaginary part, float32 [2, H, H].
    """

    def __init__(
        self,
        size: int,
        unitary: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.unitary = unitary
        self.weight = nn.Parameter(torch.empty(2, size, size, **parameter_options(device, dtype)))  # real, imaginary
        real, imag = self.weight.detach()
        # Glorot's variance for a square matrix, 1 / H, is that of a unitary matrix.
        init_complex_(real, imag, "unitary" if unitary else "rayleigh", "glorot")

    @torch.no_grad()
    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> ComplexStateMatrix:
        before = self.weight.dtype
        super()._apply(fn, recurse)
        if self.unitary and torch.finfo(self.weight.dtype).eps < torch.finfo(before).eps and not self.weight.is_meta:
            self._restore_unitary(16 * torch.finfo(before).eps)
        return self

    def _restore_unitary(self, tolerance: float) -> None:
        """Make a matrix that is unitary up to rounding to a narrower dtype unitary in its own."""
        matrix = torch.complex(*self.weight.detach())
        one = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
        if (matrix.mH @ matrix - one).abs().max() > tolerance:
            return
        for _ in range(2):  # Newton's iteration for the polar factor; the error is squared
            matrix = matrix @ (1.5 * one - 0.5 * (matrix.mH @ matrix))
        self.weight.copy_(torch.stack([matrix.real, matrix.imag]))

    def transposed(self) -> Tensor:
        """Return the real matrix [2H, 2H] that row states are multiplied by."""
        real, imag = self.weight
        return complex_weight(real, imag).T.contiguous()

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"{self.weight.shape[1]}, unitary={self.unitary}"


class ComplexStateActivation(nn.Module):
    """Activation of a recurrent state, which changes magnitudes and keeps phases.

    "modrelu" is ReLU(|z| + b) z / |z|; "hirose" is tanh(|z| / m^2) z / |z|. Each unit has a learnable b (initially 0)
    or m (initially 1).

    Args:
        name: "modrelu" or "hirose".
        size: H, complex units.
        device: Device of the parameter.
        dtype: Its dtype.

    Shape:
        - Input: real [*, 2H], real parts first.
        - Output: same shape as the input.

    Raises:
        ValueError: Unknown name.

    Source: Arjovsky et al. 2016, equation 8; Wolter and Yao 2018, on activations, after Hirose.
    """

    def __init__(
        self,
        name: StateActivationName,
        size: int,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if name not in _RADII:
            raise ValueError(f"The state activation must be 'modrelu' or 'hirose', not {name!r}.")
        self.name = name
        options = parameter_options(device, dtype)
        self.weight = nn.Parameter(torch.full((size,), _RADII[name][1], **options))

    @property
    def radius(self) -> Radius:
        """Function from the old to the new magnitudes."""
        return _RADII[self.name][0]

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation."""
        return radial(x, lambda length: self.radius(length, self.weight), -1)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"{self.name!r}, {len(self.weight)}"


class RecurrentCell(nn.Module, ABC, Generic[State]):
    """Base class of a single step of a recurrent layer.

    Args:
        in_features: I, complex features of the input.
        hidden_features: H, complex units of the state.

    Attributes:
        state_tensors: Tensors of a state: the hidden state, [B, 2H], which is the output, and others of its shape.
    """

    state_tensors = 1

    def __init__(self, in_features: int, hidden_features: int) -> None:
        super().__init__()
        self.in_features, self.hidden_features = in_features, hidden_features

    @abstractmethod
    def input_projections(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return what inputs [*, 2I] contribute to each pre-activation: V x + b."""

    @abstractmethod
    def state_matrices(self, steps: int) -> tuple[Tensor, ...]:
        """Return the real matrices that row states are multiplied by in so many steps."""

    @abstractmethod
    def step(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the next state, [B, 2H] each."""

    @abstractmethod
    def run(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the hidden states [T, B, 2H] of all steps, and the last one [B, 2H] of each further state tensor."""

    def check_input(self, x: Tensor, leading: str) -> None:
        """Raise ValueError unless input [*, I] fits; ``leading`` names the axes before the last."""
        parts = 1 if x.is_complex() else 2
        if x.ndim != 1 + len(leading.split(", ")) or x.shape[-1] != parts * self.in_features:
            raise ValueError(
                f"{type(self).__name__} takes a complex tensor [{leading}, {self.in_features}], or real channels "
                f"[{leading}, {2 * self.in_features}], with or without B, not {describe(x)}."
            )

    def unpack_state(self, state: Tensor | States | None, like: Tensor, batch: int | None) -> States | None:
        """Check a state given by the user.

        Args:
            state: One tensor or a tuple of them, [B, 2H] or complex [B, H].
            like: Input, for its kind.
            batch: B; None if the tensors have no such axis.

        Returns:
            The tensors of a state, [B, 2H], or complex [B, H] if the input is complex; None without state.

        Raises:
            ValueError: Another number of tensors or other shapes.
        """
        if state is None:
            return None
        parts: States = (state,) if isinstance(state, Tensor) else state
        leading: list[int] = [] if batch is None else [batch]
        native, channels = ([*leading, size] for size in (self.hidden_features, 2 * self.hidden_features))
        fitting = [native if part.is_complex() else channels for part in parts]
        if len(parts) != self.state_tensors or [list(part.shape) for part in parts] != fitting:
            number = "a state" if self.state_tensors == 1 else f"a state of {self.state_tensors} tensors,"
            raise ValueError(
                f"{type(self).__name__} takes {number} complex {native}, or real channels {channels}, not "
                f"{', '.join(map(describe, parts))}."
            )
        if batch is None:
            parts = tuple(part[None] for part in parts)
        return tuple(convert_kind(part, like, -1) for part in parts)

    def pack_state(self, parts: States) -> State:
        """Return a state in the form that the user gets."""
        return cast(State, parts[0] if self.state_tensors == 1 else parts)

    def prepare(self, x: Tensor, state: States | None) -> tuple[Tensor, States]:
        """Return the input and the state, [B, 2H] each, as real channels of the parameters' dtype."""
        dtype = next(self.parameters()).dtype
        if state is None:
            state = (x.new_zeros(x.shape[0], 2 * self.hidden_features),) * self.state_tensors
        return as_dtype(self, x, dtype), tuple(as_dtype(self, part, dtype) for part in state)

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """Take one step.

        Args:
            x: Input of the step, real [B, 2I] or complex [B, I], with or without B.
            state: State of the previous step, [B, 2H] or [B, H], real or complex, or a tuple of them; zeros when None.

        Returns:
            The next state, [B, 2H] or [B, H], same kind as the input.

        Raises:
            ValueError: Input or state of another shape.
            TypeError: Input or state of a wider dtype than the parameters.
        """
        batched = x[None] if x.ndim == 1 else x
        self.check_input(batched, "B")
        given = self.unpack_state(state, x, None if x.ndim == 1 else x.shape[0])
        channels, parts = _as_channels(batched, given)
        with full_precision(x):
            channels, parts = self.prepare(channels, parts)
            parts = self.step(self.input_projections(channels), self.state_matrices(1), parts)
        parts = tuple(convert_kind(part, x, -1) for part in parts)
        return self.pack_state(tuple(part[0] for part in parts) if x.ndim == 1 else parts)


class RecurrentLayer(nn.Module, Generic[State]):
    """Base class of a recurrent layer over time.

    Args:
        cell: The step.
    """

    def __init__(self, cell: RecurrentCell[State]) -> None:
        super().__init__()
        self.cell: RecurrentCell[State] = cell

    def forward(self, x: Sequence, state: State | None = None) -> tuple[Sequence, State]:
        """Run the recurrence over time.

        Args:
            x: Inputs, real [B, T, 2I] or complex [B, T, I], with or without B; or a packed sequence of such frames.
            state: Final state of an earlier call, to continue from it, [B, 2H] or [B, H], or a tuple of them; zeros
                when None.

        Returns:
            The hidden states of all steps, [B, T, 2H] or [B, T, H], or packed as the input; and the last state. Both
            are of the same kind as the input.

        Raises:
            ValueError: Input or state of another shape, or no time steps.
            TypeError: Input or state of a wider dtype than the parameters.
        """
        if isinstance(x, PackedSequence):
            packed, last = run_packed(self._run, x, self.cell.unpack_state(state, x.data, int(x.batch_sizes[0])))
            return packed, self.cell.pack_state(last)
        batched = x[None] if x.ndim == 2 else x
        self.cell.check_input(batched, "B, T")
        y, last = self._run(batched, self.cell.unpack_state(state, x, None if x.ndim == 2 else x.shape[0]))
        if x.ndim == 2:
            y, last = y[0], tuple(part[0] for part in last)
        return y, self.cell.pack_state(last)

    def _run(self, x: Tensor, state: States | None) -> tuple[Tensor, States]:
        """Run over inputs [B, T, *] of either kind from a state of the same kind."""
        self.cell.check_input(x, "B, T")
        if x.shape[1] == 0:
            raise ValueError(f"{type(self).__name__} takes at least one time step, not {describe(x)}.")
        channels, state = _as_channels(x, state)
        with full_precision(x):
            channels, state = self.cell.prepare(channels, state)
            # Time first, so that each step is contiguous.
            projections = self.cell.input_projections(channels.transpose(0, 1))
            matrices = self.cell.state_matrices(x.shape[1])
            # A cell without matrices multiplies in operations of its own.
            run = self._step_through if in_plain_operations(x) or not matrices else self.cell.run
            states, *others = run(projections, matrices, state)
        y = convert_kind(states.transpose(0, 1), x, -1)
        return y, (y[:, -1], *(convert_kind(part, x, -1) for part in others))

    def _step_through(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Step by step in plain operations, which a compiler can trace and differentiate."""
        states = []
        for now in zip(*projections, strict=True):
            state = self.cell.step(now, matrices, state)
            states.append(state[0])
        return torch.stack(states), *state[1:]


def convert_kind(part: Tensor, like: Tensor, dim: int) -> Tensor:
    """Convert real channels to a native complex tensor, or the reverse, if another tensor is of that kind.

    Args:
        part: Real [..., 2C, ...] or complex [..., C, ...], with channels at ``dim``.
        like: The other tensor.
        dim: Channel axis.
    """
    if part.is_complex() == like.is_complex():
        return part
    return to_channels(part, dim) if part.is_complex() else to_complex(part, dim)


def _as_channels(x: Tensor, state: States | None) -> tuple[Tensor, States | None]:
    """Convert input and state, both of one kind, to real channels."""
    if not x.is_complex():
        return x, state
    return to_channels(x, -1), None if state is None else tuple(to_channels(part, -1) for part in state)


def full_precision(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    """Return a context without autocast on a tensor's device; rounding errors would accumulate over time."""
    # Meta tensors have no autocast.
    return contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def in_plain_operations(x: Tensor) -> bool:
    """Return whether to step in plain operations, which compilers, exporters and ``torch.func`` can follow.

    Args:
        x: Input [B, ...]; an empty batch is cheap whichever way.
    """
    transformed = torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active()
    return transformed or x.shape[0] == 0


def as_dtype(layer: nn.Module, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert an input to the dtype of a layer's parameters.

    Args:
        layer: The layer, for its name.
        x: Real tensor.
        dtype: Dtype of the parameters.

    Returns:
        Real tensor, same shape.

    Raises:
        TypeError: The input would be rounded.
    """
    if torch.promote_types(x.dtype, dtype) != dtype:
        short, own = (str(kind).removeprefix("torch.") for kind in (dtype, x.dtype))
        raise TypeError(
            f"{type(layer).__name__} has parameters of {short} and would round an input of {own}; convert the layer "
            f"by .to(torch.{own}), or the input."
        )
    return x.to(dtype)


def differentiable_gradients(
    run: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: tuple[Tensor | None, ...],
    gradients: tuple[Tensor, ...],
) -> tuple[Tensor | None, ...]:
    """Backpropagate through a recurrence so that the result can be differentiated again.

    Args:
        run: The recurrence in plain operations.
        inputs: Its inputs.
        gradients: Gradients of its outputs.

    Returns:
        Gradients of the inputs; None for those that need none.
    """
    with torch.enable_grad():
        outputs = run(*inputs)
        wanted = [part for part in inputs if part is not None and part.requires_grad]
        found = iter(torch.autograd.grad(outputs, wanted, gradients, create_graph=True, allow_unused=True))
    return tuple(next(found) if part is not None and part.requires_grad else None for part in inputs)


def run_packed(
    run: Callable[[Tensor, tuple[Tensor, ...] | None], tuple[Tensor, tuple[Tensor, ...]]],
    x: PackedSequence,
    states: tuple[Tensor, ...] | None,
) -> tuple[PackedSequence, tuple[Tensor, ...]]:
    """Run a recurrent layer over sequences of several lengths, without padding.

    Args:
        run: From inputs [B, T, *] and initial states [B, *] to the states of all steps [B, T, *] and the last ones.
        x: Packed inputs.
        states: Initial states [B, *], in the order of the sequences before packing.

    Returns:
        Packed states of all steps, and the last states of each sequence, in the order of the initial ones.
    """
    if states is not None and x.sorted_indices is not None:
        states = tuple(part[x.sorted_indices] for part in states)
    first, outputs, ended = 0, [], []
    # Stretches over which the same sequences run, the longest first in the batch.
    sizes, counts = x.batch_sizes.unique_consecutive(return_counts=True)
    for size, steps in zip(sizes.tolist(), counts.tolist(), strict=True):
        if states is not None:
            ended.append(tuple(part[size:] for part in states))
            states = tuple(part[:size] for part in states)
        frames = x.data[first : first + size * steps].unflatten(0, (steps, size)).transpose(0, 1)
        y, states = run(frames, states)
        outputs.append(y.transpose(0, 1).flatten(0, 1))
        first += size * steps
    assert states is not None
    last = tuple(torch.cat(parts) for parts in zip(states, *reversed(ended), strict=True))
    if x.unsorted_indices is not None:
        last = tuple(part[x.unsorted_indices] for part in last)
    return PackedSequence(torch.cat(outputs), x.batch_sizes, x.sorted_indices, x.unsorted_indices), last


def activate(pre: Tensor, length: Tensor, radius: Radius, weight: Tensor, out: Tensor | None = None) -> Tensor:
    """Apply a state activation and keep what its derivative needs.

    Args:
        pre: Pre-activations z, [B, 2H]; overwritten with the phases z / |z|, 0 at z = 0.
        length: Overwritten with the magnitudes |z|, [B, H].
        radius: Function of the activation.
        weight: Its learnable numbers, [H].
        out: Output tensor, [B, 2, H]; a new one when None.

    Returns:
        The activations, [B, 2, H].
    """
    parts = pre.view(len(pre), 2, -1)
    torch.hypot(parts[:, 0], parts[:, 1], out=length)
    parts.div_(length.clamp_min(torch.finfo(length.dtype).tiny).unsqueeze(1))
    return torch.mul(radius(length, weight).unsqueeze(1), parts, out=out)


def segments(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Split tensors [T, *] into segments of steps for the backward pass."""
    return zip(*(tensor.split(SEGMENT_STEPS) for tensor in tensors), strict=True)


def inner_product(a: Tensor, b: Tensor, out: Tensor) -> None:
    """Write Re(conj(a) b) of a and b, [B, 2, H] each, into ``out`` [B, H]."""
    (real, imag), (other_real, other_imag) = a.unbind(1), b.unbind(1)
    torch.mul(real, other_real, out=out).addcmul_(imag, other_imag)


class ActivationDerivatives:
    """Derivatives of a state activation over one segment of S steps.

    Args:
        radius: Function of the activation.
        weight: Its learnable numbers, [H].
        lengths: Magnitudes of the pre-activations, [S, B, H].
        phases: Their phases z / |z|, [S, B, 2H].
    """

    def __init__(self, radius: Radius, weight: Tensor, lengths: Tensor, phases: Tensor) -> None:
        with torch.enable_grad():
            lengths, self.weight = lengths.detach().requires_grad_(), weight.detach().requires_grad_()
            self.graph = radius(lengths, self.weight)
            (radial,) = torch.autograd.grad(self.graph.sum(), lengths, retain_graph=True)
        self.radii, self.phases = self.graph.detach(), phases.unflatten(2, (2, -1))
        self.along = torch.empty_like(radial)  # gradients along the phases, filled step by step
        # The Jacobian of r(|z|) z / |z| has the eigenvalue r'(|z|) along z and r(|z|) / |z| perpendicular to it.
        tangential = torch.where(lengths > 0, self.radii / lengths, 0).detach()
        # All views at once: making them step by step costs as much as some of the products.
        self.steps = [*zip(tangential.unsqueeze(2), radial - tangential, self.phases, self.along, strict=True)]

    def backward(self, time: int, gradient: Tensor, out: Tensor) -> None:
        """Backpropagate a gradient [B, 2, H] through the activation of one step, into ``out``."""
        tangential, difference, phases, along = self.steps[time]
        inner_product(gradient, phases, along)
        torch.mul(gradient, tangential, out=out).addcmul_((difference * along).unsqueeze(1), phases)

    def weight_gradient(self) -> Tensor:
        """Return the gradient of the learnable numbers, after ``backward`` of all steps."""
        return torch.autograd.grad(self.graph, self.weight, self.along)[0]
