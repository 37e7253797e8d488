"""Losses of complex spectra and of signals: functions, and modules that call them.

Spectra are native complex tensors [B, C, *] or real channels [B, 2C, *], real parts first; input and target alike. All
losses are computed in float32 at least, and have finite gradients everywhere, also at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import describe, magnitude, radial, split
from .spectrum import STFT

__all__ = [
    "ComplexMSELoss",
    "LogMagnitudeLoss",
    "MultiResolutionSTFTLoss",
    "PhaseLoss",
    "PhaseVariant",
    "Reduction",
    "SISDRLoss",
    "complex_mse_loss",
    "log_magnitude_loss",
    "multi_resolution_stft_loss",
    "phase_loss",
    "si_sdr",
    "si_sdr_loss",
    "spectral_convergence",
]

Reduction = Literal["mean", "sum", "none"]
PhaseVariant = Literal["cosine", "wrapped"]
# n_fft, hop and window in samples, of Yamamoto et al., table 1.
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
_HALF = (torch.float16, torch.bfloat16)


def _reduce(loss: Tensor, reduction: Reduction) -> Tensor:
    if reduction not in get_args(Reduction):
        raise ValueError(f"The reduction must be 'mean', 'sum' or 'none', not {reduction!r}.")
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def _check_alike(input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape or input.is_complex() != target.is_complex():
        raise ValueError(
            f"Input and target have one shape and are both real or both complex, not {describe(input)} and "
            f"{describe(target)}."
        )


def _as_channels(z: Tensor, dim: int) -> tuple[Tensor, int]:
    """Return real channels of float32 or float64, and their axis: of a complex tensor a last axis of both parts."""
    return (torch.view_as_real(z.resolve_conj()), -1) if z.is_complex() else (_wide(z), dim)


def _distance(
    function: Callable[[Tensor, Tensor, int], Tensor], input: Tensor, target: Tensor, reduction: Reduction, dim: int
) -> Tensor:
    """Return a function of two real channels, of each complex number, reduced."""
    _check_alike(input, target)
    (x, axis), (y, _) = _as_channels(input, dim), _as_channels(target, dim)
    loss = function(x, y, axis)
    return _reduce(loss.squeeze(-1) if input.is_complex() else loss, reduction)


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in _HALF else x


def complex_mse_loss(input: Tensor, target: Tensor, reduction: Reduction = "mean", dim: int = 1) -> Tensor:
    """Return the squared error |input - target|^2 of complex numbers.

    Args:
        input: Complex [B, C, *] or real channels [B, 2C, *].
        target: Same shape and kind.
        reduction: "mean" over complex numbers, "sum" or "none".
        dim: Channel axis of real channels.

    Returns:
        Real scalar, or [B, C, *] without reduction.

    Raises:
        ValueError: Shapes that differ, or an unknown reduction.

    Examples:
        >>> complex_mse_loss(torch.tensor([[3 + 4j, 0j]]), torch.zeros(1, 2, dtype=torch.complex64))
        tensor(12.5000)
    """
    if reduction == "mean":  # in one pass, as real numbers, of which there are twice as many
        _check_alike(input, target)
        (x, axis), (y, _) = _as_channels(input, dim), _as_channels(target, dim)
        split(x, axis)  # refuses an odd number
        return 2 * F.mse_loss(x, y)
    return _distance(_squared_error, input, target, reduction, dim)


def _squared_error(x: Tensor, y: Tensor, dim: int) -> Tensor:
    real, imag = split(x - y, dim)
    return real * real + imag * imag


def log_magnitude_loss(
    input: Tensor, target: Tensor, eps: float = 1e-5, reduction: Reduction = "mean", dim: int = 1
) -> Tensor:
    """Return the distance of log magnitudes, |log |input| - log |target||.

    Args:
        input: Complex [B, C, *] or real channels [B, 2C, *].
        target: Same shape and kind.
        eps: Magnitudes below it count as it, without gradient.
        reduction: "mean" over complex numbers, "sum" or "none".
        dim: Channel axis of real channels.

    Returns:
        Real scalar, or [B, C, *] without reduction; natural logarithms (1 is 8.7 dB).

    Raises:
        ValueError: Shapes that differ, or an unknown reduction.

    Source: Arik et al., "Fast spectrogram inversion using multi-head convolutional neural networks", 2018.

    Examples:
        >>> log_magnitude_loss(torch.tensor([[3 + 4j]]), torch.tensor([[5 * torch.e + 0j]]))
        tensor(1.)
    """

    def level(x: Tensor, dim: int) -> Tensor:
        return magnitude(x, dim).clamp_min(eps).log()

    return _distance(lambda x, y, dim: (level(x, dim) - level(y, dim)).abs(), input, target, reduction, dim)


def spectral_convergence(input: Tensor, target: Tensor, eps: float = 1e-8, dim: int = 1) -> Tensor:
    """Return the error of magnitudes relative to those of the target, || |input| - |target| || / || target ||.

    Norms are taken over the last two axes, frequency and time.

    Args:
        input: Complex [*, F, T] or real channels [*, 2C, F, T].
        target: Same shape and kind.
        eps: Norms of the target below it count as it.
        dim: Channel axis of real channels.

    Returns:
        Real [*] or [*, C].

    Raises:
        ValueError: Shapes that differ.

    Source: Arik et al., "Fast spectrogram inversion using multi-head convolutional neural networks", 2018.

    Examples:
        >>> spectral_convergence(torch.ones(3, 4) + 0j, 2j * torch.ones(3, 4))
        tensor(0.5000)
    """
    _check_alike(input, target)
    x, y = (magnitude(*_as_channels(z, dim)) for z in (input, target))
    x, y = (x.squeeze(-1), y.squeeze(-1)) if input.is_complex() else (x, y)
    norm = torch.linalg.vector_norm(y, dim=(-2, -1)).clamp_min(eps)
    return torch.linalg.vector_norm(x - y, dim=(-2, -1)) / norm


def phase_loss(
    input: Tensor,
    target: Tensor,
    variant: PhaseVariant = "cosine",
    reduction: Reduction = "mean",
    dim: int = 1,
) -> Tensor:
    """Return the distance of phases, the same for phases that differ by 2 pi.

    Args:
        input: Complex [B, C, *] or real channels [B, 2C, *].
        target: Same shape and kind.
        variant: "cosine": 1 - cos(difference), in [0, 2]; "wrapped": |difference|, wrapped to [0, pi].
        reduction: "mean" over complex numbers, "sum" or "none".
        dim: Channel axis of real channels.

    Returns:
        Real scalar, or [B, C, *] without reduction; 0, without gradient, where either number has no phase: where it is
        0 or, in float32, below 2e-18.

    Raises:
        ValueError: Shapes that differ, or an unknown variant or reduction.

    Source: Ai & Ling, "Neural speech phase prediction based on parallel estimation architecture and anti-wrapping
    losses", 2023, for "wrapped".

    Examples:
        >>> phase_loss(torch.tensor([[3j]]), torch.tensor([[2 + 0j]]), "wrapped")
        tensor(1.5708)
    """
    distances = {"cosine": _cosine_distance, "wrapped": _wrapped_distance}
    if variant not in distances:
        raise ValueError(f"The variant must be 'cosine' or 'wrapped', not {variant!r}.")
    return _distance(distances[variant], input, target, reduction, dim)


def _phases(x: Tensor, y: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return unit numbers of the phases of both, and where both have one."""
    units = [radial(z, torch.ones_like, dim) for z in (x, y)]
    powers = [real.square() + imag.square() for real, imag in (split(unit, dim) for unit in units)]
    # Numbers too small to be divided by their magnitude are shorter.
    return units[0], units[1], torch.minimum(*powers) > 0.999


