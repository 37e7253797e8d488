"""Tangent kernels of complex multilayer networks of infinite width, under ordinary backpropagation.

The pre-activations u of such a network are jointly normal and circular, E u u' = 0: all is in C = E u u'^*, Hermitian.
The gradients that come back to them are so too. With a = df/du and b = df/du^* of an activation f, a gradient d behind
it is a^* d + b d^* before it.

Source: the argument of Jacot, Gabriel and Hongler, "Neural tangent kernel", 2018, theorem 1, with complex weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.special import i0e, i1e
from tangent_kernel import Moments
from torch import Tensor

# Of C [N, N]: E f(u_i) f(u_j)^*, E a(u_i) a(u_j)^* and E b(u_i) b(u_j)^*, complex128 [N, N] each.
ComplexMoments = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
_NODES = 32
# The densities of pairs are singular where they are fully correlated. 1 - |correlation|^2 is at least this, which
# changes moments by less than 1e-4.
_LEAST_RESIDUAL = 1e-7
# Standard deviations, and magnitudes of unit variance, beyond which nothing is left to integrate, and a magnitude that
# stands for 0.
_DEVIATIONS, _LARGEST, _SMALLEST = 8.0, 6.5, 1e-12


def complex_limit_kernel(z: Tensor, moments: ComplexMoments, hidden_layers: int, gain: float) -> Tensor:
    """Compute the tangent kernel of a complex multilayer network of infinite width, its output the real part of one.

    In the tangent kernel's parametrisation, without biases: a layer multiplies n complex inputs by gain / sqrt(2n) and
    by weights whose real and imaginary parts are independent and of variance 1.

    Args:
        z: Inputs, complex [N, D].
        moments: Those of the activation: :func:`split_moments`, :func:`zrelu_moments` or :func:`modrelu_moments`.
        hidden_layers: Number of hidden layers.
        gain: The factor above.

    Returns:
        Shape [N, N], float64.
    """
    z = z.to(torch.complex128)
    covariances, slopes = [gain**2 / z.shape[1] * (z @ z.mH)], []
    for _ in range(hidden_layers):
        values, *derivatives = moments(covariances[-1])
        covariances.append(gain**2 * values)
        slopes.append(derivatives)
    backward = torch.ones_like(covariances[0])  # E d d'^*, from the output to the input
    kernel = covariances[-1].real / 2
    for covariance, (holomorphic, other) in zip(covariances[-2::-1], reversed(slopes), strict=True):
        backward = gain**2 * (holomorphic.conj() * backward + other * backward.conj())
        kernel = kernel + (backward * covariance.conj()).real / 2
    return kernel


def split_moments(moments: Moments) -> ComplexMoments:
    """Return the moments of an activation that is applied to real and imaginary parts.

    Args:
        moments: Those of the real activation.

    Returns:
        See :data:`ComplexMoments`.
    """

    def complex_moments(covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        real, imag, size = covariance.real / 2, covariance.imag / 2, len(covariance)
        values, slopes = moments(torch.cat([torch.cat([real, -imag], 1), torch.cat([imag, real], 1)]))
        (rr, ri), (ir, ii) = ([*half.split(size, 1)] for half in values.split(size))
        (ss, st), (ts, tt) = ([*half.split(size, 1)] for half in slopes.split(size))
        zero = torch.zeros_like(rr)
        return (
            torch.complex(rr + ii, ir - ri),
            torch.complex((ss + tt + st + ts) / 4, zero),
            torch.complex((ss + tt - st - ts) / 4, zero),
        )

    return complex_moments


def zrelu_moments(covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the moments of zReLU by quadrature over the difference of two phases; b is 0.

    Args:
        covariance: C, complex [N, N].

    Returns:
        See :data:`ComplexMoments`; accurate to 1e-4.

    The integrals over magnitudes are the arc-cosine kernels' of Cho and Saul, 2009, with cos(angle) = |correlation| x
    cos(difference of phases).
    """
    pairs, stds, correlation = _pairs(covariance)
    residual, shift = (1 - np.abs(correlation) ** 2)[:, None], np.angle(correlation)[:, None]
    width = np.sqrt(residual)  # of the peak at a difference of 0; so in the variable t = asinh(difference / width)
    ends = [np.arcsinh((end - shift) / width) for end in (-math.pi / 2, 0.0, math.pi / 2)]
    t, weights = _panels(ends)
    offset = width * np.sinh(t)
    difference = offset + shift
    angle = np.arccos(np.abs(correlation)[:, None] * np.cos(offset))
    # Phases in the first quadrant that differ by d: a length of pi / 2 - |d|.
    weights = weights * width * np.cosh(t) * (math.pi / 2 - np.abs(difference)) / math.pi**2
    cot, sin, rest = 1 / np.tan(angle), np.sin(angle), math.pi - angle
    density = residual * (1 + rest * cot) / (4 * sin**2)
    products = residual**2 * (3 * cot + rest * (1 / sin**2 + 2 * cot**2)) / (8 * sin**3)
    values = stds[0] * stds[1] * (weights * products * np.exp(1j * difference)).sum(1)
    slopes = _hermitian(pairs, (weights * density).sum(1), len(covariance))
    return _hermitian(pairs, values, len(covariance)), slopes, torch.zeros_like(slopes)


