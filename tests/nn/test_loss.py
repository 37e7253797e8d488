"""Losses: formulas in native complex arithmetic, both forms, gradients everywhere, known values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import (
    ComplexMSELoss,
    LogMagnitudeLoss,
    MultiResolutionSTFTLoss,
    PhaseLoss,
    SISDRLoss,
)
from audiocx.nn.functional import to_channels
from audiocx.nn.loss import multi_resolution_stft_loss, si_sdr, spectral_convergence


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


SPECTRAL: dict[str, tuple[Callable[..., nn.Module], Callable[[Tensor, Tensor], Tensor]]] = {
    "mse": (ComplexMSELoss, lambda x, y: (x - y).abs() ** 2),
    "log magnitude": (LogMagnitudeLoss, lambda x, y: (x.abs().log() - y.abs().log()).abs()),
    "cosine": (PhaseLoss, lambda x, y: 1 - (x.angle() - y.angle()).cos()),
    "wrapped": (lambda **options: PhaseLoss("wrapped", **options), lambda x, y: (x / y).angle().abs()),
}
every_spectral = pytest.mark.parametrize(("make", "formula"), SPECTRAL.values(), ids=SPECTRAL)
SIGNAL: dict[str, Callable[..., nn.Module]] = {
    "SI-SDR": SISDRLoss,
    "SI-SDR, zero mean": lambda **options: SISDRLoss(zero_mean=True, **options),
    "multi-resolution": lambda **options: MultiResolutionSTFTLoss([(32, 8, 20), (16, 4, 16)], **options),
}
every_signal = pytest.mark.parametrize("make", SIGNAL.values(), ids=SIGNAL)


@every_spectral
@pytest.mark.parametrize("dim", [1, -1])
def test_spectral_losses_equal_their_formulas(make: Any, formula: Any, dim: int) -> None:
    x, y = torch.randn(2, 2, 3, 4, dtype=torch.complex128)
    expected = formula(x, y)
    channels = [to_channels(z, dim) for z in (x, y)]
    for reduction, total in (("none", expected), ("mean", expected.mean()), ("sum", expected.sum())):
        loss = make(reduction=reduction, dim=dim)
        assert_close(loss(x, y), total)
        assert_close(loss(*channels), total)
    assert_close(make()(x[0, 0, 0], y[0, 0, 0]), expected[0, 0, 0])  # of two numbers


@every_spectral
def test_spectral_losses_have_gradients_everywhere(make: Any, formula: Any) -> None:
    x, y = torch.randn(2, 2, 4, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(make(), (x, y), fast_mode=True)
    for a, b in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (1e-15, 1e15)):
        x, y = (torch.full((2, 4), value, requires_grad=True) for value in (a, b))
        loss = make()(x, y)
        loss.backward()
        assert loss.isfinite() and x.grad is not None and y.grad is not None
        assert x.grad.isfinite().all() and y.grad.isfinite().all()


@every_spectral
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_spectral_losses_of_half_precision_are_in_float32(make: Any, formula: Any, dtype: torch.dtype) -> None:
    x, y = (500 * torch.randn(2, 2, 4, 3)).to(dtype)  # squares overflow in float16
    loss = make()(x, y)
    assert loss.dtype == torch.float32
    assert_close(loss, make()(x.double(), y.double()).float())


def test_small_differences_of_phase_are_exact() -> None:
    x = torch.tensor([[1.0, 0.0]])
    y = torch.tensor([[math.cos(1e-5), math.sin(1e-5)]])
    assert PhaseLoss()(x, y).item() == pytest.approx(0.5e-10, rel=1e-3)
    assert PhaseLoss("wrapped")(x, y).item() == pytest.approx(1e-5, rel=1e-3)


def test_phases_wrap_and_magnitudes_do_not_count() -> None:
    x = torch.polar(torch.tensor([1.0, 2.0]), torch.tensor([3.1, -3.1]))
    y = torch.polar(torch.tensor([5.0, 0.1]), torch.tensor([-3.1, 3.1]))
    gap = 2 * math.pi - 6.2
    assert PhaseLoss("wrapped")(x, y).item() == pytest.approx(gap, rel=1e-5)
    assert PhaseLoss()(x, y).item() == pytest.approx(1 - math.cos(gap), rel=1e-4)


def test_numbers_without_phase_do_not_count() -> None:
    x, y = torch.tensor([[0j, 1j]]), torch.tensor([[1 + 0j, 0j]])
    for variant in ("cosine", "wrapped"):
        assert not PhaseLoss(variant, "none")(x, y).any()
        # Nor do those too small for it.
        assert not PhaseLoss(variant, "none")(1e-18j * torch.ones(1, 2), y).any()
        assert PhaseLoss(variant, "none")(4e-18j * torch.ones(1, 2), y)[0, 0] > 0.99


def test_magnitudes_below_the_floor_count_as_the_floor() -> None:
    loss = LogMagnitudeLoss(eps=0.1)
    assert loss(torch.tensor([[0j]]), torch.tensor([[0.05j]])) == 0
    assert loss(torch.tensor([[0j]]), torch.tensor([[1j]])).item() == pytest.approx(math.log(10))


# Losses of signals


@every_signal
def test_reductions_of_losses_of_signals(make: Any) -> None:
    x, y = torch.randn(2, 2, 3, 80, dtype=torch.float64)
    each = make(reduction="none")(x, y)
    assert each.shape == (2, 3) and each.dtype == torch.float64
    assert_close(make()(x, y), each.mean())
    assert_close(make(reduction="sum")(x, y), each.sum())
    assert_close(make()(x[1, 2], y[1, 2]), each[1, 2])


@every_signal
def test_losses_of_signals_have_gradients_everywhere(make: Any) -> None:
    x, y = torch.randn(2, 2, 80, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(make().double(), (x, y), fast_mode=True)
    silence, tone = torch.zeros(80), torch.sin(torch.arange(80.0))
    for a, b in ((silence, silence), (silence, tone), (tone, silence), (tone, tone), (tone * 1e-12, tone)):
        x, y = (z.clone().requires_grad_() for z in (a, b))
        loss = make()(x, y)
        loss.backward()
        assert loss.isfinite() and x.grad is not None and y.grad is not None
        assert x.grad.isfinite().all() and y.grad.isfinite().all()


def test_si_sdr_is_the_ratio_of_the_projection_to_the_rest() -> None:
    x, y = torch.randn(2, 5, 100, dtype=torch.float64)
    scaled = (x * y).sum(-1, keepdim=True) / y.square().sum(-1, keepdim=True) * y
    expected = 10 * torch.log10(scaled.square().sum(-1) / (scaled - x).square().sum(-1))
    assert_close(si_sdr(x, y, eps=0), expected)
    assert_close(si_sdr(x, y), expected, rtol=1e-4, atol=1e-4)
    assert_close(si_sdr(3 * x, 1e-9 * y), si_sdr(x, y))  # the scale does not matter
    assert_close(si_sdr(1e30 * x.float(), 1e-30 * y.float()), si_sdr(x, y).float(), rtol=1e-4, atol=1e-4)
    assert_close(si_sdr(x + 7, y - 2, zero_mean=True), si_sdr(x - x.mean(-1, keepdim=True), y, zero_mean=True))


def test_si_sdr_of_known_ratios() -> None:
    tone = torch.sin(2 * math.pi * torch.arange(800) / 16)
    other = 0.1 * torch.cos(2 * math.pi * torch.arange(800) / 16)
    assert si_sdr(tone + other, tone).item() == pytest.approx(20, abs=1e-3)
    assert si_sdr(tone, tone).item() == pytest.approx(80, abs=0.1)
    assert si_sdr(other, tone).item() == pytest.approx(-80, abs=0.1)


def test_multi_resolution_loss_equals_its_formula() -> None:
    x, y = torch.randn(2, 3, 300, dtype=torch.float64)
    resolutions = [(64, 16, 40), (32, 5, 32)]
    total = torch.zeros(3, dtype=torch.float64)
    for n_fft, hop, size in resolutions:
        window = torch.hann_window(size, dtype=torch.float64)
        a, b = (torch.stft(z, n_fft, hop, size, window, return_complex=True).abs() for z in (x, y))
        total += (b - a).square().sum((1, 2)).sqrt() / b.square().sum((1, 2)).sqrt()
        total += (a.log() - b.log()).abs().mean((1, 2))
    assert_close(multi_resolution_stft_loss(x, y, resolutions, "none"), total / 2)
    assert_close(MultiResolutionSTFTLoss(resolutions, dtype=torch.float64)(x, y), total.mean() / 2)


def test_multi_resolution_loss_of_a_quieter_copy() -> None:
    """Half the amplitude: convergence 1/2, log magnitudes log 2."""
    x = torch.randn(2, 6000)
    assert MultiResolutionSTFTLoss()(x / 2, x).item() == pytest.approx(0.5 + math.log(2), rel=1e-4)


def test_spectral_convergence_of_both_forms() -> None:
    x, y = torch.randn(2, 3, 2, 5, 6, dtype=torch.complex128)
    expected = torch.linalg.matrix_norm(x.abs() - y.abs()) / torch.linalg.matrix_norm(y)
    assert_close(spectral_convergence(x, y), expected)
    assert_close(spectral_convergence(to_channels(x), to_channels(y)), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ComplexMSELoss()(torch.zeros(2, 4), torch.zeros(2, 2)), r"one shape.*real \[2, 4\] and real \[2, 2\]"),
        (lambda: PhaseLoss()(torch.zeros(2, 4), torch.zeros(2, 4) + 0j), "both real or both complex"),
        (lambda: ComplexMSELoss("max")(torch.zeros(2, 4), torch.zeros(2, 4)), "'none', not 'max'"),  # type: ignore[arg-type]
        (lambda: PhaseLoss("sine")(torch.zeros(2, 4), torch.zeros(2, 4)), "'wrapped', not 'sine'"),  # type: ignore[arg-type]
        (lambda: ComplexMSELoss()(torch.zeros(2, 3), torch.zeros(2, 3)), "even number of channels"),
        (lambda: SISDRLoss()(torch.zeros(4) + 0j, torch.zeros(4) + 0j), r"real signals, not of complex \[4\]"),
        (lambda: MultiResolutionSTFTLoss([]), "at least one"),
        (lambda: MultiResolutionSTFTLoss()(torch.zeros(1000), torch.zeros(1000)), "N = 1025 samples or more"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
