"""Comparators of the synthetic problems: associative LSTM, GORU and KRU against explicit formulas."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest
import torch
from associative_lstm import AssociativeLSTM, bound, read, write
from goru import GORU
from kru import KRU
from sequence_network import SequenceConfig, SequenceNetwork
from torch import Tensor, nn

from audiocx.nn import ComplexUnitaryRNN
from audiocx.nn.functional import to_channels, to_complex


@pytest.fixture(autouse=True)
def double_precision() -> Any:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def randomised(layer: nn.Module) -> nn.Module:
    """Move all parameters away from their start values, which hide much (biases of 0)."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer


def parts(z: Tensor) -> Tensor:
    return torch.stack([z.real, z.imag], -2)


@pytest.mark.parametrize("build", [lambda: GORU(2, 4), lambda: AssociativeLSTM(2, 3, 2), lambda: KRU(1, 4)])
def test_gradients_match_finite_differences(build: Any) -> None:
    layer, x = randomised(build()), torch.randn(2, 3, 2, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def run(x: Tensor, *values: Tensor) -> Tensor:
        states: Tensor = torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))[0]
        return states

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


@pytest.mark.parametrize("build", [lambda: GORU(2, 4), lambda: AssociativeLSTM(2, 3, 2), lambda: KRU(1, 4)])
def test_the_last_state_is_returned_beside_all(build: Any) -> None:
    states, last = build()(torch.randn(2, 3, 2))
    assert states.shape[:2] == (2, 3) and torch.equal(states[:, -1], last)


def test_goru_follows_its_formula() -> None:
    layer: Any = randomised(GORU(3, 8))
    x, h, u = torch.randn(2, 5, 3), torch.zeros(2, 8), layer.matrix()
    v_c, v_r, v_z = layer.input.weight.chunk(3)
    (w_r, w_z), (b_r, b_z) = layer.gates.weight.chunk(2), layer.gates.bias.chunk(2)
    for now, state in zip(x.unbind(1), layer(x)[0].unbind(1), strict=True):
        r, z = ((w @ h.T + v @ now.T).T + b for w, v, b in ((w_r, v_r, b_r), (w_z, v_z, b_z)))
        c = now @ v_c.T + r.sigmoid() * (h @ u.T)
        h = z.sigmoid() * h + (1 - z.sigmoid()) * c.sign() * (c.abs() + layer.bias).clamp_min(0)
        torch.testing.assert_close(state, h)


def test_goru_matrix_is_the_product_of_plane_rotations_and_orthogonal() -> None:
    layer: Any = randomised(GORU(1, 8))
    product = torch.eye(8)
    for stride, angles in zip((1, 2, 4), layer.angles, strict=True):
        rotations = torch.eye(8)
        firsts = [unit for unit in range(8) if not unit & stride]
        for unit, angle in zip(firsts, angles.tolist(), strict=True):
            rotations[unit, unit] = rotations[unit + stride, unit + stride] = math.cos(angle)
            rotations[unit, unit + stride], rotations[unit + stride, unit] = -math.sin(angle), math.sin(angle)
        product = rotations @ product
    torch.testing.assert_close(layer.matrix(), product)
    u = GORU(1, 128).float().matrix()
    assert (u.T @ u - torch.eye(128)).norm() < 1e-5
    # Every unit acts on every other.
    assert (u != 0).all()


def test_one_key_retrieves_its_value_exactly() -> None:
    permutations = torch.stack([torch.randperm(6) for _ in range(3)])
    value, phase = torch.randn(2, 6, dtype=torch.complex128), torch.rand(2, 6) * 2 * math.pi
    key = torch.polar(torch.ones(2, 6), phase)
    memory = write(parts(key), parts(value), permutations)
    torch.testing.assert_close(memory[:, 0, 1] + 1j * memory[:, 1, 1], key[:, permutations[1]] * value)
    torch.testing.assert_close(read(parts(key.conj()), memory, permutations), parts(value))


def test_copies_reduce_the_noise_of_other_keys() -> None:
    def noise(copies: int) -> float:
        permutations = torch.stack([torch.randperm(512) for _ in range(copies)])
        keys = torch.polar(torch.ones(8, 512), torch.rand(8, 512) * 2 * math.pi)
        values = torch.randn(8, 512, dtype=torch.complex128)
        memory = write(parts(keys), parts(values), permutations).sum(0, keepdim=True).expand(8, -1, -1, -1)
        return float((read(parts(keys.conj()), memory, permutations) - parts(values)).square().mean())

    # Seven other values, each of power 1, which the parts share.
    assert noise(1) == pytest.approx(3.5, rel=0.2) and noise(16) == pytest.approx(3.5 / 16, rel=0.2)