def modrelu_moments(bias: float) -> ComplexMoments:
    """Return the moments of modReLU, by quadrature over two magnitudes.

    Args:
        bias: The same for all units.

    Returns:
        See :data:`ComplexMoments`; accurate to 1e-4.

    A function g(|u|) of a phase m arg u has E g g'^* = e^(i m shift) x the integral of g g' with the density of two
    magnitudes, with a Bessel function I_m in place of I_0.
    """

    def moments(covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pairs, stds, correlation = _pairs(covariance)
        size, phase, overlap = len(covariance), correlation / np.abs(correlation), np.abs(correlation)[:, None, None]
        starts = [max(-bias, _SMALLEST) / std[:, None] for std in stds]  # modReLU is 0 below
        width = np.sqrt((1 - overlap**2) / 2)
        # The first magnitude, in panels around the one at which the second passes its start.
        step, reach = starts[1] / overlap[:, 0], _DEVIATIONS * width[:, 0]
        middle = [np.clip(step + sign * reach, starts[0], _LARGEST) for sign in (-1, 1)]
        r, outer = (part[:, :, None] for part in _panels([np.minimum(starts[0], _LARGEST), *middle, _LARGEST]))
        # The second lies around overlap * first.
        edges = [np.maximum(overlap * r + sign * _DEVIATIONS * width, starts[1][:, None]) for sign in (-1, 1)]
        s, inner = _panels([edges[0][:, :, 0], edges[1][:, :, 0]], keep=True)
        density = outer * 2 * r * np.exp(-(r**2)) * inner * s / width**2
        density = density * np.exp(-(((s - overlap * r) / width) ** 2) / 2)

        argument = overlap * r * s / width**2
        bessel = [i0e(argument), i1e(argument)]
        bessel.append(bessel[0] - 2 * bessel[1] / argument)

        def expect(order: int, function: Callable[[NDArray], NDArray]) -> Tensor:
            both = function(stds[0][:, None, None] * r) * function(stds[1][:, None, None] * s)
            radial = (density * bessel[order] * both).sum((1, 2))
            return _hermitian(pairs, radial * phase**order, size)

        return (
            expect(1, lambda r: r + bias),
            expect(0, lambda r: 1 + bias / (2 * r)),
            expect(2, lambda r: -bias / (2 * r)),
        )

    return moments


def _pairs(covariance: Tensor) -> tuple[tuple[NDArray, NDArray], tuple[NDArray, NDArray], NDArray]:
    """Return indices i <= j, the standard deviations at both, and the correlations, short of 1 and not 0."""
    matrix = covariance.numpy()
    i, j = np.triu_indices(len(matrix))
    std = np.sqrt(matrix.diagonal().real)
    correlation = matrix[i, j] / (std[i] * std[j])
    size = np.abs(correlation)
    phase = np.where(size > 0, correlation / np.where(size > 0, size, 1), 1)
    return (i, j), (std[i], std[j]), phase * np.clip(size, _SMALLEST, math.sqrt(1 - _LEAST_RESIDUAL))


def _hermitian(pairs: tuple[NDArray, NDArray], values: NDArray, size: int) -> Tensor:
    """Return the Hermitian matrix of the values at indices i <= j."""
    matrix = np.zeros((size, size), complex)
    matrix[pairs] = values
    return torch.from_numpy(matrix + np.triu(matrix, 1).conj().T)


def _panels(ends: list, keep: bool = False) -> tuple[NDArray, NDArray]:
    """Return nodes and weights of Gauss-Legendre quadrature between successive ends, along the last axis.

    Args:
        ends: Arrays [P, 1] or numbers; with ``keep`` [P, M].
        keep: Add an axis for the nodes, instead of replacing the last one.

    Returns:
        Nodes and weights, [P, nodes] or [P, M, nodes].
    """
    unit, weights = leggauss(_NODES)
    nodes, scaled = [], []
    for low, high in zip(ends[:-1], ends[1:], strict=True):
        half, middle = (np.asarray(part)[..., None] if keep else part for part in ((high - low) / 2, (high + low) / 2))
        nodes.append(middle + half * unit)
        scaled.append(half * weights)
    return np.concatenate(nodes, -1), np.concatenate(scaled, -1)
