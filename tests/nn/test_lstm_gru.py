"""Complex LSTM and GRU against their equations in native complex arithmetic, step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from audiocx.nn import ComplexConvLSTM, ComplexGRU, ComplexGRUCell, ComplexLSTM, ComplexLSTMCell
from audiocx.nn.cell import SEGMENT_STEPS
from audiocx.nn.functional import to_channels, to_complex
from audiocx.nn.init import weight_std

KINDS: dict[str, Any] = {"lstm": ComplexLSTM, "gru": ComplexGRU}
every_kind = pytest.mark.parametrize("kind", KINDS)
State = Any  # a tensor, or two


def layer(kind: str, inputs: int = 2, hidden: int = 3, **options: Any) -> Any:
    torch.manual_seed(1)
    network = KINDS[kind](inputs, hidden, dtype=torch.float64, **options)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.7)
    return network


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(sum(shape)))


def start(kind: str, batch: int = 2, hidden: int = 3) -> State:
    state = random(2, batch, hidden)
    return (state[0], state[1]) if kind == "lstm" else state[0]


def tensors(state: State) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def both(function: Any, *parts: Tensor) -> Tensor:
    """Apply a real function to real and imaginary parts separately."""
    return torch.complex(function(*(z.real for z in parts)), function(*(z.imag for z in parts)))


def gate(z: Tensor) -> Tensor:
    return both(torch.sigmoid, z)


def times(a: Tensor, b: Tensor) -> Tensor:
    return both(torch.mul, a, b)


def step_by_hand(cell: Any, x: Tensor, state: State) -> State:
    hidden = tensors(state)[0]
    w, u = (torch.complex(part.weight_real, part.weight_imag) for part in (cell.input, cell.state))
    of_input = (w @ x + (0 if cell.input.bias is None else torch.complex(*cell.input.bias.chunk(2)))).chunk(
        4 if isinstance(state, tuple) else 3
    )
    of_state = (u @ hidden).chunk(len(of_input))
    if isinstance(state, tuple):
        i, f, o, g = (a + b for a, b in zip(of_input, of_state, strict=True))
        memory = times(gate(f), state[1]) + times(gate(i), both(torch.tanh, g))
        return times(gate(o), both(torch.tanh, memory)), memory
    r, z = (gate(a + b) for a, b in zip(of_input[:2], of_state[:2], strict=True))
    d = 0 if cell.candidate_bias is None else torch.complex(*cell.candidate_bias.chunk(2))
    n = both(torch.tanh, of_input[2] + times(r, of_state[2] + d))
    return times(1 + 1j - z, n) + times(z, hidden)


def by_hand(network: Any, x: Tensor, state: State) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Sequence by sequence."""
    outputs, ends = [], []
    for index, sequence in enumerate(x):
        now = tuple(part[index] for part in state) if isinstance(state, tuple) else state[index]
        states = []
        for frame in sequence:
            now = step_by_hand(network.cell, frame, now)
            states.append(tensors(now)[0])
        outputs.append(torch.stack(states))
        ends.append(tensors(now))
    return torch.stack(outputs), tuple(torch.stack(parts) for parts in zip(*ends, strict=True))


@every_kind
@pytest.mark.parametrize("bias", [True, False])
def test_the_equations(kind: str, bias: bool) -> None:
    # More steps than a segment of the backward pass, and no multiple of it.
    network, x, state = layer(kind, bias=bias), random(2, SEGMENT_STEPS + 3, 2), start(kind)
    x.requires_grad_()
    results = [(y, *tensors(last)) for y, last in (network(x, state), by_hand(network, x, state))]
    torch.testing.assert_close(*results)
    leaves = [x, *network.parameters()]
    losses = (sum((part * random(*part.shape)).real.sum() for part in result) for result in results)
    torch.testing.assert_close(*(torch.autograd.grad(loss, leaves) for loss in losses))  # type: ignore[arg-type]
    zeros = tuple(torch.zeros_like(part) for part in tensors(state))
    torch.testing.assert_close(network(x)[0], network(x, zeros if kind == "lstm" else zeros[0])[0])


@every_kind
def test_gradients(kind: str) -> None:
    network = layer(kind, 1, 2)
    names = [name for name, _ in network.named_parameters()]
    states = tuple(part.requires_grad_() for part in tensors(start(kind, hidden=2)))

    def run(x: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        given = values[: len(states)] if kind == "lstm" else values[0]
        y, last = functional_call(network, dict(zip(names, values[len(states) :], strict=True)), (x, given))
        return y, *tensors(last)

    inputs = (random(2, 3, 1).requires_grad_(), *states, *network.parameters())
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)


