"""Predictions: errors, resynthesis, files and plots."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocx.errors import OutputError
from audiocx.plots import spectrograms
from audiocx.speech import prediction
from audiocx.speech.prediction import Prediction
from audiocx.stft import BINS, SPEECH_RATE, frame_count, istft, log_power_db, stft, stft_frames


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.2, 0.2, length).astype(np.float32)


def predicted(samples: np.ndarray, spectra: np.ndarray) -> Prediction:
    """A prediction with given spectra."""
    true = stft(samples)
    errors = (log_power_db(true) - log_power_db(spectra)) ** 2
    return Prediction(samples, spectra, errors[1:].mean(1), "speech.wav", "some-network")


@pytest.fixture(params=[1, 160, 8000, 9000])
def some(request: pytest.FixtureRequest) -> Prediction:
    """Twice the true magnitudes, with random phases."""
    samples = noise(request.param)
    spectra = 2j * stft(samples)
    spectra[0] = 0
    return predicted(samples, spectra)


@pytest.mark.parametrize("length", [1, 127, 128, 129, 2000, 12800])
def test_frames_of_a_part_are_those_of_the_whole(length: int) -> None:
    samples = noise(length)
    samples.setflags(write=False)
    whole, frames = stft(samples), frame_count(length)
    for start, stop in {(0, frames), (0, 1), (1, 2), (frames - 1, frames), (frames // 3, frames // 2 + 1)}:
        part = stft_frames(samples, start, stop)
        np.testing.assert_allclose(part, whole[start:stop], atol=1e-5, rtol=1e-5)


def test_true_spectra_are_sliced_as_arrays_are(some: Prediction) -> None:
    true = stft(some.samples)
    for bounds in ((0, None), (1, 3), (-2, None), (0, 10**9)):
        np.testing.assert_allclose(some.true_spectra(*bounds), true[slice(*bounds)], atol=1e-5)


def test_the_error_of_each_second_is_of_the_frames_centred_in_it() -> None:
    samples = noise(SPEECH_RATE * 5 // 2)
    frames = frame_count(len(samples))
    centres_s = (np.arange(1, frames) - 1) * 128 / SPEECH_RATE
    # An error of 1 in the first second, 2 in the second, 3 after.
    frame_mse = 1 + np.minimum(np.floor(centres_s), 2).astype(np.float32)
    result = Prediction(samples, np.zeros((frames, BINS), np.complex64), frame_mse, "", "")
    np.testing.assert_array_equal(result.mse_by_second(), [1, 2, 3])
    assert result.mse == pytest.approx(frame_mse.mean())


@pytest.mark.parametrize("length", [1, 7999, 8000, 8001, 16000])
def test_every_second_has_an_error(length: int) -> None:
    samples = noise(length)
    result = predicted(samples, np.zeros((frame_count(length), BINS), np.complex64))
    curve = result.mse_by_second()
    assert len(curve) == np.ceil(length / SPEECH_RATE) and np.isfinite(curve).all()


@pytest.mark.parametrize("block_frames", [1, 5, 4096])
def test_the_resynthesis_has_predicted_magnitudes_and_true_phases(
    some: Prediction, block_frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "OUTPUT_BLOCK_FRAMES", block_frames)
    made = some.resynthesis()
    assert made.dtype == np.float32
    # Twice the magnitudes are twice the samples.
    np.testing.assert_allclose(made, 2 * some.samples, atol=1e-5)


def test_resynthesis_by_blocks_equals_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, other = noise(5000), noise(5000, seed=1)
    result = predicted(samples, stft(other))
    magnitude, phase = np.abs(result.spectra), np.angle(stft(samples))
    whole = istft(magnitude * np.exp(1j * phase), len(samples))
    monkeypatch.setattr(prediction, "OUTPUT_BLOCK_FRAMES", 3)
    np.testing.assert_allclose(result.resynthesis(), whole, atol=1e-5)


def test_writes_sound(some: Prediction, tmp_path: Path) -> None:
    some.to_wav(tmp_path / "a.wav")
    samples, rate = soundfile.read(tmp_path / "a.wav")
    assert rate == SPEECH_RATE
    np.testing.assert_allclose(samples, some.resynthesis(), atol=1e-4)


def test_writes_spectra(some: Prediction, tmp_path: Path) -> None:
    some.to_npz(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(archive["predicted"], some.spectra)
        np.testing.assert_array_equal(archive["true"], some.true_spectra())
        np.testing.assert_array_equal(archive["frame_mse"], some.frame_mse)
        assert archive["sample_rate"] == SPEECH_RATE


def test_writes_errors(some: Prediction, tmp_path: Path) -> None:
    some.to_json(tmp_path / "a.json")
    values = json.loads((tmp_path / "a.json").read_text())
    assert values == {
        "source": "speech.wav",
        "model": "some-network",
        "duration_s": some.duration_s,
        "frames": len(some.frame_mse),
        "mse": some.mse,
        "mse_by_second": some.mse_by_second().tolist(),
    }


def test_writes_a_picture(tmp_path: Path) -> None:
    shortest = predicted(noise(1), np.zeros((frame_count(1), BINS), np.complex64))
    shortest.to_png(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_picture_shows_every_frame_at_its_time() -> None:
    samples = noise(8000)
    true_db = log_power_db(stft(samples))
    drawn = predicted(samples, np.zeros((frame_count(8000), BINS), np.complex64)).plot().axes[0].images[0]
    np.testing.assert_allclose(drawn.get_array(), true_db.T, atol=1e-3)
    # Frame t is centred at sample 128 (t - 1), and as wide as the next is away.
    np.testing.assert_allclose(drawn.get_extent()[:2], [-1.5 * 0.016, (len(true_db) - 1.5) * 0.016])


def test_the_picture_of_a_long_recording_averages_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = noise(8000)
    result = predicted(samples, np.zeros((frame_count(8000), BINS), np.complex64))
    whole = result.plot().axes[0].images[0]
    monkeypatch.setattr(spectrograms, "MAX_COLUMNS", 20)
    monkeypatch.setattr(prediction, "OUTPUT_BLOCK_FRAMES", 10)
    drawn = result.plot().axes[0].images[0]
    # 65 frames: 16 columns of 4, one of 1.
    assert drawn.get_array().shape == (BINS, 17)
    means = whole.get_array()[:, :64].reshape(BINS, 16, 4).mean(2)
    np.testing.assert_allclose(drawn.get_array()[:, :16], means, atol=1e-3)
    assert drawn.get_extent()[0] == pytest.approx(whole.get_extent()[0])


def test_repr_is_one_line(some: Prediction) -> None:
    text = repr(some)
    assert "speech.wav" in text and "some-network" in text and f"MSE {some.mse:.2f} dB^2" in text and len(text) < 150


@pytest.mark.parametrize("form", ["json", "npz", "wav", "png"])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, form: str) -> None:
    result = predicted(noise(100), np.zeros((frame_count(100), BINS), np.complex64))
    with pytest.raises(OutputError, match="nowhere"):
        getattr(result, f"to_{form}")(tmp_path / "nowhere" / f"a.{form}")
