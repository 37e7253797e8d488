"""Spectral norm and weight norm of complex weights, as ``torch.nn.utils.parametrizations`` has them of real ones.

A complex weight is two real parameters, ``weight_real`` and ``weight_imag``. Both are scaled by one number per weight,
or per filter, that depends on both.
"""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .functional import complex_linear

__all__ = ["complex_spectral_norm", "complex_weight_norm", "remove_complex_norm"]

_REAL, _IMAG = "weight_real", "weight_imag"
# Of the power iteration, when the norm is registered, as in torch.nn.utils.parametrizations.
_FIRST_ITERATIONS = 15

Layer = TypeVar("Layer", bound=nn.Module)


def complex_weight_norm(layer: Layer, dim: int | None = 0) -> Layer:
    """Learn magnitude and direction of a layer's complex weight apart: W = g V / ||V||.

    ||V|| is the root of the sum of |V|^2, real, and g a learnable real number, per index of ``dim``. W does not change
    at first.

    Args:
        layer: :class:`audiocx.nn.ComplexLinear` or a complex convolution; it is changed.
        dim: Axis of the weight with a norm for each index, 0 (outputs) for all but transposed convolutions, which have
            their outputs at 1; None for one norm of the whole weight.

    Returns:
        The layer. ``parametrizations.weight_real[0].magnitude`` is g, the ``original`` of ``weight_real`` and
        ``weight_imag`` are V.

    Raises:
        ValueError: The layer has no complex weight, or one that is parametrised already; or no such axis.

    Source: Salimans and Kingma, "Weight normalization", NIPS 2016.

    Examples:
        >>> from audiocx.nn import ComplexLinear
        >>> layer = complex_weight_norm(ComplexLinear(4, 3))
        >>> layer.parametrizations.weight_real[0].magnitude.shape
        torch.Size([3, 1])
    """
    real, imag = _parts(layer)
    return _register(layer, _Magnitude(real, imag, dim))


def complex_spectral_norm(layer: Layer, n_power_iterations: int = 1, eps: float = 1e-12, dim: int = 0) -> Layer:
    """Divide a layer's complex weight by its spectral norm, the greatest singular value of the complex matrix W.

    Of a convolution, W is the matrix [O, I / groups * prod(K)]. The singular vectors follow W by power iterations, at
    every use in training mode; evaluation keeps them.

    Args:
        layer: :class:`audiocx.nn.ComplexLinear` or a complex convolution; it is changed.
        n_power_iterations: Power iterations at every use.
        eps: Least norm that vectors are divided by.
        dim: Axis of the weight that is the matrix's first, 0 for all but transposed convolutions, which take 1.

    Returns:
        The layer. The ``original`` of ``weight_real`` and ``weight_imag`` are not divided.

    Raises:
        ValueError: The layer has no complex weight, or one that is parametrised already; or fewer than 1 iteration.

    Source: Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018.

    Examples:
        >>> from audiocx.nn import ComplexLinear
        >>> layer = complex_spectral_norm(ComplexLinear(4, 3), n_power_iterations=50)
        >>> weight = torch.complex(layer.weight_real, layer.weight_imag)
        >>> round(torch.linalg.matrix_norm(weight, 2).item(), 3)
        1.0
    """
    if n_power_iterations < 1:
        raise ValueError(f"n_power_iterations must be at least 1, not {n_power_iterations}.")
    real, imag = _parts(layer)
    return _register(layer, _Spectral(real, imag, n_power_iterations, eps, dim))


@torch.no_grad()
def remove_complex_norm(layer: Layer) -> Layer:
    """Make a layer's complex weight, as it is now, a plain parameter again.

    Args:
        layer: A layer with :func:`complex_weight_norm` or :func:`complex_spectral_norm`; it is changed.

    Returns:
        The layer.

    Raises:
        ValueError: The layer has neither.
    """
    if not (parametrize.is_parametrized(layer, _IMAG) and isinstance(layer.parametrizations[_IMAG][0], _Scaled)):  # type: ignore[index]
        raise ValueError(f"{type(layer).__name__} has neither complex_weight_norm nor complex_spectral_norm.")
    values = {_REAL: layer.weight_real.clone(), _IMAG: layer.weight_imag.clone()}  # type: ignore[operator]
    for name, value in values.items():
        parametrize.remove_parametrizations(layer, name, leave_parametrized=False)
        getattr(layer, name).copy_(value)
    return layer