@every_kind
def test_cell_pieces_and_real_channels(kind: str) -> None:
    network, x, state = layer(kind), random(2, 5, 2), start(kind)
    whole, last = network(x, state)
    now = state
    for time, frame in enumerate(x.unbind(1)):
        now = network.cell(frame, now)
        torch.testing.assert_close(tensors(now)[0], whole[:, time])
    torch.testing.assert_close(now, last)
    first, between = network(x[:, :2], state)
    second, end = network(x[:, 2:], between)
    torch.testing.assert_close((torch.cat([first, second], 1), end), (whole, last))
    real = tuple(to_channels(part, -1) for part in tensors(state))
    y, y_last = network(to_channels(x, -1), real if kind == "lstm" else real[0])
    torch.testing.assert_close(to_complex(y, -1), whole)
    assert not any(part.is_complex() for part in tensors(y_last))
    torch.testing.assert_close(network(x[0])[0], network(x)[0][0])
    torch.testing.assert_close(
        network.cell(x[0, 0]),
        network.cell(x[:1, 0])[0] if kind == "gru" else tuple(part[0] for part in network.cell(x[:1, 0])),
    )


@every_kind
def test_real_numbers_give_the_real_layer(kind: str) -> None:
    """With imaginary parts of zero the layer is that of torch.nn, with gates in another order for the LSTM."""
    network = layer(kind)
    real: Any = (nn.LSTM if kind == "lstm" else nn.GRU)(2, 3, batch_first=True, dtype=torch.float64)
    order = [0, 1, 3, 2] if kind == "lstm" else [0, 1, 2]
    cell = network.cell
    with torch.no_grad():
        for part in (cell.input, cell.state):
            part.weight_imag.zero_()
        cell.input.bias.chunk(2)[1].zero_()
        real.bias_hh_l0.zero_()
        if kind == "gru":
            cell.candidate_bias.chunk(2)[1].zero_()
            real.bias_hh_l0[6:] = cell.candidate_bias.chunk(2)[0]
        values = (cell.input.weight_real, cell.state.weight_real, cell.input.bias.chunk(2)[0])
        for own, value in zip((real.weight_ih_l0, real.weight_hh_l0, real.bias_ih_l0), values, strict=True):
            own.copy_(value.unflatten(0, (-1, 3))[order].flatten(0, 1))
    x = torch.randn(2, 7, 2, dtype=torch.float64)
    y = network(torch.complex(x, torch.zeros_like(x)))[0]
    torch.testing.assert_close(y.real, real(x)[0])
    # The gates of the imaginary parts are open by half, but there is nothing to let through.
    torch.testing.assert_close(y.imag, torch.zeros_like(x[..., :1]).expand_as(y.imag))


def test_lstm_is_the_convolutional_one_over_a_single_position() -> None:
    network, conv = layer("lstm"), ComplexConvLSTM(2, 3, 1, dtype=torch.float64)
    pairs = ((conv.input, network.cell.input), (conv.recurrent, network.cell.state))
    for own, other in pairs:
        own.load_state_dict({name: value.view_as(own.state_dict()[name]) for name, value in other.state_dict().items()})
    x = random(2, 4, 2)
    torch.testing.assert_close(conv(x.unsqueeze(-1))[0].squeeze(-1), network(x)[0])


def test_initial_parameters() -> None:
    torch.manual_seed(0)
    lstm: Any = ComplexLSTMCell(4, 64, scheme="rayleigh", forget_bias=1.0)
    gru: Any = ComplexGRUCell(4, 64, scheme="rayleigh")
    for cell, gates in ((lstm, 4), (gru, 3)):
        for part in (cell.input, cell.state):
            weights = torch.stack([part.weight_real, part.weight_imag]).detach()
            # Each gate by itself: Glorot's criterion over one matrix, not over all.
            for weight in weights.chunk(gates, 1):
                power = weight.square().sum(0).mean().item()
                assert power == pytest.approx(weight_std(weight[0], "glorot") ** 2, rel=0.2)
    assert lstm.input.bias is not None and lstm.input.bias.view(2, 4, 64)[:, 1].eq(1).all()
    assert lstm.input.bias.sum() == 128 and all(part.eq(0).all() for part in (gru.input.bias, gru.candidate_bias))
    unitary = torch.complex(*(part[:64].detach() for part in (ComplexGRUCell(4, 64).state.parameters())))
    scaled = unitary @ unitary.mH
    torch.testing.assert_close(scaled, scaled[0, 0] * torch.eye(64), atol=1e-5, rtol=0)
    # Four complex matrices of each kind, and a bias.
    assert sum(p.numel() for p in ComplexLSTM(2, 80).parameters()) == 2 * 4 * 80 * (2 + 80 + 1)


def test_what_does_not_fit_is_refused() -> None:
    network, x = layer("lstm"), random(2, 4, 2)
    hidden, cell = start("lstm")
    with pytest.raises(ValueError, match=r"a state of 2 tensors, complex \[2, 3\].*\[2, 6\], not complex \[2, 3\]\."):
        network(x, hidden)
    with pytest.raises(ValueError, match=r"not complex \[2, 3\], complex \[2, 2\]"):
        network(x, (hidden, cell[:, :2]))
    with pytest.raises(ValueError, match=r"ComplexGRUCell takes a state complex \[3\], or real channels \[6\]"):
        layer("gru").cell(x[0, 0], hidden)
    with pytest.raises(ValueError, match="leave bias=True"):
        ComplexLSTM(2, 3, bias=False, forget_bias=1.0)
    with pytest.raises(TypeError, match="would round an input of float64"):
        network.float()(x)
