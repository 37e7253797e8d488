"""Inference of window networks over recordings: the same as window by window, with zeros beyond the ends."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from audiocx.models.runtime import TorchNetwork
from audiocx.models.window_blocks import frame_probabilities, frame_windows, probabilities_at

WINDOW = 64


class Linear(nn.Module):
    """A linear network."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(window_samples=WINDOW, outputs=3)
        self.weight = nn.Parameter(torch.randn(WINDOW, 3, generator=torch.Generator().manual_seed(0)))

    def forward(self, windows: Tensor) -> Tensor:
        return windows @ self.weight

    def probabilities(self, windows: Tensor) -> Tensor:
        return self(windows).sigmoid()


def one_by_one(samples: np.ndarray, hop: int) -> np.ndarray:
    padded = np.concatenate([np.zeros(WINDOW // 2), samples, np.zeros(WINDOW)])
    return np.stack([padded[t : t + WINDOW] for t in range(0, len(samples), hop)]).astype(np.float32)


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 63, 64, 65, 500])
@pytest.mark.parametrize("hop", [1, 16, 50, 64, 100])
@pytest.mark.parametrize("batch", [1, 3, 256])
def test_batched_frames_equal_single_windows(length: int, hop: int, batch: int) -> None:
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    expected = one_by_one(samples, hop)
    cut = list(frame_windows(samples, WINDOW, hop, batch))
    assert all(len(windows) <= batch for windows in cut)
    np.testing.assert_array_equal(np.concatenate(cut), expected)
    network, done = Linear().eval(), []
    probabilities = frame_probabilities(TorchNetwork(network), samples, hop, batch, done.append)
    assert probabilities.dtype == np.float32 and probabilities.shape == (-(-length // hop), 3)
    assert sum(done) == len(probabilities)
    with torch.inference_mode():
        singly = torch.cat([network(torch.from_numpy(window[None])) for window in expected]).sigmoid()
    np.testing.assert_allclose(probabilities, singly.numpy(), atol=1e-5)


def test_empty_input_has_no_frames() -> None:
    assert frame_probabilities(TorchNetwork(Linear()), np.zeros(0, np.float32), 16).shape == (0, 3)


@pytest.mark.parametrize("length", [1, 32, 65, 500])
@pytest.mark.parametrize("hop", [1, 50, 64])
@pytest.mark.parametrize("batch", [1, 3, 256])
def test_positions_on_a_grid_equal_its_frames(length: int, hop: int, batch: int) -> None:
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    network, done = Linear().eval(), []
    chosen = probabilities_at(TorchNetwork(network), samples, np.arange(0, length, hop), batch, done.append)
    assert chosen.dtype == np.float32 and sum(done) == len(chosen) and max(done) <= batch
    np.testing.assert_allclose(chosen, frame_probabilities(TorchNetwork(network), samples, hop), atol=1e-6)


def test_positions_may_be_unsorted_and_repeated() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 500).astype(np.float32)
    network = Linear().eval()
    every = frame_probabilities(TorchNetwork(network), samples, 1)
    centres = np.array([499, 0, 17, 17, 250])
    np.testing.assert_allclose(probabilities_at(TorchNetwork(network), samples, centres, 2), every[centres], atol=1e-6)
    assert probabilities_at(TorchNetwork(network), samples, centres[:0]).shape == (0, 3)


def test_frames_equal_the_network_on_each_window() -> None:
    from audiocx.kinds import build
    from audiocx.models import TranscriberConfig

    network = build(TranscriberConfig(window_samples=256)).eval()
    samples = np.random.default_rng(0).uniform(-1, 1, 700).astype(np.float32)
    whole = frame_probabilities(TorchNetwork(network), samples, 100, batch_frames=4)
    padded = np.concatenate([np.zeros(128, np.float32), samples, np.zeros(256, np.float32)])
    with torch.inference_mode():
        for frame, row in enumerate(whole):
            window = torch.from_numpy(padded[None, frame * 100 : frame * 100 + 256])
            np.testing.assert_allclose(row, network(window)[0].sigmoid().numpy(), atol=1e-6)
