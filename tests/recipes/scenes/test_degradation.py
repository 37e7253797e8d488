"""Degraded recordings have the requested level and stay finite."""

from __future__ import annotations

import pytest
import torch
from scenes.degradation import DegradationConfig, degrade, loudness

RATE = 11025


def test_level() -> None:
    sound = 1e-3 * torch.randn(32, 16384, generator=torch.Generator().manual_seed(0))
    even = DegradationConfig(softness_db=1e-9)
    degraded = degrade(sound, RATE, even, torch.Generator().manual_seed(1), 4096, -20.0)
    assert degraded.shape == (32, 12288)
    assert torch.isfinite(degraded).all()
    assert 20 * torch.log10(loudness(degraded)).median().item() == pytest.approx(-20, abs=2)


def test_silence_stays_finite() -> None:
    generator = torch.Generator().manual_seed(1)
    assert torch.isfinite(degrade(torch.zeros(8, 16384), RATE, DegradationConfig(), generator, 4096, -20.0)).all()
