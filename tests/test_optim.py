"""Optimisers on unitary matrices."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn

from audiocx.nn import ComplexBatchNorm, ComplexGatedRNN, ComplexStateMatrix, ComplexUnitaryRNN
from audiocx.optim import (
    StiefelAdam,
    StiefelAdamW,
    StiefelRMSprop,
    cayley_step_,
    nearest_unitary_,
    unitary_drift,
    unitary_parameters,
)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def apart(weight: Tensor) -> float:
    """The Frobenius norm of W^H W - I, in double precision."""
    w = torch.complex(*weight.detach().double())
    return float(torch.linalg.matrix_norm(w.mH @ w - torch.eye(len(w))))


def skew(weight: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """W and A = G W^H - W G^H."""
    w, g = torch.complex(*weight.detach()), torch.complex(*gradient)
    return w, g @ w.mH - w @ g.mH


def exact(size: int) -> Tensor:
    """A matrix unitary to double precision."""
    q, _ = torch.linalg.qr(torch.randn(size, size, dtype=torch.complex128))
    return torch.stack([q.real, q.imag])


def test_a_step_is_the_cayley_transform() -> None:
    weight, gradient = exact(5), torch.randn(2, 5, 5, dtype=torch.float64)
    w, a = skew(weight, gradient)
    eye = torch.eye(5)
    expected = torch.linalg.inv(eye + 0.05 * a) @ (eye - 0.05 * a) @ w
    cayley_step_(weight, gradient, 0.1)
    torch.testing.assert_close(torch.complex(*weight), expected)


def test_a_small_step_is_the_exponential_to_second_order() -> None:
    """The difference from the matrix exponential shrinks with the cube of the rate."""
    start, gradient = exact(5), torch.randn(2, 5, 5, dtype=torch.float64)
    w, a = skew(start, gradient)
    left = []
    for rate in (1e-3, 1e-2):
        weight = start.clone()
        cayley_step_(weight, gradient, rate)
        left.append(float((torch.complex(*weight) - torch.matrix_exp(-rate * a) @ w).norm()))
    # (1 + x/2)^-1 (1 - x/2) = e^-x + x^3 / 12 + ...
    assert left[0] == pytest.approx(float((1e-9 / 12 * a @ a @ a @ w).norm()), rel=0.01)
    assert left[1] / left[0] == pytest.approx(1000, rel=0.05)


def test_steps_reduce_the_loss() -> None:
    target, matrix = exact(8).float(), ComplexStateMatrix(8)
    optimiser = StiefelRMSprop(nn.ModuleList([matrix]), lr=0.05)
    losses = []
    for _ in range(150):
        loss = (matrix.weight - target).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.01 * losses[0]


def drift(steps: int, size: int) -> float:
    """Largest deviation from unitarity over a random walk of large steps."""
    matrix = ComplexStateMatrix(size)
    before, worst = matrix.weight.detach().clone(), 0.0
    for step in range(steps):
        cayley_step_(matrix.weight, torch.randn(2, size, size), 1e-2)
        if step % 100 == 99:
            worst = max(worst, apart(matrix.weight))
    assert float((matrix.weight.detach() - before).norm()) > 1  # the walk moved
    return worst


def test_it_stays_unitary() -> None:
    assert drift(200, 24) < 1e-5


@pytest.mark.slow
def test_it_stays_unitary_over_ten_thousand_steps() -> None:
    assert drift(10_000, 80) < 1e-5


def test_drift_is_that_of_the_worst_matrix_that_is_to_stay_unitary() -> None:
    network = ComplexGatedRNN(2, 4, unitary_gates=True)
    assert unitary_drift(network) < 1e-5
    with torch.no_grad():
        network.cell.state.weight.mul_(1.1)
        network.cell.gate_state[1].weight.mul_(1.3)
        network.cell.input.weight_real.mul_(100)
    assert unitary_drift(network) == pytest.approx(2 * (1.3**2 - 1), rel=1e-5)  # of four singular values
    assert unitary_drift(ComplexGatedRNN(2, 4, unitary=False)) == 0


def test_the_nearest_unitary_matrix_is_the_polar_factor() -> None:
    average = (exact(6) + exact(6) + exact(6)) / 3
    expected, _ = scipy.linalg.polar(torch.complex(*average).numpy())
    weight = nn.Parameter(average.clone())
    nearest_unitary_(weight)
    np.testing.assert_allclose(torch.complex(*weight.detach()).numpy(), expected, atol=1e-12)
    assert apart(average) > 0.1
    single = average.float()
    nearest_unitary_(single)
    assert apart(single) < 1e-5


def train(network: nn.Module, optimiser: torch.optim.Optimizer, steps: int) -> None:
    x = torch.randn(4, 5, 2, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimiser.zero_grad()
        (network(x)[0] - 1).abs().square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize("kind", [StiefelRMSprop, StiefelAdam, StiefelAdamW])
def test_other_parameters_follow_the_base_optimiser(kind: Any) -> None:
    """One step of the base optimiser gives all other parameters the same values."""
    ours, theirs = (ComplexGatedRNN(2, 6) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    usual = getattr(torch.optim, kind.__name__.removeprefix("Stiefel"))
    train(ours, kind(ours, lr=1e-2, weight_decay=0.0), 1)
    train(theirs, usual(theirs.parameters(), lr=1e-2, weight_decay=0.0), 1)
    for name, value in theirs.named_parameters():
        same = torch.equal(value, dict(ours.named_parameters())[name])
        assert same != (name == "cell.state.weight"), name
    assert apart(ours.cell.state.weight) < 1e-5 < 1e-2 < apart(theirs.cell.state.weight)  # type: ignore[arg-type,union-attr]


def test_weight_decay_is_for_matrices_only() -> None:
    network = ComplexGatedRNN(5, 6)
    nn.init.ones_(network.cell.get_parameter("input.bias"))
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    StiefelAdamW(network, lr=0.1, weight_decay=0.5).step()
    for name, value in network.named_parameters():
        decayed = name.rpartition(".")[2] in ("weight_real", "weight_imag")
        torch.testing.assert_close(value.detach(), before[name] * (0.95 if decayed else 1.0))
    assert {"cell.input.weight_real", "cell.gate_input.bias", "cell.state.weight"} <= set(before)


def test_weight_decay_depends_on_the_layer_not_on_its_size() -> None:
    network = nn.Sequential(nn.Linear(4, 2), nn.Conv1d(1, 3, 2), ComplexBatchNorm(5))
    decayed, rest = StiefelAdamW(network).param_groups
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert [names[id(parameter)] for parameter in decayed["params"]] == ["0.weight", "1.weight"]
    assert {names[id(parameter)] for parameter in rest["params"]} == {"0.bias", "1.bias", "2.gamma", "2.beta"}


@pytest.mark.parametrize("fused", [False, True])
def test_gradients_scaled_for_float16_give_the_same_step(fused: bool) -> None:
    plain, scaled = ComplexUnitaryRNN(2, 4), ComplexUnitaryRNN(2, 4)
    scaled.load_state_dict(plain.state_dict())
    train(plain, StiefelAdamW(plain, fused=fused), 1)
    optimiser, scaler = StiefelAdamW(scaled, fused=fused), torch.amp.GradScaler("cpu", init_scale=1024.0)
    x = torch.randn(4, 5, 2, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    scaler.scale((scaled(x)[0] - 1).abs().square().mean()).backward()
    scaler.step(optimiser)
    torch.testing.assert_close(scaled.state_dict(), plain.state_dict())


def test_a_free_matrix_is_an_ordinary_parameter() -> None:
    network = ComplexGatedRNN(2, 6, unitary=False)
    assert unitary_parameters(network) == []
    optimiser = StiefelAdam(network)
    (group,) = optimiser.param_groups
    assert [*map(id, group["params"])] == [*map(id, network.parameters())]


def test_learning_rate_of_the_unitary_matrices() -> None:
    network = nn.Sequential(ComplexGatedRNN(2, 3), ComplexUnitaryRNN(3, 3))
    rest, unitary = StiefelAdam(network, lr=1e-3, unitary_lr=1e-4).param_groups
    assert (rest["lr"], unitary["lr"], len(unitary["params"])) == (1e-3, 1e-4, 2)
    assert {*map(id, rest["params"])} | {*map(id, unitary["params"])} == {*map(id, network.parameters())}


def test_the_constraint_survives_copies_and_checkpoints() -> None:
    network = ComplexUnitaryRNN(2, 4)
    loaded = copy.deepcopy(network)
    loaded.load_state_dict({name: value.clone() for name, value in network.state_dict().items()}, assign=True)
    with torch.device("meta"):
        meta = ComplexUnitaryRNN(2, 4)
    meta.load_state_dict(network.state_dict(), assign=True)
    for other in (loaded, meta, copy.deepcopy(network), pickle.loads(pickle.dumps(network)), network.double()):
        (weight,) = unitary_parameters(other)
        assert weight is dict(other.named_parameters())["cell.state.weight"]


def test_resumed_equals_uninterrupted() -> None:
    network = ComplexGatedRNN(2, 4)
    other = copy.deepcopy(network)
    train(network, StiefelAdam(network), 6)
    first = StiefelAdam(other)
    train(other, first, 3)
    second = StiefelAdam(other)
    second.load_state_dict(first.state_dict())
    train(other, second, 3)
    torch.testing.assert_close(other.state_dict(), network.state_dict(), rtol=0, atol=0)


def test_closures_and_gradients_are_as_in_any_optimiser() -> None:
    matrix = ComplexStateMatrix(3)
    optimiser = StiefelRMSprop(matrix)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = matrix.weight.sum()
        loss.backward()
        return loss

    before = matrix.weight.sum().detach()
    torch.testing.assert_close(optimiser.step(closure).detach(), before)
    assert matrix.weight.grad is not None and matrix.weight.grad.eq(1).all()
    assert matrix.weight.sum() < before
