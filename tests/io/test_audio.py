from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocx.errors import ConfigError, OutputError
from audiocx.io import audio, resampling

SineFile = Callable[..., Path]

ENCODINGS = [
    ("a.wav", "PCM_U8"),
    ("a.wav", "PCM_16"),
    ("a.wav", "PCM_24"),
    ("a.wav", "PCM_32"),
    ("a.wav", "FLOAT"),
    ("a.wav", "DOUBLE"),
    ("a.flac", "PCM_16"),
    ("a.flac", "PCM_24"),
    ("a.ogg", "VORBIS"),
    ("a.mp3", "MPEG_LAYER_III"),
    ("a.aiff", "PCM_16"),
]


def amplitude(samples: np.ndarray, freq_hz: float, rate: int) -> float:
    """Amplitude of one frequency over the middle half, by projection on a complex exponential under a Hann window."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    window = np.hanning(len(middle))
    wave = np.exp(-2j * np.pi * freq_hz * np.arange(len(middle)) / rate)
    return float(2 * np.abs(np.sum(window * wave * middle)) / window.sum())


@pytest.mark.parametrize(("name", "subtype"), ENCODINGS)
def test_sine_keeps_frequency_and_level_in_every_encoding(sine_file: SineFile, name: str, subtype: str) -> None:
    path = sine_file(name, freq_hz=1000.0, rate=44100, subtype=subtype)
    samples, rate = audio.read(path, 11025)
    assert rate == 11025 and samples.dtype == np.float32 and samples.ndim == 1
    level_db = 20 * np.log10(amplitude(samples, 1000.0, rate) / 0.5)
    assert abs(level_db) < 0.1
    residue = samples[2000:-2000] - np.mean(samples[2000:-2000])
    assert 20 * np.log10(np.std(residue) / (0.5 / np.sqrt(2))) < 0.1  # no energy elsewhere


@settings(max_examples=25, deadline=None)
@given(
    rates=st.tuples(st.sampled_from([8000, 11025, 22050, 44100, 48000, 96000]), st.sampled_from([11000, 11025, 16000])),
    relative_freq=st.floats(0.02, 0.85),
)
def test_resampling_keeps_a_sine_below_both_nyquist_frequencies(rates: tuple[int, int], relative_freq: float) -> None:
    rate_in, rate_out = rates
    freq_hz = relative_freq * min(rates) / 2
    wave = np.sin(2 * np.pi * freq_hz * np.arange(rate_in // 2) / rate_in).astype(np.float32)
    resampled = resampling.resample(wave, rate_in, rate_out)
    expected = np.sin(2 * np.pi * freq_hz * np.arange(len(resampled)) / rate_out)
    edge = len(resampled) // 8
    np.testing.assert_allclose(resampled[edge:-edge], expected[edge:-edge], atol=1e-3)


@pytest.mark.parametrize("rate_in", [44100, 48000, 192000])
def test_energy_above_the_new_nyquist_is_gone(rate_in: int) -> None:
    wave = np.sin(2 * np.pi * 7000.0 * np.arange(rate_in) / rate_in).astype(np.float32)
    resampled = resampling.resample(wave, rate_in, 11025)  # 7000 Hz would fold to 4025 Hz
    assert np.abs(resampled[500:-500]).max() < 1e-5


def test_an_impulse_stays_at_its_time() -> None:
    wave = np.zeros(44100, dtype=np.float32)
    wave[4 * 5000] = 1.0
    assert np.argmax(resampling.resample(wave, 44100, 11025)) == 5000


@pytest.mark.parametrize("block_frames", [1, 7, 1000, 4096])
@pytest.mark.parametrize("rate", [None, 11025])
def test_block_size_does_not_change_the_result(sine_file: SineFile, block_frames: int, rate: int | None) -> None:
    path = sine_file(rate=48000, duration_s=0.1, channels=2)
    np.testing.assert_array_equal(audio.read(path, rate, block_frames)[0], audio.read(path, rate)[0])


@given(
    frames=st.integers(1, 3000),
    rate_in=st.sampled_from([8000, 44100, 48000, 192000]),
    rate_out=st.sampled_from([8000, 11000, 11025, 44100]),
)
@settings(max_examples=50, deadline=None)
def test_length_is_rounded_up(frames: int, rate_in: int, rate_out: int) -> None:
    resampled = resampling.resample(np.ones(frames, dtype=np.float32), rate_in, rate_out)
    assert len(resampled) == -(-frames * rate_out // rate_in) == resampling.resampled_length(frames, rate_in, rate_out)


def test_reading_without_a_rate_is_exact(tmp_path: Path) -> None:
    stereo = np.array([[1, 3], [-5, 7], [32767, -32768]], dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", stereo, 22050, subtype="PCM_16")
    samples, rate = audio.read(tmp_path / "a.wav")
    assert rate == 22050
    np.testing.assert_array_equal(samples * 32768, [2.0, 1.0, -0.5])


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_channels_are_what_each_is_alone(tmp_path: Path, rate: int) -> None:
    both = np.random.default_rng(0).uniform(-0.5, 0.5, (22050, 2)).astype(np.float32)
    soundfile.write(tmp_path / "both.wav", both, 22050, subtype="FLOAT")
    samples, _ = audio.read(tmp_path / "both.wav", rate, block_frames=999, mono=False)
    for channel in (0, 1):
        alone = resampling.resample(both[:, channel], 22050, rate)
        np.testing.assert_allclose(samples[:, channel], alone, atol=1e-5)
    soundfile.write(tmp_path / "one.wav", both[:, 0], 22050, subtype="FLOAT")
    np.testing.assert_array_equal(audio.read(tmp_path / "one.wav", mono=False)[0], both[:, :1])


def test_memory_is_bounded_by_the_result(tmp_path: Path) -> None:
    frames = 192_000 * 4  # 24.6 MB as float32, 8 channels
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 192_000, 8, "PCM_16") as file:
        for _ in range(4):
            file.write(np.zeros((frames // 4, 8), dtype=np.int16))
    audio.read(tmp_path / "a.wav", 11025)  # imports done
    tracemalloc.start()
    try:
        samples, _ = audio.read(tmp_path / "a.wav", 11025)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(samples) == 4 * 11025
    assert peak_bytes < samples.nbytes + 4 * audio.DECODE_FRAMES * 8 * 4


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_a_stream_is_the_whole(sine_file: SineFile, rate: int) -> None:
    path = sine_file("a.wav", rate=44100)
    blocks = list(audio.stream(path, rate, 1000))
    assert len(blocks) > 10
    np.testing.assert_array_equal(np.concatenate(blocks), audio.read(path, rate, 1000)[0])


def test_info_describes_the_header(sine_file: SineFile) -> None:
    path = sine_file("a.wav", rate=192_000, duration_s=0.5, channels=8, subtype="PCM_24")
    assert audio.info(path) == audio.AudioInfo(path, 192_000, 8, 96_000, 0.5, "WAV", "PCM_24")


@pytest.mark.parametrize(("suffix", "step"), [("wav", 2**-15), ("flac", 2**-15)])
def test_write_then_read(tmp_path: Path, suffix: str, step: float) -> None:
    samples = np.linspace(-1.5, 1.5, 999, dtype=np.float32)
    audio.write(tmp_path / f"a.{suffix}", samples, 11025)
    read, rate = audio.read(tmp_path / f"a.{suffix}")
    assert rate == 11025
    np.testing.assert_allclose(read, np.clip(samples, -1, 1), atol=step)
    assert [file.name for file in tmp_path.iterdir()] == [f"a.{suffix}"]


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24), ("FLOAT", 24)])
def test_channels_are_written_in_an_encoding_bit_for_bit(tmp_path: Path, subtype: str, bits: int) -> None:
    steps = np.random.default_rng(0).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (999, 3))
    samples = (steps / 2 ** (bits - 1)).astype(np.float32) * (3 if subtype == "FLOAT" else 1)
    audio.write(tmp_path / "a.wav", samples, 11025, subtype)
    assert audio.info(tmp_path / "a.wav").subtype == subtype
    np.testing.assert_array_equal(audio.read(tmp_path / "a.wav", mono=False)[0], samples)


@pytest.mark.parametrize("suffix", ["xyz", "", "raw"])
def test_write_refuses_an_unknown_format(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(OutputError, match=r"\.wav or \.flac"):
        audio.write(tmp_path / f"a.{suffix}", np.zeros(9), 11025)
    assert list(tmp_path.iterdir()) == []


def test_write_into_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="choose another folder|cannot be written"):
        audio.write(tmp_path / "none" / "a.wav", np.zeros(9), 11025)


@pytest.mark.parametrize("rate", [0, -11025])
def test_a_rate_must_be_positive(sine_file: SineFile, rate: int) -> None:
    with pytest.raises(ConfigError, match="positive"):
        audio.read(sine_file(), rate)


@pytest.fixture
def no_torchaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("OSError('libcudart.so.13: cannot open shared object')", "libcudart.so.13"),  # built for another torch
        ("ImportError('No module named torchaudio')", "No module named torchaudio"),
        ("RuntimeError()", "RuntimeError"),
    ],
)
@pytest.mark.usefixtures("no_torchaudio")
def test_torch_resampling_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, reason: str
) -> None:
    (tmp_path / "torchaudio").mkdir()
    (tmp_path / "torchaudio" / "__init__.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=rf"{reason}.*torch 2\.11\.0 with torchaudio 2\.11\.0"):
        resampling.resample_torch(np.zeros(8, dtype=np.float32), 44100, 11025)  # type: ignore[arg-type]


@pytest.mark.torchaudio
@pytest.mark.parametrize(("rate_in", "rate_out"), [(44100, 11025), (48000, 11000), (16000, 11025)])
def test_torch_resampling_agrees_with_soxr(rate_in: int, rate_out: int) -> None:
    import torch

    time_s = np.arange(rate_in) / rate_in
    wave = sum(np.sin(2 * np.pi * freq_hz * time_s) for freq_hz in (110, 440, 1760, 3000)).astype(np.float32) / 4
    by_soxr = resampling.resample(wave, rate_in, rate_out)
    by_torch = resampling.resample_torch(torch.from_numpy(wave)[None], rate_in, rate_out)[0].numpy()
    assert by_torch.shape == by_soxr.shape
    edge = rate_out // 20
    error = by_torch[edge:-edge] - by_soxr[edge:-edge]
    assert 20 * np.log10(np.std(error) / np.std(by_soxr)) < -40
