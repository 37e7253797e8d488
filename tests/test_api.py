from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

import audiocx
from audiocx.api import load_transcriber
from audiocx.errors import AudioError, ConfigError
from audiocx.io import audio
from audiocx.models.runtime import Precision
from audiocx.music.window_decoding import WindowDecodeSettings
from audiocx.music.window_transcriber import WindowTranscriber

SineFile = Callable[..., Path]
RATE = 8000


@dataclass
class Config:
    sample_rate: int = RATE
    window_samples: int = 512
    outputs: int = 24
    lowest_note: int = 60


class CentreSample(nn.Module):
    """Its logits are the window's centre sample, its first and its last."""

    def __init__(self) -> None:
        super().__init__()
        self.config = Config(outputs=3)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.scale * windows[:, [self.config.window_samples // 2, 0, -1]]

    def probabilities(self, windows: torch.Tensor) -> torch.Tensor:
        return self(windows).sigmoid()


class Loudest(nn.Module):
    """Says yes to the pitch whose sinusoid is the loudest in the window, if it is loud at all."""

    def __init__(self) -> None:
        super().__init__()
        self.config = config = Config()
        freqs_hz = 440.0 * 2.0 ** ((torch.arange(config.outputs) + config.lowest_note - 69) / 12)
        time_s = torch.arange(config.window_samples) / config.sample_rate
        envelope = torch.hann_window(config.window_samples, periodic=False)
        phase = 2 * torch.pi * freqs_hz[:, None] * time_s
        self.cos = nn.Parameter(envelope * torch.cos(phase))
        self.sin = nn.Parameter(envelope * torch.sin(phase))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        level = torch.hypot(windows @ self.cos.T, windows @ self.sin.T) / (self.config.window_samples / 4)
        loudest = level == level.amax(dim=1, keepdim=True)
        return torch.where(loudest & (level > 0.1), 4.0, -4.0)

    def probabilities(self, windows: torch.Tensor) -> torch.Tensor:
        return self(windows).sigmoid()


BY_PROBABILITY = WindowDecodeSettings(
    snap_s=0.0, least_rise_db=0.0, split_rise_db=np.inf
)  # not by what the samples show


def transcriber(network: nn.Module, decode: WindowDecodeSettings = BY_PROBABILITY) -> WindowTranscriber:
    checkpoint = SimpleNamespace(
        network=network.eval(), config=network.config, onnx=None, decode=decode, hop_samples=80
    )
    return WindowTranscriber(checkpoint, "cpu")  # type: ignore[arg-type]


def logit(probabilities: np.ndarray) -> np.ndarray:
    return np.log(probabilities / (1 - probabilities))


@pytest.mark.parametrize("length", [1, 79, 80, 81, 400, 512, 80 * 256, 80 * 256 + 1, 80 * 600 + 7])
def test_frames_are_centred_at_multiples_of_the_hop(length: int) -> None:
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    got = logit(transcriber(CentreSample()).probabilities(samples))
    padded = np.concatenate([np.zeros(256), samples, np.zeros(512)])
    centres = np.arange(-(-length // 80)) * 80
    assert got.shape == (len(centres), 3)
    np.testing.assert_allclose(
        got, np.stack([padded[centres + 256], padded[centres], padded[centres + 511]], 1), atol=1e-5
    )


def test_a_shift_by_one_hop_shifts_the_probabilities_by_one_frame() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 8000).astype(np.float32)
    model = transcriber(Loudest())
    shifted = model.probabilities(np.concatenate([np.zeros(80, dtype=np.float32), samples]))
    np.testing.assert_allclose(shifted[1:], model.probabilities(samples), atol=1e-6)


def test_finds_the_notes_that_were_played(tmp_path: Path) -> None:
    played = [(0.20, 0.60, 69), (0.80, 1.10, 72), (1.30, 1.90, 64)]
    time_s = np.arange(2 * 44100) / 44100
    wave = np.zeros(len(time_s))
    for onset_s, offset_s, midi_note in played:
        sounding = (time_s >= onset_s) & (time_s < offset_s)
        wave += sounding * 0.5 * np.sin(2 * np.pi * 440 * 2 ** ((midi_note - 69) / 12) * time_s)
    audio.write(tmp_path / "song.wav", wave, 44100)
    model = transcriber(Loudest())
    result = model.transcribe(tmp_path / "song.wav")
    assert [note.midi_note for note in result.notes] == [69, 72, 64]
    for note, (onset_s, offset_s, _) in zip(result.notes, played, strict=True):
        assert note.onset_s == pytest.approx(onset_s, abs=0.03)
        assert note.offset_s == pytest.approx(offset_s, abs=0.03)
    assert result.source == "song.wav" and result.duration_s == 2.0 and result.frame_rate == 100.0
    assert result.probabilities.shape == (200, 24) and result.probabilities.dtype == np.float32
    assert result.onsets is None and [note.confidence for note in result.notes] == pytest.approx([0.982] * 3, abs=1e-3)

    by_samples = model.transcribe(audio.read(tmp_path / "song.wav")[0], 44100)
    assert by_samples.notes == result.notes


def test_a_key_struck_again_is_a_second_note_and_the_harder_stroke_the_greater_velocity() -> None:
    time_s = np.arange(2 * RATE) / RATE
    envelope = sum(
        level * (time_s >= onset_s) * np.exp(-(time_s - onset_s) / 0.6) for onset_s, level in ((0.3, 0.3), (0.9, 0.6))
    )
    notes = (
        transcriber(Loudest(), WindowDecodeSettings())
        .transcribe(envelope * np.sin(2 * np.pi * 440 * time_s), RATE)
        .notes
    )
    assert [note.midi_note for note in notes] == [69, 69]
    assert [note.onset_s for note in notes] == pytest.approx([0.3, 0.9], abs=0.06)
    assert notes[0].velocity < notes[1].velocity


def sharp_tone(cents: float, duration_s: float = 12.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 440 * 2 ** (cents / 1200) * np.arange(round(duration_s * RATE)) / RATE)


def network_inputs(model: WindowTranscriber, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """All samples that the network will be run over."""
    given: list[np.ndarray] = []
    usual = model.infer
    monkeypatch.setattr(model, "infer", lambda samples, *how: (given.append(samples), usual(samples, *how))[1])
    return given


@pytest.mark.parametrize("cents", [-45.0, 24.0, 30.0])
def test_a_detuned_recording_is_transcribed_at_440_hz(cents: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = transcriber(Loudest())
    given = network_inputs(model, monkeypatch)
    result = model.transcribe(sharp_tone(cents), RATE)
    spectrum = np.abs(np.fft.rfft(given[0] * np.hanning(len(given[0])), 2**20))
    assert np.argmax(spectrum) * RATE / 2**20 == pytest.approx(440, rel=2 / 1731)  # 2 cents
    assert result.tuning_cents == pytest.approx(cents, abs=1) and result.duration_s == 12.0
    assert [note.midi_note for note in result.notes] == [69]
    assert result.notes[0].offset_s == pytest.approx(12, abs=0.05)


@pytest.mark.parametrize(("cents", "tuning"), [(0.0, None), (13.0, None), (-13.0, None), (30.0, 0.0)])
def test_a_recording_nearly_in_tune_or_with_tuning_0_is_not_resampled(
    cents: float, tuning: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = transcriber(Loudest())
    given = network_inputs(model, monkeypatch)
    result = model.transcribe(sharp_tone(cents), RATE, tuning=tuning)
    np.testing.assert_array_equal(given[0], sharp_tone(cents).astype(np.float32))
    assert result.tuning_cents == 0.0 and result.frame_rate == 100.0


@pytest.mark.parametrize("tuning", [-100.0, -30.0, 45.0, 100.0])
def test_times_do_not_depend_on_the_tuning(tuning: float) -> None:
    time_s = np.arange(5 * RATE) / RATE
    ramps = np.clip(10 * np.minimum(time_s - 2.0, 3.5 - time_s), -4, 4)  # even at 2.0 s and at 3.5 s
    plain, tuned = (
        transcriber(CentreSample(), replace(BY_PROBABILITY, sustain_ratio=1.0)).transcribe(ramps, RATE, tuning=cents)
        for cents in (0.0, tuning)
    )
    for result in (plain, tuned):
        (note,) = (note for note in result.notes if note.midi_note == 60)
        assert (note.onset_s, note.offset_s) == pytest.approx((2.0, 3.5), abs=1e-3)
        assert len(result.probabilities) / result.frame_rate == pytest.approx(result.duration_s, abs=0.011)
    assert tuned.tuning_cents == tuning and len(tuned.probabilities) != len(plain.probabilities)


@pytest.mark.parametrize("tuning", [100.1, -101.0, np.nan, np.inf])
def test_a_tuning_out_of_range_is_refused(tuning: float) -> None:
    with pytest.raises(ConfigError, match=r"within \+-100 cents"):
        transcriber(Loudest()).transcribe(np.zeros(800), RATE, tuning=tuning)


def test_silence_has_no_notes() -> None:
    assert transcriber(Loudest()).transcribe(np.zeros(4000), RATE).notes == []


def test_one_sample_is_enough() -> None:
    result = transcriber(Loudest()).transcribe(np.ones(1), RATE)
    assert result.notes == [] and len(result.probabilities) == 1


def test_options_replace_the_checkpoints_settings(sine_file: SineFile) -> None:
    path = sine_file(duration_s=0.5)
    model = transcriber(Loudest())
    assert len(model.transcribe(path).notes) == 1
    assert model.transcribe(path, threshold=0.999).notes == []
    assert model.transcribe(path, min_note_s=1.0).notes == []
    finer = model.transcribe(path, hop_samples=20)
    assert finer.frame_rate == 400.0 and len(finer.probabilities) == 200
    assert finer.notes[0].onset_s == pytest.approx(model.transcribe(path).notes[0].onset_s, abs=0.01)


@pytest.mark.parametrize(
    "options", [{"threshold": 0.0}, {"threshold": 1.5}, {"threshold": np.nan}, {"min_note_s": -1.0}, {"hop_samples": 0}]
)
def test_an_option_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        transcriber(Loudest()).transcribe(np.zeros(800), RATE, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0), "empty"),
        (np.zeros((9, 2, 2)), "must be"),
        (np.zeros(9, complex), "real"),
        (np.full(9, np.nan), "NaN"),
        (np.full(9, -np.inf), "infinite"),
    ],
)
def test_samples_that_cannot_be_used_are_refused(samples: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        transcriber(Loudest()).transcribe(samples, RATE)


def test_samples_without_a_rate_are_refused() -> None:
    with pytest.raises(ConfigError, match="sample_rate"):
        transcriber(Loudest()).transcribe(np.zeros(9))


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    checkpoint = SimpleNamespace(network=Loudest(), config=Config(), onnx=None)
    with pytest.raises(ConfigError, match=device):
        WindowTranscriber(checkpoint, device)  # type: ignore[arg-type]


def test_the_given_samples_stay_as_they_are() -> None:
    samples = np.linspace(-1, 1, 900, dtype=np.float32)
    samples.setflags(write=False)
    transcriber(Loudest()).transcribe(samples, RATE)
    np.testing.assert_array_equal(samples, np.linspace(-1, 1, 900, dtype=np.float32))


def test_no_progress_is_shown_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    transcriber(Loudest()).transcribe(np.zeros(8000), RATE, progress=True)
    assert capsys.readouterr() == ("", "")


def test_the_public_functions_are_not_hidden_by_modules_of_their_name() -> None:
    import audiocx.api

    assert audiocx.transcribe is audiocx.api.transcribe and audiocx.load is audiocx.api.load


@pytest.mark.parametrize("kind", ["tiny_checkpoint", "tiny_notes"])
def test_half_precision_changes_probabilities_little(kind: str, request: pytest.FixtureRequest) -> None:
    folder, samples = request.getfixturevalue(kind), np.random.default_rng(0).normal(0, 0.1, 9000)
    full, half = (load_transcriber(folder, "cpu", precision) for precision in get_args(Precision))
    assert {weight.dtype for weight in half.network.network.body.parameters()} == {torch.bfloat16}
    one, other = (transcriber.infer(samples).probabilities for transcriber in (full, half))
    assert one.dtype == other.dtype == np.float32
    np.testing.assert_allclose(other, one, atol=0.02)


def test_a_precision_that_is_not_there_is_refused(tiny_notes: Path, tiny_predictor: Path) -> None:
    with pytest.raises(ConfigError, match="choose float32 or bfloat16"):
        load_transcriber(tiny_notes, "cpu", "float16")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="predicts speech in float32 only"):
        audiocx.load(tiny_predictor, "cpu", "bfloat16")
