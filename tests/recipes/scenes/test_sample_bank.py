"""Sample banks keep loudness, and samples are chosen and upsampled as documented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scenes.sample_bank import instruments_of, nearest_samples, upsampled
from tiny_bank import make_bank, tone


def test_reading_restores_loudness(tmp_path: Path) -> None:
    index, samples = make_bank(tmp_path)
    assert index.names == ["piano", "pipe"]
    second = samples[index.starts[1] : index.starts[1] + index.lengths[1]] / 32767 * index.gains[1]
    np.testing.assert_allclose(second, 100 / 127 * tone(220.0, 1.0), atol=1e-4)


def test_nearest_sample_is_chosen_by_pitch_then_velocity(tmp_path: Path) -> None:
    index, _ = make_bank(tmp_path)
    chosen = nearest_samples(index, 0, np.array([58, 80]), np.array([10, 120]))
    assert index.pitches[chosen].tolist() == [57, 81]
    assert index.velocities[chosen].tolist() == [40, 100]


def test_instruments_by_kind(tmp_path: Path) -> None:
    index, _ = make_bank(tmp_path)
    assert instruments_of(index, ["sustained"]).tolist() == [1]
    assert instruments_of(index, ["noise"]).tolist() == []


def test_upsampling_interpolates() -> None:
    twice = upsampled((20000 * torch.sin(0.9 * torch.arange(5000))).short(), 1000)
    expected = 20000 * torch.sin(0.45 * torch.arange(10000))
    assert (twice - expected)[64:-64].abs().max() < 12
