"""What the complex recurrent layers whose state is one complex vector share: a cell, its parts, and a run over time.

A cell steps in plain operations, for autograd and compilers to follow. A run multiplies all inputs in one call, steps
with a gradient of its own and gathers the weights' in one call at the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import complex_weight, radial, to_channels, to_complex
from .init import init_complex_

__all__ = [
    "Cell",
    "Layer",
    "Radius",
    "ActivationDerivatives",
    "StateActivation",
    "StateActivationName",
    "StateMatrix",
    "activate",
]

# Steps that are led back together: what they need stays in the processor's cache, and the whole run's is never there.
STRETCH = 16

StateActivationName = Literal["modrelu", "hirose"]
# New magnitudes of the old [*, H] and of one learnt number a unit [H].
Radius = Callable[[Tensor, Tensor], Tensor]
# With what the learnt number starts at.
_RADII: dict[str, tuple[Radius, float]] = {
    "modrelu": (lambda length, b: F.relu(length + b), 0.0),
    "hirose": (lambda length, m: torch.tanh(length / m.square()), 1.0),
}


class StateMatrix(nn.Module):
    """A complex square matrix W that multiplies a state, marked where it has to stay unitary.

    The mark belongs to the module: a parameter's own would not outlive a copy of the network or the loading of a
    checkpoint. The optimisers of :mod:`audiocx.optim` heed it.

    Args:
        size: H, rows and columns.
        unitary: Starts as a random unitary matrix and is to stay one; else it starts with Rayleigh magnitudes under
            Glorot's criterion and learns freely.
    """

    def __init__(self, size: int, unitary: bool = True) -> None:
        super().__init__()
        self.unitary = unitary
        self.weight = nn.Parameter(torch.empty(2, size, size))  # real part, imaginary part
        real, imag = self.weight.detach()
        # Glorot's variance for a square matrix, 1 / H, is a unitary matrix's own.
        init_complex_(real, imag, "unitary" if unitary else "rayleigh", "glorot")

    def transposed(self) -> Tensor:
        """Gives the real matrix [2H, 2H] that multiplies states from the right."""
        real, imag = self.weight
        return complex_weight(real, imag).T.contiguous()

    def extra_repr(self) -> str:
        """Names the size and the mark."""
        return f"{self.weight.shape[1]}, unitary={self.unitary}"


class StateActivation(nn.Module):
    """An activation that changes magnitudes and keeps phases, with one learnt number a unit.

    "modrelu" is ReLU(|z| + b) z / |z|, b = 0 at first; "hirose" is tanh(|z| / m^2) z / |z|, m = 1 at first.

    Shape: [*, 2H] real, real parts first; output as input.

    Args:
        name: "modrelu" or "hirose".
        size: H.

    Raises:
        ValueError: Unknown name.

    Source: Arjovsky et al. 2016, equation 8; Wolter and Yao 2018, on activations, after Hirose.
    """

    def __init__(self, name: StateActivationName, size: int) -> None:
        super().__init__()
        if name not in _RADII:
            raise ValueError(f"The state activation is 'modrelu' or 'hirose', not {name!r}.")
        self.name = name
        self.weight = nn.Parameter(torch.full((size,), _RADII[name][1]))

    @property
    def radius(self) -> Radius:
        """What makes new magnitudes of the old."""
        return _RADII[self.name][0]

    def forward(self, x: Tensor) -> Tensor:
        """Applies the activation."""
        return radial(x, lambda length: self.radius(length, self.weight), -1)

    def extra_repr(self) -> str:
        """Names the activation."""
        return repr(self.name)


class Cell(nn.Module, ABC):
    """One step of a recurrent layer; a subclass has the products and what is done with them.

    Args:
        hidden_features: H, complex.
    """

    def __init__(self, hidden_features: int) -> None:
        super().__init__()
        self.hidden_features = hidden_features

    @abstractmethod
    def drives(self, x: Tensor) -> tuple[Tensor, ...]:
        """Gives what inputs [*, 2I] add to each product with the state."""

    @abstractmethod
    def matrices(self) -> tuple[Tensor, ...]:
        """Gives the real matrices of these products, which multiply states from the right."""

    @abstractmethod
    def step(self, drives: tuple[Tensor, ...], matrices: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        """Gives the state [B, 2H] that follows."""

    @abstractmethod
    def run(self, drives: tuple[Tensor, ...], matrices: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        """Gives all the states [T, B, 2H] that follow."""

    def start(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Gives inputs and state [B, 2H] as real channels in the cell's own precision."""
        dtype = next(self.parameters()).dtype
        if state is None:
            state = x.new_zeros(x.shape[0], 2 * self.hidden_features)
        return x.to(dtype), (to_channels(state, -1) if state.is_complex() else state).to(dtype)

    def forward(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """Takes one step; see the class for shapes.

        Args:
            x: The input.
            state: What the step before gave; zeros when None.

        Returns:
            The state that follows.
        """
        if x.is_complex():
            return to_complex(self.forward(to_channels(x, -1), state), -1)
        with torch.autocast(x.device.type, enabled=False):
            x, hidden = self.start(x, state)
            return self.step(self.drives(x), self.matrices(), hidden)


class Layer(nn.Module):
    """A cell that runs over time.

    Args:
        cell: What takes the steps.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Runs over time; see the class for shapes.

        Args:
            x: The inputs.
            state: What an earlier call gave, to go on from there; zeros when None.

        Returns:
            The states after all steps, and that after the last.
        """
        if x.is_complex():
            y = to_complex(self.forward(to_channels(x, -1), state)[0], -1)
            return y, y[:, -1]
        with torch.autocast(x.device.type, enabled=False):
            x, hidden = self.cell.start(x, state)
            # Time first: a step's memory lies together.
            drives, matrices = self.cell.drives(x.transpose(0, 1)), self.cell.matrices()
            if torch.compiler.is_compiling():
                y = self._follow(drives, matrices, hidden)
            else:
                y = self.cell.run(drives, matrices, hidden)
        y = y.transpose(0, 1)
        return y, y[:, -1]

    def _follow(self, drives: tuple[Tensor, ...], matrices: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        """Steps for a compiler, which cannot see through a gradient written by hand but makes one as good."""
        states = []
        for now in zip(*drives, strict=True):
            hidden = self.cell.step(now, matrices, hidden)
            states.append(hidden)
        return torch.stack(states)


def activate(pre: Tensor, length: Tensor, radius: Radius, weight: Tensor, out: Tensor | None = None) -> Tensor:
    """Applies a state activation to values [B, 2H], of which only the phases stay.

    Args:
        pre: The values; phases z / |z| afterwards, 0 where there is none.
        length: Where to note the magnitudes, [B, H].
        radius: New magnitudes of the old.
        weight: Its learnt numbers, [H].
        out: Where to put the new values, if anywhere, [B, 2, H].

    Returns:
        The new values, [B, 2, H].
    """
    parts = pre.view(len(pre), 2, -1)
    torch.hypot(parts[:, 0], parts[:, 1], out=length)
    parts.div_(length.clamp_min(torch.finfo(length.dtype).tiny).unsqueeze(1))
    return torch.mul(radius(length, weight).unsqueeze(1), parts, out=out)


def stretches(*whole: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cuts what a run has met, [T, *] each, into stretches of steps that are led back together."""
    return zip(*(tensor.split(STRETCH) for tensor in whole), strict=True)


def dot(a: Tensor, b: Tensor, out: Tensor) -> None:
    """Adds the products of real and of imaginary parts, both [B, 2, H], into ``out`` [B, H]."""
    (real, imag), (other_real, other_imag) = a.unbind(1), b.unbind(1)
    torch.mul(real, other_real, out=out).addcmul_(imag, other_imag)


class ActivationDerivatives:
    """The derivatives of a state activation at all the values that a stretch of steps has met.

    Args:
        radius: New magnitudes of the old.
        weight: Its learnt numbers, [H].
        lengths: The old magnitudes, [S, B, H].
        phases: Of the values, [S, B, 2H].
    """

    def __init__(self, radius: Radius, weight: Tensor, lengths: Tensor, phases: Tensor) -> None:
        with torch.enable_grad():
            lengths, self.weight = lengths.detach().requires_grad_(), weight.detach().requires_grad_()
            self.graph = radius(lengths, self.weight)
            (slope,) = torch.autograd.grad(self.graph.sum(), lengths, retain_graph=True)
        self.radii, self.phases, self.along = self.graph.detach(), phases.unflatten(2, (2, -1)), torch.empty_like(slope)
        # Across its phase a value is stretched as its magnitude is, along it by the slope; at 0 there is no phase.
        across = torch.where(lengths > 0, self.radii / lengths, 0).detach()
        # A view of each step's at once, for views one by one cost as much as some of the products.
        self.steps = [*zip(across.unsqueeze(2), slope - across, self.phases, self.along, strict=True)]

    def back(self, time: int, gradient: Tensor, out: Tensor) -> None:
        """Leads a gradient [B, 2, H] back through the activation of one step, into ``out``."""
        across, bend, phases, along = self.steps[time]
        dot(gradient, phases, along)
        torch.mul(gradient, across, out=out).addcmul_((bend * along).unsqueeze(1), phases)

    def to_weight(self) -> Tensor:
        """Gives the gradient of the learnt numbers once all steps have been led back."""
        return torch.autograd.grad(self.graph, self.weight, self.along)[0]
