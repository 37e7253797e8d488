"""Residual networks: parameter counts, blocks and projections by hand, and as transcribers."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from recipe_runs import RECIPES
from torch import nn
from torch.testing import assert_close

from audiocx.kinds import build
from audiocx.models import TranscriberConfig, TranscriberNetwork, folded
from audiocx.models.residual import (
    WIDTHS,
    ImaginaryInput,
    ResidualBlock,
    StageProjection,
    Width,
    residual_layers,
    residual_network,
)
from audiocx.nn import ComplexBatchNorm, ComplexConv2d
from audiocx.nn.functional import to_channels, to_complex
from audiocx.train.experiments import Experiment, read_experiment_toml


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def size_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# Seven frames of a window, 32 bins, one block a stage.
FRAMES: dict[str, Any] = {
    "architecture": "residual",
    "window_samples": 256,
    "frame_samples": 64,
    "frame_hop_samples": 32,
    "bins": 32,
    "outputs": 5,
    "width": "DN",
    "blocks": 1,
}
SMALL: dict[str, dict[str, Any]] = {
    "complex magnitudes": {"front_end": "magnitudes"},
    "complex spectra": {"front_end": "compressed"},
    "real magnitudes": {"front_end": "magnitudes", "complex": False},
    "real spectra": {"front_end": "compressed", "complex": False},
}
every_network = pytest.mark.parametrize("name", SMALL)


@cache
def small(name: str) -> TranscriberNetwork:
    """Built once, in evaluation mode, with running statistics of its own; never to be changed."""
    torch.manual_seed(0)
    network = build(TranscriberConfig(**FRAMES, **SMALL[name]))
    for _ in range(20):
        network(torch.randn(16, 256))
    return network.eval().requires_grad_(False)


# Sizes


@pytest.mark.parametrize(
    ("complex", "width", "count"),
    [
        (True, "WS", 1_758_556),
        (True, "DN", 1_757_474),
        (True, "IB", 1_755_597),
        (False, "WS", 1_724_536),
        (False, "DN", 1_714_996),
        (False, "IB", 1_752_282),
    ],
)
def test_parameter_counts_of_the_papers_networks(complex: bool, width: Width, count: int) -> None:
    network = residual_network(complex, 3, 10, width)
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 10)
    assert size_of(network) == count
    # By hand: a complex weight counts two, a whitening norm five a map, a batch norm two.
    maps, blocks = WIDTHS[width, complex]
    weight, scale = (2, 5) if complex else (1, 2)
    stages = sum(2 * blocks * (9 * weight * c * c + scale * c) for c in (maps, 2 * maps, 4 * maps))
    projections = weight * (maps**2 + (2 * maps) ** 2)
    opening = 9 * weight * 3 * maps + scale * maps
    imaginary = 2 * (2 * 3 + 9 * 3 * 3) if complex else 0
    dense = (4 * maps * weight + 1) * 10
    assert count == imaginary + opening + stages + projections + dense


def test_stages_halve_the_size_and_double_the_channels() -> None:
    shapes, x = [], torch.randn(1, 2, 9, 6)
    for layer in residual_layers(complex=False, channels=2, filters=3, blocks=2):
        x = layer(x)
        if isinstance(layer, ResidualBlock):
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(3, 9, 6)] * 2 + [(6, 5, 3)] * 2 + [(12, 3, 2)] * 2


# Parts


def test_the_imaginary_part_of_a_real_input_is_learnt() -> None:
    layer, x = ImaginaryInput(2), torch.randn(4, 2, 5, 6)
    y = layer(x)
    assert torch.equal(y[:, :2], x) and y.shape == (4, 4, 5, 6)
    kinds = [type(layer) for layer in layer.body]
    assert kinds == [nn.BatchNorm2d, nn.ReLU, nn.Conv2d] * 2
    y[:, 2:].square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in layer.parameters())


@pytest.mark.parametrize("complex", [True, False])
def test_a_block_is_the_input_plus_two_norm_activation_convolution_units(complex: bool) -> None:
    block, x = ResidualBlock(complex, 3).eval(), torch.randn(2, 6 if complex else 3, 5, 4)
    first, _, conv, second, _, last = block.body
    assert isinstance(first, ComplexBatchNorm if complex else nn.BatchNorm2d)
    assert_close(block(x), x + last(F.relu(second(conv(F.relu(first(x)))))))
    assert conv.bias is None and last.bias is None
    assert ResidualBlock(complex, 3, norm_name="none").body[2].bias is not None


def test_stage_projection_by_hand() -> None:
    project = StageProjection(complex=True, channels=1)
    (conv,) = project.body
    assert isinstance(conv, ComplexConv2d)
    with torch.no_grad():  # multiply by 2i
        conv.weight_real.fill_(0.0)
        conv.weight_imag.fill_(2.0)
    z = torch.tensor([[1 + 1j, 9, 2], [9, 9, 9], [3j, 9, 4 - 1j]])[None, None]
    kept = torch.tensor([[1 + 1j, 2], [3j, 4 - 1j]])
    expected = torch.stack([kept, 2j * kept])[None]
    assert_close(to_complex(project(to_channels(z))), expected)

    real = StageProjection(complex=False, channels=1)
    nn.init.constant_(real.body[0].weight, 3.0)
    assert_close(real(torch.tensor([[[[1.0, 9.0, 2.0]]]])), torch.tensor([[[[1.0, 2.0]], [[3.0, 6.0]]]]))


def test_modrelu_layers_without_norm_are_phase_equivariant() -> None:
    # Without norm and with modReLU every layer multiplies by complex numbers or scales them.
    layers = residual_layers(True, 2, 3, 1, activation_name="modrelu", norm_name="none")
    z, turn = torch.randn(2, 2, 8, 8, dtype=torch.complex64), torch.polar(torch.ones(()), torch.tensor(0.7))

    def run(z: torch.Tensor) -> torch.Tensor:
        x = to_channels(z)
        for layer in layers:
            x = layer(x)
        return to_complex(x)

    assert_close(run(turn * z), turn * run(z), rtol=1e-4, atol=1e-4)


# As a transcriber


@every_network
def test_logits_do_not_depend_on_the_batch(name: str) -> None:
    windows = torch.randn(6, 256)
    logits = small(name)(windows)
    assert logits.shape == (6, 5) and logits.std(0).min() > 1e-4
    assert_close(small(name)(windows[2:3]), logits[2:3], rtol=1e-4, atol=1e-4)


@every_network
def test_folding_keeps_the_logits(name: str) -> None:
    network, windows = small(name), torch.randn(4, 256)
    light = folded(network)
    norms = [
        sum(isinstance(layer, (ComplexBatchNorm, nn.BatchNorm2d)) for layer in net.modules())
        for net in (network, light)
    ]
    # One after the first convolution and one in each of three blocks; one more where the imaginary part is learnt.
    learnt = name == "complex magnitudes"
    assert norms == [7 + 2 * learnt, 3 + learnt]
    assert not any(isinstance(layer, ComplexConv2d) for layer in light.modules())
    assert_close(light(windows), network(windows), rtol=1e-3, atol=1e-3)


@every_network
def test_every_parameter_has_a_gradient(name: str) -> None:
    network = build(TranscriberConfig(**FRAMES, **SMALL[name]))
    loss = F.binary_cross_entropy_with_logits(network(torch.randn(4, 256)), torch.eye(4, 5))
    loss.backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), key


def test_averaging_keeps_the_pitch() -> None:
    """A tone an octave higher has other logits; an inverted one the same, since magnitudes are."""
    time = torch.arange(256) / 256
    low, high = (torch.sin(2 * torch.pi * cycles * time)[None] for cycles in (32, 64))
    network = small("real magnitudes")
    assert (network(low) - network(high)).abs().max() > 0.01
    assert_close(network(low), network(-low))


@pytest.mark.slow
@every_network
def test_the_layers_compile_to_one_graph(name: str) -> None:
    network, windows = small(name), torch.randn(4, 256)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    assert_close(compiled(windows), network(windows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("complex", [True, False])
def test_only_magnitudes_of_a_complex_network_have_a_learnt_imaginary_part(complex: bool) -> None:
    for front_end in ("magnitudes", "compressed", "spectrum"):
        network = build(TranscriberConfig(**FRAMES, front_end=front_end, complex=complex))  # type: ignore[arg-type]
        assert isinstance(network.body[0], ImaginaryInput) == (complex and front_end == "magnitudes")


def test_the_other_networks_learn_the_imaginary_part_of_magnitudes_too() -> None:
    network = build(TranscriberConfig("deep", front_end="magnitudes", window_samples=256, outputs=3))
    assert isinstance(network.body[0], ImaginaryInput)
    assert folded(network.eval())(torch.randn(2, 256)).shape == (2, 3)


def test_complex_and_real_networks_of_the_papers_depth_are_of_similar_size() -> None:
    settings: dict[str, Any] = {**FRAMES, "blocks": None, "front_end": "magnitudes"}
    sizes = [size_of(build(TranscriberConfig(**settings, complex=complex))) for complex in (True, False)]
    assert 0.95 < sizes[0] / sizes[1] < 1.05


@pytest.mark.parametrize(("name", "count"), [("complex", 2_297_762), ("real", 2_129_074)])
def test_the_recipes_networks_are_wide_and_shallow(name: str, count: int) -> None:
    experiment = read_experiment_toml(RECIPES / "musicnet" / "conf" / f"residual-{name}.toml")
    assert isinstance(experiment, Experiment)
    network = build(experiment.model)
    assert size_of(network) == count
    frames = network.front_end(torch.zeros(1, experiment.model.window_samples).unfold(1, 1024, 512).flatten(0, 1))
    assert frames.shape == (7, 1, 256)


def test_zero_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"blocks must be a number in \[1, inf\), not 0"):
        TranscriberConfig("residual", blocks=0)
