"""Complex activations.

Layers with an argument ``dim`` have their channels at that axis of the input: 1 for feature maps [B, 2C, *], the
default, or -1 for sequences [*, 2C].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from .functional import (
    SoftmaxVariant,
    accepts_complex,
    cardioid,
    cgelu,
    check_channels,
    complex_softmax,
    cprelu,
    crelu,
    csigmoid,
    ctanh,
    modrelu,
    modtanh,
    to_channels,
    to_complex,
    zrelu,
)
from .init import parameter_options

__all__ = [
    "ActivationName",
    "CGELU",
    "CPReLU",
    "CReLU",
    "CSigmoid",
    "CTanh",
    "Cardioid",
    "ComplexSoftmax",
    "ModReLU",
    "ModTanh",
    "ZReLU",
    "activation_layer",
    "channel_axis",
]

ActivationName = Literal["crelu", "zrelu", "modrelu", "cprelu", "cgelu", "ctanh", "csigmoid", "cardioid", "modtanh"]


def channel_axis(layer: Any, x: Tensor) -> int:
    """Return the channel axis, 0 of a vector: layers without parameters take any shape of a complex tensor."""
    return min(getattr(layer, "dim", 1), x.ndim - 1)


def _check_axis(dim: int) -> int:
    if dim not in (1, -1):
        raise ValueError(f"The channel axis dim must be 1, of inputs [B, 2C, *], or -1, of inputs [*, 2C], not {dim}.")
    return dim


class CReLU(nn.Module):
    """ReLU on the real and on the imaginary part: CReLU(z) = ReLU(Re z) + i ReLU(Im z).

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Source: DCN, section 3.4.

    Examples:
        >>> CReLU()(torch.tensor([[1 + 2j, -1 + 2j, -1 - 2j]]))
        tensor([[1.+2.j, 0.+2.j, 0.+0.j]])
    """

    @accepts_complex(dim=channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.crelu`."""
        return crelu(x)


