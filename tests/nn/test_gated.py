"""Gated and unitary recurrent layers against their equations in NumPy."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from audiocx.nn import (
    ComplexGate,
    ComplexGatedRNN,
    ComplexGatedRNNCell,
    ComplexStateActivation,
    ComplexUnitaryRNN,
    ComplexUnitaryRNNCell,
)
from audiocx.nn.cell import SEGMENT_STEPS
from audiocx.nn.functional import to_channels, to_complex
from audiocx.nn.init import weight_std
from audiocx.optim import unitary_parameters

GATES, ACTIVATIONS = ("mod-sigmoid", "prod", "hirose", "single"), ("modrelu", "hirose")
LAYERS = [*itertools.product(GATES, ACTIVATIONS), *((None, activation) for activation in ACTIVATIONS)]
every_layer = pytest.mark.parametrize(("gate", "activation"), LAYERS)
Array = NDArray[np.complex128]


def layer(gate: str | None, activation: str, inputs: int = 2, hidden: int = 3) -> ComplexGatedRNN | ComplexUnitaryRNN:
    """A layer of double precision with nothing at its default; without gate the unitary one."""
    torch.manual_seed(1)
    made = ComplexGatedRNN(inputs, hidden, gate, activation) if gate else ComplexUnitaryRNN(inputs, hidden, activation)  # type: ignore[arg-type]
    for parameter in made.double().parameters():
        nn.init.normal_(parameter, std=0.7)
    if activation == "hirose":
        nn.init.uniform_(made.cell.activation.weight, 0.7, 1.4)  # type: ignore[arg-type]
    return made


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(sum(shape)))


def sigma(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def complex_of(real: Tensor, imag: Tensor) -> Array:
    return real.detach().numpy() + 1j * imag.detach().numpy()


def activated(z: Array, name: str, learnable: NDArray[np.float64]) -> Array:
    if name == "modrelu":
        return np.maximum(np.abs(z) + learnable, 0) * z / np.abs(z)
    return np.tanh(np.abs(z) / learnable**2) * z / np.abs(z)


def gate_value(z: Array, name: str, learnable: NDArray[np.float64]) -> NDArray[np.float64]:
    if name == "prod":
        return sigma(z.real) * sigma(z.imag)
    if name == "mod-sigmoid":
        a = sigma(learnable[0])
        return sigma(a * z.real + (1 - a) * z.imag)
    m, a, b = learnable
    return np.tanh(np.abs(z) / m**2) * sigma(a * np.angle(z) + b)


def by_hand(made: ComplexGatedRNN | ComplexUnitaryRNN, x: Array, h: Array) -> Array:
    """Step by step and sequence by sequence, as in the papers."""
    cell, size = made.cell, made.cell.hidden_features
    assert isinstance(cell, ComplexGatedRNNCell | ComplexUnitaryRNNCell)
    v, w = complex_of(cell.input.weight_real, cell.input.weight_imag), complex_of(*cell.state.weight)
    f_a = (cell.activation.name, cell.activation.weight.detach().numpy())
    states = np.empty((*x.shape[:2], size), complex)
    for sequence, now in itertools.product(range(len(x)), range(x.shape[1])):
        state, frame = states[sequence, now - 1] if now else h[sequence], x[sequence, now]
        if isinstance(cell, ComplexUnitaryRNNCell):
            states[sequence, now] = activated(w @ state + v @ frame, *f_a)
            continue
        v_g = complex_of(cell.gate_input.weight_real, cell.gate_input.weight_imag)
        w_g = np.concatenate([complex_of(*part.weight) for part in cell.gate_state])  # type: ignore[misc]
        values = w_g @ state + v_g @ frame + complex_of(*cell.gate_input.bias.chunk(2))
        if cell.gate.name == "single":
            reset, update = sigma(values.real), sigma(values.imag)
        else:
            numbers = np.zeros((0, 2, 1)) if cell.gate.weight is None else cell.gate.weight.detach().numpy()
            reset = gate_value(values[:size], cell.gate.name, numbers[:, 0, 0])
            update = gate_value(values[size:], cell.gate.name, numbers[:, 1, 0])
        assert cell.input.bias is not None
        z = w @ (reset * state) + v @ frame + complex_of(*cell.input.bias.chunk(2))
        states[sequence, now] = update * activated(z, *f_a) + (1 - update) * state
    return states


@every_layer
def test_the_equations(gate: str | None, activation: str) -> None:
    made, x, h = layer(gate, activation), random(2, 5, 2), random(2, 3)
    y, last = made(x, h)
    np.testing.assert_allclose(y.detach().numpy(), by_hand(made, x.numpy(), h.numpy()), rtol=1e-12, atol=1e-12)
    assert torch.equal(last, y[:, -1])
    np.testing.assert_allclose(made(x)[0].detach().numpy(), by_hand(made, x.numpy(), 0 * h.numpy()), atol=1e-12)


@every_layer
def test_gradients(gate: str | None, activation: str) -> None:
    """Gradients of inputs, initial state and every parameter match finite differences."""
    made = layer(gate, activation, 1, 2)
    names = [name for name, _ in made.named_parameters()]

    def run(x: Tensor, h: Tensor, *values: Tensor) -> Tensor:
        return functional_call(made, dict(zip(names, values, strict=True)), (x, h))[0]

    inputs = (random(2, 3, 1).requires_grad_(), random(2, 2).requires_grad_(), *made.parameters())
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


@every_layer
def test_layer_equals_repeated_steps_of_its_cell(gate: str | None, activation: str) -> None:
    # More steps than a segment of the backward pass, and no multiple of it.
    times = SEGMENT_STEPS + 3
    made, x, state = layer(gate, activation), random(2, times, 2), random(2, 3)
    wanted, steps = list(made.parameters()), []
    whole = made(x, state)[0]
    for frame in x.unbind(1):
        state = made.cell(frame, state)
        steps.append(state)
    torch.testing.assert_close(torch.stack(steps, 1), whole)
    weigh = random(2, times, 3)
    gradients = [torch.autograd.grad((y * weigh).real.sum(), wanted) for y in (whole, torch.stack(steps, 1))]
    torch.testing.assert_close(*gradients)


@every_layer
def test_a_sequence_in_segments_equals_the_whole(gate: str | None, activation: str) -> None:
    made, x = layer(gate, activation), random(1, 9, 2)
    whole, last = made(x)
    state, pieces = None, []
    for segment in x.split([1, 5, 3], 1):
        piece, state = made(segment, state)
        pieces.append(piece)
    torch.testing.assert_close(torch.cat(pieces, 1), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("gate", ["mod-sigmoid", None])
def test_real_channels_in_and_out(gate: str | None) -> None:
    made, x, h = layer(gate, "modrelu"), random(2, 4, 2), random(2, 3)
    expected, last = made(x, h)
    y, y_last = made(to_channels(x, -1), to_channels(h, -1))
    assert not y.is_complex()
    torch.testing.assert_close(to_complex(y, -1), expected)
    torch.testing.assert_close(to_complex(y_last, -1), last)
    step = made.cell(to_channels(x[:, 0], -1), h)
    torch.testing.assert_close(to_complex(step, -1), expected[:, 0])


@every_layer
def test_gradients_are_finite_at_zero(gate: str | None, activation: str) -> None:
    """The phase is undefined at 0."""
    made = layer(gate, activation)
    for name, parameter in made.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    x = torch.zeros(1, 3, 2, dtype=torch.complex128, requires_grad=True)
    for y in (made(x)[0], made.cell(x[:, 0])):
        gradients = torch.autograd.grad(y.real.sum(), [x, *made.parameters()], allow_unused=True)
        assert y.eq(0).all() and all(part is None or part.isfinite().all() for part in gradients)


def test_a_hand_worked_step() -> None:
    """One unit with W = i rotates its state by 90 degrees with open gates and keeps it with closed ones."""
    made = ComplexGatedRNNCell(1, 1)
    for name, parameter in made.named_parameters():
        nn.init.zeros_(parameter)
        if name == "state.weight":
            parameter.data[1] = 1.0
    state, x = torch.tensor([[3 + 4j]]), torch.zeros(1, 1, dtype=torch.complex64)
    for bias, expected in ((40.0, -4 + 3j), (-40.0, 3 + 4j)):
        nn.init.constant_(made.gate_input.bias, bias)
        torch.testing.assert_close(made(x, state), torch.tensor([[expected]]))


def test_about_forty_thousand_weights() -> None:
    """The sizes that the literature compares at."""
    for made, expected in (
        (ComplexGatedRNN(2, 80), 39_922),
        (ComplexUnitaryRNN(2, 140), 39_900),
        (nn.GRU(4, 112), 39_648),
    ):
        assert sum(parameter.numel() for parameter in made.parameters()) == expected


def test_initial_parameters() -> None:
    torch.manual_seed(0)
    cell, free = ComplexGatedRNNCell(4, 64), ComplexGatedRNNCell(4, 64, unitary=False)
    for made in (cell, ComplexUnitaryRNNCell(4, 64)):
        w = torch.complex(*made.state.weight.detach().double())
        assert float(torch.linalg.matrix_norm(w.mH @ w - torch.eye(64))) < 1e-5
    w = torch.complex(*free.state.weight.detach().double())
    assert float(torch.linalg.matrix_norm(w.mH @ w - torch.eye(64))) > 1
    assert cell.gate_input.bias.eq(4).all() and cell.input.bias is not None and cell.input.bias.eq(0).all()
    assert torch.sigmoid(cell.gate.weight).eq(0.5).all()  # type: ignore[arg-type]
    # Each gate by itself: Glorot's criterion over one matrix, not over both stacked.
    weights = torch.stack([cell.gate_input.weight_real, cell.gate_input.weight_imag])
    for weight in (weights[:, :64], weights[:, 64:], *cell.gate_state.parameters()):
        power = weight.square().sum(0).mean().item()
        assert power == pytest.approx(weight_std(weight[0], "glorot") ** 2, rel=0.2)
    # Nearly a unitary layer: it nearly keeps the norm of a state.
    h = to_complex(torch.randn(1, 128), -1)
    follows = cell(torch.zeros(1, 4, dtype=torch.complex64), h).detach()
    assert float(follows.norm() / h.norm()) == pytest.approx(1, abs=0.05)


def test_unitary_gate_matrices() -> None:
    for gate, count in (("prod", 2), ("single", 1)):
        cell = ComplexGatedRNNCell(1, 8, gate, unitary_gates=True)  # type: ignore[arg-type]
        assert len(unitary_parameters(cell)) == 1 + count and len(unitary_parameters(ComplexGatedRNNCell(1, 8))) == 1
        for weight in cell.gate_state.parameters():
            w = torch.complex(*weight.detach())
            torch.testing.assert_close(w.mH @ w, torch.eye(8, dtype=w.dtype), atol=1e-5, rtol=0)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="'mod-sigmoid', 'prod', 'hirose', 'single', not 'product'"):
        ComplexGatedRNN(1, 2, "product")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not 'relu'"):
        ComplexUnitaryRNN(1, 2, "relu")  # type: ignore[arg-type]
    for made in (ComplexGate("prod"), ComplexStateActivation("hirose", 2)):
        assert made.name in repr(made)


def test_autocast_keeps_the_dtype_of_the_parameters() -> None:
    for made in (ComplexGatedRNN(1, 2), ComplexUnitaryRNN(1, 2)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert made(torch.zeros(1, 3, 2, dtype=torch.bfloat16))[0].dtype == torch.float32


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
@pytest.mark.parametrize(("gate", "activation"), [*itertools.product(GATES, ["modrelu"]), (None, "hirose")])
def test_compiles_to_one_graph(gate: str | None, activation: str) -> None:
    made = layer(gate, activation)
    for module, x in ((made.cell, random(2, 2)), (made, random(2, 3, 2))):
        channels = to_channels(x, -1)
        # The graph is what could break; what is made of it is the compiler's.
        compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(channels), module(channels))
