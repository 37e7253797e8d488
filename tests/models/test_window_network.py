"""Window networks: the paper's parameter counts, initialisation, folding, complex layers, ablations."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from audiocx.kinds import build
from audiocx.models import TranscriberConfig, TranscriberNetwork, folded
from audiocx.models.window_network import OUTPUT_BIAS, MaxPool
from audiocx.nn import ComplexBatchNorm, CReLU, ModReLU, ZReLU
from audiocx.nn.functional import to_channels, to_complex


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def on_meta(**settings: Any) -> TranscriberNetwork:
    """A full-size network on the meta device, for parameter counts and shapes."""
    with torch.device("meta"):
        return build(TranscriberConfig(**settings)).to("meta")


# 1024 samples are about the shortest that fit all four; few outputs keep the tests short.
SMALL: dict[str, dict[str, Any]] = {
    "deep complex": {},
    "deep real": {"complex": False},
    "shallow complex": {"architecture": "shallow", "front_end": "raw"},
    "shallow real": {"architecture": "shallow", "front_end": "raw", "complex": False},
}
every_network = pytest.mark.parametrize("name", SMALL)


@cache
def small(name: str) -> TranscriberNetwork:
    """A cached network in evaluation mode, with running statistics; not to be modified."""
    torch.manual_seed(0)
    network = build(TranscriberConfig(window_samples=1024, outputs=5, **SMALL[name]))
    for _ in range(5):
        network(0.1 * torch.randn(8, 1024))
    return network.eval().requires_grad_(False)


# Sizes


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        # The counts that the published figures belong to, with the paper's front ends and MusicNet's 84 notes.
        ({"architecture": "shallow", "complex": False, "front_end": "raw"}, 14_755_988),
        ({"architecture": "shallow", "complex": True, "front_end": "raw"}, 14_930_152),
        ({"architecture": "deep", "complex": False, "front_end": "spectrum"}, 9_995_348),
        ({"architecture": "deep", "complex": True, "front_end": "spectrum"}, 8_752_772),
        ({"architecture": "deep", "complex": True, "front_end": "spectrum", "first_kernel": 6}, 8_752_740),
        # The front end has no weights.
        ({"architecture": "deep", "complex": True, "front_end": "compressed"}, 8_752_772),
        ({"architecture": "deep", "complex": False, "front_end": "compressed"}, 9_995_348),
    ],
)
def test_parameter_counts_equal_the_papers(settings: dict[str, Any], count: int) -> None:
    network = on_meta(outputs=84, sample_rate=11000, **settings)
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert network(torch.empty(3, 4096, device="meta")).shape == (3, 84)


@pytest.mark.parametrize(
    ("settings", "each_output"),
    [
        ({}, 2048 + 1),
        ({"complex": False}, 2048 + 1),
        ({"architecture": "shallow", "complex": False}, 2048 + 1),
        ({"architecture": "shallow"}, 2 * (2048 + 1)),
    ],
)
def test_any_number_of_outputs(settings: dict[str, Any], each_output: int) -> None:
    counts = []
    for outputs in (84, 88):
        network = on_meta(outputs=outputs, **settings)
        assert network(torch.empty(2, 4096, device="meta")).shape == (2, outputs)
        counts.append(sum(parameter.numel() for parameter in network.parameters()))
    assert counts[1] - counts[0] == 4 * each_output


@pytest.mark.parametrize(
    ("settings", "bins"),
    [({}, 2048), ({"complex": False}, 4096), ({"bins": 1500}, 1500), ({"complex": False, "bins": 2048}, 2048)],
)
def test_default_bins_are_the_papers(settings: dict[str, Any], bins: int) -> None:
    assert on_meta(**settings).front_end.length == bins


# Behaviour


@every_network
def test_initial_probabilities_are_low(name: str) -> None:
    network = build(TranscriberConfig(window_samples=1024, outputs=5, **SMALL[name])).eval()
    probabilities = torch.sigmoid(network(torch.zeros(1, 1024)))
    assert_close(probabilities, torch.full((1, 5), 1 / (1 + math.exp(5))))
    probabilities = torch.sigmoid(network(0.1 * torch.randn(16, 1024)))
    assert 0.003 < probabilities.mean() < 0.02


def test_only_the_real_parts_of_complex_outputs_have_the_initial_bias() -> None:
    network = build(TranscriberConfig("shallow", window_samples=1200, outputs=3))
    assert_close(network.body[-2].bias.data, torch.tensor([OUTPUT_BIAS] * 3 + [0.0] * 3))


@every_network
def test_logits_do_not_depend_on_the_batch(name: str) -> None:
    windows = 0.1 * torch.randn(6, 1024)
    logits = small(name)(windows)
    assert logits.shape == (6, 5) and logits.std(0).min() > 1e-4
    assert_close(small(name)(windows[2:3]), logits[2:3], rtol=1e-4, atol=1e-4)


@every_network
def test_folding_keeps_the_logits(name: str) -> None:
    network, windows = small(name), 0.1 * torch.randn(4, 1024)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    light = folded(network)
    assert not any(isinstance(layer, (ComplexBatchNorm, nn.BatchNorm2d)) for layer in light.modules())
    assert_close(light(windows), network(windows), rtol=1e-3, atol=1e-3)
    assert_close(network.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(("kernel_size", "stride"), [(2, 2), (4, 2), (3, 1), (2, 3)])
@pytest.mark.parametrize("length", [4, 5, 6, 7, 64, 65])
def test_max_pool_equals_pytorchs(kernel_size: int, stride: int, length: int) -> None:
    x = torch.randn(2, 3, 1, length).contiguous(memory_format=torch.channels_last)
    assert len(x.unique()) == x.numel()  # where there are ties, the gradients differ
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    pooled = MaxPool(kernel_size, stride)(ours)
    expected = F.max_pool1d(theirs.flatten(0, 2)[:, None], kernel_size, stride).reshape(2, 3, 1, -1)
    assert torch.equal(pooled, expected)
    weights = torch.randn_like(expected)
    (pooled * weights).sum().backward()
    (expected * weights).sum().backward()
    assert ours.grad is not None and theirs.grad is not None
    assert_close(ours.grad, theirs.grad)


def test_the_deep_complex_network_is_complex_up_to_its_dense_layer() -> None:
    network, windows = small("deep complex"), 0.1 * torch.randn(3, 1024)
    features = to_complex(network.front_end(windows).unsqueeze(2))
    layers = iter(network.body)
    for layer in layers:
        if isinstance(layer, nn.Flatten):
            break
        features = layer(features)
    assert features.is_complex()
    logits = to_channels(features).flatten(1)
    for layer in layers:
        logits = layer(logits)
    assert_close(logits, network(windows), rtol=1e-4, atol=1e-4)


def test_the_shallow_complex_network_is_complex_throughout() -> None:
    network, windows = small("shallow complex"), 0.1 * torch.randn(3, 1024)
    features = to_complex(network.front_end(windows).unsqueeze(2))
    for layer in network.body[:-1]:
        features = layer(features)
    assert features.is_complex()
    assert_close(features.real, network(windows), rtol=1e-4, atol=1e-4)


# The ablation

ACTIVATIONS = {"crelu": CReLU, "zrelu": ZReLU, "modrelu": ModReLU}
ABLATION = [("deep", activation, norm) for activation in ACTIVATIONS for norm in ("whitening", "naive", "none")]
ABLATION += [("shallow", activation, "none") for activation in ACTIVATIONS]


@pytest.mark.parametrize(("architecture", "activation", "norm"), ABLATION)
def test_every_ablation_has_gradients(architecture: str, activation: str, norm: str) -> None:
    settings: dict[str, Any] = {"architecture": architecture, "activation": activation, "norm": norm, "outputs": 3}
    window = 256 if architecture == "deep" else 1200
    network = build(TranscriberConfig(window_samples=window, scheme="rayleigh", **settings))
    layers = list(network.modules())
    assert sum(isinstance(layer, ACTIVATIONS[activation]) for layer in layers) == (6 if architecture == "deep" else 2)
    norms = [layer.variant for layer in layers if isinstance(layer, ComplexBatchNorm)]
    assert norms == ([norm] * 5 if architecture == "deep" and norm != "none" else [])

    logits = network(0.1 * torch.randn(4, window))
    assert logits.shape == (4, 3) and logits.isfinite().all()
    F.binary_cross_entropy_with_logits(logits, torch.eye(4, 3)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or name.endswith(".bias"), name  # normalisation cancels biases


@pytest.mark.parametrize("norm", ["whitening", "none"])
def test_real_networks_have_batch_norm_or_none(norm: str) -> None:
    network = on_meta(complex=False, norm=norm)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()) == (0 if norm == "none" else 5)


@pytest.mark.parametrize(("complex", "norm"), [(True, "batch"), (False, "paired"), (False, "batch")])
def test_hybrids_of_convolutions_and_norms(complex: bool, norm: str) -> None:
    network = build(TranscriberConfig(complex=complex, norm=norm, window_samples=1024, outputs=3))  # type: ignore[arg-type]
    kind, other = (ComplexBatchNorm, nn.BatchNorm2d) if norm == "paired" else (nn.BatchNorm2d, ComplexBatchNorm)
    outputs: list[torch.Tensor] = []
    for layer in network.modules():
        assert not isinstance(layer, other)
        if isinstance(layer, kind):
            layer.register_forward_hook(lambda _, __, output: outputs.append(output.detach()))
    logits = network(0.1 * torch.randn(16, 1024))
    logits.sum().backward()
    assert len(outputs) == 5 and all(weight.grad is not None for weight in network.parameters())
    for y in outputs[:3]:  # the later ones have too few values to tell
        # Each real map has the same variance: of batch norm 1, of whitening 1/2, without correlation in pairs.
        maps = y.transpose(0, 1).flatten(1)
        assert_close(maps.var(1), torch.full((len(maps),), 1.0 if kind is nn.BatchNorm2d else 0.5), rtol=0.05, atol=0)
        correlations = (maps[: len(maps) // 2] * maps[len(maps) // 2 :]).mean(1).abs()
        assert (correlations.max() < 1e-3) == (kind is ComplexBatchNorm)
    light = folded(network.eval())
    windows = 0.1 * torch.randn(2, 1024)
    assert_close(light(windows), network(windows), rtol=1e-3, atol=1e-3)


def test_the_scheme_initialises_the_weights() -> None:
    for complex in (True, False):
        for scheme in ("unitary", "rayleigh"):
            network = build(TranscriberConfig(complex=complex, window_samples=1024, outputs=2, scheme=scheme))  # type: ignore[arg-type]
            dense = network.body[-3].weight
            gram = dense.T @ dense
            orthogonal = torch.allclose(gram, 2 * torch.eye(len(gram)), atol=1e-4)
            assert orthogonal == (scheme == "unitary")


# Bad configurations


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"outputs": 0}, "notes 21 to 20"),
        ({"outputs": 108}, "notes 21 to 128 leave MIDI's 0 to 127"),
        ({"lowest_note": -1}, "notes -1 to 86"),
        ({"window_samples": 4095}, "even"),
        ({"window_samples": 0}, "window_samples"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"first_kernel": 0}, "first_kernel"),
        ({"bins": 0}, "bins=0"),
        ({"bins": 4097}, "bins=4097"),
        ({"architecture": "wide"}, "architecture is one of 'deep', 'shallow', .*, not 'wide'"),
        ({"front_end": "mel"}, "front_end is one of"),
        ({"activation": "tanh"}, "activation is one of"),
        ({"norm": "layer"}, "norm is one of"),
        ({"norm": "paired"}, "norm = 'paired' takes the maps of real networks"),
        ({"scheme": "fourier"}, "scheme is one of"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TranscriberConfig(**settings)


@pytest.mark.parametrize("architecture", ["deep", "shallow"])
@pytest.mark.parametrize("complex", [True, False])
@pytest.mark.parametrize("front_end", ["raw", "compressed"])
@pytest.mark.parametrize("window_samples", [2, 100])
def test_windows_too_short_are_refused(architecture: Any, complex: bool, front_end: Any, window_samples: int) -> None:
    config = TranscriberConfig(architecture, complex, front_end, window_samples=window_samples)
    with pytest.raises(ValueError, match=f"window_samples={window_samples}.* too short for the {architecture}"):
        build(config)


@pytest.mark.parametrize("outputs", [1, 107])
def test_limits_of_the_range_are_allowed(outputs: int) -> None:
    assert TranscriberConfig(outputs=outputs).outputs == outputs


@pytest.mark.slow
@every_network
def test_the_network_compiles_to_one_graph(name: str) -> None:
    windows = 0.1 * torch.randn(4, 1024)
    compiled = torch.compile(small(name), fullgraph=True, backend="aot_eager")
    assert_close(compiled(windows), small(name)(windows), rtol=1e-4, atol=1e-4)
