"""Bilinear layer, factors, dropout of channels, general activations and orders of channels, in native arithmetic."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import (
    ComplexBilinear,
    ComplexDropout1d,
    ComplexDropout2d,
    ComplexDropout3d,
    ComplexPhaseShift,
    ComplexScale,
    Magnitude,
    RadialActivation,
    SplitActivation,
)
from audiocx.nn.functional import from_interleaved, to_channels, to_complex, to_interleaved
from audiocx.nn.init import rayleigh_, uniform_, weight_std


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128)


def randomised(layer: Any) -> Any:
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def assert_both_forms(layer: nn.Module, z: Tensor, expected: Tensor, dim: int = 1) -> None:
    assert_close(layer(z), expected)
    assert_close(to_complex(layer(to_channels(z, dim)), dim), expected)
    assert torch.autograd.gradcheck(layer, to_channels(z, dim).requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("conjugate", [True, False])
@pytest.mark.parametrize("batch", [(), (4,), (2, 4)])
def test_bilinear_equals_the_formula(conjugate: bool, batch: tuple[int, ...]) -> None:
    layer = randomised(ComplexBilinear(3, 5, 2, conjugate=conjugate, dtype=torch.float64))
    u, v = noise(*batch, 3), noise(*batch, 5)
    weight, bias = torch.complex(layer.weight_real, layer.weight_imag), to_complex(layer.bias, 0)
    left = u.conj() if conjugate else u
    expected = (left[..., None, :, None] * weight * v[..., None, None, :]).sum((-1, -2)) + bias
    assert_close(layer(u, v), expected)
    inputs = to_channels(u, -1).requires_grad_(), to_channels(v, -1).requires_grad_()
    assert_close(to_complex(layer(*inputs), -1), expected)
    assert torch.autograd.gradcheck(layer, inputs, fast_mode=True)


def test_bilinear_with_real_weights_is_that_of_torch() -> None:
    ours, real = ComplexBilinear(3, 5, 2, conjugate=False, dtype=torch.float64), nn.Bilinear(3, 5, 2).double()
    with torch.no_grad():
        ours.weight_real.copy_(real.weight)
        ours.weight_imag.zero_()
        assert ours.bias is not None
        ours.bias[:2].copy_(real.bias)
    u, v = torch.randn(4, 3).double(), torch.randn(4, 5).double()
    assert_close(ours(u + 0j, v + 0j), real(u, v) + 0j)


def test_bilinear_keeps_the_power_of_its_criterion() -> None:
    layer = ComplexBilinear(24, 16, 32, bias=False)
    u, v = (torch.randn(2000, size, dtype=torch.complex64) for size in (24, 16))
    assert layer(u, v).abs().square().mean().item() == pytest.approx(2, rel=0.1)
    rank_one = ComplexBilinear(1, 1, 1)
    assert torch.hypot(rank_one.weight_real, rank_one.weight_imag).item() == pytest.approx(math.sqrt(2))


def test_bilinear_says_which_shapes_it_takes() -> None:
    layer = ComplexBilinear(3, 5, 2)
    with pytest.raises(ValueError, match=r"complex tensor \[\*, 5\] or real channels \[\*, 10\], not real \[4, 5\]"):
        layer(torch.randn(4, 6), torch.randn(4, 5))
    with pytest.raises(ValueError, match=r"both real or both complex, not real \[4, 6\] and complex \[4, 5\]"):
        layer(torch.randn(4, 6), noise(4, 5))
    with pytest.raises(ValueError, match=r"not complex \[4, 3\] and complex \[5, 5\]"):
        layer(noise(4, 3), noise(5, 5))
    assert repr(layer) == ("ComplexBilinear(in1_features=3, in2_features=5, out_features=2, bias=True, conjugate=True)")


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5)])
def test_factors_multiply_channels(shape: tuple[int, ...]) -> None:
    z, along = noise(*shape), (3, *[1] * (len(shape) - 2))
    shift = randomised(ComplexPhaseShift(3, dtype=torch.float64))
    assert_both_forms(shift, z, z * torch.exp(1j * shift.phase).view(along))
    scale = randomised(ComplexScale(3, dtype=torch.float64))
    assert_both_forms(scale, z, z * torch.complex(scale.weight_real, scale.weight_imag).view(along))


def test_factors_of_the_last_axis() -> None:
    z, shift = noise(2, 4, 3), randomised(ComplexPhaseShift(3, dim=-1, dtype=torch.float64))
    assert_both_forms(shift, z, z * torch.exp(1j * shift.phase), -1)
    assert (repr(shift), repr(ComplexScale(3))) == ("ComplexPhaseShift(3, dim=-1)", "ComplexScale(3)")
    with pytest.raises(ValueError, match=r"complex tensor \[\*, 3\] or real channels \[\*, 6\], not real \[2, 3\]"):
        shift(torch.randn(2, 3))
    with pytest.raises(ValueError, match="dim must be 1"):
        ComplexScale(3, dim=2)


@pytest.mark.parametrize("layer", [ComplexPhaseShift(3), ComplexScale(3)])
def test_factors_are_1_at_the_start(layer: nn.Module) -> None:
    z = noise(2, 3, 4)
    assert_close(layer.double()(z), z)


@pytest.mark.parametrize(
    ("kind", "size"), [(ComplexDropout1d, (50,)), (ComplexDropout2d, (10, 5)), (ComplexDropout3d, (5, 2, 5))]
)
@pytest.mark.parametrize("batch", [(3,), ()])
def test_channels_are_dropped_as_a_whole(kind: Any, size: tuple[int, ...], batch: tuple[int, ...]) -> None:
    z, layer = noise(*batch, 400, *size), kind(0.25)
    for x in (z, to_channels(z, len(batch))):
        torch.manual_seed(1)
        y = layer(x)
        y = y if y.is_complex() else to_complex(y, len(batch))
        zero = (y == 0).flatten(-len(size))
        assert (zero.all(-1) == zero.any(-1)).all()
        assert zero.float().mean().item() == pytest.approx(0.25, abs=0.07)
        assert_close(y, torch.where(y == 0, 0, z / 0.75))
        assert layer.eval()(x) is x or torch.equal(layer(x), x)
        layer.train()
    assert not kind(1)(z).any() and torch.equal(kind(0)(z), z)


@pytest.mark.parametrize("shape", [(2, 3, 0, 5), (2, 3, 5, 0), (0, 3, 5, 5)])
def test_dropout_of_channels_takes_empty_maps(shape: tuple[int, ...]) -> None:
    assert ComplexDropout2d()(torch.ones(shape, dtype=torch.complex64)).shape == shape


def test_dropout_of_channels_refuses_what_it_cannot_take() -> None:
    with pytest.raises(
        ValueError, match=r"complex tensor \[B, C, L\] or real channels \[B, 2C, L\], with or without B"
    ):
        ComplexDropout1d()(torch.randn(2, 4, 3, 3))
    with pytest.raises(ValueError, match=r"\[B, C, D, H, W\].*not complex \[2, 3\]"):
        ComplexDropout3d()(noise(2, 3))
    with pytest.raises(ValueError, match="even number of channels"):
        ComplexDropout2d()(torch.randn(2, 3, 4, 4))
    with pytest.raises(ValueError, match="probability"):
        ComplexDropout2d(1.5)


def test_activations_of_parts_and_magnitudes() -> None:
    z = noise(2, 3, 4)
    assert_both_forms(SplitActivation(nn.CELU(0.5)), z, nn.CELU(0.5)(z.real) + 1j * nn.CELU(0.5)(z.imag))
    assert_both_forms(RadialActivation(torch.log1p), z, torch.log1p(z.abs()) * torch.sgn(z))
    last = RadialActivation(lambda r: r / (2 + r), dim=-1)
    assert_both_forms(last, z, z / (2 + z.abs()), -1)
    assert_close(Magnitude()(z), z.abs())
    assert_close(Magnitude(-1)(to_channels(z, -1)), z.abs())
    shown = SplitActivation(torch.sin), RadialActivation(torch.sin, -1), Magnitude(-1)
    assert [*map(repr, shown)] == ["SplitActivation(sin)", "RadialActivation(sin, dim=-1)", "Magnitude(dim=-1)"]


def test_radial_activation_trains_its_function_and_takes_zeros() -> None:
    layer = RadialActivation(nn.Sequential(nn.Linear(1, 1), nn.Softplus()))
    z = torch.zeros(2, 1, 1, dtype=torch.complex64, requires_grad=True)
    layer(z).abs().sum().backward()
    assert z.grad is not None and z.grad.isfinite().all() and len([*layer.parameters()]) == 2
    assert Magnitude()(torch.tensor([[300 + 400j]], dtype=torch.complex64).to(torch.complex64)).item() == 500


@pytest.mark.parametrize("dim", [1, -1, 0])
def test_interleaved_channels_are_those_of_torch(dim: int) -> None:
    z = noise(4, 4, 4)
    pairs = torch.view_as_real(z).movedim(-1, dim % 3 + 1).flatten(dim % 3, dim % 3 + 1)
    assert_close(to_interleaved(to_channels(z, dim), dim), pairs)
    assert_close(from_interleaved(pairs, dim), to_channels(z, dim))


def test_interleaved_channels_come_in_pairs() -> None:
    for convert in (to_interleaved, from_interleaved):
        with pytest.raises(ValueError, match="even number of channels"):
            convert(torch.randn(2, 3))


@pytest.mark.parametrize("criterion", ["he", "glorot"])
def test_uniform_parts_have_the_power_of_the_criterion(criterion: Any) -> None:
    real, imag = torch.empty(2, 100, 50, 7, dtype=torch.float64)
    uniform_(real, imag, criterion)
    std = weight_std(real, criterion)
    assert (real**2 + imag**2).mean().sqrt().item() == pytest.approx(std, rel=0.01)
    assert max(real.max(), imag.max()).item() == pytest.approx(std * math.sqrt(3 / 2), rel=0.001)
    # The sentence of its docstring: Rayleigh magnitudes and uniform phases are independent normal parts.
    rayleigh_(real, imag, criterion)
    assert (real**4).mean().item() == pytest.approx(3 * (std**2 / 2) ** 2, rel=0.05)
    assert (real**2 * imag**2).mean().item() == pytest.approx((std**2 / 2) ** 2, rel=0.05)
