"""Whitening of complex channels by their statistics, with an explicit backward pass.

Differentiated by autograd, the closed form would store every intermediate result and read the features some thirty
times. The explicit passes read them as often as those of real normalisation do, two times each: on CPUs they work block
by block, so that what is in between never leaves the cache.

Inside, features have the shape [N, 2, G, M], with the two parts along axis 1. Statistics are of each of G channels over
N and M ("shared": batch normalisation), or of each of N x G groups over M (layer and group normalisation). Their shape
is [A, 2, G, 1] or [A, 3, G, 1], where A is 1 or N.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = [
    "START",
    "affine_map",
    "inverse_sqrt_2x2",
    "inverse_sqrt_2x2_backward",
    "is_accurate",
    "normalize",
    "normalize_groups",
    "product",
    "scale_pairs",
    "transform",
    "widened",
]

# The diagonal of gamma for which E|y|^2 = 1, of both variants.
START = {"whitening": math.sqrt(0.5), "naive": 1.0}

# Entries rr, ii, ri of a symmetric matrix, of any shape.
Symmetric = tuple[Tensor, Tensor, Tensor]

Pair = tuple[Tensor, Tensor]  # real and imaginary parts

# Of a covariance matrix, relative to the product of its variances. Rounding to 2^-24 leaves three digits of it.
_LEAST_DETERMINANT = 2**-10

# Numbers in a block, per thread: 512 KiB of float32. A block and two results of that size fit the cache of a core.
_BLOCK = 2**17


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


def affine_map(cov: Tensor, gamma: Tensor, eps: float, naive: bool) -> Tensor:
    """Return gamma V^(-1/2), the matrix that centred values are multiplied by.

    Args:
        cov: Covariances V, entries rr, ii, ri along axis 1, shape [A, 3, *].
        gamma: Symmetric matrices, same layout; the shapes are broadcast.
        eps: Added to the variances.
        naive: Scale by the complex standard deviation instead of whitening.

    Returns:
        The matrices, not symmetric in general: entries rr, ri, ir, ii along axis 1, shape [A, 4, *].
    """
    g_rr, g_ii, g_ri = gamma.unbind(1)
    w_rr, w_ii, w_ri = _root(cov, eps, naive)
    return torch.stack(
        [g_rr * w_rr + g_ri * w_ri, g_rr * w_ri + g_ri * w_ii, g_ri * w_rr + g_ii * w_ri, g_ri * w_ri + g_ii * w_ii], 1
    )


def _root(cov: Tensor, eps: float, naive: bool) -> Symmetric:
    rr, ii, ri = cov.unbind(1)
    if not naive:
        return inverse_sqrt_2x2(rr, ii, ri, eps)
    scale = (rr + ii + eps).rsqrt()
    return scale, scale, torch.zeros_like(scale)


def _affine_map_backward(
    cov: Tensor, gamma: Tensor, eps: float, naive: bool, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    """Backpropagate through :func:`affine_map`, to the covariances and to gamma (of the broadcast shape)."""
    g_rr, g_ii, g_ri = gamma.unbind(1)
    w_rr, w_ii, w_ri = _root(cov, eps, naive)
    rr, ri, ir, ii = gradient.unbind(1)
    grad_gamma = torch.stack(
        [rr * w_rr + ri * w_ri, ir * w_ri + ii * w_ii, rr * w_ri + ri * w_ii + ir * w_rr + ii * w_ri], 1
    )
    grad_root = (g_rr * rr + g_ri * ir, g_ri * ri + g_ii * ii, g_rr * ri + g_ri * ii + g_ri * rr + g_ii * ir)
    if naive:
        grad_power = -0.5 * w_rr**3 * (grad_root[0] + grad_root[1])
        return torch.stack([grad_power, grad_power, torch.zeros_like(grad_power)], 1), grad_gamma
    covariances = (cov[:, 0], cov[:, 1], cov[:, 2])
    return torch.stack(inverse_sqrt_2x2_backward(covariances, eps, grad_root), 1), grad_gamma


def product(x: Tensor, matrix: Tensor) -> Tensor:
    """Multiply pairs (real, imaginary) by 2x2 matrices, in operations that autograd and compilers follow.

    Args:
        x: Shape [N, 2, *], the pairs along axis 1.
        matrix: Entries rr, ri, ir, ii along axis 1, shape [A, 4, *]; [A, *] is broadcast to [N, *].

    Returns:
        Shape [N, 2, *].
    """
    return _products([(_parts(x), matrix)], None, x.dtype)


def _parts(x: Tensor) -> Pair:
    return x[:, 0], x[:, 1]


def _products(terms: list[tuple[Pair, Tensor]], shift: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return the sum of products and the shift, in a dtype."""
    rows = []
    for row in (0, 1):
        total: Any = 0 if shift is None else shift[:, row]
        for (real, imag), matrix in terms:
            total = total + matrix[:, 2 * row] * real + matrix[:, 2 * row + 1] * imag
        # Before the parts meet in one tensor, for compilers to write each once.
        rows.append(total.to(dtype))
    return torch.stack(rows, 1)


