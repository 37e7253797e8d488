"""Encodings of the positions of a sequence for complex features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .functional import accepts_complex, check_channels, describe, split

__all__ = ["ComplexPositionalEncoding", "ComplexRotaryEncoding"]


class _Phasors(nn.Module):
    """Combine features with e^{i n w_k}, of position n and feature k, w_k = base^(-k / E)."""

    def __init__(self, features: int, base: float = 10000.0) -> None:
        super().__init__()
        if features < 1 or base <= 0:
            raise ValueError(f"Features and base must be positive, not {features} and {base}.")
        self.features, self.base = features, base

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, self.features, -1)
        if x.ndim < 2:
            raise ValueError(f"{type(self).__name__} takes sequences [*, T, features], not {describe(x)}.")

    def phasors(self, x: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Return the real and the imaginary parts for the positions of an input [*, T, 2E], [T, E] each."""
        # Angles of thousands of radians need float64, which only MPS lacks.
        dtype = torch.float32 if x.device.type == "mps" else torch.float64
        positions = torch.arange(x.shape[-2], device=x.device, dtype=dtype) + start
        speeds = self.base ** (-torch.arange(self.features, device=x.device, dtype=dtype) / self.features)
        angles = positions[:, None] * speeds
        return angles.cos().to(x.dtype), angles.sin().to(x.dtype)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"{self.features}, base={self.base:g}"


class ComplexPositionalEncoding(_Phasors):
    """Add a complex sinusoid of each feature's own frequency: z_nk + e^{i n w_k} with w_k = base^(-k / E).

    Args:
        features: E, complex features.
        base: Ratio of the fastest and the slowest frequency, nearly; the fastest is 1 radian per position.

    Shape:
        - Input: real [*, T, 2E], real parts first, or complex [*, T, E].
        - Output: same shape and kind as the input.

    Raises:
        ValueError: Sizes that are not positive, or an input of other features.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.5, cosine and sine as one complex number.

    Examples:
        >>> ComplexPositionalEncoding(1)(torch.zeros(2, 1, dtype=torch.complex64))
        tensor([[1.0000+0.0000j],
                [0.5403+0.8415j]])
    """

    @accepts_complex(dim=-1)
    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Add the sinusoids.

        Args:
            x: Real [*, T, 2E] or complex [*, T, E].
            start: Position of the first element.

        Returns:
            Same shape and kind as the input.
        """
        return x + torch.cat(self.phasors(x, start), -1)


class ComplexRotaryEncoding(_Phasors):
    """Turn each feature with the position: z_nk e^{i n w_k} with w_k = base^(-k / E).

    Products q k^H of queries and keys that are turned so depend on the difference of their positions alone.
    ``ComplexMultiheadAttention(..., rotary=True)`` turns its queries and keys.

    Args:
        features: E, complex features.
        base: Ratio of the fastest and the slowest frequency, nearly; the fastest is 1 radian per position.

    Shape:
        - Input: real [*, T, 2E], real parts first, or complex [*, T, E].
        - Output: same shape and kind as the input.

    Raises:
        ValueError: Sizes that are not positive, or an input of other features.

    Source: Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.

    Examples:
        >>> ComplexRotaryEncoding(1)(torch.tensor([[1 + 0j], [1 + 0j]]))
        tensor([[1.0000+0.0000j],
                [0.5403+0.8415j]])
    """

    @accepts_complex(dim=-1)
    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Turn the features.

        Args:
            x: Real [*, T, 2E] or complex [*, T, E].
            start: Position of the first element.

        Returns:
            Same shape and kind as the input.
        """
        cos, sin = self.phasors(x, start)
        real, imag = split(x, -1)
        return torch.cat([torch.addcmul(real * cos, imag, sin, value=-1), torch.addcmul(real * sin, imag, cos)], -1)
