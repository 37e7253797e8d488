"""Complex layer, group and RMS normalisation: every example by its own statistics, in training and in evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .functional import accepts_complex, check_channels, describe
from .norm import NormVariant, start_
from .whitening import START, normalize_groups, scale_pairs

__all__ = ["ComplexGroupNorm", "ComplexLayerNorm", "ComplexRMSNorm"]


class _ExampleNorm(nn.Module):
    """Normalisation of groups of an example, then a learnable gamma and beta."""

    centred = True
    gamma: nn.Parameter | None
    beta: nn.Parameter | None

    def __init__(
        self,
        shape: tuple[int, ...],
        eps: float,
        variant: NormVariant,
        affine: bool,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.eps, self.variant = eps, variant
        # Rows: rr, ii, ri.
        gamma = torch.empty(3, *shape, device=device, dtype=dtype)
        start_(gamma, variant)
        self.register_parameter("gamma", nn.Parameter(gamma) if affine else None)
        beta = gamma.new_zeros(2 * shape[0], *shape[1:])
        self.register_parameter("beta", nn.Parameter(beta) if affine and bias else None)

    def _normalized(self, x: Tensor, groups: int) -> Tensor:
        """Normalise [N, 2, C, M] by groups of C / groups channels, and apply gamma and beta, of [C, M] or [C, 1]."""
        gain = START[self.variant] if self.gamma is None else 1.0
        n, _, channels, places = x.shape
        grouped = x.reshape(n, 2, groups, channels // groups * places)
        y = normalize_groups(grouped, self.eps, self.variant, self.centred, gain).view(x.shape)
        if self.gamma is None:
            return y
        beta = None if self.beta is None else self.beta.view(1, 2, channels, -1)
        return scale_pairs(y, self.gamma.view(1, 3, channels, -1), beta)


class ComplexLayerNorm(_ExampleNorm):
    """Layer normalisation of complex features: y = gamma V^(-1/2) (x - E x) + beta.

    E and V, the mean and the 2x2 covariance of real and imaginary part, are taken over the last axes, for every
    example and position. The variant "whitening" multiplies by the inverse square root of V; "naive" divides by the
    complex standard deviation instead. gamma is a learnable symmetric 2x2 matrix, beta a learnable complex number, for
    every element of those axes. Initially E|y|^2 = 1 for both variants.

    Args:
        normalized_shape: C, complex features, or (C, *), sizes of the last axes of a complex input.
        eps: Added to the variances.
        variant: "whitening" or "naive".
        elementwise_affine: Learn gamma and beta.
        bias: Learn beta; only with ``elementwise_affine``.
        device: Where the parameters are made.
        dtype: Their dtype, real.

    Shape:
        - Input: real [*, 2C] or [*, 2C, ...], real parts first, or complex [*, C] or [*, C, ...], where C, ... is
          ``normalized_shape``.
        - Output: same shape and kind as the input.

    Attributes:
        gamma: Entries rr, ii and ri of the matrices, float32 [3, C, ...]; None without ``elementwise_affine``.
        beta: Real parts, then imaginary parts, float32 [2C, ...]; None without ``bias``.

    Raises:
        ValueError: Unknown variant, or an input of other last axes.

    Source: Ba et al., "Layer normalization", 2016; whitening: DCN, section 3.5.

    Examples:
        >>> z = torch.randn(8, 20, 64, dtype=torch.complex64)
        >>> y = ComplexLayerNorm(64)(z + 2 * z.conj())
        >>> bool(((y * y).mean(-1).abs() < 1e-3).all())  # circular: E y^2 = 0
        True
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        variant: NormVariant = "whitening",
        elementwise_affine: bool = True,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        shape = tuple(normalized_shape) if isinstance(normalized_shape, Iterable) else (normalized_shape,)
        super().__init__(shape, eps, variant, elementwise_affine, bias, device, dtype)
        self.normalized_shape = shape

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        channels, *rest = self.normalized_shape
        if x.shape[-1 - len(rest) :] != ((1 if x.is_complex() else 2) * channels, *rest) or x.ndim <= len(rest):
            names = [", ".join(map(str, (size, *rest))) for size in (channels, 2 * channels)]
            raise ValueError(
                f"{type(self).__name__} takes a complex tensor [*, {names[0]}] or real channels [*, {names[1]}], "
                f"not {describe(x)}."
            )

    @accepts_complex(dim=lambda layer, x: -len(layer.normalized_shape))
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        size = math.prod(self.normalized_shape)
        rows = math.prod(x.shape[: x.ndim - len(self.normalized_shape)])
        return self._normalized(x.reshape(rows, 2, size, 1), 1).view(x.shape)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, variant={self.variant!r}, "
            f"elementwise_affine={self.gamma is not None}, bias={self.beta is not None}"
        )


