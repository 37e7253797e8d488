"""Layer, group and RMS normalisation: against NumPy, at hard scales, and through autograd."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import ComplexGroupNorm, ComplexLayerNorm, ComplexRMSNorm
from audiocx.nn.functional import to_channels

VARIANTS = ["whitening", "naive"]
START = {"whitening": math.sqrt(0.5), "naive": 1.0}
# Constructor, shape of the complex input, its channel axis, and the axes of [B, ...] that a statistic is taken over.
KINDS: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...], int]] = {
    "layer": (lambda **how: ComplexLayerNorm(12, **how), (4, 5, 12), -1),
    "layer of three axes": (lambda **how: ComplexLayerNorm((3, 2, 4), **how), (5, 3, 2, 4), -3),
    "rms": (lambda **how: ComplexRMSNorm(12, **how), (4, 5, 12), -1),
    "group": (lambda **how: ComplexGroupNorm(3, 6, **how), (4, 6, 7), 1),
    "group without places": (lambda **how: ComplexGroupNorm(2, 12, **how), (4, 12), 1),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def inputs(shape: tuple[int, ...]) -> Tensor:
    """Complex numbers whose parts are shifted, scaled and correlated."""
    z = torch.randn(shape, dtype=torch.complex128)
    return 1 - 2j + 3 * z + 2j * z.conj()


def normalized(values: np.ndarray, eps: float, variant: str, centred: bool) -> np.ndarray:
    """Whitens complex numbers [N]."""
    points = np.stack([values.real, values.imag])
    if centred:
        points = points - points.mean(1, keepdims=True)
    moments = points @ points.T / points.shape[1]
    if variant == "whitening":
        eigenvalues, vectors = np.linalg.eigh(moments + eps * np.eye(2))
        root = vectors / np.sqrt(eigenvalues) @ vectors.T
    else:
        root = np.eye(2) / np.sqrt(np.trace(moments) + eps)
    real, imag = root @ points
    result: np.ndarray = real + 1j * imag
    return result


def expected(norm: Any, z: np.ndarray, channel: int) -> np.ndarray:
    """The layer's formula, group by group, in NumPy."""
    shape = z.shape if isinstance(norm, ComplexGroupNorm) else (-1, *norm.normalized_shape)
    rows = z.reshape(shape)
    groups = rows.reshape(len(rows), getattr(norm, "num_groups", 1), -1)
    centred = not isinstance(norm, ComplexRMSNorm)
    y = np.stack([[normalized(group, norm.eps, norm.variant, centred) for group in row] for row in groups])
    y = y.reshape(rows.shape)
    rr, ii, ri = (
        (norm.gamma if norm.gamma is not None else START[norm.variant] * torch.eye(3)[:2].sum(0)).detach().numpy()
    )
    learnt = (*rr.shape, *[1] * (rows.ndim - 1 - rr.ndim)) if norm.gamma is not None else (1,)
    rr, ii, ri = (entry.reshape(learnt) for entry in (rr, ii, ri))
    y = rr * y.real + ri * y.imag + 1j * (ri * y.real + ii * y.imag)
    if norm.beta is not None:
        real, imag = np.split(norm.beta.detach().numpy(), 2)
        y = y + (real + 1j * imag).reshape(learnt)
    return y.reshape(z.shape)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", KINDS)
def test_layers_are_the_formula_for_both_kinds_of_input(name: str, variant: str, affine: bool) -> None:
    make, shape, channel = KINDS[name]
    switch = "affine" if "group" in name else "elementwise_affine"
    norm, z = make(variant=variant, dtype=torch.float64, eps=0.1, **{switch: affine}), inputs(shape)
    assert len([*norm.parameters()]) == ((1 if name == "rms" else 2) if affine else 0)
    for part in norm.parameters():
        nn.init.normal_(part)
    y = norm(z)
    assert_close(y, torch.from_numpy(expected(norm, z.numpy(), channel)))
    assert_close(norm(to_channels(z, channel)), to_channels(y, channel))
    assert_close(norm.eval()(z), y)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", KINDS)
def test_power_is_one_at_first(name: str, variant: str) -> None:
    make, shape, _ = KINDS[name]
    norm, z = make(variant=variant, eps=0, dtype=torch.float64), inputs(shape)
    assert norm(z).abs().square().mean().item() == pytest.approx(1)
    assert_close(norm(1e-3 * z), norm(z))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", KINDS)
def test_gradients(name: str, variant: str) -> None:
    make, shape, channel = KINDS[name]
    norm = make(variant=variant, eps=0.1, dtype=torch.float64)
    for part in norm.parameters():
        nn.init.normal_(part)
    x = to_channels(inputs(shape), channel).requires_grad_()
    parameters = dict(norm.named_parameters())

    def run(x: Tensor, *values: Tensor) -> Tensor:
        y: Tensor = torch.func.functional_call(norm, dict(zip(parameters, values, strict=True)), (x,))
        return y

    assert torch.autograd.gradcheck(run, (x, *parameters.values()), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, *parameters.values()), fast_mode=True)


