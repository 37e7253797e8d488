"""Convolutional LSTM against its equations, step by step."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocx.nn import ComplexConv1d, ComplexConvLSTM, ConvLSTM
from audiocx.nn.functional import to_channels

States = tuple[Tensor, Tensor]


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))


def layer(complex: bool = True, kernel: int = 3, channels: int = 2, hidden: int = 3) -> ConvLSTM:
    torch.manual_seed(0)
    made = ConvLSTM(channels, hidden, kernel, complex).double()
    nn.init.normal_(made.input.bias)
    return made


def by_hand(made: ConvLSTM, x: Tensor, state: States | None = None) -> tuple[Tensor, States]:
    """Step by step with the convolutions of torch.nn (or ComplexConv1d), part by part."""
    parts = 2 if made.complex else 1
    hidden, cell = state or (torch.zeros(x.shape[0], made.state_channels, x.shape[-1], dtype=x.dtype),) * 2
    padding = made.kernel_size // 2
    outputs = []
    for frame in x.unbind(1):
        both = []
        for conv, value in ((made.input, frame), (made.recurrent, hidden)):
            if made.complex:
                assert isinstance(conv, ComplexConv1d)
                conv.padding = (padding,)
                both.append(conv(value))
            else:
                both.append(F.conv1d(value, conv.weight, conv.bias, padding=padding))
        # [B, part, gate, H, F]: the same gate of both parts.
        z = sum(both).unflatten(1, (parts, 4, -1))
        i, f, o, g = (z[:, :, gate].flatten(1, 2) for gate in range(4))
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        outputs.append(hidden)
    return torch.stack(outputs, 1), (hidden, cell)


@pytest.mark.parametrize("complex", [True, False])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_the_equations(complex: bool, kernel: int) -> None:
    made = layer(complex, kernel)
    x = random(2, 4, 4 if complex else 2, 7)
    expected, states = by_hand(made, x)
    found, found_states = made(x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_states, states)


@pytest.mark.parametrize("complex", [True, False])
def test_gradients_are_those_of_the_equations(complex: bool) -> None:
    made = layer(complex)
    x = random(2, 4, 4 if complex else 2, 5).requires_grad_()
    state = tuple(random(2, made.state_channels, 5).requires_grad_() for _ in range(2))
    wanted = [x, *state, *made.parameters()]
    weigh = random(2, 4, made.state_channels, 5), random(2, made.state_channels, 5), random(2, made.state_channels, 5)

    def gradients(run: object) -> tuple[Tensor, ...]:
        y, (hidden, cell) = run(x, state)  # type: ignore[operator]
        loss = (y * weigh[0]).sum() + (hidden * weigh[1]).sum() + (cell * weigh[2]).sum()
        return torch.autograd.grad(loss, wanted)

    torch.testing.assert_close(gradients(made), gradients(lambda *inputs: by_hand(made, *inputs)))


def test_a_sequence_in_segments_equals_the_whole() -> None:
    made, x = layer(), random(2, 9, 4, 7)
    whole, last = made(x)
    state, pieces = None, []
    for segment in x.split([1, 5, 3], 1):
        piece, state = made(segment, state)
        pieces.append(piece)
    torch.testing.assert_close(torch.cat(pieces, 1), whole)
    torch.testing.assert_close(state, last)


def test_complex_tensors_in_and_out() -> None:
    made = layer()
    z = torch.complex(random(2, 4, 2, 7), random(2, 4, 2, 7) * 2)
    found, _ = made(z)
    expected, _ = made(to_channels(z, 2))
    assert found.dtype == torch.complex128
    torch.testing.assert_close(to_channels(found, 2), expected)


def test_causality_and_receptive_field() -> None:
    made, x = layer(), random(1, 6, 4, 20)
    before, _ = made(x)
    other = x.clone()
    other[:, 3, :, 10] += 1
    after, _ = made(other)
    changed = (after != before).any(2)[0]
    assert not changed[:3].any()
    # One position further to either side with every step.
    for time, reach in ((3, 1), (4, 2), (5, 3)):
        assert changed[time].nonzero().flatten().tolist() == list(range(10 - reach, 10 + reach + 1))


@pytest.mark.parametrize(("complex", "hidden", "parameters"), [(True, 60, 88_320), (False, 84, 87_024)])
def test_parameter_counts_of_the_paper(complex: bool, hidden: int, parameters: int) -> None:
    made = ConvLSTM(1 if complex else 2, hidden, 3, complex, scheme="rayleigh")
    assert sum(parameter.numel() for parameter in made.parameters()) == parameters


@pytest.mark.parametrize("scheme", ["unitary", "rayleigh"])
def test_each_gate_is_initialised_by_itself(scheme: str) -> None:
    torch.manual_seed(0)
    made = ConvLSTM(1, 24, 3, scheme=scheme, forget_bias=1.0)  # type: ignore[arg-type]
    for gate in range(4):
        rows = slice(24 * gate, 24 * (gate + 1))
        real, imag = made.recurrent.weight_real[rows], made.recurrent.weight_imag[rows]
        # Glorot over one gate: E|W|^2 = 2 / (fan_in + fan_out) = 2 / 144.
        assert float((real**2 + imag**2).mean().detach()) == pytest.approx(2 / 144, rel=0.1)
    bias = made.input.bias.unflatten(0, (2, 4, 24))
    assert bias[:, 1].eq(1).all() and bias.sum() == 48


def test_complex_conv_lstm_is_the_complex_case() -> None:
    torch.manual_seed(0)
    general = ConvLSTM(2, 3, 3, complex=True, scheme="rayleigh", forget_bias=1.0)
    torch.manual_seed(0)
    short = ComplexConvLSTM(2, 3, 3, scheme="rayleigh", forget_bias=1.0)
    torch.testing.assert_close(short.state_dict(), general.state_dict(), rtol=0, atol=0)
    x = torch.randn(1, 3, 4, 5)
    torch.testing.assert_close(short(x), general(x), rtol=0, atol=0)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        ConvLSTM(1, 2, 4)


def test_autocast_keeps_the_dtype_of_the_parameters() -> None:
    made, x = ConvLSTM(1, 4), random(1, 3, 2, 6, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = made(x)
    assert y.dtype == torch.float32
