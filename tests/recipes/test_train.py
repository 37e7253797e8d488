"""The command that trains, for both kinds of network."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recipe_runs import RECIPES, refusal, run_script
from speech_lookalike import write_timit
from training_runs import checkpoint, logged

from audiocx.train.runs import read_experiment, seen

QUICK = ("--quiet", "--accelerator", "cpu", "--devices", "1")
TIMIT, MAPS = (RECIPES / corpus / "conf" for corpus in ("timit", "maps"))


def sets(**changes: object) -> list[str]:
    return [word for key, value in changes.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]


def test_the_papers_experiment_on_timit_trains_and_resumes(tmp_path: Path) -> None:
    corpus = write_timit(tmp_path / "timit", sentences=["si648", "sx37"])
    words = [TIMIT / "lstm.toml", corpus, "--cache", tmp_path / "cache", "-o", tmp_path / "run", *QUICK]
    tiny = sets(model__hidden=2, train__batch_size=3, train__epoch_steps=1, train__steps=2)
    best = tmp_path / "run" / "best.ckpt"
    assert run_script("timit/train", *words, *tiny) == f"best: {best}\n"
    experiment = read_experiment(tmp_path / "run")
    frames, train = seen(tmp_path / "run" / "last.ckpt", experiment), experiment.train
    assert frames and train.steps == 2 and train.batch_size == 3
    assert run_script("timit/train", *words, *tiny) == f"best: {best}\n"
    assert seen(tmp_path / "run" / "last.ckpt", experiment) == frames  # it had ended
    assert "holds a run with other settings" in refusal("timit/train", *words, *tiny, *sets(train__seed=1))


@pytest.mark.parametrize("recipe", sorted(path.parent.name for path in RECIPES.glob("*/train.py")))
def test_every_recipe_trains_on_several_devices_and_machines(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    helped: list[str] = []

    def help_and_exit(parser: argparse.ArgumentParser) -> None:
        helped.append(parser.format_help())
        sys.exit(0)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", help_and_exit)
    with pytest.raises(SystemExit) as ended:
        run_script(f"{recipe}/train")
    assert ended.value.code == 0 and {"--devices", "--num-nodes"} <= set(helped[0].split())


def test_an_experiment_of_the_other_kind_is_refused(tmp_path: Path) -> None:
    sentence = refusal("timit/train", MAPS / "deep-complex.toml", tmp_path)
    assert 'deep-complex.toml is of kind "transcriber"; name one of kind "predictor"' in sentence
    sentence = refusal("maps/train", TIMIT / "lstm.toml", tmp_path)
    assert 'lstm.toml is of kind "predictor"; name one of kind "transcriber" or "notes"' in sentence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.windows=3", "--set: train: unknown key 'windows'"),
        ("kind=transcriber", "--set: kind is no table of settings"),
        ("train.steps=1", "--set: train: steps=1 must be a multiple of epoch_steps="),
        ("model.complex=true", "--set: model: the plain LSTM is real"),
    ],
)
def test_settings_of_a_predictor_that_do_not_fit_are_refused(tmp_path: Path, change: str, message: str) -> None:
    assert message in refusal("timit/train", TIMIT / "lstm.toml", tmp_path, "--set", change)


@pytest.mark.slow
def test_two_devices_share_the_utterances_and_the_score(tmp_path: Path) -> None:
    corpus = write_timit(tmp_path / "timit", sentences=["si648", "sx37"])
    tiny = sets(model__hidden=2, train__batch_size=4, train__epoch_steps=1, train__steps=2, train__learning_rate=1e-9)
    environment = {**os.environ, "PYTHONPATH": str(RECIPES.parent), "OMP_NUM_THREADS": "1"}
    for devices in ("1", "2"):
        places = [TIMIT / "lstm.toml", corpus, "--cache", tmp_path / "cache", "-o", tmp_path / devices]
        command = [sys.executable, RECIPES / "timit" / "train.py", *places, *QUICK[:-1], devices, *tiny]
        done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
    one, two = (checkpoint(tmp_path / devices / "last.ckpt") for devices in ("1", "2"))
    assert one["frames_seen"] == two["frames_seen"] > 0 and two["global_step"] == 2
    assert logged(tmp_path / "1", "val/mse") == pytest.approx(logged(tmp_path / "2", "val/mse"), rel=1e-5)
