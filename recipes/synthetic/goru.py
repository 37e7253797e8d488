"""Gated Orthogonal Recurrent Unit (GORU): the gates of a GRU around an orthogonal state matrix.

Source: Jing et al., "Gated Orthogonal Recurrent Units: On Learning to Forget", 2017; its orthogonal matrix is that of
Jing et al., "Tunable Efficient Unitary Neural Networks (EUNN)", 2017, in the FFT-like style, of real rotations.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class GORU(nn.Module):
    """Recurrent layer with gates and an orthogonal matrix: h' = z h + (1 - z) modReLU(V x + r (U h)).

    r = sigmoid(W_r h + V_r x + b_r), z = sigmoid(W_z h + V_z x + b_z), and modReLU(c) = sign(c) ReLU(|c| + b). U is the
    product of log2(H) matrices of H / 2 plane rotations each, with the pairs of a fast Fourier transform: orthogonal
    whatever its angles, so that any optimiser may train them.

    The FFT-like style and the start values are those of the authors' code: angles uniform, all other weights within .01
    of 0, b_r = 2, b = .01. Its b_z starts at small random numbers, here at 0, and its modReLU adds .001 to |c|.

    Args:
        inputs: I.
        units: H, a power of 2.

    Shape: input [B, T, I]; output: states [B, T, H] and the last of them [B, H].

    Raises:
        ValueError: H is no power of 2.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        if units < 2 or units & (units - 1):
            raise ValueError(f"hidden must be a power of 2 for layer = 'goru', not {units}")
        self.angles = nn.Parameter(torch.empty(units.bit_length() - 1, units // 2).uniform_(-math.pi, math.pi))
        self.input = nn.Linear(inputs, 3 * units, bias=False)  # candidate, reset, update
        self.gates = nn.Linear(units, 2 * units)
        self.bias = nn.Parameter(torch.full((units,), 0.01))
        for weight in (self.input.weight, self.gates.weight):
            nn.init.uniform_(weight, -0.01, 0.01)
        with torch.no_grad():
            reset, update = self.gates.bias.chunk(2)
            reset.fill_(2.0)
            update.zero_()

    def matrix(self) -> Tensor:
        """Return U [H, H]; rotation layer i turns the planes of the units j and j + 2^i."""
        rows = torch.eye(len(self.bias), dtype=self.angles.dtype, device=self.angles.device)
        for layer, angles in enumerate(self.angles):
            first, second = rows.unflatten(0, (-1, 2, 2**layer)).unbind(1)
            cos, sin = (part.view(-1, 2**layer, 1) for part in (angles.cos(), angles.sin()))
            rows = torch.stack([cos * first - sin * second, sin * first + cos * second], 1).flatten(0, 2)
        return rows

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states; see the class for shapes."""
        units, states = len(self.bias), []
        projections = self.input(x.transpose(0, 1))
        weights = torch.cat([self.matrix().T, self.gates.weight.T], 1)
        offsets = torch.cat([torch.zeros_like(self.bias), self.gates.bias])
        hidden = x.new_zeros(x.shape[0], units)
        for now in projections:
            turned, gates = torch.addmm(offsets, hidden, weights).split([units, 2 * units], 1)
            reset, update = (gates + now[:, units:]).sigmoid().chunk(2, 1)
            candidate = torch.addcmul(now[:, :units], reset, turned)
            candidate = candidate.sign() * torch.relu(candidate.abs() + self.bias)
            hidden = torch.lerp(candidate, hidden, update)
            states.append(hidden)
        return torch.stack(states).transpose(0, 1), hidden