def _cosine_distance(x: Tensor, y: Tensor, dim: int) -> Tensor:
    x, y, defined = _phases(x, y, dim)
    # 1 - cos is half the square of the chord, which is exact for small differences.
    return torch.where(defined, _squared_error(x, y, dim) / 2, 0.0)


def _wrapped_distance(x: Tensor, y: Tensor, dim: int) -> Tensor:
    x, y, defined = _phases(x, y, dim)
    (a, b), (c, d) = split(x, dim), split(y, dim)
    return torch.where(defined, torch.atan2(b * c - a * d, torch.where(defined, a * c + b * d, 1.0)).abs(), 0.0)


def si_sdr(input: Tensor, target: Tensor, zero_mean: bool = False, eps: float = 1e-8) -> Tensor:
    """Return the scale-invariant signal-to-distortion ratio in dB; greater is better.

    Args:
        input: Real signals [*, N].
        target: Same shape.
        zero_mean: Subtract the means first.
        eps: Added to both energies, relative to the input's: bounds the ratio, to +-80 dB with 1e-8.

    Returns:
        Ratios [*]; 0 dB of a silent input, and -10 log10(1 + 1 / eps) beside a silent target.

    Raises:
        ValueError: Shapes that differ, or complex signals.

    Source: Le Roux et al., "SDR - half-baked or well done?", 2019.

    Examples:
        >>> si_sdr(torch.tensor([1.0, 1.0]), torch.tensor([5.0, 0.0]))
        tensor(0.)
    """
    _check_alike(input, target)
    if input.is_complex():
        raise ValueError(f"The ratio is one of real signals, not of {describe(input)}.")
    x, y = _unit(_wide(input), zero_mean), _unit(_wide(target), zero_mean)
    signal = (x * y).sum(-1, keepdim=True) * y
    power, distortion = signal.square().sum(-1), (signal - x).square().sum(-1)
    return 10 * torch.log10((power + eps) / (distortion + eps))


