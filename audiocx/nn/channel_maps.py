"""Learnable linear maps of each channel: a real 2x2 matrix with a shift, a complex factor, a phase shift."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .functional import accepts_complex, check_channels, split
from .init import parameter_options

__all__ = ["ComplexAffine", "ComplexPhaseShift", "ComplexScale"]


class _ChannelMap(nn.Module):
    """A layer with parameters for each channel."""

    def __init__(self, channels: int, dim: int = 1) -> None:
        super().__init__()
        if dim not in (1, -1):
            raise ValueError(
                f"The channel axis dim must be 1, of inputs [B, 2C, *], or -1, of inputs [*, 2C], not {dim}."
            )
        self.channels, self.dim = channels, dim

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, self.channels, self.dim)

    def _shaped(self, x: Tensor, *parts: Tensor) -> list[Tensor]:
        """Return parameters [C] in an input's dtype, with its axes."""
        shape = [1] * x.ndim
        shape[self.dim] = -1
        return [part.to(x.dtype).view(shape) for part in parts]

    def extra_repr(self) -> str:
        """Return the size shown by ``repr``."""
        return f"{self.channels}{'' if self.dim == 1 else f', dim={self.dim}'}"


class ComplexAffine(_ChannelMap):
    """Widely linear map of each channel: (Re y, Im y) = M (Re z, Im z) + b, with a general real 2x2 matrix M.

    The affine part of other libraries' normalisations, whose M need not be symmetric as in :class:`ComplexBatchNorm`;
    :func:`from_complextorch` and :func:`from_torchcvnn` put it after a normalisation where it is not.

    Args:
        channels: C, complex channels.
        dim: Channel axis, 1 or -1.
        device: Of the parameters.
        dtype: Of the parameters, real.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *]; with ``dim=-1`` [*, 2C] or [*, C].
        - Output: same shape and kind as the input.

    Attributes:
        weight: Entries rr, ri, ir and ii of M, float32 [4, C], initially the identity.
        bias: Real parts of b, then imaginary parts, float32 [2C], initially 0.

    Raises:
        ValueError: Another ``dim``, or an input of other channels.

    Source: Picinbono and Chevalier, "Widely linear estimation with complex data", 1995.

    Examples:
        >>> layer = ComplexAffine(1)
        >>> with torch.no_grad():
        ...     _ = layer.weight.copy_(torch.tensor([[1.0], [0.0], [0.0], [-1.0]]))  # the conjugate
        >>> layer(torch.tensor([[3 + 4j]])).detach()
        tensor([[3.-4.j]])
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
        self.weight = nn.Parameter(torch.zeros(4, channels, **options))
        nn.init.ones_(self.weight[::3])
        self.bias = nn.Parameter(torch.zeros(2 * channels, **options))

    @accepts_complex(dim=lambda layer, x: layer.dim)
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        rr, ri, ir, ii, b_real, b_imag = self._shaped(x, *self.weight, *self.bias.chunk(2))
        real, imag = split(x, self.dim)
        parts = [(b_real, rr, ri), (b_imag, ir, ii)]
        return torch.cat([torch.addcmul(torch.addcmul(b, a, real), c, imag) for b, a, c in parts], self.dim)


class _Factors(_ChannelMap):
    """Multiply channels by complex numbers, which ``factors`` returns."""

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return the real and the imaginary parts, [C] each."""
        raise NotImplementedError

    @accepts_complex(dim=lambda layer, x: layer.dim)
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        a, b = self._shaped(x, *self.factors())
        real, imag = split(x, self.dim)
        return torch.cat([torch.addcmul(a * real, b, imag, value=-1), torch.addcmul(b * real, a, imag)], self.dim)


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
