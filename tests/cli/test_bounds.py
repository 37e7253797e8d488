"""What the parser accepts, the commands accept: every option of each command at its bounds, on a short recording."""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path

import pytest
from tiny_corpus import write_corpus
from training_runs import TINY_NOTES as EXPERIMENT

import audiocx
from audiocx.cli import build_parser, main

SineFile = Callable[..., Path]
TINY, HUGE = "1e-300", "1" + "0" * 30
NUMBERS = [
    *("-inf", f"-{HUGE}", "-1", f"-{TINY}", "-0", "0", "-0.0", "0.0", TINY, "0.999999", "1", "1.0", "1.000001", "nan"),
    *(
        "2",
        "3",
        "4",
        "4.0001",
        "11",
        "12",
        "13",
        "-99.9999",
        "-100",
        "-100.01",
        "99.9999",
        "100",
        "100.01",
        "999",
        "1000",
    ),
    *("1000.01", "999.999", "1500", "9999.99", "10000", "10001", HUGE, "inf", "auto", ""),
]
# Options of free text, or tested elsewhere.
FREE = {
    "common": {"--help", "--debug", "--address", "--manifest", "--model", "--device", "--output", "--format"},
    "conceal": {"--gaps"},
    "evaluate": {"--split", "--save"},
    "listen": {"--midi-port"},
    "train": {"--validation", "--cache", "--run", "--set", "--accelerator", "--devices"},
}


def options(command: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the options of a command, each with what to add to the command line for its bounds."""
    parsers = next(action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    for action in parsers.choices[command]._actions:
        name = action.option_strings[-1] if action.option_strings else ""
        if not name or name in FREE["common"] | FREE.get(command, set()):
            continue
        if action.nargs == 0:
            yield name, [[name]]
        elif action.choices:
            yield name, [[name, str(choice)] for choice in action.choices]
        else:
            assert action.type is not None, f"{command} {name} takes any text: test it, and add it to FREE"
            yield name, ([[name]] if action.nargs == "?" else []) + [[f"{name}={number}"] for number in NUMBERS]


def accepted(words: list[str]) -> bool:
    with redirect_stderr(io.StringIO()) as said:
        try:
            build_parser().parse_args(words)
        except SystemExit as error:
            assert error.code == 2 and "error: argument" in said.getvalue()
            return False
    return True


def walk(base: list[str], capsys: pytest.CaptureFixture[str], *skipped: str) -> list[str]:
    """Run a command with each option at each bound that the parser accepts; return those options."""
    tried = []
    for name, cases in options(base[0]):
        if name in skipped:
            continue
        taken = [case for case in cases if accepted([*base, *case])]
        assert taken, name
        for case in dict.fromkeys(map(tuple, taken[:2] + taken[-2:])):
            assert main([*base, *case]) == 0, (case, capsys.readouterr().err)
        tried.append(name)
    assert "Traceback" not in capsys.readouterr().err
    return tried


@pytest.fixture
def song(sine_file: SineFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.chdir(tmp_path)
    return str(sine_file("song.wav", duration_s=0.5))


def test_transcribe(song: str, exported_notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formats = "midi,csv,json,npz,wav"
    base = ["transcribe", song, "-m", str(exported_notes), "-o", "out", "--overwrite", "--format", formats]
    tried = walk(base, capsys, "--engine")
    assert {"--threshold", "--min-note", "--tempo", "--quantize", "--tuning", "--precision", "--runtime"} <= set(tried)
    for tempo in ("4.000001", "120", "999.999"):
        for divisions in ("1", "12"):
            assert main([*base, "--tempo", tempo, "--quantize", divisions]) == 0, capsys.readouterr().err


def test_transcribe_with_a_network_of_windows(
    song: str, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["transcribe", song, "-m", str(tiny_checkpoint), "-o", "out", "--overwrite"]
    walk(base, capsys, "--engine", "--runtime", "--jobs")


def test_listen(song: str, tiny_notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tried = walk(["listen", song, "-m", str(tiny_notes)], capsys, "--list-devices", "--runtime")
    assert {"--threshold", "--min-note", "--tuning", "--seconds"} <= set(tried)


@pytest.mark.parametrize("command", ["predict", "conceal"])
def test_speech(command: str, song: str, tiny_predictor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = [command, song, "-m", str(tiny_predictor), "-o", "out", "--overwrite", "--format", "wav"]
    walk(base, capsys, "--engine", "--runtime")
    if command == "conceal":
        for gaps in ("0-0.005", "0.495-0.5", "0-0.5", "0.1-0.1001", ".1-.2,.15-.3"):
            assert main([*base, "--gaps", gaps]) == 0, capsys.readouterr().err
    model = "librispeech-tuned-complex"
    for runtime in ("auto", "onnx", "torch") if model in audiocx.available() else ():
        assert main([command, song, "-m", model, "-o", "out", "--overwrite", "-f", "wav", "--runtime", runtime]) == 0


def test_info_models_and_evaluate(
    song: str, exported_notes: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("mir_eval")
    Path("song.tsv").write_text("0.1\t0.4\t69\t80\n")
    for base in (["info", song], ["models"], ["evaluate", str(tmp_path), "-m", str(exported_notes)]):
        walk(base, capsys)


def test_options_of_training_are_checked() -> None:
    base = ["train", "notes.toml", "folder"]
    for name, cases in options("train"):
        assert any(accepted([*base, *case]) for case in cases), name
    assert not accepted([*base, "--num-nodes", "0"]) and accepted([*base, "--num-nodes", "1"])


def test_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(EXPERIMENT)
    words = ["train", str(config), str(write_corpus(tmp_path / "corpus")), "--cache", str(tmp_path / "cache")]
    base = [*words, "-o", str(tmp_path / "run"), "-q", "--accelerator", "cpu", "--devices", "1", "--no-compile"]
    # More machines wait for one another, and half precision is for GPUs.
    tried = walk(base, capsys, "--num-nodes", "--precision", "--corpus")
    assert {"--fresh", "--no-compile", "--quiet"} <= set(tried)
    for precision in ("32-true", "bf16-mixed"):
        assert main([*base, "--fresh", "--precision", precision]) == 0, capsys.readouterr().err
    assert main([*base, "--fresh", "--corpus", "maps"]) == 0, capsys.readouterr().err


def test_export(tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")
    network = shutil.copytree(tiny_checkpoint, tmp_path / "network")
    base = ["export", str(network), "-o", str(tmp_path / "a.onnx"), "--overwrite"]
    assert walk(base, capsys) == ["--overwrite", "--in-place"]
