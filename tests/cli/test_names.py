"""Files of any name: what is no UTF-8, TeX, what no font or terminal shows, names as long as a file system takes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import audiocx
from audiocx.cli import main
from audiocx.io import midi

SineFile = Callable[..., Path]
ROOT = Path(audiocx.__file__).parents[1]
FORMATS = "midi,csv,json,npz,png,wav"
NAMES = {
    "bytes": b"caf\xe9 \xff",
    "tex": b"$uicideboy$ \\frac{^_$ %s {0}",
    "wide": "日本語 \U0001f3b9 е́ نص".encode(),
    "control": b"a\nb\tc\x1b[31m\x7f",
    "reversed": "a\u202egpj".encode(),
    "long": b"x" * 251,
    "long and wide": "é".encode() * 125,
    "long and four bytes": "\U0001f3b9".encode() * 62,
    "option-like": b"--model",
    "spaces": b"  a . b ",
}

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these file systems have no such names")


@pytest.fixture
def recordings(tmp_path: Path, sine_file: SineFile, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A recording for each name, in the folder music, and the current folder above it."""
    monkeypatch.chdir(tmp_path)
    Path("music").mkdir()
    sine_file("sine.wav", duration_s=0.3)
    paths = [Path("music", os.fsdecode(name + b".wav")) for name in NAMES.values()]
    for path in paths:
        shutil.copy("sine.wav", path)
    Path("sine.wav").unlink()
    return paths


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("whole_folder", [False, True])
def test_all_outputs_are_written(
    recordings: list[Path], tiny_checkpoint: Path, whole_folder: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    files = ["music"] if whole_folder else [str(path) for path in recordings]
    command = ["transcribe", *files, "-o", "out", "-m", str(tiny_checkpoint), "--format", FORMATS]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert err == "" and out.count("\n") == (1 if whole_folder else len(recordings))
    assert all(line.isprintable() for line in out.split("\n"))
    out.encode()  # no lone surrogates
    written = sorted(path for path in Path("out").iterdir() if path.name != "manifest.jsonl")
    assert len(written) == 6 * len(NAMES) and not [path for path in written if path.name.startswith(".")]
    for path in written:
        if path.suffix == ".mid":
            assert [note.midi_note for note in midi.read_midi(path)] == [69]
        if path.suffix == ".json":
            json.loads(path.read_bytes())["metadata"]["source"].encode()
    if whole_folder:
        assert main(command) == 0
        assert f"{len(NAMES)} were done before" in capsys.readouterr().out
    assert main(["info", *map(str, recordings)]) == 0
    assert capsys.readouterr().out.count("\n") == len(recordings)


def test_speech_of_any_name(recordings: list[Path], tiny_predictor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    files = [str(path) for path in recordings]
    for command, formats in (("predict", "json,npz,png,wav"), ("conceal", "wav,png")):
        words = [command, *files, "-o", command, "-m", str(tiny_predictor), "--format", formats]
        assert main([*words, *(["--gaps", "0.1-0.12"] if command == "conceal" else [])]) == 0
        assert len(list(Path(command).iterdir())) == len(files) * (formats.count(",") + 1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}])
def test_a_terminal_that_shows_ascii_only(
    recordings: list[Path], tiny_checkpoint: Path, environment: dict[str, str]
) -> None:
    command = [sys.executable, "-W", "error", "-m", "audiocx", "transcribe", *recordings[:4], "-m", tiny_checkpoint]
    process = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0 and process.stderr == b""
    assert process.stdout.count(b" of sound") == 4
    assert b"\\x1b" in process.stdout and b"\x1b" not in process.stdout and b"caf\\xe9 \\xff" in process.stdout
    assert process.stdout.isascii() or environment == {"LC_ALL": "C"}  # where Python takes UTF-8 instead
