"""Complex batch normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .functional import accepts_complex, check_channels
from .init import refine_
from .whitening import Matrix, affine_map, is_accurate, normalize, transform, transform_vector, widened

__all__ = ["ComplexBatchNorm", "NormVariant"]

NormVariant = Literal["whitening", "naive"]


# Of the variances of both parts, and of the whitening variant's gamma, so that E|y|^2 = 1.
_START = math.sqrt(0.5)


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

    Shape:
        - Input: real [B, 2C] or [B, 2C, *], real parts first, or complex [B, C] or [B, C, *].
        - Output: same shape and kind as the input.

    Attributes:
        gamma: Entries rr, ii and ri of the matrices, float32 [3, C].
        beta: Real parts, then imaginary parts, float32 [2C].
        running_mean: Running mean, laid out as beta.
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

    running_mean: Tensor
    running_cov: Tensor
    running_cov_rest: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self, channels: int, eps: float = 1e-4, momentum: float | None = 0.1, variant: NormVariant = "whitening"
    ) -> None:
        super().__init__()
        if variant not in ("whitening", "naive"):
            raise ValueError(f"The variant must be 'whitening' or 'naive', not {variant!r}.")
        self.channels, self.eps, self.momentum, self.variant = channels, eps, momentum, variant
        # Rows: rr, ii, ri.
        self.gamma = nn.Parameter(torch.zeros(3, channels))
        nn.init.constant_(self.gamma[:2], _START if variant == "whitening" else 1.0)
        self.beta = nn.Parameter(torch.zeros(2 * channels))
        self.register_buffer("running_mean", torch.zeros(2 * channels))
        self.register_buffer("running_cov", torch.zeros(3, channels))
        self.running_cov[:2] = _START
        self.register_buffer("running_cov_rest", torch.zeros(3, channels))
        if momentum is None:
            self.register_buffer("num_batches_tracked", torch.tensor(0))

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, self.channels)

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the statistics of the batch in training, by the running ones in evaluation."""
        # Moments of half-precision values overflow or underflow: statistics are computed in float32 or float64.
        wide = x if x.dtype == torch.float64 else x.float()
        # An empty batch has no statistics: the running ones are kept.
        if not self.training or x.numel() == 0:
            return self._evaluate(wide).to(x.dtype)
        y, mean, cov = normalize(wide, self.gamma, self.beta, self.eps, self.variant == "naive")
        self._track(mean.detach(), cov.detach())
        return y.to(x.dtype)

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
        # Compiled code and exported graphs cannot branch on values; they stay in float32.
        if x.dtype != torch.float64 and not torch.compiler.is_compiling():
            x = x if is_accurate(self._covariance(), self.eps, self.variant == "naive") else widened(x)
        return transform(x, *self._affine(x.dtype))

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> ComplexBatchNorm:
        before = self.gamma.dtype
        super()._apply(fn, recurse)
        # As if constructed in the wider dtype.
        for tensor in (self.gamma, self.running_cov):
            refine_(tensor, before, _START)
        return self

    def affine(self) -> tuple[Matrix, Tensor]:
        """Return the affine map that evaluation applies, as folding needs it.

        Returns:
            The entries rr, ri, ir, ii of the matrix per channel, shape [C] each, and the shift, shape [2C].
        """
        return self._affine(self.gamma.dtype)

    def _affine(self, dtype: torch.dtype) -> tuple[Matrix, Tensor]:
        matrix = affine_map(self._covariance(), widened(self.gamma), self.eps, self.variant == "naive")
        shift = self.beta - transform_vector(matrix, widened(self.running_mean))
        rr, ri, ir, ii = (entry.to(dtype) for entry in matrix)
        return (rr, ri, ir, ii), shift.to(dtype)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"{self.channels}, eps={self.eps}, momentum={self.momentum}, variant={self.variant!r}"
