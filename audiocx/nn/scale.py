"""Learnable complex factors, one a channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .functional import accepts_complex, check_channels, split
from .init import parameter_options

__all__ = ["ComplexPhaseShift", "ComplexScale"]


class _Factors(nn.Module):
    """Multiply channels by complex numbers, which ``factors`` returns."""

    def __init__(self, channels: int, dim: int = 1) -> None:
        super().__init__()
        if dim not in (1, -1):
            raise ValueError(
                f"The channel axis dim must be 1, of inputs [B, 2C, *], or -1, of inputs [*, 2C], not {dim}."
            )
        self.channels, self.dim = channels, dim

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return the real and the imaginary parts, [C] each."""
        raise NotImplementedError

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, self.channels, self.dim)

    @accepts_complex(dim=lambda layer, x: layer.dim)
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        shape = [1] * x.ndim
        shape[self.dim] = -1
        a, b = (part.to(x.dtype).view(shape) for part in self.factors())
        real, imag = split(x, self.dim)
        return torch.cat([torch.addcmul(a * real, b, imag, value=-1), torch.addcmul(b * real, a, imag)], self.dim)

    def extra_repr(self) -> str:
        """Return the size shown by ``repr``."""
        return f"{self.channels}{'' if self.dim == 1 else f', dim={self.dim}'}"


class ComplexPhaseShift(_Factors):
    """Shift the phases of each channel by a learnable angle: e^{i phi} z.

    Args:
        channels: C, complex channels.
        dim: Channel axis, 1 or -1.
        device: Of the parameter.
        dtype: Of the parameter, real.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *]; with dim=-1, [*, 2C] or [*, C].
        - Output: same shape and kind as the input.

    Attributes:
        phase: phi, radians, [C], initially 0.

    Raises:
        ValueError: Another ``dim``, or an input of other channels.

    Examples:
        >>> layer = ComplexPhaseShift(1)
        >>> _ = nn.init.constant_(layer.phase, 0.5)
        >>> layer(torch.tensor([[1 + 0j]])).detach()
        tensor([[0.8776+0.4794j]])
    """

    def __init__(
        self,
        channels: int,
        dim: int = 1,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(channels, dim)
        self.phase = nn.Parameter(torch.zeros(channels, **parameter_options(device, dtype)))

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return the real and the imaginary parts, [C] each."""
        return self.phase.cos(), self.phase.sin()


class ComplexScale(_Factors):
    """Multiply each channel by a learnable complex number: w z.

    :class:`ComplexAffine` is the general real 2x2 map of a channel, with a bias.

    Args:
        channels: C, complex channels.
        dim: Channel axis, 1 or -1.
        device: Of the parameters.
        dtype: Of the parameters, real.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *]; with dim=-1, [*, 2C] or [*, C].
        - Output: same shape and kind as the input.

    Attributes:
        weight_real: Real part of w, [C], initially 1.
        weight_imag: Imaginary part of w, [C], initially 0.

    Raises:
        ValueError: Another ``dim``, or an input of other channels.

    Source: Singhal, Xing & Yu, "Co-domain symmetry for complex-valued deep learning", 2022.

    Examples:
        >>> layer = ComplexScale(1)
        >>> _ = nn.init.constant_(layer.weight_imag, 2)
        >>> layer(torch.tensor([[3 + 4j]])).detach()
        tensor([[-5.+10.j]])
    """

    def __init__(
        self,
        channels: int,
        dim: int = 1,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(channels, dim)
        options = parameter_options(device, dtype)
        self.weight_real = nn.Parameter(torch.ones(channels, **options))
        self.weight_imag = nn.Parameter(torch.zeros(channels, **options))

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return the real and the imaginary parts, [C] each."""
        return self.weight_real, self.weight_imag