def _parts(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the real and the imaginary part of a layer's weight."""
    if not all(isinstance(layer._parameters.get(name), Tensor) for name in (_REAL, _IMAG)):
        reason = "is parametrised already" if parametrize.is_parametrized(layer) else "has no complex weight"
        raise ValueError(f"{type(layer).__name__} {reason}; give a complex linear layer or convolution without norm.")
    return layer.weight_real.detach(), layer.weight_imag.detach()  # type: ignore[operator]


def _register(layer: Layer, norm: _Norm) -> Layer:
    # Unsafe means only that the parametrisation is not tried out, which it cannot be with one part registered.
    parametrize.register_parametrization(layer, _REAL, norm, unsafe=True)
    parametrize.register_parametrization(layer, _IMAG, _Scaled(layer), unsafe=True)
    norm.other = (layer,)
    return layer


def _original(layer: nn.Module, name: str) -> Tensor:
    if not parametrize.is_parametrized(layer, name):
        raise RuntimeError(f"{name} is a plain parameter by now; remove both parts with remove_complex_norm.")
    original: Tensor = layer.parametrizations[name].original  # type: ignore[index,union-attr]
    return original


class _Norm(nn.Module):
    """Parametrisation of the real part, which knows the scale of both."""

    # In a tuple, not to be a submodule of its own submodule; deepcopy follows it.
    other: tuple[nn.Module, ...] = ()

    def scale(self, real: Tensor, imag: Tensor) -> Tensor:
        """Return what both parts are multiplied by."""
        raise NotImplementedError

    def update(self, real: Tensor, imag: Tensor) -> None:
        """Follow the weight, once for both parts."""

    def forward(self, real: Tensor) -> Tensor:
        """Return the real part of the normalised weight."""
        if not self.other:  # while it is registered
            return real
        imag = _original(self.other[0], _IMAG)
        self.update(real, imag)
        return real * self.scale(real, imag)


class _Scaled(nn.Module):
    """Parametrisation of the imaginary part, by the scale that the real part's has."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.other = (layer,)

    def forward(self, imag: Tensor) -> Tensor:
        """Return the imaginary part of the normalised weight."""
        (layer,) = self.other
        real = _original(layer, _REAL)
        norm: _Norm = layer.parametrizations[_REAL][0]  # type: ignore[index,assignment]
        return imag * norm.scale(real, imag)


class _Magnitude(_Norm):
    def __init__(self, real: Tensor, imag: Tensor, dim: int | None) -> None:
        super().__init__()
        if dim is not None and not -real.ndim <= dim < real.ndim:
            raise ValueError(f"dim must be None or an axis of the weight, -{real.ndim} to {real.ndim - 1}, not {dim}.")
        self.axes = tuple(axis for axis in range(real.ndim) if dim is None or axis != dim % real.ndim)
        self.magnitude = nn.Parameter(self._length(real, imag))

    def _length(self, real: Tensor, imag: Tensor) -> Tensor:
        return torch.linalg.vector_norm(torch.stack([real, imag]), dim=(0, *(a + 1 for a in self.axes)), keepdim=True)[
            0
        ]

    def scale(self, real: Tensor, imag: Tensor) -> Tensor:
        return self.magnitude / self._length(real, imag)


def _full_precision(weight: Tensor) -> torch.autocast:
    """Return a context without autocast, under which the singular value would be of half precision."""
    return torch.autocast("cpu" if weight.is_meta else weight.device.type, enabled=False)


class _Spectral(_Norm):
    left: Tensor
    right: Tensor

    def __init__(self, real: Tensor, imag: Tensor, iterations: int, eps: float, dim: int) -> None:
        super().__init__()
        self.iterations, self.eps, self.dim = iterations, eps, dim
        rows, columns = self._matrix(real).shape
        # Singular vectors, real parts first.
        self.register_buffer("left", F.normalize(real.new_empty(2 * rows).normal_(), dim=0, eps=eps))
        self.register_buffer("right", F.normalize(real.new_empty(2 * columns).normal_(), dim=0, eps=eps))
        self._iterate(real, imag, _FIRST_ITERATIONS)

    def _matrix(self, part: Tensor) -> Tensor:
        return part.transpose(0, self.dim).flatten(1)

    @torch.no_grad()
    def _iterate(self, real: Tensor, imag: Tensor, iterations: int) -> None:
        real, imag = self._matrix(real), self._matrix(imag)
        left, right = self.left, self.right
        for _ in range(iterations):
            left = F.normalize(complex_linear(right, real, imag), dim=0, eps=self.eps)
            right = F.normalize(complex_linear(left, real.T, -imag.T), dim=0, eps=self.eps)  # by W^H
        self.left.copy_(left)
        self.right.copy_(right)

    def update(self, real: Tensor, imag: Tensor) -> None:
        if self.training:
            with _full_precision(real):
                self._iterate(real, imag, self.iterations)

    def scale(self, real: Tensor, imag: Tensor) -> Tensor:
        # Copies, because the next iteration overwrites what the backward pass still needs.
        left, right = self.left.clone(), self.right.clone()
        with _full_precision(real):
            # Re(u^H W v), as the real matrix gives it.
            return 1 / torch.dot(left, complex_linear(right, self._matrix(real), self._matrix(imag)))
