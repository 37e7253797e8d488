"""Complex batch normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .functional import accepts_complex, check_channels
from .init import refine_
from .whitening import START, affine_map, is_accurate, normalize, product, transform, widened

__all__ = ["ComplexBatchNorm", "ComplexSyncBatchNorm", "NormVariant"]

NormVariant = Literal["whitening", "naive"]

# Variance of both parts that the running statistics begin with.
_START_VARIANCE = math.sqrt(0.5)


def start_(gamma: Tensor, variant: NormVariant) -> None:
    """Fill symmetric matrices, rows rr, ii, ri of [3, *], so that E|y|^2 = 1, in place.

    Raises:
        ValueError: Unknown variant.
    """
    if variant not in START:
        raise ValueError(f"The variant must be 'whitening' or 'naive', not {variant!r}.")
    nn.init.zeros_(gamma)
    nn.init.constant_(gamma[:2], START[variant])


class ComplexBatchNorm(nn.Module):
    """Batch normalisation of complex channels: y = gamma V^(-1/2) (x - E x) + beta.

    V is the 2x2 covariance of real and imaginary part, per channel, over the batch and all trailing axes. The variant
    "whitening" multiplies by its inverse square root; "naive" divides by the complex standard deviation
    sqrt(E|x - E x|^2) instead. gamma is a learnable symmetric 2x2 matrix, beta a learnable complex number, per
    channel. Initially E|y|^2 = 1 for both variants.

    Args:
        channels: C, complex channels.
        eps: Added to the variances.
        momentum: Weight of the new batch in the running statistics (DCN's 0.9 is the weight of the old ones); None for
            the average of all batches.
        variant: "whitening" or "naive".
        affine: Learn gamma and beta; without, they keep the values they begin with.
        track_running_stats: Keep running statistics for evaluation; without, evaluation, too, normalises by the
            statistics of the batch.
        device: Where parameters and buffers are made.
        dtype: Their dtype, real.

    Shape:
        - Input: real [B, 2C] or [B, 2C, *], real parts first, or complex [B, C] or [B, C, *].
        - Output: same shape and kind as the input.

    Attributes:
        gamma: Entries rr, ii and ri of the matrices, float32 [3, C]; None without ``affine``.
        beta: Real parts, then imaginary parts, float32 [2C]; None without ``affine``.
        running_mean: Running mean, laid out as beta; None without ``track_running_stats``, as the next three.
        running_cov: Running covariance, laid out as gamma.
        running_cov_rest: What rounding took from ``running_cov``. Whitening depends on it where real and imaginary
            part are almost proportional.
        num_batches_tracked: Number of batches, int64; only with ``momentum=None``.

    Raises:
        ValueError: Unknown variant, or an input of other channels.

    Source: DCN, section 3.5; running variances start at 1/sqrt 2 as in its authors' code.

    Examples:
        >>> z = torch.randn(64, 3, 10, dtype=torch.complex64)
        >>> y = ComplexBatchNorm(3)(z + 2 * z.conj())
        >>> bool(((y * y).mean((0, 2)).abs() < 1e-3).all())  # circular: E y^2 = 0
        True
    """

    gamma: nn.Parameter | None
    beta: nn.Parameter | None
    running_mean: Tensor
    running_cov: Tensor
    running_cov_rest: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        channels: int,
        eps: float = 1e-4,
        momentum: float | None = 0.1,
        variant: NormVariant = "whitening",
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.eps, self.momentum, self.variant = channels, eps, momentum, variant
        self.track_running_stats = track_running_stats
        # Rows: rr, ii, ri.
        gamma = torch.empty(3, channels, device=device, dtype=dtype)
        start_(gamma, variant)
        beta = gamma.new_zeros(2 * channels)
        self.register_parameter("gamma", nn.Parameter(gamma) if affine else None)
        self.register_parameter("beta", nn.Parameter(beta) if affine else None)
        cov = torch.zeros_like(gamma)
        cov[:2] = _START_VARIANCE
        buffers = {"running_mean": beta.clone(), "running_cov": cov, "running_cov_rest": torch.zeros_like(cov)}
        if momentum is None:
            buffers["num_batches_tracked"] = torch.tensor(0, device=device)
        for name, value in buffers.items():
            self.register_buffer(name, value if track_running_stats else None)

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, self.channels)

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the statistics of the batch in training, by the running ones in evaluation."""
        group = self._group()
        # An empty batch has no statistics: the running ones are kept.
        empty = x.numel() == 0 and group is None
        if self.track_running_stats and (empty or not self.training):
            return self._evaluate(x)
        if empty:
            return x.clone()
        gamma, beta = self._parameters_of(x)
        y, mean, cov = normalize(x, gamma, beta, self.eps, self.variant == "naive", group)
        if self.track_running_stats:
            self._track(mean.detach(), cov.detach())
        return y

    def _group(self) -> Any:
        """Return the processes whose batches are one, None for this one alone."""
        return None

    def _parameters_of(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma and beta, or what they would be without learning."""
        if self.gamma is not None and self.beta is not None:
            return self.gamma, self.beta
        dtype = torch.promote_types(like.dtype, torch.float32)
        gamma = torch.zeros(3, self.channels, dtype=dtype, device=like.device)
        gamma[:2] = START[self.variant]
        return gamma, gamma.new_zeros(2 * self.channels)

    @torch.no_grad()
    def _track(self, mean: Tensor, cov: Tensor) -> None:
        momentum: Any = self.momentum
        if momentum is None:
            self.num_batches_tracked += 1
            momentum = widened(cov).new_ones(()) / self.num_batches_tracked
        mean = torch.lerp(widened(self.running_mean), widened(mean), momentum)
        self.running_mean.copy_(mean)
        running = torch.lerp(self._covariance(), widened(cov), momentum)
        self.running_cov.copy_(running)
        rest = running - self.running_cov
        self.running_cov_rest.copy_(torch.where(rest.isfinite(), rest, 0))

    def _covariance(self) -> Tensor:
        """Return the running covariance in float64."""
        return widened(self.running_cov) + self.running_cov_rest

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        # Checkpoints of version 0.2 have none of these. The layer itself may be on the device "meta".
        device = state_dict[prefix + "running_cov"].device if prefix + "running_cov" in state_dict else None
        for name, value in self._buffers.items():
            if name in ("running_cov_rest", "num_batches_tracked") and value is not None:
                state_dict.setdefault(prefix + name, torch.zeros_like(value, device=device))
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _evaluate(self, x: Tensor) -> Tensor:
        dtype = torch.promote_types(x.dtype, torch.float32)
        # Compiled code and exported graphs cannot branch on values; they stay in float32.
        recorded = torch.compiler.is_compiling() or torch.jit.is_tracing()
        if dtype != torch.float64 and not recorded:
            cov = self._covariance()
            if not is_accurate(cov[None], self.eps, self.variant == "naive"):
                dtype = cov.dtype
        matrix, shift = (part.to(dtype) for part in self._map(x))
        pairs = x.reshape(x.shape[0], 2, self.channels, math.prod(x.shape[2:]))
        return transform(pairs, matrix[..., None], shift.view(1, 2, -1, 1)).reshape(x.shape)

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> ComplexBatchNorm:
        started = [name for name in ("gamma", "running_cov") if getattr(self, name) is not None]
        before = {name: getattr(self, name).dtype for name in started}
        super()._apply(fn, recurse)
        for name, dtype in before.items():  # as if constructed in the wider dtype
            refine_(getattr(self, name), dtype, _START_VARIANCE)
        return self

    def affine(self) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """Return the affine map that evaluation applies, as folding needs it.

        Returns:
            The entries rr, ri, ir, ii of the matrix per channel, shape [C] each, and the shift, shape [2C].

        Raises:
            ValueError: The layer tracks no statistics.
        """
        if not self.track_running_stats:
            raise ValueError("Evaluation is no fixed map without running statistics; use track_running_stats=True.")
        matrix, shift = (part.to(self.running_cov.dtype) for part in self._map(self.running_cov))
        rr, ri, ir, ii = matrix[0]
        return (rr, ri, ir, ii), shift

    def _map(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the matrices [1, 4, C] and the shift [2C] of evaluation, in float64."""
        gamma, beta = (widened(part) for part in self._parameters_of(like))
        matrix = affine_map(self._covariance()[None], gamma[None], self.eps, self.variant == "naive")
        return matrix, beta - product(widened(self.running_mean).view(1, 2, -1), matrix).flatten()

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return (
            f"{self.channels}, eps={self.eps}, momentum={self.momentum}, variant={self.variant!r}, "
            f"affine={self.gamma is not None}, track_running_stats={self.track_running_stats}"
        )


class ComplexSyncBatchNorm(ComplexBatchNorm):
    """Complex batch normalisation by the statistics of all processes' batches together.

    Output, gradient with respect to the input and running statistics are those of one process that has the whole
    batch; the batches may differ in size. Gradients of gamma and beta are of the own batch, as for every other layer:
    ``DistributedDataParallel`` combines them. Without processes, and in evaluation, the layer is
    :class:`ComplexBatchNorm`; the state dict is the same, too.

    Args:
        arguments: Those of :class:`ComplexBatchNorm`.
        process_group: Group of ``torch.distributed`` whose batches are one; None for all processes.
        options: Those of :class:`ComplexBatchNorm`.

    Shape:
        As :class:`ComplexBatchNorm`.

    Raises:
        RuntimeError: The backward pass is to be differentiated, which several processes cannot.
    """

    def __init__(self, *arguments: Any, process_group: Any = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.process_group = process_group

    def _group(self) -> Any:
        active = self.training or not self.track_running_stats
        if not (active and dist.is_available() and dist.is_initialized()):
            return None
        group = dist.group.WORLD if self.process_group is None else self.process_group
        return group if dist.get_world_size(group) > 1 else None

    @classmethod
    def convert_sync_batchnorm(cls, module: nn.Module, process_group: Any = None) -> nn.Module:
        """Replace every :class:`ComplexBatchNorm` of a network, keeping parameters and statistics.

        Args:
            module: Network or layer; it is changed. Real batch norms are left to
                ``torch.nn.SyncBatchNorm.convert_sync_batchnorm``.
            process_group: As for the layer.

        Returns:
            The network, or the new layer if it is one itself.
        """
        if type(module) is ComplexBatchNorm:
            new = cls(module.channels, process_group=process_group, device="meta")
            parts = {name: copy(value) if isinstance(value, dict) else value for name, value in vars(module).items()}
            vars(new).update(parts)
            return new
        for name, child in module.named_children():
            setattr(module, name, cls.convert_sync_batchnorm(child, process_group))
        return module