class ComplexRMSNorm(ComplexLayerNorm):
    """RMS normalisation of complex features: y = gamma M^(-1/2) x.

    M is the 2x2 matrix of second moments of real and imaginary part, not centred, over the last axes; the variant
    "naive" divides by sqrt(E|x|^2) instead. gamma is a learnable symmetric 2x2 matrix for every element of those axes.
    Initially E|y|^2 = 1 for both variants.

    Args:
        normalized_shape: C, complex features, or (C, *), sizes of the last axes of a complex input.
        eps: Added to the second moments.
        variant: "whitening" or "naive".
        elementwise_affine: Learn gamma.
        device: Where the parameter is made.
        dtype: Its dtype, real.

    Shape:
        As :class:`ComplexLayerNorm`.

    Attributes:
        gamma: Entries rr, ii and ri of the matrices, float32 [3, C, ...]; None without ``elementwise_affine``.

    Raises:
        ValueError: Unknown variant, or an input of other last axes.

    Source: Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019.

    Examples:
        >>> ComplexRMSNorm(2, variant="naive", eps=0)(torch.tensor([[3 + 4j, 0j]])).detach().abs()
        tensor([[1.4142, 0.0000]])
    """

    centred = False

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        variant: NormVariant = "whitening",
        elementwise_affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(normalized_shape, eps, variant, elementwise_affine, False, device, dtype)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return super().extra_repr().rpartition(", ")[0]


class ComplexGroupNorm(_ExampleNorm):
    """Group normalisation of complex channels: y = gamma V^(-1/2) (x - E x) + beta.

    E and V, the mean and the 2x2 covariance of real and imaginary part, are taken over the channels of a group and all
    trailing axes, for every example. One group is layer normalisation of a feature map, C groups are instance
    normalisation. Variants as for :class:`ComplexLayerNorm`; gamma, a symmetric 2x2 matrix, and beta, a complex
    number, are learnt per channel.

    Args:
        num_groups: Groups of channels.
        channels: C, complex channels.
        eps: Added to the variances.
        variant: "whitening" or "naive".
        affine: Learn gamma and beta.
        device: Where the parameters are made.
        dtype: Their dtype, real.

    Shape:
        - Input: real [B, 2C] or [B, 2C, *], real parts first, or complex [B, C] or [B, C, *].
        - Output: same shape and kind as the input.

    Attributes:
        gamma: Entries rr, ii and ri of the matrices, float32 [3, C]; None without ``affine``.
        beta: Real parts, then imaginary parts, float32 [2C]; None without ``affine``.

    Raises:
        ValueError: Groups that do not divide the channels, an unknown variant, or an input of other channels.

    Source: Wu and He, "Group normalization", ECCV 2018; whitening: DCN, section 3.5.

    Examples:
        >>> ComplexGroupNorm(2, 6)(torch.randn(8, 6, 20, dtype=torch.complex64)).shape
        torch.Size([8, 6, 20])
    """

    def __init__(
        self,
        num_groups: int,
        channels: int,
        eps: float = 1e-5,
        variant: NormVariant = "whitening",
        affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if num_groups < 1 or channels % num_groups:
            raise ValueError(f"num_groups={num_groups} must divide channels={channels}.")
        super().__init__((channels,), eps, variant, affine, True, device, dtype)
        self.num_groups, self.channels = num_groups, channels

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, self.channels)

    @accepts_complex(dim=1)
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        pairs = x.reshape(x.shape[0], 2, self.channels, math.prod(x.shape[2:]))
        return self._normalized(pairs, self.num_groups).view(x.shape)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return (
            f"{self.num_groups}, {self.channels}, eps={self.eps}, variant={self.variant!r}, "
            f"affine={self.gamma is not None}"
        )
