"""Distributed training: several processes draw, learn and score as one process does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ranks_worker
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from training_runs import (
    EXPERIMENT,
    NOTE_MODEL,
    Stores,
    assert_same_training,
    checkpoint,
    logged,
    write_speech_stores,
    write_stores,
)

from audiocx.data.segments import NoteSegmentSampler
from audiocx.data.utterances import SegmentSampler
from audiocx.data.windows import mixed
from audiocx.errors import ConfigError
from audiocx.train import loop
from audiocx.train import windows as transcriber


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return write_stores(tmp_path_factory.mktemp("music"))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return write_speech_stores(tmp_path_factory.mktemp("speech"))


def flat(batch: Any) -> list[torch.Tensor]:
    windows, labels = batch
    return [windows, *([labels] if isinstance(labels, torch.Tensor) else labels)]


def assert_shared(sampler: Callable[[int, int, int], Any], size: int, ranks: int, number: int) -> None:
    """Rank r of R has windows r, r + R, ... of the batch that a single process would draw."""
    whole = flat(sampler(size * ranks, 0, 1)(number))
    for rank in range(ranks):
        for rank_slice, full in zip(flat(sampler(size, rank, ranks)(number)), whole, strict=True):
            torch.testing.assert_close(rank_slice, full[rank::ranks], rtol=0, atol=1e-6)


drawn = {"size": st.integers(3, 5), "ranks": st.integers(1, 5), "number": st.integers(0, 99)}
few = settings(max_examples=12, deadline=None, derandomize=True)


@few
@given(**drawn, share=st.floats(0.15, 0.85), order=st.sampled_from(["time", "pieces"]))
def test_processes_share_the_windows(
    music: Stores, size: int, ranks: int, number: int, share: float, order: str
) -> None:
    assume(min(share, 1 - share) * size * ranks > 0.6)  # a window of each corpus
    options = {"window_samples": 64, "order": order, "augmentation": EXPERIMENT.augmentation, "seed": 5}
    shares = [share, 1 - share] if order == "time" else []
    assert_shared(lambda *place: mixed(music, shares, *place, **options), size, ranks, number)


@few
@given(**drawn)
def test_processes_share_the_segments_of_music(music: Stores, size: int, ranks: int, number: int) -> None:
    options = {"config": NOTE_MODEL, "frames": 9, "augmentation": EXPERIMENT.augmentation}
    assert_shared(lambda *place: mixed(music, [], *place, NoteSegmentSampler, **options), size, ranks, number)


@few
@given(**drawn)
def test_processes_share_the_segments_of_speech(speech: Stores, size: int, ranks: int, number: int) -> None:
    assert_shared(lambda size, *place: SegmentSampler(speech, 9, size, 3, *place), size, ranks, number)


def test_devices_must_match_the_processes_started(monkeypatch: pytest.MonkeyPatch) -> None:
    loop.check_processes(1, 1)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "4")
    loop.check_processes(2, 2)
    with pytest.raises(ConfigError, match="4 processes were started for 1 devices on each of 2 machines; give"):
        loop.check_processes(1, 2)


def test_machines_that_see_different_files_are_refused(music: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "summed", lambda _: torch.tensor(1))
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    trainer: Any = SimpleNamespace(world_size=2, global_rank=0, strategy=strategy, ckpt_path=None)
    corpora = transcriber.WindowData(EXPERIMENT, music[:1], music[1:])
    corpora.trainer = trainer
    with pytest.raises(ConfigError, match="put the run where all see it"):
        corpora.setup("fit")


def test_an_interrupted_write_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, files = tmp_path / "last.ckpt", loop.AtomicCheckpointIO()
    files.save_checkpoint({"step": 1}, str(path))

    def cut_off(_: Any, where: Path) -> None:
        where.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", cut_off)
    with pytest.raises(KeyboardInterrupt):
        files.save_checkpoint({"step": 2}, str(path))
    assert checkpoint(path) == {"step": 1} and [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return runs of all kinds by one process, and the same by two that torchrun starts."""
    folder = tmp_path_factory.mktemp("ranks")
    write_stores(folder)
    write_speech_stores(folder)
    # One thread each: the rounding of the first weights, by a QR decomposition, depends on how many there are.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for runs, launcher in (("one", []), ("two", torchrun)):
        command = [sys.executable, *launcher, ranks_worker.__file__, str(folder), str(folder / runs)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stderr[-4000:]
    return folder


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Between two networks."""
    assert one.keys() == other.keys()
    return float(sum((one[name] - other[name]).square().sum() for name in one)) ** 0.5


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Those that a run ended with."""
    return dict(checkpoint(run / "last.ckpt")["state_dict"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["windows", "notes", "segments", "utterances"])
def test_two_processes_learn_and_score_as_one(two: Path, kind: str) -> None:
    one, both = two / "one" / kind, two / "two" / kind
    begun = checkpoint(one / "begun.pt")
    assert distance(begun, checkpoint(both / "begun.pt")) == 0
    assert distance(weights(one), weights(both)) < 0.01 * distance(begun, weights(one))
    seen = "windows_seen" if kind == "windows" else "frames_seen"
    assert checkpoint(one / "last.ckpt")[seen] == checkpoint(both / "last.ckpt")[seen] > 0
    for tag in ranks_worker.SCORES[kind]:
        assert logged(both, tag) == pytest.approx(logged(one, tag), rel=1e-3), tag


@pytest.mark.slow
def test_two_processes_resume(two: Path) -> None:
    assert_same_training(two / "two" / "killed", two / "two" / "notes")


@pytest.mark.slow
def test_two_processes_resume_the_run_of_one(two: Path) -> None:
    begun, ended = checkpoint(two / "one" / "notes" / "begun.pt"), weights(two / "one" / "notes")
    assert distance(weights(two / "one" / "killed"), ended) < 0.01 * distance(begun, ended)
