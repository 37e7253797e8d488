"""Recurrent transcribers: parameter counts, states of both directions, frames of a window, checkpoints."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from audiocx import checkpoints
from audiocx.kinds import build
from audiocx.models import TranscriberConfig, TranscriberNetwork, folded
from audiocx.models.recurrent import FrameStates
from audiocx.models.runtime import TorchNetwork
from audiocx.models.window_blocks import frame_probabilities
from audiocx.nn.functional import to_complex
from audiocx.optim import unitary_parameters

# Seven frames.
SMALL = {"window_samples": 1024, "frame_samples": 256, "frame_hop_samples": 128, "hidden": 5, "outputs": 4}
EVERY = [
    pytest.param(
        {"bidirectional": both, "front_end": name}, id=f"{name}, {'bidirectional' if both else 'one direction'}"
    )
    for both in (False, True)
    for name in ("compressed", "analytic")
]
every_network = pytest.mark.parametrize("settings", EVERY)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def small(**settings: Any) -> TranscriberNetwork:
    return build(TranscriberConfig("cgrnn", **{**SMALL, **settings}))


@pytest.mark.parametrize(
    ("settings", "length", "parameters"),
    [
        ({}, 1024, 4_808_194 + 84),
        ({"bidirectional": True}, 1024, 2 * 4_808_194 + 84),
        ({"bidirectional": True, "front_end": "analytic"}, 2048, 2 * 7_953_922 + 84),
        ({"bins": 100}, 100, 1_969_666 + 84),
    ],
)
def test_parameter_counts(settings: dict[str, Any], length: int, parameters: int) -> None:
    """Of each direction: three matrices for the inputs and three for the state, complex, biases, gates, the readout."""
    with torch.device("meta"):
        network = build(TranscriberConfig("cgrnn", outputs=84, window_samples=16384, **settings))
    assert network.front_end.length == length and network.config.framing == (2048, 512)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    each = 6 * 512 * length + 6 * 512**2 + 6 * 512 + 2 + 512 + 2 * 84 * 512
    assert parameters == each * (1 + network.config.bidirectional) + 84


@pytest.mark.parametrize("both", [False, True])
def test_the_state_depends_on_every_frame(both: bool) -> None:
    x = torch.randn(2, 2, 7, 6, requires_grad=True)
    FrameStates(6, 5, both)(x).square().sum().backward()
    assert x.grad is not None and x.grad.abs().amin((0, 1, 3)).gt(0).all()


def test_time_reversal_swaps_the_directions() -> None:
    states = FrameStates(6, 5, bidirectional=True)
    mirrored = copy.deepcopy(states)
    mirrored.forwards, mirrored.backwards = mirrored.backwards, mirrored.forwards  # type: ignore[assignment]
    x = torch.randn(3, 2, 9, 6)
    first, second = states(x).chunk(2, 1)
    assert_close(mirrored(x.flip(2)), torch.cat([second, first], 1))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("both", [False, True])
def test_states_equal_those_of_single_steps(both: bool) -> None:
    """One direction runs to the end of the window, both directions to its centre."""
    states, x = FrameStates(6, 5, both), torch.randn(3, 2, 7, 6)
    frames = torch.complex(*x.unbind(1))

    def walk(layer: Any, order: list[int]) -> Tensor:
        state = None
        for time in order:
            state = layer.cell(frames[:, time], state)
        assert state is not None
        return torch.cat([state.real, state.imag], 1)

    if both:
        expected = torch.cat([walk(states.forwards, [0, 1, 2, 3]), walk(states.backwards, [6, 5, 4, 3])], 1)
    else:
        expected = walk(states.forwards, [*range(7)])
    assert_close(states(x), expected)


def test_frames_are_windowed_spectra_and_one_is_at_the_centre() -> None:
    network, seen = small(), []
    network.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    click = torch.zeros(1, 1024)
    click[0, 512] = 0.1
    network(click)
    spectra = to_complex(seen[0]).squeeze(1)[0].detach().numpy()
    hann = scipy.signal.get_window("hann", 256)
    expected = [0.1 * hann[512 - start] if 0 <= 512 - start < 256 else 0.0 for start in range(0, 769, 128)]
    np.testing.assert_allclose(np.abs(spectra), np.log1p(expected)[:, None].repeat(128, 1), atol=1e-5)
    assert np.argmax(expected) == 3
    # Referred to its centre, where the click is, the frame has no phase.
    np.testing.assert_allclose(spectra[3].imag, 0, atol=1e-5)


def test_analytic_frames_equal_scipys() -> None:
    network, seen = small(front_end="analytic"), []
    network.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    windows = torch.randn(2, 1024)
    network(windows)
    frames = np.stack([windows[:, start : start + 256].numpy() for start in range(0, 769, 128)], 1)
    np.testing.assert_allclose(to_complex(seen[0]).squeeze(1), scipy.signal.hilbert(frames), atol=1e-5)


@every_network
def test_silence_has_no_notes_and_every_parameter_has_a_gradient(settings: dict[str, Any]) -> None:
    network = small(**settings)
    assert_close(network(torch.zeros(1, 1024)), torch.full((1, 4), -5.0))
    F.binary_cross_entropy_with_logits(network(0.1 * torch.randn(4, 1024)), torch.eye(4)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name
    assert len(unitary_parameters(network)) == (2 if network.config.bidirectional else 1)


@every_network
def test_logits_do_not_depend_on_the_batch_or_on_folding(settings: dict[str, Any]) -> None:
    network, windows = small(**settings).eval(), 0.1 * torch.randn(6, 1024)
    logits = network(windows)
    assert logits.shape == (6, 4) and logits.std(0).min() > 1e-3
    assert_close(network(windows[2:3]), logits[2:3], rtol=1e-4, atol=1e-4)
    assert_close(folded(network)(windows), logits, rtol=0, atol=0)


def test_a_checkpoint_runs_over_a_recording(tmp_path: Path) -> None:
    network = small(bidirectional=True).eval()
    folder = checkpoints.save_checkpoint(network, tmp_path / "it", hop_samples=300)
    opened = checkpoints.load_checkpoint(folder)
    assert opened.hop_samples == 300 and opened.network.config == network.config
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 2000).astype(np.float32)
    windows = np.stack([np.pad(samples, 512)[centre : centre + 1024] for centre in range(0, 2000, 300)])
    with torch.inference_mode():
        alone = network(torch.from_numpy(windows)).sigmoid().numpy()
    np.testing.assert_allclose(frame_probabilities(TorchNetwork(opened.network), samples, 300), alone, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"complex": False}, "the cgrnn is complex"),
        ({"window_samples": 1152}, "window_samples=1152 has no frame at its centre; .* a multiple of 256"),
        ({"window_samples": 254}, "window_samples=254 has no frame at its centre"),
        ({"frame_samples": 255}, "frame_samples must be even"),
        ({"frame_hop_samples": 0}, "frame_hop_samples must be a number in"),
        ({"hidden": 0}, "hidden must be a number in"),
        ({"bins": 257}, "bins=257 lies outside 1 to frame_samples=256"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TranscriberConfig("cgrnn", **{**SMALL, **settings})


@pytest.mark.slow
def test_the_layers_compile_to_one_graph() -> None:
    network, windows = small(bidirectional=True).eval().requires_grad_(False), 0.1 * torch.randn(4, 1024)
    features = network.front_end(windows.unfold(1, 256, 128).flatten(0, 1)).unflatten(0, (4, 7)).transpose(1, 2)
    compiled = torch.compile(network.body, fullgraph=True, backend="aot_eager")
    assert_close(compiled(features), network(windows), rtol=1e-4, atol=1e-4)