def _unit(x: Tensor, zero_mean: bool) -> Tensor:
    """Return signals of norm 1, or 0 for silent ones."""
    x = x - x.mean(-1, keepdim=True) if zero_mean else x
    # First of a peak of 1: squares of small numbers would vanish, those of large ones overflow.
    x = x / x.detach().abs().amax(-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(1)


def si_sdr_loss(
    input: Tensor, target: Tensor, zero_mean: bool = False, eps: float = 1e-8, reduction: Reduction = "mean"
) -> Tensor:
    """Return the negative of :func:`si_sdr`.

    Args:
        input: Real signals [*, N].
        target: Same shape.
        zero_mean: Subtract the means first.
        eps: Bounds the ratio, to +-80 dB with 1e-8.
        reduction: "mean" over signals, "sum" or "none".

    Returns:
        Scalar in dB, or [*] without reduction.

    Raises:
        ValueError: As :func:`si_sdr`, or an unknown reduction.
    """
    return _reduce(-si_sdr(input, target, zero_mean, eps), reduction)


def multi_resolution_stft_loss(
    input: Tensor,
    target: Tensor,
    resolutions: Sequence[tuple[int, int, int]] = RESOLUTIONS,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return spectral convergence plus log-magnitude distance, averaged over STFTs of several resolutions.

    Args:
        input: Real signals [*, N].
        target: Same shape.
        resolutions: n_fft, hop and window of each STFT, in samples.
        reduction: "mean" over signals, "sum" or "none".

    Returns:
        Scalar, or [*] without reduction.

    Raises:
        ValueError: Shapes that differ, signals of half the longest frame or less, or an unknown reduction.

    Source: Yamamoto, Song & Kim, "Parallel WaveGAN", 2020, equations 3 to 6.
    """
    loss = MultiResolutionSTFTLoss(resolutions, reduction, device=input.device, dtype=_wide(input).dtype)
    return loss(input, target)


class ComplexMSELoss(nn.Module):
    """Squared error |input - target|^2 of complex numbers.

    Args:
        reduction: "mean" over complex numbers, "sum" or "none".
        dim: Channel axis of real channels.

    Shape:
        - Input, target: complex [B, C, *] or real channels [B, 2C, *].
        - Output: real scalar, or [B, C, *] without reduction.
    """

    def __init__(self, reduction: Reduction = "mean", dim: int = 1) -> None:
        super().__init__()
        self.reduction, self.dim = reduction, dim

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Apply :func:`complex_mse_loss`."""
        return complex_mse_loss(input, target, self.reduction, self.dim)


class LogMagnitudeLoss(nn.Module):
    """Distance of log magnitudes, |log |input| - log |target||.

    Args:
        eps: Magnitudes below it count as it, without gradient.
        reduction: "mean" over complex numbers, "sum" or "none".
        dim: Channel axis of real channels.

    Shape:
        - Input, target: complex [B, C, *] or real channels [B, 2C, *].
        - Output: real scalar, or [B, C, *] without reduction.
    """

    def __init__(self, eps: float = 1e-5, reduction: Reduction = "mean", dim: int = 1) -> None:
        super().__init__()
        self.eps, self.reduction, self.dim = eps, reduction, dim

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Apply :func:`log_magnitude_loss`."""
        return log_magnitude_loss(input, target, self.eps, self.reduction, self.dim)


class PhaseLoss(nn.Module):
    """Distance of phases, the same for phases that differ by 2 pi.

    Args:
        variant: "cosine": 1 - cos(difference); "wrapped": |difference|, wrapped to [0, pi].
        reduction: "mean" over complex numbers, "sum" or "none".
        dim: Channel axis of real channels.

    Shape:
        - Input, target: complex [B, C, *] or real channels [B, 2C, *].
        - Output: real scalar, or [B, C, *] without reduction.
    """

    def __init__(self, variant: PhaseVariant = "cosine", reduction: Reduction = "mean", dim: int = 1) -> None:
        super().__init__()
        self.variant, self.reduction, self.dim = variant, reduction, dim

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Apply :func:`phase_loss`."""
        return phase_loss(input, target, self.variant, self.reduction, self.dim)


class SISDRLoss(nn.Module):
    """Negative scale-invariant signal-to-distortion ratio in dB.

    Args:
        zero_mean: Subtract the means first.
        eps: Bounds the ratio, to +-80 dB with 1e-8.
        reduction: "mean" over signals, "sum" or "none".

    Shape:
        - Input, target: real signals [*, N].
        - Output: scalar, or [*] without reduction.
    """

    def __init__(self, zero_mean: bool = False, eps: float = 1e-8, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.zero_mean, self.eps, self.reduction = zero_mean, eps, reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Apply :func:`si_sdr_loss`."""
        return si_sdr_loss(input, target, self.zero_mean, self.eps, self.reduction)


class MultiResolutionSTFTLoss(nn.Module):
    """Spectral convergence plus log-magnitude distance, averaged over STFTs of several resolutions.

    Args:
        resolutions: n_fft, hop and window of each STFT, in samples.
        reduction: "mean" over signals, "sum" or "none".
        eps: Magnitudes below it count as it in the logarithm.
        device: Of the windows.
        dtype: Of the windows, real.

    Shape:
        - Input, target: real signals [*, N], of more samples than half the longest frame.
        - Output: scalar, or [*] without reduction.

    Raises:
        ValueError: No resolution, or signals whose shapes differ or that are too short.

    Source: Yamamoto, Song & Kim, "Parallel WaveGAN", 2020, equations 3 to 6. Norms are those of each signal, not of a
    whole batch.

    Examples:
        >>> x = torch.randn(2, 4000)
        >>> MultiResolutionSTFTLoss()(x, x)
        tensor(0.)
    """

    def __init__(
        self,
        resolutions: Sequence[tuple[int, int, int]] = RESOLUTIONS,
        reduction: Reduction = "mean",
        eps: float = 1e-5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not resolutions:
            raise ValueError("A loss of several resolutions needs at least one.")
        self.reduction, self.eps = reduction, eps
        self.transforms = nn.ModuleList(
            STFT(n_fft, hop, window, device=device, dtype=dtype) for n_fft, hop, window in resolutions
        )

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Apply :func:`multi_resolution_stft_loss`."""
        _check_alike(input, target)
        total: Tensor | float = 0.0
        for transform in self.transforms:
            x, y = transform(input), transform(target)
            levels = log_magnitude_loss(x, y, self.eps, "none").mean((-2, -1))
            total = total + spectral_convergence(x, y) + levels
        return _reduce(torch.as_tensor(total) / len(self.transforms), self.reduction)
