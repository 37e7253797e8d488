"""Synthesised notes start, end and sound as requested; segments of recordings are read unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scenes.rendering import Clips, Sounds, read_clips, render
from scenes.sample_bank import BankIndex, upsampled
from tiny_bank import RATE, make_bank


def one(index: BankIndex, sample: int, **changes: float) -> Sounds:
    values = {
        "rows": 0, "onsets": 3000.0, "durations": 4000.0, "starts": 2 * index.starts[sample],
        "lengths": 2 * index.lengths[sample], "loops": False, "ratios": 1.0, "gains": 1.0, "releases": 100.0,
        "attacks": 1.0, "swells": 0.0, "vibratos": 0.0, "rates": 0.01, "glides": 0.0, "settles": 100.0,
    } | changes  # fmt: skip
    double = {"onsets", "durations", "ratios"}
    return Sounds(
        *(torch.tensor([values[name]], dtype=torch.float64 if name in double else None) for name in Sounds._fields)
    )


def test_onset_and_release(tmp_path: Path) -> None:
    index, samples = make_bank(tmp_path)
    sound = render(one(index, 0), upsampled(torch.from_numpy(samples)), 2, 8192)
    assert not sound[1].any()
    assert not sound[0, :3000].any()
    assert sound[0, 3000:3100].abs().max() > 0.2
    assert sound[0, 7600:].abs().max() < 1e-4


def test_ratio_transposes_and_looping_sustains(tmp_path: Path) -> None:
    index, samples = make_bank(tmp_path)
    looped = one(index, 6, ratios=2.0, loops=True, onsets=0.0, durations=1e6)
    sound = render(looped, upsampled(torch.from_numpy(samples)), 1, 32768)
    spectrum = torch.fft.rfft(sound[0, -8192:] * torch.hann_window(8192), 1 << 16).abs()
    assert float(spectrum.argmax()) * RATE / (1 << 16) == pytest.approx(880, rel=0.01)


def test_segments_are_read_unchanged_and_padded() -> None:
    samples = (10000 * torch.sin(0.3 * torch.arange(4000))).short()
    clips = Clips(*(torch.tensor([value]) for value in (0, 200.0, 0, 8000, 1.0, 1.0)))
    clips = clips._replace(firsts=clips.firsts.double(), ratios=clips.ratios.double())
    read = read_clips(clips, upsampled(samples), 1, 5000)[0]
    torch.testing.assert_close(read[:1000], samples[100:1100] / 32768, atol=2e-4, rtol=0)
    assert not read[3900:].any()
