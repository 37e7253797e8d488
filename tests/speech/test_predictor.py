"""Predictors run: on files, on samples, on a live stream."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import audiocx
from audiocx import checkpoints
from audiocx.api import load_predictor, load_transcriber
from audiocx.errors import AudioError, CheckpointError, ConfigError, OutputError
from audiocx.io import audio
from audiocx.music.transcriber import Transcriber
from audiocx.speech import predictor
from audiocx.speech.predictor import Predictor
from audiocx.stft import BINS, SPEECH_RATE, frame_count, log_power_db, stft

ROOT = Path(audiocx.__file__).parents[1]


class Repeat:
    """Predicts the frame that it is given; its state counts frames."""

    config = SimpleNamespace()

    def forecast(self, spectra: np.ndarray, state: int | None = None) -> tuple[np.ndarray, int]:
        return spectra[:, :, None], (state or 0) + spectra.shape[1]


@pytest.fixture
def repeat(tiny_predictor: Path) -> Predictor:
    loaded = load_predictor(tiny_predictor, "cpu")
    loaded.network = Repeat()  # type: ignore[assignment]
    return loaded


@pytest.fixture(scope="module")
def tiny(tiny_predictor: Path) -> Predictor:
    return load_predictor(tiny_predictor, "cpu")


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise that comes and goes."""
    time_s = np.arange(round(seconds * SPEECH_RATE)) / SPEECH_RATE
    noise = np.random.default_rng(seed).normal(0, 0.1, len(time_s))
    return (noise * (1 + np.sin(8 * time_s))).astype(np.float32)


@pytest.mark.parametrize("length", [1, 127, 128, 160, 8000, 128 * 62, 128 * 62 - 1, 128 * 125 + 5])
def test_a_prediction_lies_in_the_row_of_the_frame_that_it_predicts(repeat: Predictor, length: int) -> None:
    samples = speech(2.1)[:length]
    result, true = repeat.predict(samples, SPEECH_RATE), stft(samples)
    assert result.spectra.shape == (frame_count(length), BINS) and result.spectra.dtype == np.complex64
    assert not result.spectra[0].any()
    np.testing.assert_allclose(result.spectra[1:], true[:-1], atol=1e-5)
    errors = (log_power_db(true[1:]) - log_power_db(true[:-1])) ** 2
    np.testing.assert_allclose(result.frame_mse, errors.mean(1), rtol=1e-3, atol=1e-3)
    assert result.mse == pytest.approx(errors.mean().item(), rel=1e-3)


@pytest.mark.parametrize("block_frames", [1, 7, 64, 1000])
def test_blocks_of_any_length_predict_what_the_whole_does(
    tiny: Predictor, block_frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = speech(1.3)
    whole = tiny.network.forecast(stft(samples)[None])[0][:, :, 0]
    monkeypatch.setattr(predictor, "FRAMES_PER_CALL", block_frames)
    np.testing.assert_allclose(tiny.predict(samples, SPEECH_RATE).spectra[1:], whole[0, :-1], atol=1e-5)


def test_a_live_stream_predicts_what_the_whole_does(tiny: Predictor) -> None:
    samples = speech(0.5)
    whole, state = tiny.predict(samples, SPEECH_RATE), None
    for frame, following in zip(whole.true_spectra()[:-1], whole.spectra[1:], strict=True):
        predicted, state = tiny.step(frame, state)
        assert predicted.dtype == np.complex64
        np.testing.assert_allclose(predicted, following, atol=1e-5)


@pytest.mark.parametrize(
    "frame", [np.zeros(128), np.zeros((1, BINS)), np.full(BINS, np.nan), np.full(BINS, 1j * np.inf)]
)
def test_a_frame_that_is_none_is_refused(tiny: Predictor, frame: np.ndarray) -> None:
    with pytest.raises(AudioError, match="129 finite values"):
        tiny.step(frame)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 96000])
