"""Spectral norm and weight norm of complex weights, against NumPy."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.testing import assert_close

from audiocx.nn import (
    ComplexConv1d,
    ComplexConv2d,
    ComplexLinear,
    complex_spectral_norm,
    complex_weight_norm,
    remove_complex_norm,
)

MAKERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: ComplexLinear(5, 3),
    "conv1d": lambda: ComplexConv1d(2, 6, 4),
    "grouped": lambda: ComplexConv1d(4, 6, 3, groups=2),
    "conv2d": lambda: ComplexConv2d(2, 4, (3, 2)),
}
SHAPES = {"linear": (7, 5), "conv1d": (7, 2, 9), "grouped": (7, 4, 9), "conv2d": (7, 2, 5, 6)}
NORMS = [complex_spectral_norm, complex_weight_norm]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def weight(layer: nn.Module) -> np.ndarray:
    value: np.ndarray = torch.complex(layer.weight_real, layer.weight_imag).detach().numpy()  # type: ignore[arg-type]
    return value


@pytest.mark.parametrize("name", MAKERS)
def test_spectral_norm_divides_by_the_greatest_singular_value(name: str) -> None:
    layer = MAKERS[name]().double()
    for part in layer.parameters():
        nn.init.normal_(part)
    before = weight(layer)
    layer = complex_spectral_norm(layer, n_power_iterations=60)
    x = torch.randn(SHAPES[name], dtype=torch.complex128)
    for _ in range(3):
        layer(x)
    sigma = np.linalg.svd(before.reshape(len(before), -1), compute_uv=False)[0]
    np.testing.assert_allclose(weight(layer), before / sigma, rtol=1e-6)
    # In evaluation the singular vectors stay.
    state = copy.deepcopy(layer.eval().state_dict())
    layer(x)
    assert_close(layer.state_dict(), state, rtol=0, atol=0)


def test_spectral_norm_of_a_transposed_axis_is_of_the_other_matrix() -> None:
    layer = ComplexConv1d(3, 4, 5).double()
    before = weight(layer)
    layer = complex_spectral_norm(layer, n_power_iterations=200, dim=1)
    sigma = np.linalg.svd(before.transpose(1, 0, 2).reshape(3, -1), compute_uv=False)[0]
    np.testing.assert_allclose(weight(layer), before / sigma, rtol=1e-6)


@pytest.mark.parametrize("dim", [0, 1, -1, None])
@pytest.mark.parametrize("name", MAKERS)
def test_weight_norm_sets_the_norm_of_each_filter(name: str, dim: int | None) -> None:
    layer = MAKERS[name]().double()
    before = weight(layer)
    layer = complex_weight_norm(layer, dim)
    np.testing.assert_allclose(weight(layer), before)
    magnitude = layer.parametrizations.weight_real[0].magnitude  # type: ignore[index,union-attr]
    nn.init.uniform_(magnitude, 1, 2)
    nn.init.normal_(layer.parametrizations.weight_imag.original)  # type: ignore[index,union-attr,arg-type]
    after = weight(layer)
    axes = tuple(axis for axis in range(after.ndim) if dim is None or axis != dim % after.ndim)
    lengths = np.sqrt((np.abs(after) ** 2).sum(axes, keepdims=True))
    np.testing.assert_allclose(lengths, magnitude.detach().numpy())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", MAKERS)
def test_gradients_are_those_of_both_parts_together(name: str, norm: Callable[..., nn.Module]) -> None:
    layer = norm(MAKERS[name]().double()).eval()
    x = torch.randn(SHAPES[name], dtype=torch.complex128)
    parameters = dict(layer.named_parameters())
    assert len(parameters) == (4 if norm is complex_weight_norm else 3)

    def run(*values: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.func.functional_call(layer, dict(zip(parameters, values, strict=True)), (x,))
        return y

    assert torch.autograd.gradcheck(run, tuple(parameters.values()), fast_mode=True)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", MAKERS)
def test_state_dict_copies_and_removal(name: str, norm: Callable[..., nn.Module]) -> None:
    layer, x = norm(MAKERS[name]()), torch.randn(SHAPES[name], dtype=torch.complex64)
    layer(x)
    expected = layer.eval()(x)
    loaded = norm(MAKERS[name]())
    loaded.load_state_dict(layer.state_dict())
    assert_close(loaded.eval()(x), expected)
    twin = copy.deepcopy(layer)
    assert_close(twin(x), expected)
    # The copy has weights of its own.
    for part in layer.parameters():
        nn.init.normal_(part)
    assert_close(twin(x), expected)
    removed = remove_complex_norm(twin)
    assert removed is twin and not parametrize.is_parametrized(twin)
    plain = MAKERS[name]()
    plain.load_state_dict(twin.state_dict())
    assert_close(plain(x), expected)
    assert_close(twin(x), expected)


@pytest.mark.parametrize("norm", NORMS)
def test_layers_train_under_a_norm(norm: Callable[..., nn.Module]) -> None:
    layer, x = norm(ComplexLinear(5, 3)), torch.randn(64, 5, dtype=torch.complex64)
    target = ComplexLinear(5, 3)(x).detach()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (layer(x) - target).abs().square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_what_cannot_be_normed_is_refused() -> None:
    with pytest.raises(ValueError, match="Linear has no complex weight"):
        complex_weight_norm(nn.Linear(3, 3))
    normed = complex_weight_norm(ComplexLinear(3, 3))
    with pytest.raises(ValueError, match="ComplexLinear is parametrised already"):
        complex_spectral_norm(normed)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        complex_spectral_norm(ComplexLinear(3, 3), n_power_iterations=0)
    with pytest.raises(ValueError, match="an axis of the weight, -2 to 1, not 2"):
        complex_weight_norm(ComplexLinear(3, 3), dim=2)
    with pytest.raises(ValueError, match="neither complex_weight_norm nor complex_spectral_norm"):
        remove_complex_norm(ComplexLinear(3, 3))
    parametrize.remove_parametrizations(normed, "weight_real")
    with pytest.raises(RuntimeError, match="remove both parts with remove_complex_norm"):
        normed(torch.zeros(1, 3, dtype=torch.complex64))
