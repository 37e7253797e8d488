"""Each bad input gets one clear sentence that names the file and the remedy, and leaves nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocx.cli import main
from audiocx.errors import AudioError
from audiocx.io import audio

SineFile = Callable[..., Path]


def text(path: Path) -> None:
    path.write_text("Dear diary, this is no music.\n" * 100)


def truncated(suffix: str, share: float = 0.5) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        whole = path.with_name(f"whole.{suffix}")
        soundfile.write(whole, 0.1 * np.random.default_rng(0).standard_normal(44100), 44100)
        path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
        whole.unlink()

    return make


def samples(values: np.ndarray, rate: int = 8000, subtype: str = "FLOAT") -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, values, rate, subtype=subtype)


def with_one(value: float) -> np.ndarray:
    wave = np.zeros(200_000, dtype=np.float32)
    wave[150_000] = value
    return wave


def streamed_flac(path: Path) -> None:
    """A FLAC file whose header states no length: its 36 bits are zero (RFC 9639, section 8.2)."""
    soundfile.write(path, np.zeros(8000), 8000)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)


BAD = [
    pytest.param("a.wav", lambda path: None, "does not exist", id="missing"),
    pytest.param("a.wav", Path.mkdir, "is a folder", id="folder"),
    pytest.param("a.wav", Path.touch, "is empty", id="0 bytes"),
    pytest.param("a.wav", samples(np.zeros(0)), "holds no samples", id="no frames"),
    pytest.param("a.wav", text, "not audio", id="text"),
    pytest.param("a.mp3", text, "not audio", id="text as MP3"),
    pytest.param("a.raw", text, "not audio", id="raw"),
    pytest.param("a.wav", truncated("wav", 0.0005), "not audio|holds no samples", id="header cut"),
    pytest.param("a.wav", truncated("wav"), r"cut short.*1\.00 s and 0\.50 s", id="cut WAV"),
    pytest.param("a.aiff", truncated("aiff"), "cut short", id="cut AIFF"),
    pytest.param("a.flac", truncated("flac"), "cut short", id="cut FLAC"),
    pytest.param("a.mp3", truncated("mp3"), "cut short", id="cut MP3"),
    pytest.param("a.wav", samples(with_one(np.nan)), "NaN or infinite", id="one NaN"),
    pytest.param("a.wav", samples(np.full(100, np.nan)), "NaN or infinite", id="all NaN"),
    pytest.param("a.wav", samples(with_one(np.inf)), "NaN or infinite", id="infinite"),
]


@pytest.mark.parametrize(
    ("command", "formats"),
    [("transcribe", "midi,csv,json,npz,wav"), ("predict", "json,npz,wav"), ("conceal", "wav,png")],
)
@pytest.mark.parametrize(("name", "make", "said"), BAD)
def test_a_bad_recording_is_named_and_leaves_nothing(
    tmp_path: Path,
    tiny_checkpoint: Path,
    tiny_predictor: Path,
    capfd: pytest.CaptureFixture[str],
    command: str,
    formats: str,
    name: str,
    make: Callable[[Path], None],
    said: str,
) -> None:
    path, output = tmp_path / name, tmp_path / "output"
    make(path)
    with pytest.raises(AudioError, match=said):
        audio.read(path)
    capfd.readouterr()
    model = tiny_checkpoint if command == "transcribe" else tiny_predictor
    code = main([command, str(path), "-o", str(output), "-m", str(model), "-f", formats])
    out, err = capfd.readouterr()
    sentences = [line for line in err.splitlines() if line.startswith("audiocx: error: ")]
    assert code == 1 and len(sentences) == 1 and str(path) in sentences[0] and "; " in sentences[0]
    assert "Traceback" not in err and out == "" and not output.exists()


GOOD = [
    pytest.param("a.flac", streamed_flac, id="streamed FLAC"),
    pytest.param("a.wav", samples(np.full((8000, 2), [0.5, np.nan])), id="one channel of NaN"),
    pytest.param("a.wav", samples(np.full(8000, 1e30)), id="absurdly loud"),
    pytest.param("a.wav", samples(np.zeros(8000)), id="silence"),
    pytest.param("a.wav", samples(np.ones(1)), id="1 sample"),
    pytest.param("a.wav", samples(np.zeros((8000, 8))), id="8 channels"),
    pytest.param("a.wav", samples(np.zeros(19200), 192_000, "PCM_24"), id="192 kHz"),
    pytest.param("a.wav", samples(np.full(8000, 40.0)), id="far too loud"),
    pytest.param("a.wav", truncated("wav", 0.98), id="20 ms missing"),
    pytest.param("a song, with spaces & ümlauts.wav", samples(np.zeros(800)), id="odd name"),
]


@pytest.mark.parametrize(("name", "make"), GOOD)
def test_an_odd_recording_is_transcribed(
    tmp_path: Path, tiny_checkpoint: Path, name: str, make: Callable[[Path], None]
) -> None:
    make(tmp_path / name)
    assert main(["transcribe", str(tmp_path / name), "-o", str(tmp_path), "-m", str(tiny_checkpoint)]) == 0
    assert (tmp_path / name).with_suffix(".mid").is_file()


def test_a_wav_file_written_to_a_pipe_states_no_length_and_is_read(sine_file: SineFile) -> None:
    path = sine_file(duration_s=0.5)
    expected, _ = audio.read(path)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"  # sizes of the RIFF and the data chunk
    path.write_bytes(content)
    np.testing.assert_array_equal(audio.read(path)[0], expected)


def test_an_mp3_without_a_stated_length_is_read_as_far_as_it_goes(sine_file: SineFile) -> None:
    path = sine_file("a.mp3", duration_s=2.0, bitrate_mode="CONSTANT", compression_level=0.5)
    content = path.read_bytes()
    second_frame = content.index(content[:2], 2)  # every frame begins with the same two bytes
    assert b"Info" in content[:second_frame]
    path.write_bytes(content[second_frame : len(content) // 2])
    assert 0.9 < len(audio.read(path)[0]) / 44100 < 1.1


@pytest.mark.parametrize("folder", ["file", "file/below", "/proc/none"])  # not even root can write there
def test_an_unwritable_folder(
    sine_file: SineFile, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    (tmp_path / "file").write_text("")
    output = str(tmp_path / folder)
    assert main(["transcribe", str(sine_file()), "-o", output, "-m", str(tiny_checkpoint)]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"audiocx: error: {output}") and "-o" in err and err.count("\n") == 1 and out == ""


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def no_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def foreign_json(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"}')


def flipped_byte(folder: Path) -> None:
    path = next(folder.glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut_weights(folder: Path) -> None:
    path = next(folder.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:100])


def no_weights(folder: Path) -> None:
    next(folder.glob("*.safetensors")).unlink()


def nothing(folder: Path) -> None:
    shutil.rmtree(folder)


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"PK\x03\x04 a pickle, perhaps")


@pytest.mark.parametrize(
    "spoil", [no_config, no_json, foreign_json, flipped_byte, cut_weights, no_weights, nothing, a_file]
)
def test_a_bad_checkpoint(
    sine_file: SineFile,
    tiny_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
) -> None:
    folder = tmp_path / "spoiled"
    shutil.copytree(tiny_checkpoint, folder)
    spoil(folder)
    assert main(["transcribe", str(sine_file()), "-o", str(tmp_path), "-m", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("audiocx: error: ") and str(folder) in err and err.count("\n") == 1 and out == ""
    assert not list(tmp_path.glob("*.mid"))
