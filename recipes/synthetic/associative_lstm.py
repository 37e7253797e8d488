"""Associative LSTM: an LSTM whose cell is a holographic memory, written and read with complex keys.

A key of modulus 1 stores a value by multiplication, and its conjugate retrieves it. What other keys have stored in the
same memory is noise of the retrieval; several copies, whose keys are permuted, average it.

Source: Danihelka et al., "Associative Long Short-Term Memory", 2016, after Plate, "Holographic Reduced
Representations", 1995.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiocx.nn.functional import magnitude


def bound(z: Tensor) -> Tensor:
    """Limit magnitudes to 1: z / max(1, |z|); real and imaginary parts [*, 2, H]."""
    return z / magnitude(z, -2).clamp_min(1)


def write(key: Tensor, value: Tensor, permutations: Tensor) -> Tensor:
    """Bind a value to a key: copy s of the result is (P_s key) value.

    Args:
        key: Real and imaginary parts [B, 2, H].
        value: The same.
        permutations: Indices of P_1 to P_N, int64 [N, H].

    Returns:
        What to add to the memory, [B, 2, N, H].
    """
    return _times(_copies(key, permutations), value.unsqueeze(2))


def read(key: Tensor, memory: Tensor, permutations: Tensor) -> Tensor:
    """Retrieve from a memory: the mean over its copies s of (P_s key) memory_s.

    Args:
        key: Real and imaginary parts [B, 2, H]; the conjugate of the one that a value was written with.
        memory: [B, 2, N, H].
        permutations: Indices of P_1 to P_N, int64 [N, H].

    Returns:
        The value and the noise of the others, [B, 2, H].
    """
    return _times(_copies(key, permutations), memory).mean(2)


def _copies(key: Tensor, permutations: Tensor) -> Tensor:
    return key.index_select(2, permutations.flatten()).unflatten(2, permutations.shape)


def _times(a: Tensor, b: Tensor) -> Tensor:
    """Multiply complex numbers, whose parts are at axis 1."""
    (a_real, a_imag), (b_real, b_imag) = a.unbind(1), b.unbind(1)
    real = torch.addcmul(a_real * b_real, a_imag, b_imag, value=-1)
    return torch.stack([real, torch.addcmul(a_real * b_imag, a_imag, b_real)], 1)


class AssociativeLSTM(nn.Module):
    """Recurrent layer whose N memories c_s are written and read with complex keys.

    c_s' = g_f c_s + (P_s r_i) (g_i u) for s = 1 to N, h' = g_o bound(mean_s (P_s r_o) c_s'), with the real gates
    g_f, g_i, g_o = sigmoid(.), the input key r_i, the output key r_o and the update u = bound(.), each of W x + V h + b
    with weights of its own. All but the gates is complex, with free real and imaginary parts; W and V are real matrices
    of these parts, so that [W, V] is [9H, I + 2H]. P_s are fixed random permutations, P_1 the identity.

    Weights start as those of a linear layer of PyTorch, biases at 0, but for that of the forget gate, 1.

    Args:
        inputs: I.
        units: H, complex units.
        copies: N.

    Shape: input [B, T, I]; output: states [B, T, 2H], real parts first, and the last of them [B, 2H].
    """

    permutations: Tensor

    def __init__(self, inputs: int, units: int, copies: int = 8) -> None:
        super().__init__()
        self.units = units
        self.input = nn.Linear(inputs, 9 * units)  # gates f, i, o; then real and imaginary parts of r_i, r_o, u
        self.state = nn.Linear(2 * units, 9 * units, bias=False)
        nn.init.zeros_(self.input.bias)
        nn.init.ones_(self.input.bias[:units])
        orders = [torch.arange(units), *(torch.randperm(units) for _ in range(copies - 1))]
        self.register_buffer("permutations", torch.stack(orders))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states; see the class for shapes."""
        units, states, weights = self.units, [], self.state.weight.T
        hidden, memory = x.new_zeros(x.shape[0], 2 * units), x.new_zeros(1, 2, 1, 1)
        for now in self.input(x.transpose(0, 1)):
            gates, parts = torch.addmm(now, hidden, weights).split([3 * units, 6 * units], 1)
            forget, enter, leave = gates.sigmoid().unflatten(1, (3, 1, units)).unbind(1)
            input_key, output_key, update = bound(parts.unflatten(1, (3, 2, units))).unbind(1)
            memory = torch.addcmul(write(input_key, enter * update, self.permutations), forget.unsqueeze(2), memory)
            hidden = (leave * bound(read(output_key, memory, self.permutations))).flatten(1)
            states.append(hidden)
        return torch.stack(states).transpose(0, 1), hidden
