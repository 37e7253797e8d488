"""Tuning estimation on synthetic tones, and against librosa."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from audiocx.errors import ConfigError
from audiocx.music.tuning import DEAD_BAND_CENTS, a4_hz, check_cents, estimate_tuning, retuned

RATE = 11025
SCALE = (57, 60, 64, 65, 69, 72, 55, 67, 62, 71)


def music(cents: float, rate: int = RATE, vibrato_cents: float = 0.0, notes: int = 20) -> np.ndarray:
    """Decaying tones of six harmonics, two at a time, each half a second, and a little noise; float32 [N]."""
    size, rng = rate // 2, np.random.default_rng(0)
    time_s = np.arange(2 * size) / rate
    samples = 0.003 * rng.normal(size=size * (notes + 1))
    for index in range(notes):
        hz = a4_hz(cents) * 2 ** ((SCALE[index % len(SCALE)] - 69) / 12)
        swing = hz * (2 ** (vibrato_cents / 1200) - 1) / 5.5 * np.sin(2 * np.pi * 5.5 * time_s + index)
        tone = sum(np.sin(2 * np.pi * k * (hz * time_s + swing / (2 * np.pi)) + k) / k for k in range(1, 7))
        samples[index * size : (index + 2) * size] += 0.2 * tone * np.exp(-2 * time_s) * np.hanning(2 * size)
    return samples.astype(np.float32)


@pytest.mark.parametrize(
    ("cents", "rate"),
    [(-40.0, RATE), (-15.0, 8000), (0.0, RATE), (12.5, 44100), (33.0, 16000), (45.0, 8000), (45.0, RATE)],
)
def test_the_tuning_of_harmonic_tones(cents: float, rate: int) -> None:
    assert estimate_tuning(music(cents, rate), rate) == pytest.approx(cents, abs=2)


@pytest.mark.parametrize("cents", [-49.0, -31.4, 0.0, 16.0, 49.0])
def test_the_tuning_of_a_single_steady_tone(cents: float) -> None:
    tone = np.sin(2 * np.pi * a4_hz(cents) * np.arange(12 * RATE) / RATE)
    assert estimate_tuning(tone, RATE) == pytest.approx(cents, abs=1)


@pytest.mark.parametrize("cents", [-40.0, 20.0])
def test_vibrato_does_not_change_the_tuning(cents: float) -> None:
    assert estimate_tuning(music(cents, vibrato_cents=25, notes=40), RATE) == pytest.approx(cents, abs=3)


def test_tuning_does_not_depend_on_excerpt_or_level() -> None:
    whole = music(30)
    parts = (whole[: 3 * RATE], whole[4 * RATE : 7 * RATE], np.append(whole, np.zeros(20 * RATE)))
    for part in (*parts, 1e-30 * whole, 1e38 * whole):
        assert estimate_tuning(part, RATE) == pytest.approx(30, abs=2)


@pytest.mark.parametrize("cents", [50.0, 75.0, -60.0])
def test_tuning_wraps_at_half_a_semitone(cents: float) -> None:
    off = estimate_tuning(music(cents), RATE)
    assert -50 < off <= 50 and (off - cents + 50) % 100 - 50 == pytest.approx(0, abs=2)


def click(at: int, size: int) -> np.ndarray:
    return np.where(np.arange(size) == at, 1.0, 0.0)


def sweep(size: int) -> np.ndarray:
    return np.sin(2 * np.pi * 100 * RATE * np.geomspace(1, 16, size).cumsum() / RATE**2)


UNPITCHED = {
    "empty": np.zeros(0),
    "one": np.ones(1),
    "silence": np.zeros(3 * RATE),
    "constant": np.ones(3 * RATE),
    "click": click(5000, 3 * RATE),
    "20 ms": music(30)[RATE // 2 :][: RATE // 50],
    "sweep": sweep(10 * RATE),
    "two tunings": music(25) + music(-25),
}


@pytest.mark.parametrize("samples", UNPITCHED.values(), ids=list(UNPITCHED))
def test_unpitched_samples_have_no_tuning(samples: np.ndarray) -> None:
    assert estimate_tuning(samples.astype(np.float32), RATE) == 0.0


@pytest.mark.parametrize("size", [2000, RATE, 10 * RATE])
def test_noise_has_no_tuning(size: int) -> None:
    rng = np.random.default_rng(size)
    for _ in range(5):
        white = rng.normal(size=size).astype(np.float32)
        assert estimate_tuning(white, RATE) == estimate_tuning(white.cumsum(), RATE) == 0.0


def test_memory_is_bounded_at_any_length() -> None:
    peaks = []
    for times in (15, 60):
        samples = np.tile(music(30), times)
        tracemalloc.start()
        assert estimate_tuning(samples, RATE) == pytest.approx(30, abs=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 60e6


@pytest.mark.parametrize("cents", [-100.0, -37.0, 20.0, 100.0])
@pytest.mark.parametrize("rate", [8000, 11025])
def test_retuned_samples_are_in_tune_and_longer(cents: float, rate: int) -> None:
    before = music(cents, rate)
    samples, corrected, stretch = retuned(before, rate, cents)
    assert corrected == cents and samples.dtype == np.float32
    assert stretch == pytest.approx(2 ** (cents / 1200), rel=1e-4)
    assert len(samples) == pytest.approx(len(before) * stretch, abs=1)
    assert estimate_tuning(samples, rate) == pytest.approx(estimate_tuning(music(0, rate), rate), abs=0.5)


def test_the_dead_band_applies_to_estimates_only() -> None:
    for cents in (-DEAD_BAND_CENTS + 3, 0.0, DEAD_BAND_CENTS - 3):
        samples = music(cents)
        result = retuned(samples, RATE)
        assert result.samples is samples and result[1:] == (0.0, 1.0)
        assert retuned(samples, RATE, 3.0).stretch > 1
    for cents in (-DEAD_BAND_CENTS - 3, DEAD_BAND_CENTS + 3):
        assert retuned(music(cents), RATE).cents == pytest.approx(cents, abs=2)


@pytest.mark.parametrize("cents", [100.1, -101.0, np.nan, -np.inf])
def test_a_tuning_out_of_range_is_refused(cents: float) -> None:
    with pytest.raises(ConfigError, match=r"within \+-100 cents, not .*; None estimates it\.$"):
        check_cents(cents)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cents", [-40.0, -10.0, 0.0, 25.0, 45.0])
def test_tuning_agrees_with_librosa(cents: float) -> None:
    librosa = pytest.importorskip("librosa")
    samples = music(cents)
    theirs = 100 * librosa.estimate_tuning(y=samples, sr=RATE, resolution=0.01)
    assert estimate_tuning(samples, RATE) == pytest.approx(theirs, abs=3)
