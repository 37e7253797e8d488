"""Errors of levels, with and without padding, and the scores of sound."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speech_lookalike import speech_like

from audiocx.errors import ConfigError
from audiocx.speech.metrics import SpectralError, magnitudes, pesq_mos, resynthesize, segmental_snr_db, stoi
from audiocx.stft import BINS, SPEECH_RATE, frame_count, log_power_db, stft

RNG = np.random.default_rng(0)


def speech(name: str, duration_s: float) -> np.ndarray:
    """float32 [N] at 8 kHz."""
    return speech_like(name, duration_s, SPEECH_RATE).astype(np.float32) / 32768


def noise(samples: int, level: float) -> np.ndarray:
    return (level * RNG.standard_normal(samples)).astype(np.float32)


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    return speech("fcjf0", 3.0)


# The error.


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(1, 4), st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_padding_changes_the_padded_score_only(lengths: list[int], bins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    utterances = [rng.standard_normal((2, length, bins)) for length in lengths]
    alone, together = SpectralError(), SpectralError()
    for true_db, predicted_db in utterances:
        alone.add(true_db, predicted_db)
    batch = np.full((2, len(lengths), 12, bins), math.nan)
    for index, utterance in enumerate(utterances):
        batch[:, index, : lengths[index]] = utterance
    together.add(*batch, lengths)
    size = len(lengths) * max(lengths) * bins
    for error in (alone, together):
        assert (error.frames, error.utterances) == (sum(lengths), len(lengths))
        if not sum(lengths):
            assert math.isnan(error.mse) and math.isnan(error.padded_mse)
            continue
        squares = [np.square(utterance[0] - utterance[1]).sum() for utterance in utterances]
        assert error.mse == pytest.approx(sum(squares) / (sum(lengths) * bins), rel=1e-5)
        assert error.padded_mse == pytest.approx(sum(squares) / size, rel=1e-5)


def test_nan_is_not_hidden_and_other_shapes_are_refused() -> None:
    error = SpectralError()
    assert math.isnan(error.mse)
    error.add(np.zeros((2, 3)), np.array([[0.0, math.nan, 0.0], [0.0, 0.0, 0.0]]))
    assert math.isnan(error.mse)
    with pytest.raises(ValueError, match="levels"):
        error.add(np.zeros((2, 3)), np.zeros(3))


def test_magnitudes_invert_levels() -> None:
    spectra = RNG.standard_normal((50, BINS)) * np.logspace(-2, 2, BINS) * np.exp(1j)
    np.testing.assert_allclose(magnitudes(log_power_db(spectra)), np.abs(spectra), rtol=1e-2, atol=1e-4)


# Resynthesis.


def ahead(spectra: np.ndarray) -> np.ndarray:
    """A perfect prediction; nonsense for the frame after the last."""
    return np.concatenate([spectra[1:], np.full((1, BINS), 1e6 + 0j)])


def test_a_perfect_prediction_of_magnitudes_gives_the_recording(voice: np.ndarray) -> None:
    samples, spectra = voice, stft(voice)
    turned = ahead(spectra) * np.exp(1j * RNG.uniform(0, 6, spectra.shape))
    for predicted in (ahead(spectra), turned, np.abs(turned)):
        np.testing.assert_allclose(resynthesize(predicted, spectra, len(samples)), samples, rtol=1e-4, atol=1e-5)
    # Frame 0 lies before the first sample, so it does not matter that it is not predicted.
    twice = resynthesize(2 * ahead(spectra), spectra, len(samples))
    np.testing.assert_allclose(twice, 2 * samples, rtol=1e-4, atol=1e-5)


def test_the_first_frame_is_taken_from_the_recording() -> None:
    spectra = np.zeros((frame_count(100), BINS), np.complex64)
    spectra[0] = 1.0
    assert not resynthesize(np.zeros_like(spectra), spectra, 100).any()  # it covers no sample
    with pytest.raises(ValueError, match="frames"):
        resynthesize(spectra, spectra, 1000)


# Segmental SNR.


@given(st.floats(-4, 4).filter(lambda gain: abs(gain - 1) > 1e-3), st.floats(1e-2, 1e2))
@settings(deadline=None, max_examples=30)
def test_a_gain_is_the_same_error_in_every_segment(gain: float, scale: float) -> None:
    reference = scale * np.random.default_rng(1).standard_normal(1000)
    expected = float(np.clip(-20 * np.log10(abs(1 - gain)), -10, 35))
    assert segmental_snr_db(reference, gain * reference, 8000) == pytest.approx(expected, abs=1e-6)


def test_segments_are_limited_in_range(voice: np.ndarray) -> None:
    assert segmental_snr_db(voice, voice, 8000) == 35
    assert segmental_snr_db(voice, np.zeros_like(voice), 8000) == pytest.approx(0)
    assert segmental_snr_db(voice, voice + noise(len(voice), 10.0), 8000) == -10


def test_segments_40_db_below_the_loudest_are_left_out() -> None:
    loud, faint = noise(4000, 0.1), noise(4000, 0.1 * 10 ** (-60 / 20))
    reference = np.concatenate([loud, faint])
    estimate = reference + noise(8000, 0.01)
    wrecked = estimate.copy()
    wrecked[4480:] += noise(3520, 1.0)  # two segments behind the last loud one
    score = segmental_snr_db(reference, estimate, 8000)
    assert segmental_snr_db(reference, wrecked, 8000) == score == pytest.approx(20, abs=1)
    moderate = np.concatenate([loud, noise(4000, 0.1 * 10 ** (-30 / 20))])
    assert segmental_snr_db(moderate, wrecked, 8000) < score - 5


# PESQ and STOI.


def test_pesq_and_stoi_fall_with_noise(voice: np.ndarray) -> None:
    levels = (0.0, 0.01, 0.3)
    degraded = [voice + noise(len(voice), level) for level in levels]
    quality = [pesq_mos(voice, estimate, 8000) for estimate in degraded]
    clear = [stoi(voice, estimate, 8000) for estimate in degraded]
    assert quality == sorted(quality, reverse=True) and quality[0] > 4.5 and quality[-1] < 2.5
    assert clear == sorted(clear, reverse=True) and clear[0] == pytest.approx(1) and clear[-1] < 0.7


@pytest.mark.parametrize("score", [segmental_snr_db, pesq_mos, stoi])
def test_signals_that_cannot_be_scored_are_nan(score, voice: np.ndarray) -> None:
    for reference in (np.zeros(8000, np.float32), np.zeros(0, np.float32), voice[:100], voice[:1]):
        assert math.isnan(score(reference, reference + noise(len(reference), 0.01), 8000))
    assert math.isnan(score(voice, np.full_like(voice, math.nan), 8000))
    with pytest.raises(ValueError, match="signals"):
        score(voice, voice[1:], 8000)


def test_stoi_needs_more_than_a_third_of_a_second(voice: np.ndarray) -> None:
    assert math.isnan(stoi(voice[:2800], voice[:2800], 8000))
    assert not math.isnan(stoi(voice[:8000], voice[:8000], 8000))


def test_pesq_scores_long_recordings_in_parts() -> None:
    """As a whole, a hundred speech segments would overrun its table of 50."""
    time = np.arange(41 * 8000)
    reference = noise(len(time), 0.1) * (time // 1700 % 2 == 0)
    estimate = reference + noise(len(time), 0.02)
    parts = zip(np.array_split(reference, 3), np.array_split(estimate, 3), strict=True)
    expected = np.mean([pesq_mos(*part, 8000) for part in parts])
    assert pesq_mos(reference, estimate, 8000) == pytest.approx(expected)


def test_pesq_is_defined_at_two_rates(voice: np.ndarray) -> None:
    with pytest.raises(ValueError, match="11025"):
        pesq_mos(voice, voice, 11025)


@pytest.mark.parametrize("score, package", [(pesq_mos, "pesq"), (stoi, "pystoi")])
def test_a_missing_package_is_named(score, package: str, voice: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"package {package}: pip install 'audiocx\[speech\]'"):
        score(voice, voice, 8000)
