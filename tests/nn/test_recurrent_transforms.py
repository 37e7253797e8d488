"""Recurrent layers under torch.func, repeated differentiation, parametrizations, packing and export."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence, unpack_sequence

from audiocx.nn import ComplexConvLSTM, ComplexGatedRNN, ComplexGRU, ComplexLSTM, ComplexUnitaryRNN, ConvLSTM
from audiocx.nn.functional import to_channels

MAKERS: dict[str, Callable[..., Any]] = {
    "unitary": ComplexUnitaryRNN,
    "arjovsky": partial(ComplexUnitaryRNN, structure="arjovsky"),
    **{gate: partial(ComplexGatedRNN, gate=gate) for gate in ("mod-sigmoid", "hirose", "single")},
    "lstm": ComplexLSTM,
    "gru": ComplexGRU,
    "complex conv": ConvLSTM,
    "real conv": partial(ConvLSTM, complex=False),
}
KINDS = [*MAKERS]
every_kind = pytest.mark.parametrize("kind", KINDS)


def layer(kind: str) -> Any:
    torch.manual_seed(0)
    network = MAKERS[kind](2, 3)
    for parameter in network.double().parameters():
        nn.init.normal_(parameter, std=0.5)
    return network


def frames(kind: str, *leading: int) -> Tensor:
    """Real channels."""
    shape = {"complex conv": (4, 5), "real conv": (2, 5)}.get(kind, (4,))
    return torch.randn(*leading, *shape, dtype=torch.float64)


def loss(y: Tensor) -> Tensor:
    return y.pow(3).sum() + y.sum()


@every_kind
def test_per_sample_gradients(kind: str) -> None:
    network, x = layer(kind), frames(kind, 3, 4)
    parameters = dict(network.named_parameters())

    def of_one(values: dict[str, Tensor], sample: Tensor) -> Tensor:
        return loss(functional_call(network, values, (sample[None],))[0])

    detached = {name: value.detach() for name, value in parameters.items()}
    found = torch.func.vmap(torch.func.grad(of_one), (None, 0))(detached, x)
    for index, sample in enumerate(x):
        expected = torch.autograd.grad(loss(network(sample)[0]), list(parameters.values()))
        torch.testing.assert_close([part[index] for part in found.values()], [*expected])


@every_kind
def test_functional_call_with_tensors_that_are_no_parameters(kind: str) -> None:
    network, x = layer(kind), frames(kind, 2, 3)
    values = {name: 2 * value.detach() for name, value in network.named_parameters()}
    other = copy.deepcopy(network)
    other.load_state_dict(values, strict=False)  # all but buffers
    torch.testing.assert_close(functional_call(network, values, (x,))[0], other(x)[0])


@every_kind
def test_gradients_can_be_differentiated(kind: str) -> None:
    network, x = layer(kind), frames(kind, 1, 3).requires_grad_()
    names, values = zip(*network.named_parameters(), strict=True)

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        y, last = functional_call(network, dict(zip(names, parameters, strict=True)), (x,))
        return torch.cat([y.flatten(), *(part.flatten() for part in (last if isinstance(last, tuple) else [last]))])

    inputs = (x, *values)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)
    penalty = torch.autograd.grad(loss(run(*inputs)), x, create_graph=True)[0].square().sum()
    assert all(part.isfinite().all() for part in torch.autograd.grad(penalty, values))


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


@every_kind
def test_parametrizations_of_every_weight(kind: str) -> None:
    network, x = layer(kind), frames(kind, 2, 3)
    expected = copy.deepcopy(network)
    for parameter in expected.parameters():
        parameter.data *= 2
    for module in [*network.modules()]:
        for name, _ in [*module.named_parameters(recurse=False)]:
            parametrize.register_parametrization(module, name, Doubled())
    y = network(x)[0]
    torch.testing.assert_close(y, expected(x)[0])
    gradients = torch.autograd.grad(loss(y), [*network.parameters()])
    assert all(part.ne(0).any() for part in gradients)


@every_kind
@pytest.mark.parametrize("sorted_lengths", [True, False])
def test_packed_sequences_are_run_each_by_itself(kind: str, sorted_lengths: bool) -> None:
    network = layer(kind)
    lengths = [5, 3, 3, 1] if sorted_lengths else [3, 1, 5, 3]
    sequences = [frames(kind, length) for length in lengths]
    first = network(frames(kind, 4, 2))[1]  # states to start from
    packed = pack_sequence(sequences, enforce_sorted=sorted_lengths)
    y, last = network(packed, first)
    if not isinstance(last, tuple):
        first, last = (first,), (last,)
    for index, (sequence, states) in enumerate(zip(sequences, unpack_sequence(y), strict=True)):
        state = tuple(part[index] for part in first)
        expected, expected_last = network(sequence, state if len(state) == 2 else state[0])
        torch.testing.assert_close(states, expected)
        expected_last = expected_last if isinstance(expected_last, tuple) else (expected_last,)
        torch.testing.assert_close(tuple(part[index] for part in last), expected_last)
    torch.testing.assert_close(network(packed)[0].data.shape, y.data.shape)


def test_packed_complex_sequences() -> None:
    network = layer("mod-sigmoid")
    z = torch.view_as_complex(torch.randn(2, 4, 2, 2, dtype=torch.float64))
    packed = pack_padded_sequence(z, torch.tensor([2, 4]), batch_first=True, enforce_sorted=False)
    y, last = network(packed)
    assert last.is_complex() and y.data.is_complex()
    states = pad_packed_sequence(y, batch_first=True)[0]
    torch.testing.assert_close(states[1], network(z[1])[0])
    torch.testing.assert_close(last[0], states[0, 1])


@every_kind
def test_complex_and_real_states_give_the_same(kind: str) -> None:
    if kind == "real conv":
        pytest.skip("a real layer")
    network, conv, pair = layer(kind), "conv" in kind, "conv" in kind or kind == "lstm"
    shape = (2, 3, 5) if conv else (2, 3)
    state = torch.randn(2, *shape, dtype=torch.complex128)
    x, real = frames(kind, 2, 3), [to_channels(part, 1) for part in state]
    given, same = ((state[0], state[1]), (real[0], real[1])) if pair else (state[0], real[0])
    torch.testing.assert_close(network(x, given), network(x, same))


@every_kind
def test_device_and_dtype(kind: str) -> None:
    make = MAKERS[kind]
    torch.manual_seed(0)
    network = make(2, 3, dtype=torch.float64)
    assert {part.dtype for part in network.parameters()} == {torch.float64}
    # Start values in full precision, not rounded ones converted.
    assert any(part.ne(part.float()).any() for part in network.parameters())
    assert network(frames(kind, 1, 2))[0].dtype == torch.float64
    abstract = make(2, 3, device="meta", dtype=torch.bfloat16)
    tensors = [*abstract.parameters(), *abstract.buffers()]
    assert all(part.is_meta for part in tensors) and {part.dtype for part in abstract.parameters()} == {torch.bfloat16}
    x = frames(kind, 1, 2).to("meta", torch.bfloat16)
    assert abstract(x)[0].shape == network(frames(kind, 1, 2))[0].shape
    with pytest.raises(ValueError, match="real"):
        make(2, 3, dtype=torch.complex64)


@pytest.mark.parametrize("kind", ["unitary", "single", "complex conv"])
def test_inputs_that_do_not_fit_are_refused(kind: str) -> None:
    network, name = layer(kind), {"unitary": "ComplexUnitaryRNN", "single": "ComplexGatedRNN"}.get(kind, "ConvLSTM")
    x = frames(kind, 2, 3)
    with pytest.raises(ValueError, match=r"with or without B.*not real \[2, 3, 3"):
        network(x[:, :, :3])
    with pytest.raises(ValueError, match="at least one time step"):
        network(x[:, :0])
    state = torch.zeros(3, 6, 5) if "conv" in kind else torch.zeros(3, 6)
    with pytest.raises(ValueError, match=r"state.*\[2, 6.*not real \[3, 6"):
        network(x, (state, state) if "conv" in kind else state)
    with pytest.raises(TypeError, match="parameters of float32 and would round an input of float64"):
        network.float()(x)
    assert network(x[:0].float())[0].shape[0] == 0 and name in repr(network)
    z = torch.zeros(2, 3, 2, *x.shape[3:], dtype=torch.complex128)
    with pytest.raises(TypeError, match="would round"):
        network(z)
    assert network(z.to(torch.complex64))[0].dtype == torch.complex64


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("unitary", "mod-sigmoid", "lstm", "gru")]


@pytest.mark.parametrize("kind", [*SLOW, "complex conv"])
def test_exports_with_gradients_enabled(kind: str) -> None:
    """With a state, and for batches of any size."""
    network, x = layer(kind), frames(kind, 2, 2)
    with torch.no_grad():
        state, batch = network(x)[1], torch.export.Dim("batch", max=64)
    of_state = ({0: batch}, {0: batch}) if isinstance(state, tuple) else {0: batch}
    program = torch.export.export(network, (x, state), dynamic_shapes=({0: batch}, of_state))
    larger = frames(kind, 5, 2)
    state = network(larger)[1]
    torch.testing.assert_close(program.module()(larger, state), network(larger, state))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_conv_lstm_compiles_to_one_graph() -> None:
    network = ComplexConvLSTM(2, 3).double()
    x = frames("complex conv", 2, 3).requires_grad_()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    expected, actual = (torch.autograd.grad(loss(run(x)[0]), [x, *network.parameters()]) for run in (network, compiled))
    torch.testing.assert_close(actual, expected)
