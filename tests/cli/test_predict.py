from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import audiocx
from audiocx.api import load_predictor
from audiocx.cli import main
from audiocx.cli.predict import FORMATS

SineFile = Callable[..., Path]
ROOT = Path(audiocx.__file__).parents[1]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_prints_the_error_and_writes_nothing(
    sine_file: SineFile, tiny_predictor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sine_file("speech.wav")
    assert main(["predict", str(path), "-m", str(tiny_predictor)]) == 0
    out, err = capsys.readouterr()
    mse = load_predictor(tiny_predictor).predict(path).mse
    assert names() == [] and err == "" and out.count("\n") == 1
    assert f"speech.wav: MSE {mse:.2f} dB^2 over 64 frames, 1.0 s of sound" in out and "x real time)" in out


def test_writes_every_format(sine_file: SineFile, tiny_predictor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["predict", str(sine_file("speech.wav")), "-m", str(tiny_predictor), "-o", "new/folder"]
    assert main([*command, "--format", ",".join(FORMATS)]) == 0
    written = {path.name: path for path in Path("new/folder").iterdir()}
    assert set(written) == {f"speech.prediction.{name}" for name in ("json", "npz", "png", "wav")}
    out = capsys.readouterr().out
    assert all(name in out for name in written)
    values = json.loads(written["speech.prediction.json"].read_text())
    assert values["source"] == "speech.wav" and f"MSE {values['mse']:.2f} " in out and len(values["mse_by_second"]) == 1
    with np.load(written["speech.prediction.npz"]) as archive:
        assert archive["predicted"].shape == archive["true"].shape == (values["frames"] + 1, 129)
    assert written["speech.prediction.png"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert soundfile.info(written["speech.prediction.wav"]).frames == 8000


def test_existing_outputs_stay_unless_asked_and_no_network_is_loaded_for_that(
    sine_file: SineFile, tiny_predictor: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["predict", str(sine_file("speech.wav")), "-m", str(tiny_predictor), "-f", "npz,json"]
    Path("speech.prediction.json").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr("audiocx.api.load_predictor", lambda *_: pytest.fail("the network was loaded"))
        assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert names() == ["speech.prediction.json"] and Path("speech.prediction.json").read_text() == "mine"
    assert main([*command, "--overwrite", "-q"]) == 0
    assert capsys.readouterr() == ("", "") and "mse" in json.loads(Path("speech.prediction.json").read_text())


def test_a_bad_file_among_many_is_reported_and_the_rest_done(
    sine_file: SineFile, tiny_predictor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("nan.wav", np.full(800, np.nan), 8000, subtype="FLOAT")
    soundfile.write("clip.wav", np.full((320, 2), 0.1), 16000)
    files = [str(sine_file("one.wav")), "missing.wav", "nan.wav", "clip.wav"]
    assert main(["predict", *files, "-m", str(tiny_predictor)]) == 1
    out, err = capsys.readouterr()
    assert out.count("\n") == 2 and "one.wav" in out and "clip.wav: MSE" in out and "0.0 s of sound" in out
    assert err.count("audiocx: error: ") == 2 and "missing.wav" in err and "nan.wav" in err


def test_two_recordings_of_one_name_only_collide_where_something_is_written(
    tiny_predictor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        soundfile.write(f"{folder}/speech.wav", np.zeros(800), 8000)
    command = ["predict", "a/speech.wav", "b/speech.wav", "-m", str(tiny_predictor)]
    assert main(command) == 0
    capsys.readouterr()
    assert main([*command, "-f", "json"]) == 1
    assert capsys.readouterr().err.startswith("audiocx: error: b/speech.wav: would write speech.prediction.json")


def test_a_network_of_the_other_kind(
    sine_file: SineFile, tiny_predictor: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(sine_file("speech.wav"))
    for command, model, said in (
        ("predict", tiny_checkpoint, "cannot predict speech"),
        ("transcribe", tiny_predictor, "cannot transcribe"),
        ("evaluate", tiny_predictor, "cannot transcribe"),
    ):
        if command == "evaluate":
            (Path(path).parent / "speech.tsv").write_text("onset_s\toffset_s\tmidi_note\tvelocity\n0.0\t2.0\t69\t80\n")
            path = str(Path(path).parent)
        assert main([command, path, "-m", str(model)]) == 1
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and err.startswith("audiocx: error: ") and said in err
    assert names() == []


def test_a_folder_for_nothing(sine_file: SineFile, tiny_predictor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(sine_file("speech.wav")), "-m", str(tiny_predictor), "-o", "new"]) == 1
    assert "new: nothing is to be written there" in capsys.readouterr().err and names() == []


@pytest.mark.parametrize(
    "arguments", [["predict"], ["predict", "a.wav", "--format", "midi"], ["predict", "a.wav", "-f", ","]]
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2 and "error: " in capsys.readouterr().err


def test_as_a_module_and_piped_it_is_quiet_on_stderr(sine_file: SineFile, tiny_predictor: Path) -> None:
    command = [sys.executable, "-m", "audiocx", "predict", str(sine_file("speech.wav")), "-m", str(tiny_predictor)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and done.stderr == "" and done.stdout.count("\n") == 1