def test_bound_limits_magnitudes() -> None:
    z = parts(torch.tensor([[3 + 4j, 0.3 - 0.4j, 0]]))
    torch.testing.assert_close(bound(z), parts(torch.tensor([[0.6 + 0.8j, 0.3 - 0.4j, 0]])))


def test_associative_lstm_follows_its_formula() -> None:
    layer: Any = randomised(AssociativeLSTM(3, 4, copies=2))
    x, h = torch.randn(2, 5, 3), torch.zeros(2, 4, dtype=torch.complex128)
    memories = [h, h]

    def bounded(z: Tensor) -> Tensor:
        return z / z.abs().clamp_min(1)

    assert layer.permutations[0].tolist() == [0, 1, 2, 3] and sorted(layer.permutations[1].tolist()) == [0, 1, 2, 3]
    for now, state in zip(x.unbind(1), layer(x)[0].unbind(1), strict=True):
        pre = layer.input(now) + torch.cat([h.real, h.imag], 1) @ layer.state.weight.T
        forget, enter, leave = pre[:, :12].sigmoid().chunk(3, 1)
        r_i, r_o, u = (bounded(to_complex(part, 1)) for part in pre[:, 12:].chunk(3, 1))
        orders = layer.permutations
        memories = [forget * c + r_i[:, order] * enter * u for c, order in zip(memories, orders, strict=True)]
        retrieved = torch.stack([r_o[:, order] * c for c, order in zip(memories, orders, strict=True)]).mean(0)
        h = leave * bounded(retrieved)
        torch.testing.assert_close(state, to_channels(h, 1))


def test_kru_multiplies_by_the_kronecker_product_of_its_factors() -> None:
    layer: Any = randomised(KRU(2, 8))
    cell = layer.cell
    w = functools.reduce(torch.kron, [torch.complex(*factor) for factor in cell.factors])
    v = torch.complex(cell.input.weight_real, cell.input.weight_imag)
    x, h = torch.randn(2, 5, 2, dtype=torch.complex128), torch.randn(2, 8, dtype=torch.complex128)
    states, last = layer(x, h)
    first = cell(x[:, 0], h)
    for now, state in zip(x.unbind(1), states.unbind(1), strict=True):
        z = h @ w.T + now @ v.T
        h = z / z.abs() * (z.abs() + cell.bias).clamp_min(0)
        torch.testing.assert_close(state, h)
    torch.testing.assert_close(last, h)
    torch.testing.assert_close(first, states[:, 0])
    torch.testing.assert_close(layer(to_channels(x, 2))[0], to_channels(layer(x)[0], 2))


def test_kru_starts_unitary_and_pays_for_leaving() -> None:
    network: Any = SequenceNetwork(SequenceConfig("kru", 1, 1, hidden=8, penalty=0.5))
    assert network.drift() < 1e-14
    with torch.no_grad():
        network.layer.cell.factors[1] *= 2  # W_f^H W_f = 4 I
    assert network.drift() == pytest.approx(math.sqrt(18)) and network.penalty().item() == pytest.approx(0.5 * 18)
    assert SequenceNetwork(SequenceConfig("urnn", 1, 1, hidden=8)).penalty() == 0


def test_kru_of_one_matrix_is_the_urnn() -> None:
    """With the matrix of a KRU, the unitary layer has the same states."""
    layer, other = KRU(2, 4), ComplexUnitaryRNN(2, 4)
    w = functools.reduce(torch.kron, [torch.complex(*factor) for factor in layer.cell.factors])
    with torch.no_grad():
        other.cell.state.weight.copy_(torch.stack([w.real, w.imag]))  # type: ignore[union-attr,operator]
        other.cell.input.load_state_dict(layer.cell.input.state_dict())  # type: ignore[union-attr]
        other.cell.activation.weight.copy_(layer.cell.bias)  # type: ignore[union-attr,operator]
    x = torch.randn(3, 6, 2, dtype=torch.complex128)
    torch.testing.assert_close(layer(x), other(x))


@pytest.mark.parametrize("layer", ["goru", "kru"])
def test_sizes_other_than_powers_of_two_are_refused(layer: Any) -> None:
    with pytest.raises(ValueError, match=f"hidden must be a power of 2.* for layer = '{layer}', not 6"):
        SequenceNetwork(SequenceConfig(layer, 1, 1, hidden=6))
