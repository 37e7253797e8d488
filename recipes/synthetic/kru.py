"""Kronecker Recurrent Unit (KRU): a uRNN whose state matrix is a Kronecker product of small complex matrices.

A loss keeps the small matrices near unitary ones. A product of unitary matrices is unitary.

Source: Jose, Cissé and Fleuret, "Kronecker Recurrent Units", 2018.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from audiocx.nn import ComplexLinear
from audiocx.nn.cell import RecurrentCell, RecurrentLayer, States
from audiocx.nn.functional import complex_weight, magnitude
from audiocx.nn.init import unitary_

_LEAST = 1e-18  # magnitude that is divided by, whose square float32 still holds


class KroneckerCell(RecurrentCell[Tensor]):
    """Single step of the layer: h' = modReLU(W h + V x), W = W_1 x ... x W_F (Kronecker product), complex.

    W_f are 2 by 2 and start as random unitary matrices. modReLU(z) = ReLU(|z| + b) z / |z|, as in the uRNN, so that the
    two differ in their matrices alone.

    Args:
        in_features: I.
        hidden_features: N = 2^F.

    Shape: as of :class:`audiocx.nn.ComplexUnitaryRNNCell`.

    Raises:
        ValueError: N is no power of 2.
    """

    def __init__(self, in_features: int, hidden_features: int) -> None:
        super().__init__(in_features, hidden_features)
        if hidden_features < 4 or hidden_features & (hidden_features - 1):
            raise ValueError(f"hidden must be a power of 2, from 4 on, for layer = 'kru', not {hidden_features}")
        self.input = ComplexLinear(in_features, hidden_features, False, "rayleigh", "glorot")
        self.factors = nn.Parameter(torch.empty(hidden_features.bit_length() - 1, 2, 2, 2))  # real, imaginary
        self.bias = nn.Parameter(torch.zeros(hidden_features))
        if not self.factors.is_meta:
            for real, imag in self.factors.detach():
                unitary_(real, imag, "glorot")

    def input_projections(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return V x."""
        return (self.input(x),)

    def state_matrices(self, steps: int) -> tuple[Tensor, ...]:
        """Return the real forms of A [2R, 2R] and B^T [2C, 2C], W = A x B: R rows of units, each followed by its C.

        A and B are the Kronecker products of the first and of the last half of the factors. Real and imaginary parts
        alternate in A and are side by side in B^T.
        """
        factors = [torch.complex(*factor) for factor in self.factors]
        half = len(factors) // 2
        first, second = (functools.reduce(torch.kron, part) for part in (factors[:half], factors[half:]))
        parts = torch.stack([first.real, -first.imag, first.imag, first.real], -1).unflatten(-1, (2, 2))
        return parts.transpose(1, 2).flatten(2).flatten(0, 1), complex_weight(second.real, second.imag).T

    def step(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the next state."""
        (states,) = self.run((projections[0].unsqueeze(0),), matrices, state)
        return (states[0],)

    def run(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the states of all steps."""
        first, second = matrices
        # As a matrix H of R rows, the state is multiplied by A H B^T; in memory it is [B, R, 2, C].
        shape = 2, len(first) // 2, len(second) // 2
        sequence = projections[0].unflatten(-1, shape).transpose(2, 3).contiguous()
        hidden = state[0].unflatten(-1, shape).transpose(1, 2).contiguous()
        bias, states = self.bias.view(shape[1], 1, shape[2]), []
        for now in sequence:
            turned = (hidden.flatten(2) @ second).view_as(hidden).flatten(1, 2)
            z = (first @ turned).view_as(hidden) + now
            length = magnitude(z, 2)
            hidden = z * (torch.relu(length + bias) / length.clamp_min(_LEAST))
            states.append(hidden)
        return (torch.stack(states).transpose(2, 3).flatten(2),)

    def departures(self) -> Tensor:
        """Return the squared distance ||W_f^H W_f - I||^2 of each factor from unitarity, [F]."""
        factors = torch.complex(*self.factors.unbind(1))
        return (factors.mH @ factors - torch.eye(2, device=factors.device)).abs().square().sum((1, 2))


class KRU(RecurrentLayer[Tensor]):
    """Recurrent layer with a Kronecker-factored matrix; :class:`KroneckerCell` has the equations.

    Args:
        in_features: I.
        hidden_features: N, a power of 2.

    Shape: as of :class:`audiocx.nn.ComplexUnitaryRNN`.

    Raises:
        ValueError: N is no power of 2.
    """

    cell: KroneckerCell

    def __init__(self, in_features: int, hidden_features: int) -> None:
        super().__init__(KroneckerCell(in_features, hidden_features))
