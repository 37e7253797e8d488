"""Whitening of complex channels by batch statistics, with an explicit backward pass.

Differentiated by autograd, the closed form would store every intermediate result and read the features some thirty
times. The explicit backward pass costs little more than that of real batch normalisation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .functional import split

__all__ = [
    "Matrix",
    "affine_map",
    "inverse_sqrt_2x2",
    "inverse_sqrt_2x2_backward",
    "is_accurate",
    "normalize",
    "transform",
    "transform_vector",
    "widened",
]

# Entries of one 2x2 matrix per channel, [C] each: rr, ii, ri of a symmetric one; rr, ri, ir, ii of any other.
Symmetric = tuple[Tensor, Tensor, Tensor]
Matrix = tuple[Tensor, Tensor, Tensor, Tensor]

# Of a covariance matrix, relative to the product of its variances. Rounding to 2^-24 leaves three digits of it.
_LEAST_DETERMINANT = 2**-10


def inverse_sqrt_2x2(rr: Tensor, ii: Tensor, ri: Tensor, eps: float) -> Symmetric:
    """Return the inverse square root of the covariance [[rr, ri], [ri, ii]] + eps I, in closed form.

    The determinant of the regularised matrix is at least eps (a + c - eps), where a and c are its diagonal. It is
    clamped there, so that the result is finite when rounding makes a degenerate covariance (re == im) singular.

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
    """Backpropagate through :func:`inverse_sqrt_2x2`.

    Args:
        cov: Its inputs rr, ii, ri.
        eps: Its eps.
        gradient: Gradients with respect to its outputs.

    Returns:
        Gradients with respect to rr, ii and ri.
    """
    rr, ii, ri = cov
    grad_rr, grad_ii, grad_ri = gradient
    a, c = rr + eps, ii + eps
    det, least = a * c - ri * ri, eps * (a + c - eps)
    s = torch.maximum(det, least).sqrt()
    t = (a + c + 2 * s).sqrt()
    scale = 1 / (s * t)
    grad_scale = grad_rr * (c + s) + grad_ii * (a + s) - grad_ri * ri
    grad_trace = -grad_scale * scale / (2 * t * t)  # through t, where the trace is a + c
    grad_det = ((grad_rr + grad_ii) * scale - grad_scale * scale / s + 2 * grad_trace) / (2 * s)
    clamped = det < least
    through_a = grad_det * torch.where(clamped, eps, c)
    through_c = grad_det * torch.where(clamped, eps, a)
    through_ri = torch.where(clamped, 0.0, -2 * ri * grad_det)
    return (
        grad_ii * scale + grad_trace + through_a,
        grad_rr * scale + grad_trace + through_c,
        through_ri - grad_ri * scale,
    )


def affine_map(cov: Tensor, gamma: Tensor, eps: float, naive: bool) -> Matrix:
    """Return gamma V^(-1/2), the matrix that centred values are multiplied by.

    Args:
        cov: Covariances V, rows rr, ii, ri, shape [3, C].
        gamma: Symmetric matrices, same layout.
        eps: Added to the variances.
        naive: Scale by the complex standard deviation instead of whitening.

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


def _affine_map_backward(
    cov: Tensor, gamma: Tensor, eps: float, naive: bool, gradient: Matrix
) -> tuple[Tensor, Tensor]:
    """Backpropagate through :func:`affine_map`, to the covariances and to gamma."""
    g_rr, g_ii, g_ri = gamma.unbind()
    w_rr, w_ii, w_ri = _root(cov, eps, naive)
    rr, ri, ir, ii = gradient
    grad_gamma = torch.stack(
        [rr * w_rr + ri * w_ri, ir * w_ri + ii * w_ii, rr * w_ri + ri * w_ii + ir * w_rr + ii * w_ri]
    )
    grad_root = (g_rr * rr + g_ri * ir, g_ri * ri + g_ii * ii, g_rr * ri + g_ri * ii + g_ri * rr + g_ii * ir)
    if naive:
        grad_power = -0.5 * w_rr**3 * (grad_root[0] + grad_root[1])
        return torch.stack([grad_power, grad_power, torch.zeros_like(grad_power)]), grad_gamma
    covariances = (cov[0], cov[1], cov[2])
    return torch.stack(inverse_sqrt_2x2_backward(covariances, eps, grad_root)), grad_gamma


def transform(x: Tensor, matrix: Matrix, shift: Tensor) -> Tensor:
    """Multiply the pairs (real, imaginary) by a 2x2 matrix per channel and add a shift.

    Args:
        x: Shape [B, 2C, *], real parts first.
        matrix: The matrices.
        shift: Shape [2C], real parts first.

    Returns:
        Shape [B, 2C, *].
    """
    if torch.compiler.is_compiling():
        return _product(x, matrix) + _broadcast(shift, x.ndim)
    rr, ri, ir, ii = matrix
    y = torch.addcmul(_broadcast(shift, x.ndim), x, _broadcast(torch.cat([rr, ii]), x.ndim))
    _add_offdiagonal(y, x, ri, ir)
    return y


def _add_product(y: Tensor, x: Tensor, matrix: Matrix) -> Tensor:
    """Return y plus the matrices times x; y is overwritten in eager mode."""
    if torch.compiler.is_compiling():
        return y + _product(x, matrix)
    rr, ri, ir, ii = matrix
    y.addcmul_(x, _broadcast(torch.cat([rr, ii]), x.ndim))
    _add_offdiagonal(y, x, ri, ir)
    return y


def _product(x: Tensor, matrix: Matrix) -> Tensor:
    """Return the matrices times x, in one expression for the compiler to fuse."""
    rr, ri, ir, ii = (_broadcast(entry, x.ndim) for entry in matrix)
    real, imag = split(x)
    return torch.cat([rr * real + ri * imag, ir * real + ii * imag], 1)


def transform_vector(matrix: Matrix, values: Tensor) -> Tensor:
    """Multiply one complex number per channel by the matrix of the channel.

    Args:
        matrix: The matrices.
        values: Shape [2C], real parts first.

    Returns:
        Shape [2C].
    """
    return _product(values[None], matrix)[0]


def _add_offdiagonal(y: Tensor, x: Tensor, ri: Tensor, ir: Tensor) -> None:
    """Add ri Im x to the real parts of y and ir Re x to its imaginary parts, in place."""
    real, imag = split(x)
    size = real.shape[1]
    y.narrow(1, 0, size).addcmul_(imag, _broadcast(ri, x.ndim))
    y.narrow(1, size, size).addcmul_(real, _broadcast(ir, x.ndim))


def _broadcast(per_channel: Tensor, ndim: int) -> Tensor:
    """View [C] along axis 1 of ``ndim`` axes."""
    return per_channel.view(1, -1, *[1] * (ndim - 2))


def normalize(x: Tensor, gamma: Tensor, beta: Tensor, eps: float, naive: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise by the statistics of the batch; differentiable any number of times.

    Float32 values are normalised in float64 where float32 cannot hold a covariance or its determinant: very large
    values, or real parts almost proportional to the imaginary ones. Compiled code cannot branch on values, and always
    whitens in float64.

    Args:
        x: Shape [B, 2C, *], real parts first, not empty.
        gamma: Shape [3, C]: rr, ii, ri.
        beta: Shape [2C].
        eps: Added to the variances.
        naive: See :func:`affine_map`.

    Returns:
        Normalised [B, 2C, *], means [2C] and covariances [3, C] of the batch; the statistics are float64 after a
        fallback.
    """
    compiling = torch.compiler.is_compiling()
    if not compiling or naive or x.dtype == torch.float64:
        y, mean, cov, _ = _Normalization.apply(x, gamma, beta, eps, naive)
        if compiling or x.dtype == torch.float64 or is_accurate(cov, eps, naive):
            return y, mean, cov
    y, mean, cov, _ = _Normalization.apply(*(widened(part) for part in (x, gamma, beta)), eps, naive)
    return y.to(x.dtype), mean, cov


