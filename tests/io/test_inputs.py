from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audiocx.cli import main
from audiocx.errors import AudioError, OutputError
from audiocx.io import audio, inputs

SineFile = Callable[..., Path]
fifos = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no FIFOs")


def fifo(path: Path, content: bytes) -> Path:
    os.mkfifo(path)
    threading.Thread(target=path.write_bytes, args=(content,), daemon=True).start()
    return path


@fifos
@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_contents_files_and_pipes_are_read_as_the_file(sine_file: SineFile, tmp_path: Path, suffix: str) -> None:
    path = sine_file(f"a.{suffix}")
    expected = audio.read(path, 11025)[0]
    content = path.read_bytes()
    with open(path, "rb") as opened:
        sources = [content, bytearray(content), memoryview(content), io.BytesIO(content), opened]
        for source in [*sources, fifo(tmp_path / "pipe.bin", content)]:
            np.testing.assert_array_equal(audio.load(source, rate_out=11025).samples, expected)


def test_an_open_file_is_read_from_its_position_and_keeps_its_name(sine_file: SineFile) -> None:
    path = sine_file("a.wav")
    with open(path, "rb") as opened:
        assert audio.load(opened).name == "a.wav"
    stream = io.BytesIO(b"head" + path.read_bytes())
    stream.seek(4)
    assert len(audio.load(stream).samples) == 44100


def test_what_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with open(tmp_path / "a.txt", encoding="utf-8") as text, pytest.raises(AudioError, match='"rb"'):
        audio.load(text)
    for source in (5, None, object(), {"samples": 1}):
        with pytest.raises(AudioError, match="file, its content, samples"):
            audio.load(source)
    with pytest.raises(AudioError, match="^bytes: is empty"):
        audio.load(b"")
    with pytest.raises(AudioError, match="no name of a file"):
        audio.load("a\0b.wav")


@fifos
def test_a_pipe_is_limited(sine_file: SineFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = sine_file("a.wav").read_bytes()
    monkeypatch.setattr(inputs, "MAX_PIPE_BYTES", 1000)
    with pytest.raises(AudioError, match="the most for a pipe"):
        audio.load(fifo(tmp_path / "pipe", content))


def test_no_room_for_a_copy(sine_file: SineFile, monkeypatch: pytest.MonkeyPatch) -> None:
    content = sine_file("a.wav").read_bytes()
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    with pytest.raises(OutputError, match="TMPDIR"):
        audio.load(content)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="has no devices")
@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/dev/urandom"])
def test_a_device_is_no_file(name: str) -> None:
    with pytest.raises(AudioError, match="is a device"):
        audio.load(name)


SHELL = {
    "dash": "cat a.wav | {command} -",
    "redirected": "{command} - < a.wav",
    "named": "cat a.wav | {command} /dev/stdin",
    "substituted": "{command} <(cat a.wav)",
}


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
@pytest.mark.parametrize("how", SHELL)
def test_standard_input_and_substitutions(sine_file: SineFile, tiny_notes: Path, tmp_path: Path, how: str) -> None:
    sine_file("a.wav", duration_s=0.5)
    command = f"{sys.executable} -m audiocx transcribe -m {tiny_notes} -o out"
    done = subprocess.run(
        ["bash", "-c", SHELL[how].format(command=command)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (written,) = (tmp_path / "out").iterdir()
    assert written.suffix == ".mid" and written.stem == ("stdin" if how != "substituted" else written.stem)
    assert written.stem.startswith(("stdin", "pipe")) and "0.5 s of sound" in done.stdout


@fifos
def test_a_batch_refuses_pipes_and_goes_on(
    sine_file: SineFile, tmp_path: Path, tiny_notes: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "music").mkdir()
    sine_file("music/a.wav", duration_s=0.5)
    os.mkfifo(tmp_path / "pipe")
    out = str(tmp_path / "out")
    names = [str(tmp_path / "pipe"), str(tmp_path / "music")]
    assert main(["transcribe", *names, "-o", out, "-m", str(tiny_notes), "-q"]) == 1
    assert "is a pipe" in capfd.readouterr().err
    assert (tmp_path / "out" / "a.mid").is_file()
