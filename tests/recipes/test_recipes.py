"""The recipes' command lines, end to end on a tiny corpus."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_corpus import write_corpus
from training_runs import assert_same_training, checkpoint, logged

ROOT = Path(__file__).parents[2]
EPOCH_STEPS = 6


def recipe(corpus: Path, run: Path, *options: str, config: str = "deep-complex") -> list[str]:
    script = [sys.executable, str(ROOT / "recipes/maps/train.py"), str(ROOT / f"recipes/maps/conf/{config}.toml")]
    settings = {
        "model.window_samples": 256,
        "train.windows": 16 * EPOCH_STEPS * 5,
        "train.epoch_windows": 16 * EPOCH_STEPS,
        "train.batch_size": 16,
        "train.warmup_windows": 32,
        "train.ema_decay": 0.9,
        "train.validation_hop_samples": 400,
    }
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    places = [str(corpus), "--cache", str(corpus / "cache"), "--run", str(run)]
    return [*script, *places, *sets, "--no-compile", "--quiet", "--accelerator", "cpu", *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run_recipe(*arguments: Any, **keywords: Any) -> subprocess.CompletedProcess[str]:
    command = recipe(*arguments, **keywords)
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=600)


@pytest.mark.slow
def test_the_recipe_trains_and_resumes_after_a_kill(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    whole = run_recipe(corpus, tmp_path / "whole", "--devices", "1")
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.strip() == f"best: {tmp_path / 'whole' / 'best.ckpt'}"

    killed = subprocess.Popen(recipe(corpus, tmp_path / "killed", "--devices", "1"), env=environment())
    try:
        while not (tmp_path / "killed" / "last.ckpt").exists():
            assert killed.poll() is None, "ended before its first checkpoint"
            time.sleep(0.01)
        assert killed.poll() is None
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert checkpoint(tmp_path / "killed" / "last.ckpt")["global_step"] < 5 * EPOCH_STEPS
    resumed = run_recipe(corpus, tmp_path / "killed", "--devices", "1")
    assert resumed.returncode == 0, resumed.stderr
    assert_same_training(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_the_recipe_trains_on_two_devices(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    done = run_recipe(corpus, tmp_path / "run", "--devices", "2")
    assert done.returncode == 0, done.stderr
    assert checkpoint(tmp_path / "run" / "last.ckpt")["global_step"] == 5 * EPOCH_STEPS
    losses = logged(tmp_path / "run", "val/loss")
    assert len(losses) == 5 and losses[-1] < losses[0]
    odd = run_recipe(corpus, tmp_path / "odd", "--devices", "2", "--set", "train.batch_size=15")
    assert odd.returncode != 0 and "train: error: batch_size=15 cannot be shared by 2 devices" in odd.stderr


@pytest.mark.slow
def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    for arguments, keywords, message in [
        ((tmp_path / "missing", tmp_path / "run"), {}, "is not a folder"),
        ((corpus, tmp_path / "run"), {"config": "missing"}, "missing.toml: cannot be read"),
        ((corpus, tmp_path / "run", "--set", "train.epochs=3"), {}, "--set: train: unknown key 'epochs'"),
        ((corpus, tmp_path / "run", "--set", "train"), {}, "--set: train"),
    ]:
        done = run_recipe(*arguments, **keywords)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith("train: error: ") and message in done.stderr and done.stderr.count("\n") == 1
