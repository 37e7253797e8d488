"""Stacks of recurrent layers in both directions, against torch.nn and against the layers one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from audiocx.nn import ComplexConvLSTM, ComplexGatedRNN, ComplexGRU, ComplexLSTM, ComplexStackedRNN, ComplexUnitaryRNN
from audiocx.nn.functional import to_channels, to_complex

KINDS: dict[str, Any] = {
    "lstm": ComplexLSTM,
    "gru": ComplexGRU,
    "gated": ComplexGatedRNN,
    "unitary": ComplexUnitaryRNN,
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def stack(kind: str, **settings: Any) -> Any:
    torch.manual_seed(1)
    return ComplexStackedRNN(KINDS[kind], 2, 3, num_layers=2, bidirectional=True, dtype=torch.float64, **settings)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(sum(shape)))


def start(kind: str, *shape: int) -> Any:
    state = random(2, *shape)
    return (state[0], state[1]) if kind == "lstm" else state[0]


def element(state: Any, *index: Any) -> Any:
    return tuple(part[index] for part in state) if isinstance(state, tuple) else state[index]


def one_by_one(network: Any, x: Tensor, state: Any) -> tuple[Tensor, list[Any]]:
    ends: list[Any] = []
    for index in (0, 2):
        forwards, first = network.layers[index](x, element(state, index))
        backwards, second = network.layers[index + 1](x.flip(1), element(state, index + 1))
        x, ends = torch.cat([forwards, backwards.flip(1)], -1), [*ends, first, second]
    return x, ends


@every_kind
def test_layers_one_by_one_and_packed(kind: str) -> None:
    network, x, state = stack(kind), random(3, 5, 2), start(kind, 4, 3, 3)
    y, last = network(x, state)
    expected, ends = one_by_one(network, x, state)
    torch.testing.assert_close(y, expected)
    for index, end in enumerate(ends):
        torch.testing.assert_close(element(last, index), end)
    # Sequences of several lengths, each by itself, and a single one without batch axis.
    lengths = [3, 5, 1]
    packed = pack_sequence([x[index, :length] for index, length in enumerate(lengths)], enforce_sorted=False)
    outputs, finals = network(packed, state)
    for index, (length, output) in enumerate(zip(lengths, unpack_sequence(outputs), strict=True)):
        single, single_last = network(x[index, :length], element(state, slice(None), index))
        torch.testing.assert_close(output, single)
        torch.testing.assert_close(element(finals, slice(None), index), single_last)
        batched = one_by_one(
            network, x[index : index + 1, :length], element(state, slice(None), slice(index, index + 1))
        )
        torch.testing.assert_close(single, batched[0][0])


@every_kind
def test_real_channels(kind: str) -> None:
    network, x, state = stack(kind), random(2, 4, 2), start(kind, 4, 2, 3)
    y, last = network(x, state)
    real, real_last = network(to_channels(x, -1), state)
    torch.testing.assert_close(to_complex(real, -1), y)
    first = (last, real_last) if isinstance(last, Tensor) else (last[1], real_last[1])
    assert first[0].is_complex() and not first[1].is_complex()
    torch.testing.assert_close(to_complex(first[1], -1), first[0])


def test_real_numbers_give_the_real_layers() -> None:
    """With imaginary parts of zero, a stack of complex GRUs is that of torch.nn, packed or not."""
    network = stack("gru")
    real = nn.GRU(2, 3, 2, batch_first=True, bidirectional=True, dtype=torch.float64)
    with torch.no_grad():
        for index, layer in enumerate(network.layers):
            cell, suffix = layer.cell, f"l{index // 2}{'_reverse' if index % 2 else ''}"
            for part, name in ((cell.input, "ih"), (cell.state, "hh")):
                part.weight_imag.zero_()
                part.weight_real.copy_(getattr(real, f"weight_{name}_{suffix}"))
            cell.input.bias.zero_().chunk(2)[0].add_(getattr(real, f"bias_ih_{suffix}"))
            of_state = getattr(real, f"bias_hh_{suffix}")
            cell.input.bias[:6] += of_state[:6]
            cell.candidate_bias.chunk(2)[0].copy_(of_state[6:])
    x = torch.randn(3, 6, 2, dtype=torch.float64)
    z = torch.complex(x, torch.zeros_like(x))
    for given, real_given in (
        (z, x),
        *[tuple(pack_sequence([part[0, :4], part[1], part[2, :1]], enforce_sorted=False) for part in (z, x))],
    ):
        (y, last), (expected, real_last) = network(given), real(real_given)
        torch.testing.assert_close(
            *(part if isinstance(part, Tensor) else part.data for part in (y.data.real, expected.data))
        )
        torch.testing.assert_close(last.real, real_last)


def test_dropout_is_between_layers_only() -> None:
    network, x = stack("gru", dropout=1.0), random(2, 4, 2)
    y = network(x)[0]
    silent = network.layers[2](torch.zeros(2, 4, 6, dtype=x.dtype))[0]
    torch.testing.assert_close(y[..., :3], silent)
    network.eval()
    assert not torch.allclose(network(x)[0], y)
    network.train()
    network.dropout = 0.5
    half = ComplexStackedRNN(ComplexGRU, 2, 3, num_layers=1, dropout=0.5, dtype=torch.float64)
    torch.testing.assert_close(half(x), half(x))
    assert not torch.equal(network(x)[0], network(x)[0])


def test_options_and_refusals() -> None:
    network = ComplexStackedRNN(ComplexGatedRNN, 2, 3, gate="prod", gate_bias=6.0)
    assert network.layers[0].cell.gate.name == "prod" and "bidirectional=False" in repr(network)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"at least one layer and a dropout in \[0, 1\], not 0 and 0.0"):
        ComplexStackedRNN(ComplexGRU, 2, 3, num_layers=0)
    with pytest.raises(TypeError, match="recurrent layers of vectors, not ComplexConvLSTM"):
        ComplexStackedRNN(ComplexConvLSTM, 2, 3)  # type: ignore[type-var]
    with pytest.raises(ValueError, match=r"2 layers and 2 directions takes states \[4, B, \*\], not \[2, 2, 3\]"):
        stack("gru")(random(2, 4, 2), random(2, 2, 3))
    with pytest.raises(
        ValueError, match=r"ComplexLSTMCell takes a complex tensor \[B, T, 2\].*not complex \[2, 4, 5\]"
    ):
        stack("lstm")(random(2, 4, 5))
