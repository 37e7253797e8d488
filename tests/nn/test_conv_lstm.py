"""Convolutional LSTM against its equations, step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocx.nn import ComplexConvLSTM, ComplexConvLSTM2d, ConvLSTM, ConvLSTM2d
from audiocx.nn.cell import SEGMENT_STEPS
from audiocx.nn.functional import to_channels, to_complex

States = tuple[Tensor, Tensor]


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))


def layer(complex: bool = True, kernel: Any = 3, channels: int = 2, hidden: int = 3, axes: int = 1) -> Any:
    torch.manual_seed(0)
    network = (ConvLSTM if axes == 1 else ConvLSTM2d)(channels, hidden, kernel, complex, dtype=torch.float64)
    nn.init.normal_(network.input.bias)
    return network


def by_hand(network: Any, x: Tensor, state: States | None = None) -> tuple[Tensor, States]:
    """Step by step with the convolutions of PyTorch, native complex ones in the complex layer."""
    parts, convolve = 2 if network.complex else 1, F.conv1d if x.ndim == 4 else F.conv2d
    hidden, cell = state or (torch.zeros(x.shape[0], network.state_channels, *x.shape[3:], dtype=x.dtype),) * 2
    outputs = []
    for frame in x.unbind(1):
        both = []
        for conv, value in ((network.input, frame), (network.recurrent, hidden)):
            y = (
                to_channels(
                    convolve(to_complex(value), torch.complex(conv.weight_real, conv.weight_imag), padding="same")
                )
                if network.complex
                else convolve(value, conv.weight, padding="same")
            )
            both.append(y if conv.bias is None else y + conv.bias.view(1, -1, *[1] * (x.ndim - 3)))
        # [B, part, gate, H, *L]: the same gate of both parts.
        z = (both[0] + both[1]).unflatten(1, (parts, 4, -1))
        i, f, o, g = (z[:, :, gate].flatten(1, 2) for gate in range(4))
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        outputs.append(hidden)
    return torch.stack(outputs, 1), (hidden, cell)


@pytest.mark.parametrize("complex", [True, False])
@pytest.mark.parametrize("kernel", [1, 3, 5, (3, 3), (1, 5), (5, 3)])
def test_the_equations(complex: bool, kernel: Any) -> None:
    network = layer(complex, kernel, axes=1 if isinstance(kernel, int) else 2)
    x = random(2, 4, 4 if complex else 2, 7, *([] if isinstance(kernel, int) else [6]))
    expected, states = by_hand(network, x)
    actual, actual_states = network(x)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(actual_states, states)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("complex", [True, False])
def test_gradients_are_those_of_the_equations(complex: bool, axes: int) -> None:
    network, sizes = layer(complex, 3 if axes == 1 else (3, 5), axes=axes), [5, 6][:axes]
    # More steps than a segment of the backward pass, and no multiple of it.
    times = SEGMENT_STEPS + 3
    x = random(2, times, 4 if complex else 2, *sizes).requires_grad_()
    state = tuple(random(2, network.state_channels, *sizes).requires_grad_() for _ in range(2))
    leaves = [x, *state, *network.parameters()]
    weights = [random(2, *leading, network.state_channels, *sizes) for leading in ([times], [], [])]

    def gradients(run: object) -> tuple[Tensor, ...]:
        y, (hidden, cell) = run(x, state)  # type: ignore[operator]
        loss = (y * weights[0]).sum() + (hidden * weights[1]).sum() + (cell * weights[2]).sum()
        return torch.autograd.grad(loss, leaves)

    torch.testing.assert_close(gradients(network), gradients(lambda *inputs: by_hand(network, *inputs)))


def test_a_sequence_in_segments_equals_the_whole() -> None:
    network, x = layer(), random(2, 9, 4, 7)
    whole, last = network(x)
    state, pieces = None, []
    for segment in x.split([1, 5, 3], 1):
        piece, state = network(segment, state)
        pieces.append(piece)
    torch.testing.assert_close(torch.cat(pieces, 1), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("axes", [1, 2])
def test_complex_tensors_in_and_out(axes: int) -> None:
    """States too are of the kind of the input, and may be given in either."""
    network, sizes = layer(axes=axes), [7, 6][:axes]
    z = torch.complex(random(2, 4, 2, *sizes), random(2, 4, 2, *sizes) * 2)
    (actual, states), (expected, real) = network(z), network(to_channels(z, 2))
    torch.testing.assert_close([to_channels(actual, 2), *map(to_channels, states)], [expected, *real])
    for given in (z, to_channels(z, 2)):
        torch.testing.assert_close(network(given, states), network(given, real))
    single, single_states = network(z[0], tuple(part[0] for part in states))
    torch.testing.assert_close(single, network(z, states)[0][0])
    assert single_states[0].shape == (3, *sizes)


def test_causality_and_receptive_field() -> None:
    network, x = layer(), random(1, 6, 4, 20)
    before, _ = network(x)
    other = x.clone()
    other[:, 3, :, 10] += 1
    after, _ = network(other)
    changed = (after != before).any(2)[0]
    assert not changed[:3].any()
    # One position further to either side with every step.
    for time, reach in ((3, 1), (4, 2), (5, 3)):
        assert changed[time].nonzero().flatten().tolist() == list(range(10 - reach, 10 + reach + 1))


@pytest.mark.parametrize(("complex", "hidden", "parameters"), [(True, 60, 88_320), (False, 84, 87_024)])
def test_parameter_counts_of_the_paper(complex: bool, hidden: int, parameters: int) -> None:
    network = ConvLSTM(1 if complex else 2, hidden, 3, complex, scheme="rayleigh")
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize("scheme", ["unitary", "rayleigh"])
def test_each_gate_is_initialised_by_itself(scheme: str) -> None:
    torch.manual_seed(0)
    network = ConvLSTM(1, 24, 3, scheme=scheme, forget_bias=1.0)  # type: ignore[arg-type]
    for gate in range(4):
        rows = slice(24 * gate, 24 * (gate + 1))
        real, imag = network.recurrent.weight_real[rows], network.recurrent.weight_imag[rows]
        # Glorot over one gate: E|W|^2 = 2 / (fan_in + fan_out) = 2 / 144.
        assert float((real**2 + imag**2).mean().detach()) == pytest.approx(2 / 144, rel=0.1)
    bias = network.input.bias.unflatten(0, (2, 4, 24))
    assert bias[:, 1].eq(1).all() and bias.sum() == 48


def test_complex_conv_lstm_is_the_complex_case() -> None:
    torch.manual_seed(0)
    general = ConvLSTM(2, 3, 3, complex=True, scheme="rayleigh", forget_bias=1.0)
    torch.manual_seed(0)
    short = ComplexConvLSTM(2, 3, 3, scheme="rayleigh", forget_bias=1.0)
    torch.testing.assert_close(short.state_dict(), general.state_dict(), rtol=0, atol=0)
    x = torch.randn(1, 3, 4, 5)
    torch.testing.assert_close(short(x), general(x), rtol=0, atol=0)
    assert ComplexConvLSTM2d(2, 3).complex


def test_gradients_of_the_layer_over_two_axes() -> None:
    network, x = layer(kernel=(1, 3), channels=1, hidden=1, axes=2), random(1, 3, 2, 2, 3).requires_grad_()
    names, values = zip(*network.named_parameters(), strict=True)

    def run(x: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        y, states = torch.func.functional_call(network, dict(zip(names, values, strict=True)), (x,))
        return y, *states

    assert torch.autograd.gradcheck(run, (x, *values), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, *values), fast_mode=True)


def test_what_does_not_fit_is_refused() -> None:
    for make, kernel in ((ConvLSTM, 4), (ConvLSTM2d, (3, 4)), (ConvLSTM2d, (3, 3, 3)), (ConvLSTM, (3, 3))):
        with pytest.raises(ValueError, match="odd"):
            make(1, 2, kernel)  # type: ignore[arg-type]
    network = ComplexConvLSTM2d(1, 2)
    with pytest.raises(ValueError, match=r"complex tensor \[B, T, 1, H, W\], or real channels \[B, T, 2, H, W\], with"):
        network(torch.zeros(2, 3, 2, 5))
    states = (torch.zeros(2, 4, 5, 6), torch.zeros(2, 4, 5, 5))
    with pytest.raises(ValueError, match=r"complex \[2, 2, 5, 6\], or real channels \[2, 4, 5, 6\], not real .*5, 5\]"):
        network(torch.zeros(2, 3, 2, 5, 6), states)


def test_autocast_keeps_the_dtype_of_the_parameters() -> None:
    network, x = ConvLSTM(1, 4), random(1, 3, 2, 6, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = network(x)
    assert y.dtype == torch.float32
