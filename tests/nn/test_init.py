"""Initial weights: variance by He's and Glorot's criteria for any shape, and distribution."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from audiocx.nn import (
    ComplexBatchNorm,
    ComplexGatedRNN,
    ComplexStateMatrix,
    ComplexUnitaryRNN,
    StandardizedComplexConv2d,
    StandardizedConv2d,
)
from audiocx.nn.init import fans, init_complex_, init_real_, rayleigh_, unitary_, weight_std

# Square, tall, wide; kernels over one axis and two.
SHAPES = [(48, 48), (300, 10), (10, 300), (1, 2000), (128, 64, 3), (16, 1, 7), (8, 40, 7), (64, 5, 3, 4), (6, 50, 1, 7)]
CRITERIA = ["he", "glorot"]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def drawn(shape: tuple[int, ...], fill: Callable[..., None], *args: str) -> Tensor:
    real, imag = torch.full(shape, torch.nan, dtype=torch.float64), torch.full(shape, torch.nan, dtype=torch.float64)
    fill(real, imag, *args)
    return torch.complex(real, imag)


def expected_power(shape: tuple[int, ...], criterion: str) -> float:
    """E|W|^2 as He and Glorot have it."""
    receptive = math.prod(shape[2:])
    return 2 / (shape[1] * receptive + (shape[0] * receptive if criterion == "glorot" else 0))


def test_fans_by_hand() -> None:
    assert fans(torch.empty(5, 3)) == (3, 5)
    assert fans(torch.empty(5, 3, 7)) == (21, 35)
    assert fans(torch.empty(5, 3, 2, 4)) == (24, 40)
    assert weight_std(torch.empty(5, 3, 7)) == pytest.approx(math.sqrt(2 / 21))
    assert weight_std(torch.empty(5, 3, 7), "glorot") == pytest.approx(math.sqrt(2 / 56))


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("shape", SHAPES)
def test_power_of_unitary_weights_meets_the_criterion_exactly(shape: tuple[int, ...], criterion: str) -> None:
    weight = drawn(shape, unitary_, criterion)
    assert (weight.abs() ** 2).mean().item() == pytest.approx(expected_power(shape, criterion), rel=1e-10)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("shape", SHAPES)
def test_power_of_rayleigh_weights_meets_the_criterion(shape: tuple[int, ...], criterion: str) -> None:
    draws = max(1, 20_000 // math.prod(shape))
    power = torch.stack([drawn(shape, rayleigh_, criterion).abs() ** 2 for _ in range(draws)])
    # |W|^2 is exponential: its standard deviation is its mean.
    assert power.mean().item() == pytest.approx(expected_power(shape, criterion), rel=5 / math.sqrt(power.numel()))


@pytest.mark.parametrize("shape", SHAPES)
def test_unitary_weights_are_semi_unitary(shape: tuple[int, ...]) -> None:
    matrix = drawn(shape, unitary_).flatten(1)
    gram = matrix @ matrix.mH if matrix.shape[0] <= matrix.shape[1] else matrix.mH @ matrix
    torch.testing.assert_close(gram, gram[0, 0].real * torch.eye(len(gram), dtype=gram.dtype))


def test_unitary_matrices_are_drawn_uniformly() -> None:
    matrices = np.stack([drawn((2, 2), unitary_).numpy() for _ in range(500)])
    # Under the Haar measure a single eigenvalue's phase is uniform; QR without correcting its phases fails this.
    eigenvalues, first = np.linalg.eigvals(matrices)[:, 0], matrices[:, 0, 0]
    for values in (eigenvalues, first):
        assert stats.kstest(np.angle(values), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01
    # |W_00|^2 of a uniform 2x2 unitary matrix is uniform; its scale here is He's, 1 for a fan of 2.
    assert stats.kstest(np.abs(first) ** 2 / 2, "uniform").pvalue > 0.01


@pytest.mark.parametrize("criterion", CRITERIA)
def test_rayleigh_magnitudes_and_uniform_phases(criterion: str) -> None:
    weight = drawn((60, 30, 5), rayleigh_, criterion).numpy().ravel()
    sigma = math.sqrt(expected_power((60, 30, 5), criterion) / 2)
    length, phase = np.abs(weight), np.angle(weight)
    assert stats.kstest(length, stats.rayleigh(scale=sigma).cdf).pvalue > 0.01
    assert stats.kstest(phase, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01
    assert abs(stats.spearmanr(length, phase).statistic) < 5 / math.sqrt(len(weight))


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (16, 4, 7), (16, 3, 2, 4)])
def test_the_real_counterpart_of_unitary_is_orthogonal(shape: tuple[int, ...]) -> None:
    for criterion, gain in [("he", math.sqrt(2)), ("glorot", 1.0)]:
        weight = torch.empty(shape, dtype=torch.float64)
        init_real_(weight, "unitary", criterion)  # type: ignore[arg-type]
        matrix = weight.flatten(1)
        gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
        torch.testing.assert_close(gram, gain**2 * torch.eye(len(gram), dtype=torch.float64))


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("shape", [(300, 100), (100, 300), (64, 40, 7), (40, 30, 3, 5)])
def test_the_real_counterpart_of_rayleigh_is_normal(shape: tuple[int, ...], criterion: str) -> None:
    weight = torch.empty(shape)
    init_real_(weight, "rayleigh", criterion)  # type: ignore[arg-type]
    std = math.sqrt(expected_power(shape, criterion))
    assert stats.kstest(weight.numpy().ravel(), stats.norm(scale=std).cdf).pvalue > 0.01


@pytest.mark.parametrize(("scheme", "fill"), [("unitary", unitary_), ("rayleigh", rayleigh_)])
def test_schemes_by_name(scheme: str, fill: Callable[..., None]) -> None:
    by_name = drawn((6, 4, 3), init_complex_, scheme, "glorot")
    torch.manual_seed(0)
    assert torch.equal(drawn((6, 4, 3), fill, "glorot"), by_name)


def test_unknown_names_are_refused() -> None:
    real, imag = torch.zeros(2, 4, 3)
    for call in (lambda: init_complex_(real, imag, "fourier"), lambda: init_real_(real, "fourier")):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="scheme must be 'unitary' or 'rayleigh', not 'fourier'"):
            call()
    for scheme in ("unitary", "rayleigh"):
        for call in (lambda: init_complex_(real, imag, scheme, "lecun"), lambda: init_real_(real, scheme, "lecun")):  # type: ignore[arg-type] # noqa: B023
            with pytest.raises(ValueError, match="criterion must be 'he' or 'glorot', not 'lecun'"):
                call()
    assert not real.any() and not imag.any(), "a refused call must leave the weight alone"


def test_double_gives_the_start_values_of_double() -> None:
    for norm in (ComplexBatchNorm(2), ComplexBatchNorm(2).half()):
        norm.double()
        assert norm.gamma[:2].eq(math.sqrt(0.5)).all() and norm.running_cov[:2].eq(math.sqrt(0.5)).all()
    for conv in (StandardizedComplexConv2d(1, 2, 3), StandardizedConv2d(1, 2, 3)):
        assert conv.double().gain.eq(math.sqrt(2)).all()
    # Not what was learnt, nor what becomes narrower.
    norm = ComplexBatchNorm(2)
    torch.nn.init.normal_(norm.gamma)
    before = norm.gamma.detach().clone()
    assert torch.equal(norm.double().gamma, before.double()) and torch.equal(norm.float().gamma, before)


def test_unitary_state_matrices_are_unitary_in_double() -> None:
    for layer in (ComplexUnitaryRNN(2, 64), ComplexGatedRNN(2, 64, unitary_gates=True)):
        before = {name: value.clone() for name, value in layer.state_dict().items()}
        layer.double()
        for module in layer.modules():
            if isinstance(module, ComplexStateMatrix):
                w = torch.complex(*module.weight.detach())
                torch.testing.assert_close(w.mH @ w, torch.eye(64, dtype=w.dtype), rtol=0, atol=1e-14)
        torch.testing.assert_close(layer.float().state_dict(), before, rtol=0, atol=1e-6)
    free = ComplexStateMatrix(8)
    torch.nn.init.normal_(free.weight)
    learnt = free.weight.detach().clone()
    assert torch.equal(free.double().weight, learnt.double())
