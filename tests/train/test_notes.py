"""Training of note networks: learning, resuming, and loading a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training_runs import (
    EPOCH_STEPS,
    NOTE_EXPERIMENT,
    NOTE_MODEL,
    NOTE_TRAINING,
    Killed,
    Stores,
    assert_same,
    assert_same_training,
    checkpoint,
    killed_at,
    logged,
    train_notes,
    with_note_training,
    write_stores,
)

from audiocx import checkpoints
from audiocx.data.segments import StoreRecordings
from audiocx.errors import ConfigError, DataError
from audiocx.kinds import build
from audiocx.models import NoteNetwork, PredictorNetwork, TranscriberNetwork
from audiocx.models.note_blocks import infer_notes
from audiocx.models.runtime import TorchNetwork
from audiocx.music.metrics import average_precision
from audiocx.train import runs
from audiocx.train.experiments import Experiment, NoteExperiment
from audiocx.train.notes import NoteTask
from audiocx.train.runs import load_network, open_trained, read_experiment


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return write_stores(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def whole_run(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run from beginning to end."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return SimpleNamespace(folder=folder, best=train_notes(stores, folder))


def test_the_files_of_a_run(whole_run: SimpleNamespace) -> None:
    folder = whole_run.folder
    assert whole_run.best == folder / "best.ckpt"
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt", "experiment.json", "log"}
    assert json.loads((folder / "experiment.json").read_text())["kind"] == "notes"
    assert read_experiment(folder) == read_experiment(folder, NoteExperiment) == NOTE_EXPERIMENT
    assert checkpoint(folder / "last.ckpt")["global_step"] == NOTE_TRAINING.steps == 3 * EPOCH_STEPS
    assert runs.seen(folder / "last.ckpt", NOTE_EXPERIMENT) == 3 * EPOCH_STEPS * 4 * 32


def test_the_validation_score_improves(whole_run: SimpleNamespace, stores: Stores) -> None:
    scores = logged(whole_run.folder, "val/ap")
    assert len(scores) == 3 and scores[-1] > scores[0]


def test_the_loaded_network_has_the_best_score(whole_run: SimpleNamespace, stores: Stores) -> None:
    network = load_network(whole_run.best, NOTE_MODEL)
    assert isinstance(network, NoteNetwork) and not network.training
    probabilities, sounding = [], []
    for samples, targets in StoreRecordings(stores[1], NOTE_MODEL):
        probabilities.append(infer_notes(TorchNetwork(network), samples).frames)
        sounding.append(targets.frames.numpy() > 0.5)
    frame_ap, ap = (logged(whole_run.folder, f"val/{name}") for name in ("frame_ap", "ap"))
    score = average_precision(np.concatenate(probabilities), np.concatenate(sounding))
    assert score == pytest.approx(frame_ap[int(np.argmax(ap))], abs=1e-4)


@pytest.mark.parametrize(("method", "calls"), [("training_step", EPOCH_STEPS + 4), ("validation_step", 2)])
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    stores: Stores, whole_run: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, calls: int
) -> None:
    with killed_at(NoteTask, method, calls, monkeypatch):
        train_notes(stores, tmp_path / "run")
    torch.manual_seed(99)
    train_notes(stores, tmp_path / "run")
    assert_same_training(tmp_path / "run", whole_run.folder)


def test_another_experiment_is_refused_in_the_folder(stores: Stores, whole_run: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="holds a run with other settings; name another folder"):
        train_notes(stores, whole_run.folder, with_note_training(onset_weight=2.0))


def test_training_starts_from_the_weights_of_a_checkpoint(stores: Stores, tmp_path: Path) -> None:
    network = build(NOTE_MODEL)
    folder = checkpoints.save_checkpoint(network, tmp_path / "begin", half=False)
    begun: list[dict[str, torch.Tensor]] = []

    def record(task: NoteTask, *_: object) -> None:
        begun.append({name: value.clone() for name, value in task.network.state_dict().items()})
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NoteTask, "training_step", record)
        with pytest.raises(Killed):
            train_notes(stores, tmp_path / "run", with_note_training(start=str(folder)))
    assert_same(begun[0], dict(network.state_dict()))
    model = dataclasses.replace(NOTE_MODEL, channels=4)
    other = dataclasses.replace(with_note_training(start=str(folder)), model=model)
    with pytest.raises(ConfigError, match="is another network, with channels=3; configure the same"):
        train_notes(stores, tmp_path / "other", other)


def test_a_run_and_a_checkpoint_open_as_their_kind(whole_run: SimpleNamespace, tmp_path: Path) -> None:
    trained, full = open_trained(str(whole_run.folder), NoteNetwork), load_network(whole_run.best, NOTE_MODEL)
    assert (trained.name, trained.windows, trained.frames) == ("whole", None, 3 * EPOCH_STEPS * 4 * 32)
    assert trained.parameters == sum(p.numel() for p in full.parameters())
    shipped = checkpoints.save_checkpoint(full, tmp_path / "shipped", figures={"frames": 7}, half=False)
    again = open_trained(str(shipped), TranscriberNetwork, NoteNetwork)
    assert (again.name, again.frames, again.parameters) == ("shipped", 7, trained.parameters)
    samples = 0.1 * torch.randn(1, 40 * 64 + 512)
    with torch.inference_mode():
        for network in (trained.network, again.network):
            assert not network.training
            torch.testing.assert_close(network(samples), full(samples), rtol=1e-4, atol=1e-4)


def test_another_kind_of_network_is_refused(whole_run: SimpleNamespace) -> None:
    with pytest.raises(DataError, match='whole is of kind "notes"; name one of kind "predictor"'):
        open_trained(str(whole_run.folder), PredictorNetwork)
    with pytest.raises(DataError, match='whole is of kind "notes"; name one of kind "transcriber"'):
        read_experiment(whole_run.folder, Experiment)
