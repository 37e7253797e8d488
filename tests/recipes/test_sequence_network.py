"""Recurrent networks for synthetic problems: layers, readout, causality."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from sequence_network import LayerName, SequenceConfig, SequenceNetwork

from audiocx.nn import ComplexGatedRNN, ComplexUnitaryRNN
from audiocx.optim import unitary_parameters

EVERY = pytest.mark.parametrize("layer", get_args(LayerName))


@EVERY
def test_outputs_are_causal(layer: Any) -> None:
    torch.manual_seed(0)
    network = SequenceNetwork(SequenceConfig(layer, 3, 2, hidden=4))
    x = torch.randn(2, 6, 3)
    other = x.clone()
    other[:, 3] += 1
    before, after = network(x), network(other)
    assert before.shape == (2, 6, 2) and torch.equal(before[:, :3], after[:, :3])
    assert (before[:, 3:] - after[:, 3:]).abs().amax((1, 2)).gt(1e-4).all()


def test_complex_layers_read_out_real_and_imaginary_parts() -> None:
    torch.manual_seed(0)
    network = SequenceNetwork(SequenceConfig("urnn", 3, 2, hidden=4))
    x = torch.randn(2, 6, 3)
    states, _ = network.layer(torch.complex(x, torch.zeros_like(x)))
    torch.testing.assert_close(network(x), network.readout(torch.cat([states.real, states.imag], 2)))


def test_settings_reach_the_layer() -> None:
    settings: dict[str, Any] = {"gate": "hirose", "activation": "hirose", "gate_bias": 2.0}
    gated = SequenceNetwork(SequenceConfig("cgrnn", 3, 2, unitary=False, unitary_gates=True, **settings)).layer
    assert isinstance(gated, ComplexGatedRNN) and isinstance(
        SequenceNetwork(SequenceConfig("urnn", 3, 2)).layer, ComplexUnitaryRNN
    )
    cell = gated.cell
    assert (cell.gate.name, cell.activation.name, cell.hidden_features) == ("hirose", "hirose", 80)  # type: ignore[union-attr]
    assert cell.gate_input.bias.eq(2).all() and not cell.state.unitary  # type: ignore[union-attr,operator]
    assert [*map(id, unitary_parameters(gated))] == [*map(id, cell.gate_state.parameters())]  # type: ignore[union-attr,operator]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": "rnn"}, "layer is one of 'cgrnn', 'urnn', 'structured-urnn', 'gru', .*, not 'rnn'"),
        ({"layer": "cgrnn", "gate": "product"}, "gate is one of 'mod-sigmoid'"),
        ({"layer": "gru", "hidden": 0}, "(inputs|outputs|hidden) must be a"),
        ({"layer": "gru", "activation": "hirose"}, "activation does not belong to layer = 'gru'"),
        ({"layer": "urnn", "unitary": False}, "unitary does not belong to layer = 'urnn'"),
        ({"layer": "kru", "copies": 2}, "copies does not belong to layer = 'kru'"),
        ({"layer": "cgrnn", "penalty": 1.0}, "penalty does not belong to layer = 'cgrnn'"),
    ],
)
def test_invalid_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SequenceConfig(**{"inputs": 3, "outputs": 2, **settings})