class CTanh(nn.Module):
    """Hyperbolic tangent of the real and of the imaginary part: CTanh(z) = tanh(Re z) + i tanh(Im z).

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Source: Hirose & Yoshida, "Generalization characteristics of complex-valued feedforward neural networks", 2012.

    Examples:
        >>> CTanh()(torch.tensor([[1 + 100j, 0j]]))
        tensor([[0.7616+1.j, 0.0000+0.j]])
    """

    @accepts_complex(dim=channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.ctanh`."""
        return ctanh(x)


class CSigmoid(nn.Module):
    """Logistic function of the real and of the imaginary part.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Examples:
        >>> CSigmoid()(torch.tensor([[100j, -100 + 0j]]))
        tensor([[0.5000+1.0000j, 0.0000+0.5000j]])
    """

    @accepts_complex(dim=channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.csigmoid`."""
        return csigmoid(x)


class CGELU(nn.Module):
    """GELU of the real and of the imaginary part.

    Args:
        approximate: "none" or "tanh", as in torch.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Raises:
        ValueError: Unknown approximation.

    Source: Hendrycks & Gimpel, "Gaussian error linear units", 2016, on each part.

    Examples:
        >>> CGELU()(torch.tensor([[1 + 2j, -100 + 0j]]))
        tensor([[0.8413+1.9545j, -0.0000+0.0000j]])
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"The approximation must be 'none' or 'tanh', not {approximate!r}.")
        self.approximate = approximate

    @accepts_complex(dim=channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.cgelu`."""
        return cgelu(x, self.approximate)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"approximate={self.approximate!r}"


class ZReLU(nn.Module):
    """Identity where both parts are non-negative (phase in [0, pi/2]), 0 elsewhere.

    Args:
        dim: Channel axis.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Source: Guberman, "On complex valued convolutional neural networks", 2016; DCN, section 3.4.

    Examples:
        >>> ZReLU()(torch.tensor([[3 + 4j, -3 + 4j, -3 - 4j]])).abs()
        tensor([[5., 0., 0.]])
    """

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    @accepts_complex(dim=channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.zrelu`."""
        return zrelu(x, channel_axis(self, x))


class Cardioid(nn.Module):
    """Scale by the phase, which is kept: (1 + cos(arg z)) z / 2; ReLU on the real axis.

    Args:
        dim: Channel axis.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Source: Virtue, Yu & Lustig, "Better than real: complex-valued neural nets for MRI fingerprinting", 2017.

    Examples:
        >>> Cardioid()(torch.tensor([[2 + 0j, 2j, -2 + 0j]]))
        tensor([[2.+0.j, 0.+1.j, -0.+0.j]])
    """

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    @accepts_complex(dim=channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.cardioid`."""
        return cardioid(x, channel_axis(self, x))


class ModTanh(nn.Module):
    """Hyperbolic tangent of the magnitude; the phase is kept: tanh(|z|) z / |z|.

    Args:
        dim: Channel axis.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input.

    Source: Hirose, "Continuous complex-valued back-propagation learning", 1992.

    Examples:
        >>> ModTanh()(torch.tensor([[30 + 40j, 0j]]))
        tensor([[0.6000+0.8000j, 0.0000+0.0000j]])
    """

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    @accepts_complex(dim=channel_axis)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.modtanh`."""
        return modtanh(x, channel_axis(self, x))


class ModReLU(nn.Module):
    """ReLU on the shifted magnitude; the phase is kept: modReLU(z) = ReLU(|z| + b) z / |z|.

    Args:
        channels: C, complex channels. Each has a learnable real bias b, initially 0.
        dim: Channel axis, 1 or -1.
        device: Of the parameter.
        dtype: Of the parameter, real.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *]; with dim=-1, [*, 2C] or [*, C].
        - Output: same shape and kind as the input.

    Raises:
        ValueError: Another ``dim``, or an input of another number of channels; with dim=1 one without batch is not
            taken.

    Source: Arjovsky et al., "Unitary Evolution Recurrent Neural Networks", 2016, equation 8.

    Examples:
        >>> layer = ModReLU(1)
        >>> _ = nn.init.constant_(layer.bias, -2.5)
        >>> layer(torch.tensor([[3 + 4j]])).detach()
        tensor([[1.5000+2.j]])
    """

    def __init__(
        self,
        channels: int,
        dim: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.dim = _check_axis(dim)
        self.bias = nn.Parameter(torch.zeros(channels, **parameter_options(device, dtype)))

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, len(self.bias), self.dim)

    @accepts_complex(dim=lambda layer, x: layer.dim)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.modrelu`."""
        return modrelu(x, self.bias, self.dim)

    def extra_repr(self) -> str:
        """Return the size shown by ``repr``."""
        return f"{len(self.bias)}{'' if self.dim == 1 else f', dim={self.dim}'}"


class CPReLU(nn.Module):
    """Leaky ReLU of learnable slopes on the real and on the imaginary part.

    Args:
        channels: C, complex channels. Each has two slopes.
        init: Their start value.
        dim: Channel axis, 1 or -1.
        device: Of the parameter.
        dtype: Of the parameter, real.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *]; with dim=-1, [*, 2C] or [*, C].
        - Output: same shape and kind as the input.

    Attributes:
        weight: Slopes below 0 of the real parts, then of the imaginary parts, [2C].

    Raises:
        ValueError: Another ``dim``, or an input of another number of channels; with dim=1 one without batch is not
            taken.

    Source: He et al., "Delving deep into rectifiers", 2015, equation 1, on each part.

    Examples:
        >>> CPReLU(1)(torch.tensor([[3 - 4j]])).detach()
        tensor([[3.-1.j]])
    """

    def __init__(
        self,
        channels: int,
        init: float = 0.25,
        dim: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.dim = _check_axis(dim)
        self.weight = nn.Parameter(torch.full((2 * channels,), init, **parameter_options(device, dtype)))

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input fits, real or complex."""
        check_channels(self, x, len(self.weight) // 2, self.dim)

    @accepts_complex(dim=lambda layer, x: layer.dim)
    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.cprelu`."""
        return cprelu(x, self.weight, self.dim)

    def extra_repr(self) -> str:
        """Return the size shown by ``repr``."""
        return f"{len(self.weight) // 2}{'' if self.dim == 1 else f', dim={self.dim}'}"


class ComplexSoftmax(nn.Module):
    """Softmax of complex numbers.

    Args:
        variant: "phase": softmax(|z|) z / |z|; "magnitude": softmax(|z|); "real": softmax(Re z); "split":
            softmax(Re z) + i softmax(Im z).
        over: Axis along which magnitudes, or parts, add up to 1; the channel axis when None.
        dim: Channel axis.

    Shape:
        - Input: real [B, 2C, *], real parts first, or complex [B, C, *].
        - Output: same shape and kind as the input; real [B, C, *] of "magnitude" and "real".

    Raises:
        ValueError: Unknown variant.

    Source: Eilers & Jiang, "Building blocks for a complex-valued transformer architecture", 2023.

    Examples:
        >>> ComplexSoftmax("magnitude")(torch.tensor([[3 + 4j, 5 + 0j]]))
        tensor([[0.5000, 0.5000]])
        >>> ComplexSoftmax("phase")(torch.tensor([[3 + 4j, 5 + 0j]]))
        tensor([[0.3000+0.4000j, 0.5000+0.0000j]])
    """

    def __init__(self, variant: SoftmaxVariant = "phase", over: int | None = None, dim: int = 1) -> None:
        super().__init__()
        if variant not in get_args(SoftmaxVariant):
            raise ValueError(f"The variant must be 'phase', 'magnitude', 'real' or 'split', not {variant!r}.")
        self.variant, self.over, self.dim = variant, over, dim

    def forward(self, x: Tensor) -> Tensor:
        """Apply :func:`audiocx.nn.functional.complex_softmax`."""
        axis = channel_axis(self, x)
        y = complex_softmax(to_channels(x, axis) if x.is_complex() else x, axis, self.variant, self.over)
        return to_complex(y, axis) if x.is_complex() and self.variant in ("phase", "split") else y

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"{self.variant!r}, over={self.over}, dim={self.dim}"


def activation_layer(
    name: ActivationName,
    channels: int,
    dim: int = 1,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """Construct an activation by its name.

    Args:
        name: "crelu", "zrelu", "modrelu", "cprelu", "cgelu", "ctanh", "csigmoid", "cardioid" or "modtanh".
        channels: C, complex channels of its input.
        dim: Channel axis, 1 or -1.
        device: Of its parameters, if it has any.
        dtype: Of its parameters, real.

    Returns:
        The layer.

    Raises:
        ValueError: Unknown name.

    Examples:
        >>> activation_layer("modrelu", 4, dim=-1)
        ModReLU(4, dim=-1)
    """
    layers: dict[str, Callable[[], nn.Module]] = {
        "crelu": CReLU,
        "ctanh": CTanh,
        "csigmoid": CSigmoid,
        "cgelu": CGELU,
        "zrelu": lambda: ZReLU(dim),
        "cardioid": lambda: Cardioid(dim),
        "modtanh": lambda: ModTanh(dim),
        "modrelu": lambda: ModReLU(channels, dim, device, dtype),
        "cprelu": lambda: CPReLU(channels, dim=dim, device=device, dtype=dtype),
    }
    if name not in layers:
        raise ValueError(f"The activation must be one of {', '.join(sorted(layers))}, not {name!r}.")
    return layers[name]()
