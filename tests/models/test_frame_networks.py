"""Transformers and translation-invariant networks over the frames of a window."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recipe_runs import RECIPES
from torch import nn
from torch.testing import assert_close

from audiocx.kinds import build
from audiocx.models import TranscriberConfig, TranscriberNetwork, folded
from audiocx.models.frontend import PitchFrontEnd
from audiocx.models.transformer import FrameTransformer
from audiocx.nn.functional import to_channels
from audiocx.train.experiments import read_experiment_toml

FRAMES: dict[str, Any] = {"window_samples": 1280, "frame_samples": 1024, "frame_hop_samples": 128, "outputs": 24}
TRANSFORMER = TranscriberConfig("transformer", bins=64, hidden=8, heads=2, layers=2, **FRAMES)
# From C3 up, where the filters of 1024 samples at 11025 Hz are a semitone apart.
INVARIANT = [TranscriberConfig("invariant", complex, "pitches", lowest_note=60, **FRAMES) for complex in (True, False)]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def size_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # By hand: frames of 1024 bins to 256 features; six layers of 4 projections, 2 feed-forward layers to 1024 and
        # back, 2 norms of 5 numbers a feature; 84 notes of real and imaginary parts. A complex number is two.
        (
            "transformer",
            2 * (1024 * 256 + 256)
            + 6 * (4 * 2 * (256 * 256 + 256) + 2 * (256 * 1024 + 1024) + 2 * (1024 * 256 + 256) + 2 * 5 * 256)
            + 512 * 84
            + 84,
        ),
        # Three convolutions of 145 bins, 25 frames and 3 bins; norms of 5 numbers a complex map; one shared output.
        ("invariant-complex", 2 * (145 * 48 + 25 * 48 * 96 + 3 * 96 * 192) + 5 * (48 + 96 + 192) + 2 * 192 + 1),
        ("invariant-real", 145 * 64 + 25 * 64 * 128 + 3 * 128 * 256 + 2 * (64 + 128 + 256) + 256 + 1),
    ],
)
def test_parameter_counts_are_those_of_the_layers(name: str, count: int) -> None:
    config = read_experiment_toml(RECIPES / "musicnet" / "conf" / f"{name}.toml").model
    with torch.device("meta"):
        network = build(config).to("meta")
    assert size_of(network) == count
    assert network(torch.empty(2, config.window_samples, device="meta")).shape == (2, 84)


@pytest.mark.parametrize("config", [TRANSFORMER, *INVARIANT], ids=["transformer", "complex", "real"])
def test_logits_do_not_depend_on_the_batch_and_all_weights_learn(config: TranscriberConfig) -> None:
    network, windows = build(config), 0.1 * torch.randn(4, config.window_samples)
    network(windows).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())
    network.eval()
    with torch.no_grad():
        logits = network(windows)
        assert logits.shape == (4, 24) and logits.std(0).min() > 1e-4
        assert_close(network(windows[1:2]), logits[1:2], rtol=1e-4, atol=1e-4)
        assert_close(folded(network)(windows), logits, rtol=1e-3, atol=1e-3)


def test_the_transformer_looks_at_all_frames_and_knows_their_order() -> None:
    encoder = FrameTransformer(16, 8, 2, 2).eval()
    x = torch.randn(1, 2, 5, 16)
    x.requires_grad_()
    y = encoder(x)
    assert y.shape == (1, 16)
    (grad,) = torch.autograd.grad(y.square().sum(), x)
    assert (grad.abs().amax((0, 1, 3)) > 1e-6).all()
    swapped = x[:, :, [4, 1, 2, 3, 0]]
    assert (encoder(swapped) - y).abs().max() > 1e-3


def test_positions_are_complex_exponentials() -> None:
    encoder = FrameTransformer(4, 6, 2, 1)
    encoder.body = nn.Identity()  # type: ignore[assignment]
    nn.init.zeros_(encoder.embedding.weight_real)
    nn.init.zeros_(encoder.embedding.weight_imag)
    rates = 10_000.0 ** -(torch.arange(6) / 5)
    expected = to_channels(torch.exp(2j * rates)[None])
    assert_close(encoder(torch.randn(1, 2, 5, 4)), expected, rtol=1e-4, atol=1e-4)


def tone(note: float, config: TranscriberConfig, at: float = 0.0) -> torch.Tensor:
    """A window with four partials of a note."""
    time = (torch.arange(config.window_samples, dtype=torch.float64) - config.window_samples / 2) / config.sample_rate
    hz = 440 * 2 ** ((note - 69) / 12)
    partials = [0.1 / k * torch.cos(2 * torch.pi * k * hz * time + at) for k in range(1, 5)]
    return torch.stack(partials).sum(0).float()[None]


@pytest.mark.parametrize("complex", [True, False])
def test_a_transposition_moves_the_filterbank_by_three_bins_a_semitone(complex: bool) -> None:
    config = INVARIANT[0]
    front_end = PitchFrontEnd(4096, config.sample_rate, 60, 24, complex)
    assert front_end.channels == (2 if complex else 1) and front_end.length == 72

    def peak(note: int) -> int:
        samples = torch.nn.functional.pad(tone(note, config), (1408, 1408))
        features = front_end(samples)
        assert features.shape == (1, front_end.channels, 72)
        return int(features.square().sum(1)[0].argmax())

    assert [peak(note) for note in (62, 65, 70)] == [7, 16, 31]


@pytest.mark.parametrize("config", INVARIANT, ids=["complex", "real"])
def test_a_shift_along_the_bins_moves_the_logits_by_a_note(config: TranscriberConfig) -> None:
    network = build(config).eval()
    features = torch.randn(2, network.front_end.channels, 3, 72)
    features[..., :6] = features[..., -6:] = 0  # what leaves the range or enters it
    higher = features.roll(3, -1)
    assert_close(network.body(higher)[:, 1:], network.body(features)[:, :-1], rtol=1e-4, atol=1e-4)


def test_the_invariant_network_has_as_many_weights_for_any_number_of_notes() -> None:
    more = TranscriberConfig("invariant", front_end="pitches", lowest_note=60, **{**FRAMES, "outputs": 30})
    assert size_of(build(more)) == size_of(build(INVARIANT[0]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "transformer", "complex": False}, "the transformer is complex"),
        ({"architecture": "transformer", "hidden": 10}, "hidden=10 must be a multiple of heads=8"),
        ({"architecture": "invariant"}, "belong together"),
        ({"front_end": "pitches"}, "belong together"),
        ({"layers": 0}, "layers"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TranscriberConfig(**{"window_samples": 4096, **settings})


@pytest.mark.slow
@pytest.mark.parametrize("config", [TRANSFORMER, *INVARIANT], ids=["transformer", "complex", "real"])
def test_the_layers_compile_to_one_graph(config: TranscriberConfig) -> None:
    network: TranscriberNetwork = build(config).eval()
    x = torch.randn(2, network.front_end.channels, 3, network.front_end.length)
    compiled = torch.compile(network.body, fullgraph=True, backend="aot_eager")
    assert_close(compiled(x), network.body(x), rtol=1e-4, atol=1e-4)