def widened(x: Tensor) -> Tensor:
    """Return ``x`` in float64, where its device has it."""
    return x if x.device.type == "mps" else x.double()


@torch.no_grad()
def is_accurate(cov: Tensor, eps: float, naive: bool) -> bool:
    """Return whether covariances computed in float32 determine the normalisation to about three digits.

    Args:
        cov: Shape [3, C]: rr, ii, ri.
        eps: Added to the variances.
        naive: See :func:`affine_map`.

    Returns:
        False also where it cannot be known: in a captured CUDA graph, under ``vmap``, of tensors without values.
    """
    if cov.is_cuda and torch.cuda.is_current_stream_capturing():
        return False
    rr, ii, ri = cov.unbind()
    product = (rr + eps) * (ii + eps)
    # Both are False for NaN and infinity.
    accurate = (rr + ii).isfinite() if naive else product - ri * ri > _LEAST_DETERMINANT * product
    try:
        return bool(accurate.all())
    except RuntimeError:  # vmap and fake tensors cannot branch on values
        return False


class _Normalization(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, gamma: Tensor, beta: Tensor, eps: float, naive: bool) -> tuple[Tensor, ...]:
        axes = [0, *range(2, x.ndim)]
        mean = x.mean(axes)
        centred = x - _broadcast(mean, x.ndim)
        real, imag = split(centred)
        cov = torch.stack([*split((centred * centred).mean(axes), 0), (real * imag).mean(axes)])
        return transform(centred, affine_map(cov, gamma, eps, naive), beta), mean, cov, centred

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, gamma, _, ctx.eps, ctx.naive = inputs
        _, _, cov, centred = output
        # Save inputs and outputs only, so that the backward pass can itself be differentiated.
        ctx.save_for_backward(centred, gamma, cov)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        centred, gamma, cov = ctx.saved_tensors
        upstream, upstream_mean, upstream_cov, upstream_centred = gradients
        if upstream is None:
            upstream = torch.zeros_like(centred)
        axes, count = [0, *range(2, centred.ndim)], centred.numel() // centred.shape[1]
        (real, imag), (grad_real, grad_imag) = split(centred), split(upstream)
        grad_beta = upstream.sum(axes)
        rr, ii = split((upstream * centred).sum(axes), 0)
        grad_matrix = (rr, (grad_real * imag).sum(axes), (grad_imag * real).sum(axes), ii)
        grad_cov, grad_gamma = _affine_map_backward(cov, gamma, ctx.eps, ctx.naive, grad_matrix)
        if upstream_cov is not None:
            grad_cov = grad_cov + upstream_cov
        m_rr, m_ri, m_ir, m_ii = affine_map(cov, gamma, ctx.eps, ctx.naive)
        back = (m_rr, m_ir, m_ri, m_ii)
        # Through the centred values, and through their covariance.
        grad_mean = -transform_vector(back, grad_beta)
        if upstream_mean is not None:
            grad_mean = upstream_mean + grad_mean
        c_rr, c_ii, c_ri = grad_cov.unbind()
        grad_x = transform(upstream, back, grad_mean / count)
        grad_x = _add_product(grad_x, centred, (2 * c_rr / count, c_ri / count, c_ri / count, 2 * c_ii / count))
        if upstream_centred is not None:
            grad_x = grad_x + upstream_centred - _broadcast(upstream_centred.mean(axes), centred.ndim)
        return grad_x, grad_gamma, grad_beta, None, None
