"""Activations and softmax against formulas in native complex arithmetic, with gradients, near 0 and in half types."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import (
    CGELU,
    Cardioid,
    ComplexDropout,
    ComplexSoftmax,
    CPReLU,
    CReLU,
    CSigmoid,
    CTanh,
    ModReLU,
    ModTanh,
    ZReLU,
)
from audiocx.nn.activation import ActivationName, activation_layer
from audiocx.nn.functional import to_channels, to_complex

C = 3


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def on_parts(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda z: torch.complex(function(z.real), function(z.imag))


def modrelu(z: Tensor) -> Tensor:
    return torch.polar(F.relu(z.abs() - 0.4), z.angle())


def cprelu(z: Tensor) -> Tensor:
    return torch.complex(F.leaky_relu(z.real, 0.1), F.leaky_relu(z.imag, 0.2))


FORMULAS: dict[ActivationName, Callable[[Tensor], Tensor]] = {
    "crelu": on_parts(F.relu),
    "ctanh": on_parts(torch.tanh),
    "csigmoid": on_parts(torch.sigmoid),
    "cgelu": on_parts(lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))),
    "zrelu": lambda z: z * ((z.angle() >= 0) & (z.angle() <= math.pi / 2)),
    "cardioid": lambda z: 0.5 * (1 + z.angle().cos()) * z,
    "modtanh": lambda z: torch.polar(z.abs().tanh(), z.angle()),
    "modrelu": modrelu,
    "cprelu": cprelu,
}
every_activation = pytest.mark.parametrize("name", FORMULAS)


def make(name: ActivationName, dim: int = 1) -> nn.Module:
    layer = activation_layer(name, C, dim, dtype=torch.float64)
    if isinstance(layer, ModReLU):
        nn.init.constant_(layer.bias, -0.4)
    if isinstance(layer, CPReLU):
        nn.init.constant_(layer.weight[:C], 0.1)
        nn.init.constant_(layer.weight[C:], 0.2)
    return layer


def test_every_name_has_a_formula_here() -> None:
    assert set(FORMULAS) == set(get_args(ActivationName))


@every_activation
@pytest.mark.parametrize(("dim", "shape"), [(1, (4, C, 5)), (1, (4, C)), (-1, (4, 5, C)), (-1, (C,))])
def test_activations_equal_their_formulas(name: ActivationName, dim: int, shape: tuple[int, ...]) -> None:
    layer, z = make(name, dim), torch.randn(shape, dtype=torch.complex128, requires_grad=True)
    expected, direct = FORMULAS[name](z), layer(z)
    assert direct.dtype == torch.complex128
    assert_close(direct, expected)
    assert_close(to_complex(layer(to_channels(z, dim)), dim), expected)
    direction = torch.randn_like(expected)
    assert_close(torch.autograd.grad(direct, z, direction), torch.autograd.grad(expected, z, direction))


@every_activation
def test_gradients_match_finite_differences(name: ActivationName) -> None:
    layer, x = make(name), torch.randn(2, 2 * C, 2, dtype=torch.float64)
    x = (x.sign() * (0.5 + x.abs())).requires_grad_()  # away from the kinks
    leaves = (x, *layer.parameters())
    assert torch.autograd.gradcheck(lambda *_: layer(x), leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda *_: layer(x), leaves, fast_mode=True)


@every_activation
def test_zeros_have_finite_values_and_gradients(name: ActivationName) -> None:
    x = torch.zeros(2, 2 * C, dtype=torch.float64, requires_grad=True)
    y = make(name)(x)
    assert_close(y.detach(), torch.full_like(x, 0.5 if name == "csigmoid" else 0.0))
    (grad,) = torch.autograd.grad(y.sum(), x)
    at_zero = {
        "crelu": 0.0,
        "csigmoid": 0.25,
        "zrelu": 1.0,
        "ctanh": 1.0,
        "modtanh": 1.0,
        "cgelu": 0.5,
        "cardioid": 0.5,
    }
    if name in at_zero:
        assert_close(grad, torch.full_like(x, at_zero[name]))
    assert grad.isfinite().all()


@pytest.mark.parametrize("name", ["cardioid", "modtanh"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_magnitudes_from_the_least_to_the_greatest(name: ActivationName, dtype: torch.dtype) -> None:
    """Squares of these numbers overflow or vanish."""
    limits = torch.finfo(dtype)
    scales = torch.logspace(math.log10(limits.tiny * 100), math.log10(limits.max / 2), 9, dtype=torch.float64)
    z = torch.tensor([[0.6 + 0.8j], [-0.8 + 0.6j], [1 + 0j], [-0.28 - 0.96j]], dtype=torch.complex128) * scales
    x = to_channels(z, 0).to(dtype).requires_grad_()
    y = {"cardioid": Cardioid, "modtanh": ModTanh}[name](0)(x)
    exact = to_channels(FORMULAS[name](to_complex(x.detach().double(), 0)), 0)
    # Below 1.7e-18, where float32 alone gets, the cardioid may forget the phase.
    seen = scales > (1e-17 if name == "cardioid" else 0)
    size = to_complex(exact, 0).abs().repeat(2, 1)
    assert ((y.double() - exact).abs() <= 4 * limits.eps * size + limits.smallest_normal)[:, seen].all()
    y.float().sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_phases_of_cardioid_and_modtanh_are_kept() -> None:
    z = torch.randn(4, C, dtype=torch.complex128)
    for layer in (Cardioid(), ModTanh()):
        assert_close(layer(z).angle(), z.angle())
    turn = torch.polar(torch.ones(()), torch.tensor(0.7)).to(z.dtype)
    assert_close(ModTanh()(z * turn), ModTanh()(z) * turn)


def test_layers_print_their_settings() -> None:
    assert repr(CPReLU(4)) == "CPReLU(4)" and repr(ModReLU(4, dim=-1)) == "ModReLU(4, dim=-1)"
    assert repr(CGELU("tanh")) == "CGELU(approximate='tanh')"
    assert repr(ComplexSoftmax()) == "ComplexSoftmax('phase', over=None, dim=1)"
    assert [type(activation_layer(name, 1)) for name in get_args(ActivationName)] == [
        CReLU, ZReLU, ModReLU, CPReLU, CGELU, CTanh, CSigmoid, Cardioid, ModTanh,
    ]  # fmt: skip


def test_the_approximate_gelu_is_that_of_torch() -> None:
    x = torch.randn(3, 4)
    assert_close(CGELU("tanh")(x), F.gelu(x, approximate="tanh"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: activation_layer("relu", 4), "one of cardioid, .* not 'relu'"),  # type: ignore[arg-type]
        (lambda: ModReLU(4, dim=2), "must be 1.*or -1.*not 2"),
        (lambda: CPReLU(4, dim=0), "must be 1.*or -1.*not 0"),
        (lambda: CGELU("erf"), "'none' or 'tanh', not 'erf'"),  # type: ignore[arg-type]
        (lambda: ComplexSoftmax("abs"), "'split', not 'abs'"),  # type: ignore[arg-type]
        (lambda: CPReLU(3, dim=-1)(torch.zeros(2, 3)), r"\[\*, 3\] or real channels \[\*, 6\], not real \[2, 3\]"),
        (lambda: CPReLU(3)(torch.zeros(6)), "CPReLU takes"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_dropout_of_sequences_shares_a_mask_by_features() -> None:
    y = ComplexDropout(0.5, dim=-1)(torch.ones(50, 2 * C))
    assert torch.equal(y[:, :C], y[:, C:]) and set(y.unique().tolist()) == {0.0, 2.0}


# Softmax

SOFTMAX: dict[str, Callable[[Tensor, int], Tensor]] = {
    "phase": lambda z, axis: torch.polar(z.abs().softmax(axis), z.angle()),
    "magnitude": lambda z, axis: z.abs().softmax(axis),
    "real": lambda z, axis: z.real.softmax(axis),
    "split": lambda z, axis: torch.complex(z.real.softmax(axis), z.imag.softmax(axis)),
}
every_softmax = pytest.mark.parametrize("variant", SOFTMAX)


@every_softmax
@pytest.mark.parametrize(("dim", "over"), [(1, None), (1, 2), (-1, None), (-1, 0), (1, -1)])
def test_softmax_equals_its_formula(variant: Any, dim: int, over: int | None) -> None:
    layer, z = ComplexSoftmax(variant, over, dim), torch.randn(2, 3, 4, dtype=torch.complex128)
    expected = SOFTMAX[variant](z, dim if over is None else over)
    assert_close(layer(z), expected)
    around = layer(to_channels(z, dim))
    assert_close(to_complex(around, dim) if expected.is_complex() else around, expected)


@every_softmax
def test_softmax_has_gradients(variant: Any) -> None:
    layer, x = ComplexSoftmax(variant), torch.randn(2, 2 * C, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x, fast_mode=True)
    zero = torch.zeros(2, 2 * C, requires_grad=True)
    (grad,) = torch.autograd.grad(layer(zero).square().sum(), zero)
    assert grad.isfinite().all()


@every_softmax
def test_softmax_of_large_half_precision(variant: Any) -> None:
    x = torch.randn(4, 2 * C) * 1000  # the squares overflow
    y = ComplexSoftmax(variant)(x.half())
    assert y.dtype == torch.float16
    assert_close(y.float(), ComplexSoftmax(variant)(x.half().float()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layer", [Cardioid(), ModTanh(), ComplexSoftmax()])
def test_what_is_exported_to_onnx_gives_the_same(layer: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX has no hypot: another formula takes its place, whose squares do not overflow either."""
    x = torch.randn(3, 2 * C) * torch.tensor([1e-15, 1.0, 1e30])[:, None]
    x[0, 0], x[1, :] = 0.0, x[1, :] * torch.tensor([0.0, 1, 1, 0, 1, 0])
    expected = layer(x)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    assert_close(layer(x), expected)
