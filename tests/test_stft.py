"""The short-time Fourier transform: round trip, framing, agreement with SciPy, levels."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

from audiocx.models import speech_transform
from audiocx.stft import BINS, FRAME_SAMPLES, HOP_SAMPLES, frame_count, istft, log_power_db, stft


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)


@pytest.mark.parametrize("length", [1, 127, 128, 160, 255, 256, 1000, 12800])
def test_signals_of_any_length_survive_a_round_trip(length: int) -> None:
    samples = noise(2, length)
    spectra = stft(samples)
    assert spectra.dtype == np.complex64
    assert spectra.shape == (2, frame_count(length), BINS)
    restored = istft(spectra, length)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, samples, atol=1e-6)


def test_the_first_frame_is_silent_and_every_sample_is_in_two_frames() -> None:
    for position in (0, 1, 127, 500, 999):
        samples = np.zeros(1000, np.float32)
        samples[position] = 1.0
        covered = np.abs(stft(samples)).sum(-1) > 0
        # The Hann window is zero at its first sample, so that a sample there is covered once.
        assert covered.sum() == (1 if position % HOP_SAMPLES == 0 else 2)
        assert not covered[0]


def test_frames_equal_those_of_scipy() -> None:
    samples = noise(1000)
    padded = np.pad(samples, (FRAME_SAMPLES, FRAME_SAMPLES))
    _, _, expected = scipy.signal.stft(
        padded, window=scipy.signal.get_window("hann", 256), nperseg=256, noverlap=128, boundary=None, padded=False
    )
    # scipy divides by the sum of the window, 128.
    np.testing.assert_allclose(stft(samples), expected.T * 128, atol=1e-5)


def test_log_power_of_known_values() -> None:
    spectra = np.array([0, 1, 3 + 4j, 1e-3j], np.complex64)
    expected = 10 * np.log10([1e-5, 1 + 1e-5, 25 + 1e-5, 1e-6 + 1e-5])
    np.testing.assert_allclose(log_power_db(spectra), expected, rtol=1e-5, atol=1e-5)
    assert log_power_db(spectra).dtype == np.float32
    assert log_power_db(spectra)[0] == pytest.approx(-50)


def test_log_power_of_a_full_scale_sinusoid() -> None:
    samples = np.sin(2 * np.pi * 1000 / 8000 * np.arange(8000))
    # Half of the window's sum: 64, 36.1 dB.
    assert float(log_power_db(stft(samples))[30, 32]) == pytest.approx(36.12, abs=0.01)


def test_spectra_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1000 samples have 10 frames, not 12"):
        istft(np.zeros((12, BINS), np.complex64), 1000)


@pytest.mark.parametrize("shape", [(1,), (1000,), (2, 3, 777)])
def test_tensors_have_the_same_transform_and_levels(shape: tuple[int, ...]) -> None:
    samples = noise(*shape)
    spectra, tensor = stft(samples), speech_transform.stft(torch.from_numpy(samples))
    assert tensor.dtype == torch.complex64
    np.testing.assert_allclose(spectra, tensor, atol=1e-6)
    np.testing.assert_allclose(
        log_power_db(spectra), speech_transform.log_power_db(torch.from_numpy(spectra)), atol=1e-4
    )
