"""Initialisation of complex weights, and of the weights of the real layers they are compared with.

Both schemes give a complex weight the power E|W|^2 = 2 sigma^2 with sigma^2 = 1 / fan_in (He) or
1 / (fan_in + fan_out) (Glorot), whatever its shape.

Source: DCN, section 3.6.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

__all__ = [
    "Criterion",
    "Scheme",
    "check_real",
    "copy_real",
    "fans",
    "init_complex_",
    "init_real_",
    "parameter_options",
    "rayleigh_",
    "refine_",
    "uniform_",
    "unitary_",
    "weight_std",
]

Criterion = Literal["he", "glorot"]
Scheme = Literal["unitary", "rayleigh"]
Layer = TypeVar("Layer", bound=nn.Module)
_HALF = (torch.float16, torch.bfloat16)


def fans(weight: Tensor) -> tuple[int, int]:
    """Return the numbers of input and of output connections of a unit.

    Args:
        weight: Shape [O, I, *K].

    Returns:
        fan_in = I * prod(K) and fan_out = O * prod(K).

    Examples:
        >>> fans(torch.empty(5, 3, 7))
        (21, 35)
    """
    receptive = math.prod(weight.shape[2:])
    return weight.shape[1] * receptive, weight.shape[0] * receptive


def weight_std(weight: Tensor, criterion: Criterion = "he") -> float:
    """Return the standard deviation sqrt(E|W|^2) of a complex weight under a criterion.

    Args:
        weight: Shape [O, I, *K].
        criterion: "he" (for ReLU-like activations) or "glorot".

    Returns:
        sqrt(2 / fan_in) or sqrt(2 / (fan_in + fan_out)).

    Raises:
        ValueError: Unknown criterion.
    """
    fan_in, fan_out = fans(weight)
    if criterion == "he":
        return math.sqrt(2 / fan_in)
    if criterion == "glorot":
        return math.sqrt(2 / (fan_in + fan_out))
    raise ValueError(f"The criterion must be 'he' or 'glorot', not {criterion!r}.")


@torch.no_grad()
def rayleigh_(real: Tensor, imag: Tensor, criterion: Criterion = "he") -> None:
    """Fill a complex weight with Rayleigh magnitudes and uniform phases, in place.

    Args:
        real: Real part, shape [O, I, *K].
        imag: Imaginary part, same shape.
        criterion: "he" or "glorot".
    """
    sigma = weight_std(real, criterion) / math.sqrt(2)
    # Uniform numbers of half precision are too few: no magnitude would exceed 3.3 (bfloat16) or 3.9 (float16) sigma.
    dtype = torch.float32 if real.dtype in _HALF else real.dtype
    # Inverse transform sampling; 1 - U lies in (0, 1], where the logarithm is finite.
    length = sigma * torch.sqrt(-2 * torch.log1p(-torch.rand_like(real, dtype=dtype)))
    phase = torch.empty_like(real, dtype=dtype).uniform_(-math.pi, math.pi)
    real.copy_(length * phase.cos())
    imag.copy_(length * phase.sin())


@torch.no_grad()
def unitary_(real: Tensor, imag: Tensor, criterion: Criterion = "he") -> None:
    """Fill a complex weight with a scaled semi-unitary matrix, drawn uniformly, in place.

    Args:
        real: Real part, shape [O, I, *K]; the matrix is [O, I * prod(K)].
        imag: Imaginary part, same shape.
        criterion: "he" or "glorot".
    """
    rows, columns = real.shape[0], real[0].numel()
    noise = torch.randn(max(rows, columns), min(rows, columns), dtype=torch.complex128)
    q, r = torch.linalg.qr(noise)
    # Without these phases Q is not Haar distributed (Mezzadri, "How to generate random matrices", 2007).
    q = q * torch.sgn(r.diagonal())
    matrix = q if rows >= columns else q.mH
    # E|Q|^2 = 1 / max(rows, columns), because its columns (or rows) have norm 1.
    matrix = matrix * (weight_std(real, criterion) * math.sqrt(max(rows, columns)))
    real.copy_(matrix.real.reshape(real.shape))
    imag.copy_(matrix.imag.reshape(imag.shape))


@torch.no_grad()
def uniform_(real: Tensor, imag: Tensor, criterion: Criterion = "he") -> None:
    """Fill a complex weight with independent uniform real and imaginary parts, in place.

    (Independent normal parts have Rayleigh magnitudes and uniform phases: they are :func:`rayleigh_`.)

    Args:
        real: Real part, shape [O, I, *K].
        imag: Imaginary part, same shape.
        criterion: "he" or "glorot".

    Source: He et al., "Delving deep into rectifiers", 2015, and Glorot & Bengio, "Understanding the difficulty of
    training deep feedforward neural networks", 2010, for each part.
    """
    bound = weight_std(real, criterion) * math.sqrt(3 / 2)  # of a part of half the power
    real.uniform_(-bound, bound)
    imag.uniform_(-bound, bound)


def init_complex_(real: Tensor, imag: Tensor, scheme: Scheme = "unitary", criterion: Criterion = "he") -> None:
    """Fill a complex weight by the named scheme, in place.

    Args:
        real: Real part, shape [O, I, *K].
        imag: Imaginary part, same shape.
        scheme: "unitary" or "rayleigh".
        criterion: "he" or "glorot".

    Raises:
        ValueError: Unknown scheme or criterion.
    """
    schemes = {"unitary": unitary_, "rayleigh": rayleigh_}
    if scheme not in schemes:
        raise ValueError(f"The scheme must be 'unitary' or 'rayleigh', not {scheme!r}.")
    # A meta tensor has no values, and importing its decompositions takes two seconds. One without entries has no fan.
    if not real.is_meta and real.numel():
        schemes[scheme](real, imag, criterion)


def init_real_(weight: Tensor, scheme: Scheme = "unitary", criterion: Criterion = "he") -> None:
    """Fill a real weight by the real counterpart of a complex scheme, in place.

    The counterpart of "unitary" is orthogonal (gain sqrt 2 for He, 1 for Glorot), that of "rayleigh" is normal.

    Args:
        weight: Shape [O, I, *K].
        scheme: "unitary" or "rayleigh".
        criterion: "he" or "glorot".

    Raises:
        ValueError: Unknown scheme or criterion.
    """
    if criterion not in ("he", "glorot"):
        raise ValueError(f"The criterion must be 'he' or 'glorot', not {criterion!r}.")
    if scheme not in ("unitary", "rayleigh"):
        raise ValueError(f"The scheme must be 'unitary' or 'rayleigh', not {scheme!r}.")
    if weight.is_meta:
        return
    if weight.dtype in _HALF:  # which have no QR decomposition
        wide = weight.float()
        init_real_(wide, scheme, criterion)
        weight.data.copy_(wide)
    elif scheme == "unitary":
        nn.init.orthogonal_(weight, gain=math.sqrt(2) if criterion == "he" else 1.0)
    elif criterion == "he":
        nn.init.kaiming_normal_(weight)
    else:
        nn.init.xavier_normal_(weight)


@torch.no_grad()
def refine_(tensor: Tensor, before: torch.dtype, start: float) -> None:
    """Write a start value in full precision wherever a tensor holds it as rounded by a narrower dtype, in place.

    Args:
        tensor: Any shape, after its conversion to a wider dtype; of the same dtype or a narrower one it is unchanged.
        before: Its dtype before.
        start: The start value.
    """
    if torch.finfo(tensor.dtype).eps < torch.finfo(before).eps:
        rounded = torch.tensor(start, dtype=before, device=tensor.device)
        tensor.copy_(torch.where(tensor == rounded, start, tensor))


def parameter_options(device: torch.device | str | int | None, dtype: torch.dtype | None) -> dict[str, Any]:
    """Return the keyword arguments that make a parameter on a device and of a dtype.

    Args:
        device: Device; that of ``torch.set_default_device`` when None.
        dtype: A real floating-point dtype; that of ``torch.set_default_dtype`` when None.

    Raises:
        ValueError: Another dtype.
    """
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype is that of the real parameters, for example torch.float32, not {dtype}.")
    return {"device": device, "dtype": dtype}


def check_real(layer: type, real: nn.Module, kind: type) -> None:
    """Raise TypeError unless a complex layer can be made from a real one.

    Args:
        layer: The complex layer's class, for its name.
        real: The real layer.
        kind: The class that it must be of; one with another ``forward`` is no such layer.
    """
    name = f"{layer.__name__}.from_real takes {kind.__module__.split('.')[0]}'s {kind.__name__}"
    if not isinstance(real, kind) or type(real).forward is not kind.forward:  # type: ignore[attr-defined]
        raise TypeError(f"{name}, not {type(real).__name__}.")
    weight: Any = real.weight
    if is_lazy(weight) or not weight.is_floating_point():
        raise TypeError(f"{name} of real weights; run a lazy layer once before.")


def copy_real(layer: Layer, real: Any) -> Layer:
    """Give a complex layer the weights of a real one as real parts, and zeros as imaginary parts.

    Args:
        layer: Complex layer with ``weight_real``, ``weight_imag`` and ``bias``, perhaps on the meta device.
        real: Real layer of the same sizes, with ``weight`` and ``bias``; shares no memory with the result.

    Returns:
        The layer, in training mode if the real one is.
    """
    # A weight with a parametrization is no parameter.
    weight, trained = real.weight.detach(), real.weight.requires_grad or not isinstance(real.weight, nn.Parameter)
    layer.weight_real = nn.Parameter(weight.clone(), trained)
    layer.weight_imag = nn.Parameter(torch.zeros_like(weight), trained)
    if real.bias is not None:
        bias = real.bias.detach()
        layer.bias = nn.Parameter(torch.cat([bias, torch.zeros_like(bias)]), real.bias.requires_grad)
    return layer.train(real.training)
