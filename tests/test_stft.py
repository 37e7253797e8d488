"""The short-time Fourier transform: round trip, framing, agreement with SciPy, levels."""

from __future__ import annotations

import pytest
import scipy.signal
import torch

from audiocx.stft import BINS, FRAME_SAMPLES, HOP_SAMPLES, frame_count, istft, log_power_db, stft


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 0.1


@pytest.mark.parametrize("length", [1, 127, 128, 160, 255, 256, 1000, 12800])
def test_signals_of_any_length_survive_a_round_trip(length: int) -> None:
    samples = noise(2, length)
    spectra = stft(samples)
    assert spectra.dtype == torch.complex64
    assert spectra.shape == (2, frame_count(length), BINS)
    torch.testing.assert_close(istft(spectra, length), samples, atol=1e-6, rtol=0)


def test_the_first_frame_is_silent_and_every_sample_is_in_two_frames() -> None:
    for position in (0, 1, 127, 500, 999):
        samples = torch.zeros(1000)
        samples[position] = 1.0
        covered = stft(samples).abs().sum(-1) > 0
        # The Hann window is zero at its first sample, so that a sample there is covered once.
        assert covered.sum() == (1 if position % HOP_SAMPLES == 0 else 2)
        assert not covered[0]


def test_frames_equal_those_of_scipy() -> None:
    samples = noise(1000)
    padded = torch.nn.functional.pad(samples, (FRAME_SAMPLES, FRAME_SAMPLES)).numpy()
    _, _, expected = scipy.signal.stft(
        padded, window=scipy.signal.get_window("hann", 256), nperseg=256, noverlap=128, boundary=None, padded=False
    )
    # scipy divides by the sum of the window, 128.
    torch.testing.assert_close(stft(samples), torch.from_numpy(expected.T * 128).to(torch.complex64), atol=1e-5, rtol=0)


def test_log_power_of_known_values() -> None:
    spectra = torch.tensor([0, 1, 3 + 4j, 1e-3j])
    expected = 10 * torch.log10(torch.tensor([1e-5, 1 + 1e-5, 25 + 1e-5, 1e-6 + 1e-5]))
    torch.testing.assert_close(log_power_db(spectra), expected)
    assert log_power_db(spectra)[0] == pytest.approx(-50)


def test_log_power_of_a_full_scale_sinusoid() -> None:
    samples = torch.sin(2 * torch.pi * 1000 / 8000 * torch.arange(8000))
    # Half of the window's sum: 64, 36.1 dB.
    assert float(log_power_db(stft(samples))[30, 32]) == pytest.approx(36.12, abs=0.01)


def test_spectra_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1000 samples have 10 frames, not 12"):
        istft(torch.zeros(12, BINS, dtype=torch.complex64), 1000)