def _add_product_(y: Tensor, x: Tensor, matrix: Tensor, fresh: bool = False) -> None:
    """Add the matrices times x to y, in place; or overwrite y, if ``fresh``."""
    diagonal = matrix[:, ::3]
    if fresh:
        torch.mul(x, diagonal, out=y)
    else:
        y.addcmul_(x, diagonal)
    y[:, 0].addcmul_(x[:, 1], matrix[:, 1])
    y[:, 1].addcmul_(x[:, 0], matrix[:, 2])


def _static() -> bool:
    """Return whether the operations are recorded, so that they cannot depend on values or on the batch size."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _in_place(*tensors: Tensor) -> bool:
    """Return whether results may be written block by block: nothing records or transforms the operations."""
    if _static() or torch.is_grad_enabled():
        return False
    try:
        return all(tensor.data_ptr() >= 0 for tensor in tensors)
    except RuntimeError:  # under vmap and other transforms, and for fake tensors
        return False


def _blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Split tensors along axis 0 into blocks that stay in the cache; a length of 1 is broadcast.

    Memory, not arithmetic, takes the time of normalisation on CPUs: each pass over a large tensor costs as much as ten
    over a block of it.
    """
    x = tensors[0]
    rows = max(1, _BLOCK * torch.get_num_threads() * len(x) // max(x.numel(), 1))
    if x.device.type != "cpu" or rows >= len(x):
        return iter([tensors])
    return zip(*(tensor.split(rows) if len(tensor) == len(x) else repeat(tensor) for tensor in tensors), strict=False)


def transform(x: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """Multiply pairs (real, imaginary) by 2x2 matrices and add a shift, computing in the dtype of the matrices.

    Args:
        x: Shape [N, 2, G, M], of any dtype.
        matrix: Shape [1, 4, G or 1, M or 1]; entries as for :func:`product`.
        shift: Shape [1, 2, G or 1, M or 1].

    Returns:
        As ``x``.
    """
    if not _in_place(x, matrix, shift):
        return _products([(_parts(x.to(matrix.dtype)), matrix)], shift, x.dtype)
    y = torch.empty_like(x)
    for part, block in _blocks(y, x):
        _write(part, block.to(matrix.dtype), matrix, shift)
    return y


def _write(y: Tensor, x: Tensor, matrix: Tensor, shift: Tensor | None) -> None:
    """Write the matrices times x plus the shift to y, of any dtype."""
    wide = y if y.dtype == x.dtype else torch.empty_like(x)
    _add_product_(wide, x, matrix, fresh=True)
    if shift is not None:
        wide += shift
    if wide is not y:
        y.copy_(wide)


def normalize(
    x: Tensor, gamma: Tensor, beta: Tensor, eps: float, naive: bool, group: Any = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise by the statistics of the batch; differentiable any number of times.

    Float32 values are normalised in float64 where float32 cannot hold a covariance or its determinant: very large
    values, or real parts almost proportional to the imaginary ones. Compiled code cannot branch on values, and always
    whitens in float64. Values of half precision are normalised in float32.

    Args:
        x: Shape [B, 2C, *], real parts first, not empty.
        gamma: Shape [3, C]: rr, ii, ri.
        beta: Shape [2C].
        eps: Added to the variances.
        naive: See :func:`affine_map`.
        group: Processes whose batches are one; every one must call, with any number of examples, even none. The
            gradients are then differentiable no further. None for this process alone.

    Returns:
        Normalised [B, 2C, *], means [2C] and covariances [3, C] of the batch; the statistics are float64 after a
        fallback.
    """
    channels = gamma.shape[-1]
    pairs = x.reshape(x.shape[0], 2, channels, math.prod(x.shape[2:]))
    y, mean, cov = _Normalization.apply(
        pairs, gamma.view(1, 3, channels, 1), beta.view(1, 2, channels, 1), eps, naive, True, True, group
    )
    return y.reshape(x.shape), mean.flatten(), cov.view(3, channels)


def normalize_groups(x: Tensor, eps: float, variant: str, centred: bool, gain: float) -> Tensor:
    """Normalise every group by its own statistics, as :func:`normalize` does channels.

    Args:
        x: Shape [N, 2, G, M].
        eps: Added to the variances.
        variant: "whitening" or "naive".
        centred: Subtract the means; without, the second moments take the place of the covariances.
        gain: Factor of the result.

    Returns:
        As ``x``.
    """
    gamma = torch.tensor([gain, gain, 0.0], dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
    y: Tensor = _Normalization.apply(x, gamma.view(1, 3, 1, 1), None, eps, variant == "naive", False, centred, None)[0]
    return y


def scale_pairs(x: Tensor, gamma: Tensor, beta: Tensor | None) -> Tensor:
    """Multiply pairs (real, imaginary) by symmetric 2x2 matrices and add a shift; differentiable any number of times.

    Args:
        x: Shape [N, 2, C, M].
        gamma: Shape [1, 3, C, M or 1]: rr, ii, ri along axis 1.
        beta: Shape [1, 2, C, M or 1]; None for 0.

    Returns:
        As ``x``.
    """
    y: Tensor = _Scaling.apply(x, gamma, beta)
    return y


class _Scaling(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, gamma: Tensor, beta: Tensor | None) -> Tensor:
        dtype = torch.promote_types(x.dtype, torch.float32)
        matrix, shift = _symmetric(gamma.to(dtype)), None if beta is None else beta.to(dtype)
        if shift is None:
            shift = matrix.new_zeros((1, 2, 1, 1))
        return transform(x, matrix, shift)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, gamma, beta = inputs
        ctx.save_for_backward(x, gamma)
        ctx.beta_shape = None if beta is None else beta.shape

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma = ctx.saved_tensors
        dtype = torch.promote_types(x.dtype, torch.float32)
        matrix = _symmetric(gamma.to(dtype))
        if not _in_place(upstream, x, gamma):
            grad_x = _products([(_parts(upstream.to(dtype)), matrix)], None, x.dtype)
            sums = _scaling_sums(upstream, x, gamma.shape[2:], dtype)
        else:
            grad_x, sums = torch.empty_like(x), matrix.new_zeros(())
            for y, g, values in _blocks(grad_x, upstream, x):
                _write(y, g.to(dtype), matrix, None)
                sums = sums + _scaling_sums(g, values, gamma.shape[2:], dtype)
        grad_gamma, grad_beta = sums.split([3, 2], 1)
        return grad_x, grad_gamma, None if ctx.beta_shape is None else grad_beta


def _symmetric(gamma: Tensor) -> Tensor:
    """Return entries rr, ri, ir, ii of entries rr, ii, ri."""
    return gamma[:, [0, 2, 2, 1]]


def _scaling_sums(upstream: Tensor, x: Tensor, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Return the gradients [1, 5, *shape] of gamma (3) and beta (2)."""
    g, x = upstream.to(dtype), x.to(dtype)
    cross = (g * x.flip(1)).sum(1, keepdim=True)
    parts = [part.sum_to_size((1, part.shape[1], *shape)) for part in (g * x, cross, g)]
    return torch.cat(parts, 1)


def widened(x: Tensor) -> Tensor:
    """Return ``x`` in float64, where its device has it."""
    return x.to(_widest(x))


def _widest(x: Tensor) -> torch.dtype:
    return x.dtype if x.device.type == "mps" else torch.float64


@torch.no_grad()
def is_accurate(cov: Tensor, eps: float, naive: bool) -> bool:
    """Return whether covariances computed in float32 determine the normalisation to about three digits.

    Args:
        cov: Shape [A, 3, *]: rr, ii, ri along axis 1.
        eps: Added to the variances.
        naive: See :func:`affine_map`.

    Returns:
        False also where it cannot be known: in a captured CUDA graph, under ``vmap``, of tensors without values.
    """
    if cov.is_cuda and torch.cuda.is_current_stream_capturing():
        return False
    rr, ii, ri = cov.unbind(1)
    product = (rr + eps) * (ii + eps)
    # Both are False for NaN and infinity.
    accurate = (rr + ii).isfinite() if naive else product - ri * ri > _LEAST_DETERMINANT * product
    try:
        return bool(accurate.all())
    except RuntimeError:  # vmap and fake tensors cannot branch on values
        return False


def _centred(x: Tensor, mean: Tensor, centred: bool, out: Tensor | None = None) -> Tensor:
    x = x.to(mean.dtype)
    if not centred:
        return x
    return x - mean if out is None else torch.sub(x, mean, out=out[: len(x)])


def _scratch(x: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Return memory for two results of a block; fresh memory for each would cost more than the arithmetic."""
    rows = next(_blocks(x))[0]
    return [torch.empty_like(rows, dtype=dtype) for _ in range(2)]


def _exact(x: Tensor, dtype: torch.dtype) -> bool:
    """Return whether means need not be subtracted from values before products: nothing of float32 is lost in float64.

    A compiler would store the centred values, in float64, for the backward pass.
    """
    return dtype == torch.float64 and x.dtype != dtype


def _moments(x: Tensor, shared: bool, centred: bool, scratch: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return means [A, 2, G, 1] and covariances [A, 3, G, 1] of [N, 2, G, M]."""
    axes = (0, 3) if shared else (3,)
    mean = x.mean(axes, keepdim=True) if centred else x.new_zeros((1 if shared else len(x), *x.shape[1:3], 1))
    x, room = _centred(x, mean, centred, scratch[0]), scratch[1][: len(x)]
    cross = torch.mul(x[:, :1], x[:, 1:], out=room[:, :1]).mean(axes, keepdim=True)
    power = torch.mul(x, x, out=room).mean(axes, keepdim=True)
    return mean, torch.cat([power, cross], 1)


def _recorded_moments(x: Tensor, dtype: torch.dtype, shared: bool, centred: bool) -> tuple[Tensor, Tensor]:
    """Return the same as :func:`_moments`, by reductions that a compiler fuses into one or two loops."""
    axes = (0, 2) if shared else (2,)
    twice = centred and not _exact(x, dtype)

    def means(*parts: Tensor) -> Tensor:
        return torch.stack([part.mean(axes, keepdim=True) for part in parts], 1)

    real, imag = x[:, 0].to(dtype), x[:, 1].to(dtype)
    mean = means(real, imag)
    if twice:
        real, imag = real - mean[:, 0], imag - mean[:, 1]
    cov = means(real * real, imag * imag, real * imag)
    if centred and not twice:
        cov = cov - torch.cat([mean * mean, mean[:, :1] * mean[:, 1:]], 1)
    return mean, cov


def _statistics(x: Tensor, dtype: torch.dtype, shared: bool, centred: bool, group: Any) -> tuple[Tensor, Tensor]:
    """Return means and covariances, computed in a dtype, of a process or of a group of processes."""
    if group is None and not _in_place(x):
        return _recorded_moments(x, dtype, shared, centred)
    blocks = [block for (block,) in _blocks(x)]
    if x.numel() == 0:
        means, covs = (x.new_zeros((1, size, x.shape[2], 1), dtype=dtype) for size in (2, 3))
    else:
        scratch = _scratch(x, dtype)
        parts = [_moments(block.to(dtype), shared, centred, scratch) for block in blocks]
        means, covs = (torch.cat(some) for some in zip(*parts, strict=True))
    if shared and len(means) > 1:
        means, covs = _pooled(covs.new_tensor([len(block) for block in blocks]), means, covs)
    if group is not None:
        counts, means, covs = _gathered(x.numel(), means, covs, group)
        means, covs = _pooled(counts, means, covs)
    return means.to(dtype), covs.to(dtype)


def _pooled(counts: Tensor, means: Tensor, covs: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of the whole from those of its parts, [K, 2, G, 1] and [K, 3, G, 1].

    Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
    """
    counts, means, covs = widened(counts), widened(means), widened(covs)
    shares = (counts / counts.sum().clamp_min(1)).view(-1, 1, 1, 1)
    mean = (shares * means).sum(0, keepdim=True)
    apart = means - mean
    between = torch.cat([apart * apart, apart[:, :1] * apart[:, 1:]], 1)
    return mean, (shares * (covs + between)).sum(0, keepdim=True)


def _gathered(count: int, mean: Tensor, cov: Tensor, group: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return the numbers of values, the means and the covariances of all processes, in the order of their ranks."""
    own = torch.cat([widened(mean).new_tensor([count]), mean.flatten(), cov.flatten()])
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, own, group)
    size = mean.numel()
    counts, means, covs = torch.stack(parts).split([1, size, size // 2 * 3], 1)
    return counts, means.reshape(-1, *mean.shape[1:]), covs.reshape(-1, *cov.shape[1:])


def _recorded_centred(
    parts: Pair, x: Tensor, mean: Tensor, centred: bool, matrix: Tensor, shift: Tensor | None
) -> tuple[Pair, Tensor | None]:
    """Return values and the shift for which the matrices times the values, plus the shift, is that of centred ones.

    The parts of x come widened: where the backward pass widens x in another way than the forward pass, compilers store
    x for it, not the wide values.
    """
    if not centred:
        return parts, shift
    if not _exact(x, mean.dtype):
        return (parts[0] - mean[:, 0], parts[1] - mean[:, 1]), shift
    offset = product(mean, matrix)
    return parts, -offset if shift is None else shift - offset


class _Normalization(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, gamma: Tensor, beta: Tensor | None, eps: float, naive: bool, shared: bool, centred: bool, group: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype = torch.promote_types(x.dtype, torch.float32)
        # What is recorded cannot branch on values.
        if _static() and not naive:
            dtype = _widest(x)
        mean, cov = _statistics(x, dtype, shared, centred, group)
        if not _static() and dtype != _widest(x) and not is_accurate(cov, eps, naive):
            mean, cov = _statistics(x, _widest(x), shared, centred, group)
        dtype = cov.dtype
        matrix = affine_map(cov, gamma.to(dtype), eps, naive)
        shift = None if beta is None else beta.to(dtype)
        if not _in_place(x, gamma, *([] if beta is None else [beta])):
            values, shift = _recorded_centred((x[:, 0].to(dtype), x[:, 1].to(dtype)), x, mean, centred, matrix, shift)
            return _products([(values, matrix)], shift, x.dtype), mean, cov
        y = torch.empty_like(x)
        scratch = _scratch(x, dtype)
        for part, block, means, matrices in _blocks(y, x, mean, matrix):
            _write(part, _centred(block, means, centred, scratch[0]), matrices, shift)
        return y, mean, cov

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, gamma, _, ctx.eps, ctx.naive, ctx.shared, ctx.centred, ctx.group = inputs
        _, mean, cov = output
        # Save inputs and outputs only, so that the backward pass can itself be differentiated.
        ctx.save_for_backward(x, gamma, mean, cov)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, gamma, mean, cov = ctx.saved_tensors
        upstream, upstream_mean, upstream_cov = gradients
        if upstream is None:
            upstream = torch.zeros_like(x)
        wide = gamma.to(cov.dtype)
        matrix = affine_map(cov, wide, ctx.eps, ctx.naive)
        in_place = _in_place(x, gamma, *(one for one in gradients if one is not None))
        sums = _backward_sums(upstream, x, mean, ctx.shared, ctx.centred, in_place)
        grad_cov, grad_gamma = _affine_map_backward(cov, wide, ctx.eps, ctx.naive, sums[:, 2:])
        grad_beta = sums[:, :2]
        count = x.shape[3] * (x.shape[0] if ctx.shared else 1)
        if ctx.group is not None:
            sums, count = _summed(sums, count, ctx.group)
            grad_cov, _ = _affine_map_backward(cov, wide, ctx.eps, ctx.naive, sums[:, 2:])
        if upstream_cov is not None:
            grad_cov = grad_cov + upstream_cov
        back = matrix.unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)
        # Through the centred values, and through their covariance.
        grad_mean = -product(sums[:, :2], back)
        if upstream_mean is not None:
            grad_mean = grad_mean + upstream_mean
        c_rr, c_ii, c_ri = (grad_cov / count).unbind(1)
        through_cov = torch.stack([2 * c_rr, c_ri, c_ri, 2 * c_ii], 1)
        shift = grad_mean / count if ctx.centred else None
        grad_x = _backward_x(upstream, x, mean, back, through_cov, shift, in_place)
        grads = (grad_gamma.sum_to_size(gamma.shape).to(gamma.dtype), grad_beta)
        return grad_x, *(g if n else None for g, n in zip(grads, ctx.needs_input_grad[1:3], strict=True)), *[None] * 5


def _backward_sums(upstream: Tensor, x: Tensor, mean: Tensor, shared: bool, centred: bool, in_place: bool) -> Tensor:
    """Return the gradients [A, 6, G, 1]: of the shift (2), and of the matrix rr, ri, ir, ii (4)."""
    axes = (0, 3) if shared else (3,)
    if not in_place:
        late = centred and _exact(x, mean.dtype)
        g, c = upstream.to(mean.dtype), _centred(x, mean, centred and not late)
        (g_r, g_i), (c_r, c_i) = (g[:, :1], g[:, 1:]), (c[:, :1], c[:, 1:])
        terms = (g_r, g_i, g_r * c_r, g_r * c_i, g_i * c_r, g_i * c_i)
        total = torch.cat([term.sum(axes, keepdim=True) for term in terms], 1)
        if not late:
            return total
        offset = torch.cat([total[:, :1] * mean, total[:, 1:2] * mean], 1)
        return torch.cat([total[:, :2], total[:, 2:] - offset], 1)

    scratch = _scratch(x, mean.dtype)

    def sums(upstream: Tensor, x: Tensor, mean: Tensor) -> Tensor:
        g, c, room = upstream.to(mean.dtype), _centred(x, mean, centred, scratch[0]), scratch[1][: len(x)]
        found = [g.sum(axes, keepdim=True)]
        for part in (g[:, :1], g[:, 1:]):
            found.append(torch.mul(part, c, out=room).sum(axes, keepdim=True))
        return torch.cat(found, 1)

    parts = [sums(*block) for block in _blocks(upstream, x, mean)]
    return torch.cat(parts) if not shared else torch.stack(parts).sum(0)


def _summed(sums: Tensor, count: int, group: Any) -> tuple[Tensor, Tensor]:
    """Return the sums and the numbers of values of all processes."""
    if torch.is_grad_enabled():
        raise RuntimeError(
            "Normalisation over several processes can be differentiated only once: no create_graph=True."
        )
    total = torch.cat([sums.flatten(), widened(sums).new_tensor([count])])
    dist.all_reduce(total, group=group)
    return total[:-1].view_as(sums).to(sums.dtype), total[-1]


def _backward_x(
    upstream: Tensor, x: Tensor, mean: Tensor, back: Tensor, through_cov: Tensor, shift: Tensor | None, in_place: bool
) -> Tensor:
    """Return the gradient with respect to x: through the centred values, and through their covariance."""
    centred = shift is not None
    if not in_place:
        parts, shift = _recorded_centred(_parts(x.to(mean.dtype)), x, mean, centred, through_cov, shift)
        return _products([(_parts(upstream.to(mean.dtype)), back), (parts, through_cov)], shift, x.dtype)
    result = torch.empty_like(x)
    shifts = mean if shift is None else shift
    scratch = _scratch(x, mean.dtype)
    for y, g, values, m, to, over, s in _blocks(result, upstream, x, mean, back, through_cov, shifts):
        wide = y if y.dtype == m.dtype else scratch[1][: len(y)]
        _add_product_(wide, g.to(m.dtype), to, fresh=True)
        _add_product_(wide, _centred(values, m, centred, scratch[0]), over)
        if centred:
            wide += s
        if wide is not y:
            y.copy_(wide)
    return result
