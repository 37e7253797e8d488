"""The light install: ``pip install .`` without extras, in an environment without PyTorch (``make test-light``)."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import audiocx
from audiocx import checkpoints
from audiocx.cli import COMMANDS, main
from audiocx.errors import ConfigError
from audiocx.io.midi import read_midi

pytestmark = pytest.mark.light

EXAMPLES = Path(__file__).parents[2] / "examples"
MUSIC, SPEECH = EXAMPLES / "grieg_watchmans_song.flac", EXAMPLES / "librispeech_6880.flac"
ABSENT = (
    "torch",
    "scipy",
    "matplotlib",
    "safetensors",
    "sklearn",
    "mir_eval",
    "onnx",
    "lightning",
    "starlette",
    "uvicorn",
)
# Until the default predictor has an ONNX form, it needs PyTorch.
needs_predictor = pytest.mark.skipif(
    not (checkpoints.available()[checkpoints.DEFAULT_PREDICTOR] / checkpoints.ONNX).is_file(),
    reason="the default predictor has no ONNX form yet",
)


def audiocx_command(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "audiocx", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_environment_is_light_and_the_package_installed() -> None:
    assert not [name for name in ABSENT if find_spec(name) is not None]
    assert "site-packages" in audiocx.__file__


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("light")
    done = audiocx_command(folder, "transcribe", MUSIC, "--format", "midi,csv,json,npz,wav", "--quantize")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return folder


def test_transcribe(written: Path) -> None:
    rows = list(csv.reader((written / f"{MUSIC.stem}.csv").read_text().splitlines()))
    notes = json.loads((written / f"{MUSIC.stem}.json").read_text())["notes"]
    assert len(read_midi(written / f"{MUSIC.stem}.mid")) == len(notes) == len(rows) - 1
    assert 90 < len(notes) < 120
    assert np.load(written / f"{MUSIC.stem}.npz")["probabilities"].shape[1] == 88
    assert (written / f"{MUSIC.stem}.notes.wav").stat().st_size > 1e6


def test_transcribe_several_at_a_time(tmp_path: Path) -> None:
    done = audiocx_command(tmp_path, "transcribe", MUSIC, SPEECH, "--jobs", 2, "-o", "notes")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "notes").glob("*.mid"))) == 2


def test_python(written: Path) -> None:
    samples = 0.3 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    notes = audiocx.transcribe(samples, sample_rate=44100).notes
    assert {note.midi_note for note in notes} == {69}
    transcription = audiocx.load_transcriber().transcribe(MUSIC)
    assert len(transcription.notes) == len(json.loads((written / f"{MUSIC.stem}.json").read_text())["notes"])
    shown = transcription._repr_html_()
    assert "<audio" in shown and "<img" not in shown


def test_transcribing_loads_only_what_it_needs(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom audiocx.cli import main\n"
        f"assert main(['transcribe', {str(MUSIC)!r}]) == 0\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "onnxruntime" in loaded
    assert not loaded & {*ABSENT, "tqdm", "multiprocessing"}


def test_info_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(MUSIC)]) == main(["models"]) == 0
    out = capsys.readouterr().out
    assert "11025 Hz" in out and checkpoints.DEFAULT in out and checkpoints.DEFAULT_PREDICTOR in out


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0 and f"audiocx {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("transcribe", MUSIC, "--format", "midi,png"), "plots"),
        (("predict", SPEECH, "--format", "png"), "plots"),
        (("conceal", SPEECH, "--format", "wav,png"), "plots"),
        (("transcribe", MUSIC, "--runtime", "torch"), "torch"),
        (("transcribe", MUSIC, "--device", "cuda"), "torch"),
        (("transcribe", MUSIC, "--precision", "bfloat16"), "torch"),
        (("transcribe", MUSIC, "--engine", "ray"), "ray"),
        (("transcribe", "s3://bucket/song.wav"), "cloud"),
        (("evaluate", EXAMPLES), "evaluate"),
        (("export",), "onnx"),
        (("serve",), "serve"),
        (("train", "notes.toml", EXAMPLES), "train"),
    ],
    ids=lambda value: " ".join(map(str, value[:1] + value[2:])) if isinstance(value, tuple) else value,
)
def test_what_needs_an_extra_says_so(
    arguments: tuple[object, ...],
    extra: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*map(str, arguments)]) == 1
    err = capsys.readouterr().err
    assert f"run pip install 'audiocx[{extra}]'" in err and err.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.suffix != ".jsonl"]


@pytest.mark.parametrize(
    "code",
    ["import audiocx.nn", "import audiocx.nn.conv", "import audiocx.optim", "import audiocx; audiocx.nn"]
    + ["import audiocx; audiocx.optim", "from audiocx import nn"],
)
def test_layers_need_pytorch(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: audiocx.") and last.endswith(
        "needs PyTorch; run pip install 'audiocx[torch]'."
    )


def test_pictures_need_matplotlib(tmp_path: Path) -> None:
    transcription = audiocx.transcribe(np.zeros(11025), sample_rate=11025)
    for draw in (transcription.plot, lambda: transcription.to_png(tmp_path / "a.png")):
        with pytest.raises(ConfigError, match=r"audiocx\[plots\]"):
            draw()


@needs_predictor
def test_predict(tmp_path: Path) -> None:
    done = audiocx_command(tmp_path, "predict", SPEECH, "--format", "json,npz,wav")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / f"{SPEECH.stem}.prediction.json").read_text())
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".npz", ".wav"}
    assert 10 < audiocx.predict(SPEECH).mse < 80


@needs_predictor
def test_conceal(tmp_path: Path) -> None:
    done = audiocx_command(tmp_path, "conceal", SPEECH, "--gaps", "1.20-1.25,3.0-3.06")
    assert done.returncode == 0, done.stderr
    assert "2 gaps, 110 ms" in done.stdout and (tmp_path / f"{SPEECH.stem}.concealed.wav").is_file()
    samples = 0.1 * np.sin(np.arange(16000) * 0.1)
    samples[8000:8400] = 0
    assert np.abs(audiocx.conceal(samples, sample_rate=16000)[8050:8350]).max() > 0.01
