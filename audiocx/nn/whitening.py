"""Normalisation of complex channels with a backward pass derived by hand, which goes through the features twice.

Followed by autograd, the closed form below keeps every intermediate result and passes over the features some thirty
times. Here both directions do little more than what real batch norm does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .functional import split

__all__ = [
    "Matrix",
    "applied",
    "inverse_sqrt_2x2",
    "inverse_sqrt_2x2_backward",
    "mixed",
    "mixing",
    "normalized",
]

# The entries of a 2x2 matrix for each channel, [C] each: rr, ii, ri of a symmetric one; rr, ri, ir, ii of any other.
Symmetric = tuple[Tensor, Tensor, Tensor]
Matrix = tuple[Tensor, Tensor, Tensor, Tensor]


def inverse_sqrt_2x2(rr: Tensor, ii: Tensor, ri: Tensor, eps: float) -> Symmetric:
    """Inverts the square root of the covariance [[rr, ri], [ri, ii]] + eps I, in closed form.

    The determinant of the regularised matrix is never under eps (a + c - eps), a and c its diagonal; clamped there,
    the result stays finite when rounding makes a degenerate covariance (re == im) singular or worse.

    Args:
        rr: Variance of the real parts, any shape.
        ii: Variance of the imaginary parts.
        ri: Covariance of the two.
        eps: Added to both variances.

    Returns:
        The entries rr, ii, ri of the symmetric inverse square root.

    Source: DCN, section 3.5 and its appendix; for a 2x2 matrix M, sqrt(M) = (M + s I) / t with s = sqrt(det M) and
    t = sqrt(tr M + 2 s).
    """
    a, c = rr + eps, ii + eps
    s = torch.maximum(a * c - ri * ri, eps * (a + c - eps)).sqrt()
    t = (a + c + 2 * s).sqrt()
    scale = 1 / (s * t)
    return (c + s) * scale, (a + s) * scale, -ri * scale


def inverse_sqrt_2x2_backward(cov: Symmetric, eps: float, gradient: Symmetric) -> Symmetric:
    """Leads gradients of :func:`inverse_sqrt_2x2` back.

    Args:
        cov: What it was given: rr, ii, ri.
        eps: The same.
        gradient: Of what it gave.

    Returns:
        Gradients of rr, ii and ri.
    """
    rr, ii, ri = cov
    to_rr, to_ii, to_ri = gradient
    a, c = rr + eps, ii + eps
    det, least = a * c - ri * ri, eps * (a + c - eps)
    s = torch.maximum(det, least).sqrt()
    t = (a + c + 2 * s).sqrt()
    scale = 1 / (s * t)
    to_scale = to_rr * (c + s) + to_ii * (a + s) - to_ri * ri
    to_trace = -to_scale * scale / (2 * t * t)  # through t, where the trace is a + c
    to_det = ((to_rr + to_ii) * scale - to_scale * scale / s + 2 * to_trace) / (2 * s)
    clamped = det < least
    through_a = to_det * torch.where(clamped, eps, c)
    through_c = to_det * torch.where(clamped, eps, a)
    through_ri = torch.where(clamped, 0.0, -2 * ri * to_det)
    return to_ii * scale + to_trace + through_a, to_rr * scale + to_trace + through_c, through_ri - to_ri * scale


def mixing(cov: Tensor, gamma: Tensor, eps: float, naive: bool) -> Matrix:
    """Gives what centred values are multiplied by: gamma times the whitening (or scaling) matrix.

    Args:
        cov: Covariances, rows rr, ii, ri, shape [3, C].
        gamma: Learnt symmetric matrices, the same.
        eps: Added to the variances.
        naive: Scales by the standard deviation in place of whitening.

    Returns:
        The matrices, not symmetric in general.
    """
    g_rr, g_ii, g_ri = gamma.unbind()
    w_rr, w_ii, w_ri = _root(cov, eps, naive)
    return g_rr * w_rr + g_ri * w_ri, g_rr * w_ri + g_ri * w_ii, g_ri * w_rr + g_ii * w_ri, g_ri * w_ri + g_ii * w_ii


def _root(cov: Tensor, eps: float, naive: bool) -> Symmetric:
    rr, ii, ri = cov.unbind()
    if not naive:
        return inverse_sqrt_2x2(rr, ii, ri, eps)
    scale = (rr + ii + eps).rsqrt()
    return scale, scale, torch.zeros_like(scale)


def _mixing_backward(cov: Tensor, gamma: Tensor, eps: float, naive: bool, gradient: Matrix) -> tuple[Tensor, Tensor]:
    """Leads the gradients of :func:`mixing` back to the covariances and to gamma."""
    g_rr, g_ii, g_ri = gamma.unbind()
    w_rr, w_ii, w_ri = _root(cov, eps, naive)
    rr, ri, ir, ii = gradient
    to_gamma = torch.stack(
        [rr * w_rr + ri * w_ri, ir * w_ri + ii * w_ii, rr * w_ri + ri * w_ii + ir * w_rr + ii * w_ri]
    )
    to_root = (g_rr * rr + g_ri * ir, g_ri * ri + g_ii * ii, g_rr * ri + g_ri * ii + g_ri * rr + g_ii * ir)
    if naive:
        to_power = -0.5 * w_rr**3 * (to_root[0] + to_root[1])
        return torch.stack([to_power, to_power, torch.zeros_like(to_power)]), to_gamma
    covariances = (cov[0], cov[1], cov[2])
    return torch.stack(inverse_sqrt_2x2_backward(covariances, eps, to_root)), to_gamma


def mixed(x: Tensor, matrix: Matrix, shift: Tensor) -> Tensor:
    """Multiplies the parts of complex numbers by a 2x2 matrix a channel, and adds to them.

    Args:
        x: Shape [B, 2C, *], real parts first.
        matrix: The matrices.
        shift: What is added, shape [2C].

    Returns:
        Shape [B, 2C, *].
    """
    if torch.compiler.is_compiling():
        return _crossed(x, matrix) + _spread(shift, x.ndim)
    rr, ri, ir, ii = matrix
    y = torch.addcmul(_spread(shift, x.ndim), x, _spread(torch.cat([rr, ii]), x.ndim))
    _add_crossed(y, x, ri, ir)
    return y


def _add_mixed(y: Tensor, x: Tensor, matrix: Matrix) -> Tensor:
    """Adds x times the matrices to y, whose memory it takes where that is of use."""
    if torch.compiler.is_compiling():
        return y + _crossed(x, matrix)
    rr, ri, ir, ii = matrix
    y.addcmul_(x, _spread(torch.cat([rr, ii]), x.ndim))
    _add_crossed(y, x, ri, ir)
    return y


def _crossed(x: Tensor, matrix: Matrix) -> Tensor:
    """Multiplies in the way that the compiler, which fuses all of it, makes the most of."""
    rr, ri, ir, ii = (_spread(entry, x.ndim) for entry in matrix)
    real, imag = split(x)
    return torch.cat([rr * real + ri * imag, ir * real + ii * imag], 1)


def applied(matrix: Matrix, values: Tensor) -> Tensor:
    """Multiplies one complex number a channel by the channel's matrix.

    Args:
        matrix: The matrices.
        values: Shape [2C], real parts first.

    Returns:
        Shape [2C].
    """
    return _crossed(values[None], matrix)[0]


def _add_crossed(y: Tensor, x: Tensor, ri: Tensor, ir: Tensor) -> None:
    """Adds imaginary parts of x times ri to the real parts of y, and real ones times ir to the imaginary parts."""
    real, imag = split(x)
    size = real.shape[1]
    y.narrow(1, 0, size).addcmul_(imag, _spread(ri, x.ndim))
    y.narrow(1, size, size).addcmul_(real, _spread(ir, x.ndim))


def _spread(per_channel: Tensor, ndim: int) -> Tensor:
    """Lays numbers [C] along axis 1 of ``ndim``."""
    return per_channel.view(1, -1, *[1] * (ndim - 2))


def normalized(x: Tensor, gamma: Tensor, beta: Tensor, eps: float, naive: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Normalises by the statistics of the batch; can be differentiated any number of times.

    Args:
        x: Shape [B, 2C, *], real parts first.
        gamma: Shape [3, C]: rr, ii, ri.
        beta: Shape [2C].
        eps: Added to the variances.
        naive: See :func:`mixing`.

    Returns:
        Normalised [B, 2C, *]; the means [2C] and covariances [3, C] of the batch.
    """
    y, mean, cov, _ = _Normalization.apply(x, gamma, beta, eps, naive)
    return y, mean, cov


