"""Unitary recurrent layer (uRNN), of full capacity or structured.

A unitary state matrix keeps the norm of what it multiplies, so that gradients neither vanish nor explode through it.
The optimisers of :mod:`audiocx.optim` keep a matrix of full capacity unitary; a structured one is unitary whatever its
parameters.

Source: Arjovsky et al., "Unitary Evolution Recurrent Neural Networks", 2016; Wisdom et al., "Full-Capacity Unitary
Recurrent Neural Networks", 2016.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from .cell import (
    ActivationDerivatives,
    ComplexStateActivation,
    ComplexStateMatrix,
    Radius,
    RecurrentCell,
    RecurrentLayer,
    StateActivationName,
    States,
    activate,
    differentiable_gradients,
    full_precision,
    segments,
)
from .functional import accepts_complex, check_channels, radial, to_channels, to_complex
from .init import parameter_options
from .linear import ComplexLinear

__all__ = ["ComplexStructuredStateMatrix", "ComplexUnitaryRNN", "ComplexUnitaryRNNCell", "Structure"]

Structure = Literal["full", "arjovsky"]
# Units up to which a structured matrix is formed once and multiplied by: there are many times fewer operations to
# start, and the explicit backward pass of the full matrix. Both ways train equally fast at this size on a processor.
_FORMED_UNITS = 512


class ComplexStructuredStateMatrix(nn.Module):
    """Unitary matrix W = D3 R2 F^-1 D2 P R1 F D1 of 7H parameters, unitary whatever their values.

    D1, D2, D3 are diagonal matrices of exp(i w); R1 and R2 are reflections I - 2 v v^H / |v|^2; F is the discrete
    Fourier transform; P is a fixed random permutation. The product with a vector takes O(H log H) operations. The
    parameters are free: any optimiser keeps W unitary.

    Args:
        size: H, rows and columns.
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [*, 2H], real parts first, or complex [*, H].
        - Output: W times each vector, same shape and kind as the input.

    Attributes:
        phases: w of D1, D2 and D3, initially uniform in [-pi, pi], float32 [3, H].
        reflections: Real and imaginary parts of v of R1 and of R2, initially uniform in [-1, 1], float32 [2, 2, H].
        permutation: Row j of P has its 1 in column ``permutation[j]``; a buffer, int64 [H].

    Source: Arjovsky et al. 2016, equation 6; section 4.3 for the start values.

    Examples:
        >>> matrix = ComplexStructuredStateMatrix(8)
        >>> z = torch.randn(4, 8, dtype=torch.complex64)
        >>> torch.allclose(matrix(z).norm(), z.norm())
        True
    """

    def __init__(
        self,
        size: int,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        options = parameter_options(device, dtype)
        self.phases = nn.Parameter(torch.empty(3, size, **options).uniform_(-math.pi, math.pi))
        self.reflections = nn.Parameter(torch.empty(2, 2, size, **options).uniform_(-1, 1))
        self.permutation: Tensor
        self.register_buffer("permutation", torch.randperm(size, device=device))

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, self.phases.shape[1], -1)

    @accepts_complex(dim=-1)
    def forward(self, x: Tensor) -> Tensor:
        """Multiply by the matrix."""
        with full_precision(x):
            # There is hardly any complex arithmetic of half precision.
            dtype = torch.promote_types(torch.promote_types(x.dtype, self.phases.dtype), torch.float32)
            reflections = self.reflections.to(dtype)
            first, middle, last = (torch.complex(w.cos(), w.sin()) for w in self.phases.to(dtype))
            z = _reflect(torch.fft.fft(to_complex(x.to(dtype), -1) * first), *reflections[0])
            # Part by part: ONNX cannot index complex tensors.
            z = torch.complex(*(part.index_select(-1, self.permutation) for part in (z.real, z.imag)))
            z = torch.fft.ifft(z * middle)
            return to_channels(_reflect(z, *reflections[1]) * last, -1).to(x.dtype)

    def transposed(self) -> Tensor:
        """Return the real matrix [2H, 2H] that row states are multiplied by."""
        one: Tensor = torch.eye(2 * self.phases.shape[1], dtype=self.phases.dtype, device=self.phases.device)
        return self(one)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"{self.phases.shape[1]}"


def _reflect(z: Tensor, real: Tensor, imag: Tensor) -> Tensor:
    """Return (I - 2 v v^H / |v|^2) z of complex row vectors [*, H]."""
    v, conjugate = torch.complex(real, imag), torch.complex(real.unsqueeze(1), -imag.unsqueeze(1))
    power = (real.square() + imag.square()).sum().clamp_min(torch.finfo(real.dtype).tiny)
    return z - (2 / power) * (z @ conjugate) * v


class ComplexUnitaryRNNCell(RecurrentCell[Tensor]):
    """Single step of the unitary recurrent layer: h' = f(W h + V x), W unitary.

    Args:
        in_features: I, complex features of the input.
        hidden_features: H, complex units of the state.
        activation: f, "modrelu" or "hirose"; see :class:`audiocx.nn.ComplexStateActivation`.
        structure: "full", W is any unitary matrix, :class:`ComplexStateMatrix` (2H^2 numbers, H^2 degrees of freedom);
            or "arjovsky", a product of simple ones, :class:`ComplexStructuredStateMatrix` (7H numbers).
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, 2I], real parts first, or complex [B, I]; state [B, 2H] or [B, H].
        - Output: next state, [B, 2H] or [B, H], same kind as the input.

    Raises:
        ValueError: Unknown activation or structure.

    Source: Arjovsky et al. 2016, section 4; Wisdom et al. 2016, section 4, for W of full capacity. Differs in that W of
    full capacity starts as a random unitary matrix, and the state as zero, where theirs is learnt.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        activation: StateActivationName = "modrelu",
        structure: Structure = "full",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, hidden_features)
        if structure not in get_args(Structure):
            raise ValueError(f"The structure must be 'full' or 'arjovsky', not {structure!r}.")
        self.input = ComplexLinear(in_features, hidden_features, False, "rayleigh", "glorot", device, dtype)
        matrix: Any = ComplexStateMatrix if structure == "full" else ComplexStructuredStateMatrix
        self.state: ComplexStateMatrix | ComplexStructuredStateMatrix = matrix(
            hidden_features, device=device, dtype=dtype
        )
        self.activation = ComplexStateActivation(activation, hidden_features, device, dtype)

    def input_projections(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return V x."""
        return (self.input(x),)

    def state_matrices(self, steps: int) -> tuple[Tensor, ...]:
        """Return W, or nothing where it is cheaper not to form it."""
        structured = isinstance(self.state, ComplexStructuredStateMatrix)
        if structured and (steps == 1 or self.hidden_features > _FORMED_UNITS):
            return ()
        return (self.state.transposed(),)

    def step(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the next state."""
        hidden, projection = state[0], projections[0]
        pre = torch.addmm(projection, hidden, matrices[0]) if matrices else projection + self.state(hidden)
        return (self.activation(pre),)

    def run(self, projections: tuple[Tensor, ...], matrices: tuple[Tensor, ...], state: States) -> States:
        """Return the states of all steps."""
        return (_Steps.apply(self.activation.radius, self.activation.weight, *projections, *matrices, *state),)


class ComplexUnitaryRNN(RecurrentLayer[Tensor]):
    """Unitary recurrent layer: h_t = f(W h_(t-1) + V x_t), W unitary.

    For real outputs put a ``torch.nn.Linear`` of 2H inputs after it, over real and imaginary parts of the states.

    Args:
        in_features: I, complex features of the input.
        hidden_features: H, complex units of the state.
        activation: f, "modrelu" or "hirose"; see :class:`audiocx.nn.ComplexStateActivation`.
        structure: "full", W is any unitary matrix, :class:`ComplexStateMatrix` (2H^2 numbers, H^2 degrees of freedom);
            or "arjovsky", a product of simple ones, :class:`ComplexStructuredStateMatrix` (7H numbers).
        device: Device of the parameters.
        dtype: Their dtype.

    Shape:
        - Input: real [B, T, 2I], real parts first, or complex [B, T, I]; initial state [B, 2H] or [B, H], optional.
        - Output: states [B, T, 2H] or [B, T, H] and the last of them, [B, 2H] or [B, H]; same kind as the input.

    Raises:
        ValueError: Unknown activation or structure.

    Source: See :class:`ComplexUnitaryRNNCell`.

    Examples:
        >>> layer = ComplexUnitaryRNN(2, 8)
        >>> states, last = layer(torch.randn(4, 20, 2, dtype=torch.complex64))
        >>> states.shape, last.shape
        (torch.Size([4, 20, 8]), torch.Size([4, 8]))
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        activation: StateActivationName = "modrelu",
        structure: Structure = "full",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(ComplexUnitaryRNNCell(in_features, hidden_features, activation, structure, device, dtype))


def _plain_steps(radius: Radius, weight: Tensor, projection: Tensor, matrix: Tensor, hidden: Tensor) -> Tensor:
    """Run the recurrence of :class:`_Steps` in plain operations."""
    states = []
    for now in projection:
        hidden = radial(torch.addmm(now, hidden, matrix), lambda length: radius(length, weight), -1)
        states.append(hidden)
    return torch.stack(states)


class _Steps(torch.autograd.Function):
    """Recurrence: input projections [T, B, 2H], matrix [2H, 2H] and initial state [B, 2H] to states [T, B, 2H]."""

    @staticmethod
    def forward(ctx: Any, radius: Radius, weight: Tensor, projection: Tensor, matrix: Tensor, hidden: Tensor) -> Tensor:
        times, batch, size = projection.shape
        phases, lengths = projection.new_empty(times, batch, size), projection.new_empty(times, batch, size // 2)
        states = projection.new_empty(times + 1, batch, size)
        states[0] = hidden
        for now, state, follows, phase, length in zip(projection, states, states[1:], phases, lengths, strict=False):
            torch.addmm(now, state, matrix, out=phase)
            activate(phase, length, radius, weight, follows.view(batch, 2, -1))
        ctx.radius = radius
        # Projections and initial state only for gradients that are differentiated again.
        ctx.save_for_backward(weight, projection, matrix, hidden, phases, lengths, states)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, grad_states: Tensor) -> tuple[Tensor | None, ...]:
        weight, projection, matrix, hidden, phases, lengths, states = ctx.saved_tensors
        if torch.is_grad_enabled():
            run = functools.partial(_plain_steps, ctx.radius)
            return None, *differentiable_gradients(run, (weight, projection, matrix, hidden), (grad_states,))
        grad_projection = torch.empty_like(phases)
        grad_matrix, grad_weight = torch.zeros_like(matrix), torch.zeros_like(weight)
        hidden, back = torch.zeros_like(states[0]), matrix.T.contiguous()
        sequences = (grad_states, grad_projection, phases, lengths, states[:-1])
        for upstream, out, phase, length, state in reversed([*segments(*sequences)]):
            derivatives = ActivationDerivatives(ctx.radius, weight, length, phase)
            for time, (grad_state, grad_now) in reversed([*enumerate(zip(upstream, out, strict=True))]):
                gradient = hidden + grad_state
                derivatives.backward(time, gradient.unflatten(1, (2, -1)), grad_now.unflatten(1, (2, -1)))
                hidden = grad_now @ back
            grad_matrix.addmm_(state.flatten(0, 1).T, out.flatten(0, 1))
            grad_weight += derivatives.weight_gradient()
        return None, grad_weight, grad_projection, grad_matrix, hidden
