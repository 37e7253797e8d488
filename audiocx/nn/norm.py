"""Complex batch normalisation: whitening, and the naive variant it is compared with."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from .functional import accepts_complex
from .whitening import Matrix, applied, mixed, mixing, normalized

__all__ = ["ComplexBatchNorm", "NormVariant"]

NormVariant = Literal["whitening", "naive"]


class ComplexBatchNorm(nn.Module):
    """Batch normalisation of complex channels over all axes but the channels'.

    "whitening" multiplies the centred values by the inverse square root of the 2x2 covariance of real and imaginary
    part; "naive" divides them by the complex standard deviation sqrt(E|x - E x|^2). Both then apply a learnt
    symmetric 2x2 matrix gamma and add a learnt complex beta. At the start E|output|^2 = 1 for both.

    Shape: [B, 2C] or [B, 2C, *] real, real parts first, or [B, C, *] complex; output as input.

    Args:
        channels: C, complex.
        eps: Added to the variances.
        momentum: Weight of the new batch in the running statistics (the paper's 0.9 is the weight of the old).
        variant: "whitening" or "naive".

    Raises:
        ValueError: Unknown variant.

    Source: DCN, section 3.5; running variances start at 1/sqrt 2 as in its authors' code.
    """

    running_mean: Tensor
    running_cov: Tensor

    def __init__(
        self, channels: int, eps: float = 1e-4, momentum: float = 0.1, variant: NormVariant = "whitening"
    ) -> None:
        super().__init__()
        if variant not in ("whitening", "naive"):
            raise ValueError(f"The variant is 'whitening' or 'naive', not {variant!r}.")
        self.channels, self.eps, self.momentum, self.variant = channels, eps, momentum, variant
        start = 1 / math.sqrt(2)
        # Rows: rr, ii, ri.
        self.gamma = nn.Parameter(torch.zeros(3, channels))
        nn.init.constant_(self.gamma[:2], start if variant == "whitening" else 1.0)
        self.beta = nn.Parameter(torch.zeros(2 * channels))
        self.register_buffer("running_mean", torch.zeros(2 * channels))
        self.register_buffer("running_cov", torch.zeros(3, channels))
        self.running_cov[:2] = start

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Normalises; batch statistics while training, running ones in evaluation."""
        # Moments of half-precision values overflow or drown: statistics are always taken in float32 or better.
        wide = x if x.dtype == torch.float64 else x.float()
        if not self.training:
            return mixed(wide, *self.affine()).to(x.dtype)
        y, mean, cov = normalized(wide, self.gamma, self.beta, self.eps, self.variant == "naive")
        self._track(mean.detach(), cov.detach())
        return y.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, cov: Tensor) -> None:
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_cov.lerp_(cov.to(self.running_cov.dtype), self.momentum)

    def affine(self) -> tuple[Matrix, Tensor]:
        """Gives the affine map that evaluation applies, for folding into the layer before it.

        Returns:
            The entries rr, ri, ir, ii of the matrix per channel, shape [C] each, and the shift, shape [2C].
        """
        matrix = mixing(self.running_cov, self.gamma, self.eps, self.variant == "naive")
        return matrix, self.beta - applied(matrix, self.running_mean)

    def extra_repr(self) -> str:
        """Names the settings."""
        return f"{self.channels}, eps={self.eps}, momentum={self.momentum}, variant={self.variant!r}"