class _Normalization(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, gamma: Tensor, beta: Tensor, eps: float, naive: bool) -> tuple[Tensor, ...]:
        axes = [0, *range(2, x.ndim)]
        mean = x.mean(axes)
        centred = x - _spread(mean, x.ndim)
        real, imag = split(centred)
        cov = torch.stack([*split((centred * centred).mean(axes), 0), (real * imag).mean(axes)])
        return mixed(centred, mixing(cov, gamma, eps, naive), beta), mean, cov, centred

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, gamma, _, ctx.eps, ctx.naive = inputs
        _, _, cov, centred = output
        # Inputs and outputs alone: so autograd can follow when the backward pass is itself differentiated.
        ctx.save_for_backward(centred, gamma, cov)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        centred, gamma, cov = ctx.saved_tensors
        given, given_mean, given_cov, given_centred = gradients
        if given is None:
            given = torch.zeros_like(centred)
        axes, count = [0, *range(2, centred.ndim)], centred.numel() // centred.shape[1]
        (real, imag), (to_real, to_imag) = split(centred), split(given)
        to_beta = given.sum(axes)
        rr, ii = split((given * centred).sum(axes), 0)
        to_matrix = (rr, (to_real * imag).sum(axes), (to_imag * real).sum(axes), ii)
        to_cov, to_gamma = _mixing_backward(cov, gamma, ctx.eps, ctx.naive, to_matrix)
        if given_cov is not None:
            to_cov = to_cov + given_cov
        m_rr, m_ri, m_ir, m_ii = mixing(cov, gamma, ctx.eps, ctx.naive)
        back = (m_rr, m_ir, m_ri, m_ii)
        # Through the values themselves, less their mean; and through their covariance.
        to_mean = -applied(back, to_beta) if given_mean is None else given_mean - applied(back, to_beta)
        c_rr, c_ii, c_ri = to_cov.unbind()
        to_x = mixed(given, back, to_mean / count)
        to_x = _add_mixed(to_x, centred, (2 * c_rr / count, c_ri / count, c_ri / count, 2 * c_ii / count))
        if given_centred is not None:
            to_x = to_x + given_centred - _spread(given_centred.mean(axes), centred.ndim)
        return to_x, to_gamma, to_beta, None, None
