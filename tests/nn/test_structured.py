"""Structured unitary matrix and the recurrent layer with it, against the explicit product of its factors."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from audiocx.nn import ComplexStructuredStateMatrix, ComplexUnitaryRNN, ComplexUnitaryRNNCell
from audiocx.nn.functional import to_channels, to_complex
from audiocx.optim import decayed_parameters, unitary_parameters

Array = NDArray[np.complex128]


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(sum(shape)))


def matrix(size: int) -> ComplexStructuredStateMatrix:
    torch.manual_seed(size)
    return ComplexStructuredStateMatrix(size).double()


def by_hand(layer: ComplexStructuredStateMatrix) -> Array:
    """D3 R2 F^-1 D2 P R1 F D1 as seven dense matrices."""
    size = layer.phases.shape[1]
    first, middle, last = (np.diag(np.exp(1j * w)) for w in layer.phases.detach().numpy())
    columns = [real + 1j * imag for real, imag in layer.reflections.detach().numpy()]
    one = np.eye(size)
    reflections = [one - 2 * np.outer(v, v.conj()) / np.vdot(v, v).real for v in columns]
    index = np.arange(size)
    fourier = np.exp(-2j * np.pi * np.outer(index, index) / size) / np.sqrt(size)
    permutation = one[layer.permutation.numpy()]
    product: Array = last @ reflections[1] @ fourier.conj().T @ middle @ permutation @ reflections[0] @ fourier @ first
    return product


@pytest.mark.parametrize("size", [1, 2, 7, 16])
def test_the_product_of_its_factors(size: int) -> None:
    layer, z = matrix(size), random(3, 4, size)
    expected, channels = by_hand(layer), to_channels(z, -1)
    np.testing.assert_allclose(layer(z).detach().numpy(), z.numpy() @ expected.T, atol=1e-13)
    torch.testing.assert_close(to_complex(layer(channels), -1), layer(z))
    torch.testing.assert_close(channels @ layer.transposed(), layer(channels))


@pytest.mark.parametrize("size", [5, 64])
def test_unitary_to_rounding_whatever_the_parameters(size: int) -> None:
    layer = matrix(size)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 7 * size
    for _ in range(2):
        w = layer(torch.eye(size, dtype=torch.complex128)).detach()
        torch.testing.assert_close(w @ w.mH, torch.eye(size, dtype=w.dtype), atol=1e-13, rtol=0)
        nn.init.normal_(layer.phases, std=30)
        nn.init.normal_(layer.reflections, std=1e-3)
    assert not unitary_parameters(layer) and not decayed_parameters(layer)
    nn.init.zeros_(layer.reflections)  # no direction to reflect along
    assert layer(random(2, size)).isfinite().all()


def test_initial_parameters() -> None:
    layer = matrix(4096)
    for values, bound in ((layer.phases, np.pi), (layer.reflections, 1.0)):
        assert values.abs().max() <= bound and values.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert torch.equal(layer.permutation.sort().values, torch.arange(4096)) and layer.permutation[:9].diff().ne(1).any()


def rnn(activation: str = "modrelu", hidden: int = 3) -> ComplexUnitaryRNN:
    torch.manual_seed(1)
    network = ComplexUnitaryRNN(2, hidden, activation, "arjovsky").double()  # type: ignore[arg-type]
    nn.init.uniform_(network.cell.activation.weight, 0.2, 1.4)  # type: ignore[arg-type, union-attr]
    return network


@pytest.mark.parametrize("activation", ["modrelu", "hirose"])
def test_the_layers_equation(activation: str) -> None:
    network, x, h = rnn(activation), random(2, 5, 2), random(2, 3)
    cell = network.cell
    assert isinstance(cell, ComplexUnitaryRNNCell) and isinstance(cell.state, ComplexStructuredStateMatrix)
    w, v = by_hand(cell.state), torch.complex(cell.input.weight_real, cell.input.weight_imag).detach().numpy()
    b, state, states = cell.activation.weight.detach().numpy(), h.numpy(), []
    for frame in x.numpy().swapaxes(0, 1):
        z = state @ w.T + frame @ v.T
        length = np.maximum(np.abs(z) + b, 0) if activation == "modrelu" else np.tanh(np.abs(z) / b**2)
        state = length * z / np.abs(z)
        states.append(state)
    y, last = network(x, h)
    np.testing.assert_allclose(y.detach().numpy(), np.stack(states, 1), atol=1e-12)
    assert torch.equal(last, y[:, -1])


def test_steps_of_the_cell_equal_the_layer_and_so_do_their_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer multiplies by the matrix; the cell, and a layer of many units, by Fourier transforms."""
    network, x, state = rnn(), random(2, 6, 2), random(2, 3)
    whole, leaves, steps = network(x, state)[0], [*network.parameters()], []
    monkeypatch.setattr("audiocx.nn.unitary._FORMED_UNITS", 2)
    by_transforms = network(x, state)[0]
    for frame in x.unbind(1):
        state = network.cell(frame, state)
        steps.append(state)
    ways, weights = (whole, by_transforms, torch.stack(steps, 1)), random(2, 6, 3)
    gradients = [torch.autograd.grad((y * weights).real.sum(), leaves) for y in ways]
    for y, gradient in zip(ways[1:], gradients[1:], strict=True):
        torch.testing.assert_close(y, whole)
        torch.testing.assert_close(gradient, gradients[0])


def test_gradients() -> None:
    network = rnn()
    names = [name for name, _ in network.named_parameters()]

    def run(x: Tensor, h: Tensor, *values: Tensor) -> Tensor:
        return functional_call(network, dict(zip(names, values, strict=True)), (x, h))[0]

    inputs = (random(2, 3, 2).requires_grad_(), random(2, 3).requires_grad_(), *network.parameters())
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)


def test_copies_state_dicts_and_narrow_types() -> None:
    network, x = rnn(hidden=8).float(), random(2, 4, 2).to(torch.complex64)
    other = ComplexUnitaryRNN(2, 8, structure="arjovsky")
    other.load_state_dict(network.state_dict())
    for same in (other, copy.deepcopy(network)):
        torch.testing.assert_close(same(x), network(x))
    for dtype in (torch.float16, torch.bfloat16):
        y = copy.deepcopy(network).to(dtype)(to_channels(x, -1).to(dtype))[0]
        assert y.dtype == dtype
        torch.testing.assert_close(to_complex(y.float(), -1), network(x)[0], atol=0.05, rtol=0.1)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="'full' or 'arjovsky', not 'circulant'"):
        ComplexUnitaryRNN(2, 3, structure="circulant")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"complex tensor \[\*, 4\] or real channels \[\*, 8\], not real \[2, 4\]"):
        ComplexStructuredStateMatrix(4)(torch.zeros(2, 4))
    assert "ComplexStructuredStateMatrix(3)" in repr(rnn())