def test_a_file_of_any_rate_and_any_channels_is_predicted_at_8_khz(tiny: Predictor, tmp_path: Path, rate: int) -> None:
    time_s = np.arange(rate // 2) / rate
    left, right = (np.sin(2 * np.pi * freq_hz * time_s) for freq_hz in (300, 1000))
    soundfile.write(tmp_path / "mono.wav", 0.3 * (left + right), rate, subtype="FLOAT")
    soundfile.write(tmp_path / "stereo.wav", 0.6 * np.stack([left, right], 1), rate, subtype="FLOAT")
    mono, stereo = (tiny.predict(tmp_path / f"{name}.wav") for name in ("mono", "stereo"))
    assert mono.duration_s == pytest.approx(0.5, abs=1 / SPEECH_RATE) and mono.sample_rate == SPEECH_RATE
    np.testing.assert_allclose(stereo.samples, mono.samples, atol=1e-6)
    np.testing.assert_allclose(stereo.spectra, mono.spectra, atol=1e-4)
    by_samples = tiny.predict(audio.read(tmp_path / "mono.wav")[0], rate)
    np.testing.assert_allclose(by_samples.spectra, mono.spectra, atol=1e-4)
    assert (mono.source, by_samples.source) == ("mono.wav", "samples")


def test_20_ms_are_enough(tiny: Predictor, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "clip.wav", np.full(320, 0.1), 16000)
    result = tiny.predict(tmp_path / "clip.wav")
    assert result.duration_s == 0.02 and len(result.frame_mse) == 3 and np.isfinite(result.mse)


def test_a_file_without_samples_gets_the_readers_sentence(tiny: Predictor, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    with pytest.raises(AudioError, match=r"none\.wav: holds no samples"):
        tiny.predict(tmp_path / "none.wav")


def test_samples_without_a_rate_are_refused(tiny: Predictor) -> None:
    with pytest.raises(ConfigError, match="sample_rate"):
        tiny.predict(np.zeros(900))


def test_no_room_for_the_spectra_is_said(tiny: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(OutputError, match="nowhere.*TMPDIR"):
        tiny.predict(np.zeros(900), 8000)


def test_the_network_is_loaded_by_its_kind(tiny_predictor: Path, tiny_checkpoint: Path) -> None:
    assert isinstance(audiocx.load(tiny_predictor, "cpu"), Predictor)
    assert isinstance(audiocx.load(tiny_checkpoint, "cpu"), Transcriber)
    samples = speech(0.1)
    result = audiocx.predict(samples, tiny_predictor, "cpu", sample_rate=SPEECH_RATE)
    assert result.model == "tiny-predictor"


def test_a_network_of_the_other_kind_is_refused(tiny_predictor: Path, tiny_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="tiny-predictor predicts speech and cannot transcribe; choose"):
        load_transcriber(tiny_predictor)
    with pytest.raises(CheckpointError, match="tiny-predictor predicts speech"):
        audiocx.transcribe(np.zeros(900), tiny_predictor, sample_rate=8000)
    with pytest.raises(CheckpointError, match="tiny transcribes music and cannot predict speech; choose"):
        load_predictor(tiny_checkpoint)


def test_a_default_that_is_not_installed_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "available", dict)
    for load, name in ((load_predictor, checkpoints.DEFAULT_PREDICTOR), (load_transcriber, checkpoints.DEFAULT)):
        with pytest.raises(CheckpointError, match=f"default network {name} is not installed"):
            load()


def test_a_device_that_is_not_there_is_refused(tiny_predictor: Path) -> None:
    with pytest.raises(ConfigError, match="cuda:99"):
        load_predictor(tiny_predictor, "cuda:99")


def test_predicting_loads_nothing_of_training_nor_of_scoring(tiny_predictor: Path) -> None:
    code = (
        "import sys, numpy as np, audiocx\n"
        f"audiocx.predict(np.zeros(900), {str(tiny_predictor)!r}, 'cpu', sample_rate=8000)\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {"lightning", "sklearn", "mir_eval", "matplotlib", "pesq", "pystoi"}