@pytest.mark.parametrize("name", ["rms", "group"])
def test_blocks_are_as_the_whole(name: str) -> None:
    # A large input is normalised block by block, which must not show; without grad mode, and with it.
    make, shape, channel = KINDS[name]
    norm = make(dtype=torch.float64)
    for part in norm.parameters():
        nn.init.normal_(part)
    many = torch.get_num_threads() * 75_000 // math.prod(shape[1:])
    x = to_channels(inputs((many, *shape[1:])), channel).requires_grad_()
    weights = torch.randn_like(x)
    leaves = [x, *norm.parameters()]
    for whole, parts in zip(
        torch.autograd.grad((norm(x) * weights).sum(), leaves, create_graph=True),
        torch.autograd.grad((norm(x) * weights).sum(), leaves),
        strict=True,
    ):
        assert_close(parts, whole.detach())
    few = slice(many - 3, None)
    assert_close(norm(x)[few], norm(x[few]))


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e5, 1e18])
@pytest.mark.parametrize("name", KINDS)
def test_float32_gives_the_answer_of_float64_at_any_scale(name: str, scale: float) -> None:
    # Imaginary parts almost equal to the real ones: float32 cannot hold the determinant of their covariance.
    make, shape, channel = KINDS[name]
    part, noise = torch.randn(2, *shape)
    x = scale * torch.cat([part + 1, part + 1 + 1e-4 * noise], channel)
    single, double = x.clone().requires_grad_(), x.double().requires_grad_()
    y, exact = make()(single), make(dtype=torch.float64)(double)
    assert_close(y.double(), exact, rtol=1e-3, atol=1e-3 * exact.abs().max().item())
    weights = torch.randn_like(x)
    (grad,) = torch.autograd.grad(y, single, weights)
    (exact_grad,) = torch.autograd.grad(exact, double, weights.double())
    assert grad.isfinite().all()
    assert_close(grad.double(), exact_grad, rtol=1e-3, atol=1e-3 * exact_grad.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", KINDS)
def test_half_precision_is_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    make, shape, channel = KINDS[name]
    x = (3e3 * to_channels(inputs(shape).to(torch.complex64), channel)).to(dtype)
    y = make()(x)
    assert y.dtype == dtype
    assert_close(y, make()(x.float()).to(dtype), rtol=1e-2, atol=1e-2)
    assert make(dtype=dtype)(x).dtype == dtype


@pytest.mark.parametrize("name", KINDS)
def test_constant_and_empty_inputs(name: str) -> None:
    make, shape, channel = KINDS[name]
    norm = make()
    constant = torch.ones(shape, dtype=torch.complex64)
    if name != "rms":
        assert_close(norm(constant), torch.zeros_like(constant))
    assert norm(constant[:0]).shape == (0, *shape[1:])


@pytest.mark.parametrize("name", KINDS)
def test_vmap_and_meta(name: str) -> None:
    make, shape, channel = KINDS[name]
    norm, x = make(dtype=torch.float64), to_channels(inputs((2, *shape)), channel if channel < 0 else channel + 1)
    assert_close(torch.func.vmap(norm)(x), torch.stack([norm(one) for one in x]))
    assert make(device="meta")(x[0].to("meta")).is_meta


def test_wrong_arguments_and_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 'whitening' or 'naive', not 'batch'"):
        ComplexLayerNorm(3, variant="batch")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_groups=4 must divide channels=6"):
        ComplexGroupNorm(4, 6)
    with pytest.raises(
        ValueError, match=r"ComplexRMSNorm takes a complex tensor \[\*, 3\] or real channels \[\*, 6\], not"
    ):
        ComplexRMSNorm(3)(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"\[\*, 3, 5\] or real channels \[\*, 6, 5\], not complex \[3, 4\]"):
        ComplexLayerNorm((3, 5))(torch.zeros(3, 4, dtype=torch.complex64))
    with pytest.raises(ValueError, match=r"ComplexGroupNorm takes a complex tensor \[B, 6, \*\]"):
        ComplexGroupNorm(2, 6)(torch.zeros(2, 6))


def test_repr_shows_the_settings() -> None:
    assert repr(ComplexRMSNorm(3)) == "ComplexRMSNorm((3,), eps=1e-05, variant='whitening', elementwise_affine=True)"
    assert "bias=False" in repr(ComplexLayerNorm(3, bias=False)) and "2, 6, eps" in repr(ComplexGroupNorm(2, 6))
