"""Complex batch normalisation: whitening, and the naive variant it is compared with."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from .functional import accepts_complex, split

__all__ = ["ComplexBatchNorm", "NormVariant", "inverse_sqrt_2x2"]

NormVariant = Literal["whitening", "naive"]


def inverse_sqrt_2x2(rr: Tensor, ii: Tensor, ri: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
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
            matrix, shift = self.affine()
            return self._transform(wide, matrix, shift).to(x.dtype)
        axes = [0, *range(2, x.ndim)]
        mean = wide.mean(axes)
        centred = wide - _spread(mean, x.ndim)
        real, imag = split(centred)
        cov = torch.stack([(real * real).mean(axes), (imag * imag).mean(axes), (real * imag).mean(axes)])
        self._track(mean.detach(), cov.detach())
        return self._transform(centred, self._matrix(cov), self.beta).to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, cov: Tensor) -> None:
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_cov.lerp_(cov.to(self.running_cov.dtype), self.momentum)

    def affine(self) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """Gives the affine map that evaluation applies, for folding into the layer before it.

        Returns:
            The entries rr, ri, ir, ii of the matrix per channel, shape [C] each, and the shift, shape [2C].
        """
        matrix = self._matrix(self.running_cov)
        shift = self.beta - self._transform(self.running_mean[None], matrix, None)[0]
        return matrix, shift

    def _matrix(self, cov: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # gamma times the whitening (or scaling) matrix: not symmetric in general.
        rr, ii, ri = cov
        g_rr, g_ii, g_ri = self.gamma
        if self.variant == "naive":
            scale = (rr + ii + self.eps).rsqrt()
            return g_rr * scale, g_ri * scale, g_ri * scale, g_ii * scale
        w_rr, w_ii, w_ri = inverse_sqrt_2x2(rr, ii, ri, self.eps)
        return (
            g_rr * w_rr + g_ri * w_ri,
            g_rr * w_ri + g_ri * w_ii,
            g_ri * w_rr + g_ii * w_ri,
            g_ri * w_ri + g_ii * w_ii,
        )

    @staticmethod
    def _transform(x: Tensor, matrix: tuple[Tensor, Tensor, Tensor, Tensor], shift: Tensor | None) -> Tensor:
        rr, ri, ir, ii = (_spread(entry, x.ndim) for entry in matrix)
        real, imag = split(x)
        y = torch.cat([rr * real + ri * imag, ir * real + ii * imag], 1)
        return y if shift is None else y + _spread(shift, x.ndim)

    def extra_repr(self) -> str:
        """Names the settings."""
        return f"{self.channels}, eps={self.eps}, momentum={self.momentum}, variant={self.variant!r}"


def _spread(per_channel: Tensor, ndim: int) -> Tensor:
    return per_channel.view(1, -1, *[1] * (ndim - 2))
