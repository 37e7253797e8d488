"""Training on synthetic problems: losses, early stopping when solved, resuming, divergence."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from problems import VALIDATION_BATCHES, AddingProblem, ProblemSampler, validation_sampler
from sequence_experiment import ProblemConfig, SequenceExperiment, SequenceTraining
from sequence_network import SequenceConfig
from sequence_task import SequenceTask
from training_runs import QUICK, assert_same, checkpoint, killed_at, logged

from audiocx.config import to_dict
from audiocx.errors import ConfigError, TrainingError
from audiocx.optim import StiefelAdamW, StiefelRMSprop
from audiocx.plots.learning_curves import read_curves
from audiocx.train import loop
from audiocx.train.experiments import experiment_of
from audiocx.train.runs import load_network, open_trained, read_experiment

EPOCH_STEPS = 5
TRAINING = SequenceTraining(
    steps=3 * EPOCH_STEPS, epoch_steps=EPOCH_STEPS, batch_size=16, learning_rate=2e-3, clip_norm=1.0, solved=0.0
)
EXPERIMENT = SequenceExperiment(ProblemConfig("adding", 6), SequenceConfig("cgrnn", 2, 1, hidden=4), TRAINING)


def with_training(**changes: Any) -> SequenceExperiment:
    return dataclasses.replace(EXPERIMENT, train=dataclasses.replace(TRAINING, **changes))


def fit(folder: Path, experiment: SequenceExperiment = EXPERIMENT, **options: Any) -> Path:
    return loop.fit(experiment, (), (), folder, **{**QUICK, **options})


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SequenceTask, "on_train_batch_end", lambda _, __, batch, index: seen.append(batch[0]))
        assert fit(folder) == folder / "best.ckpt"
    sampler = ProblemSampler(AddingProblem(6), 16, TRAINING.seed)
    assert len(seen) == 3 * EPOCH_STEPS
    assert all(torch.equal(sequences, sampler(step)[0]) for step, sequences in enumerate(seen))
    return folder


def test_the_files_and_losses_of_a_run(whole_run: Path) -> None:
    assert {path.name for path in whole_run.iterdir()} == {"best.ckpt", "last.ckpt", "experiment.json", "log"}
    assert read_experiment(whole_run, SequenceExperiment) == EXPERIMENT
    losses = logged(whole_run, "val/loss")
    assert losses[0] > losses[1] > losses[2]
    (steps, values), _ = read_curves(whole_run, "loss")
    assert steps.tolist() == [EPOCH_STEPS, 2 * EPOCH_STEPS, 3 * EPOCH_STEPS] and values.tolist() == losses


def test_the_loaded_network_has_the_best_score(whole_run: Path) -> None:
    problem, network = AddingProblem(6), load_network(whole_run / "best.ckpt", EXPERIMENT.model)
    batches = [validation_sampler(problem)(index) for index in range(VALIDATION_BATCHES)]
    with torch.no_grad():
        losses = [problem.loss(network(sequences), targets) for sequences, targets in batches]
    assert float(torch.stack(losses).mean()) == pytest.approx(min(logged(whole_run, "val/loss")), rel=1e-5)
    trained = open_trained(str(whole_run))
    assert trained.parameters == sum(parameter.numel() for parameter in network.parameters())
    w = torch.complex(*network.layer.cell.state.weight.detach())
    torch.testing.assert_close(w.mH @ w, torch.eye(4, dtype=w.dtype), atol=1e-5, rtol=0)


def test_denormals_are_zero_during_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, seen = torch.tensor(1e-38), []
    monkeypatch.setattr(SequenceTask, "on_train_batch_end", lambda *_: seen.append((small * 0.01).item()))
    if torch.set_flush_denormal(False):  # else this processor cannot
        fit(tmp_path / "run", with_training(steps=EPOCH_STEPS))
        assert seen == [0] * EPOCH_STEPS and (small * 0.01).item() > 0


@pytest.mark.parametrize("calls", [2, 8])
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    calls: int, whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killed_at(SequenceTask, "training_step", calls, monkeypatch):
        fit(tmp_path / "run")
    torch.manual_seed(99)
    fit(tmp_path / "run")
    for name in ("last.ckpt", "best.ckpt"):
        one, other = (checkpoint(folder / name) for folder in (tmp_path / "run", whole_run))
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "solved"):
            assert_same(one[part], other[part])


def test_training_stops_once_the_problem_is_solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.2, 0.05, 0.049, 0.1])
    monkeypatch.setattr(
        SequenceTask,
        "validation_step",
        lambda task, batch, index: index or task.losses.append(torch.tensor(next(losses))),
    )
    experiment = with_training(solved=0.3, steps=20, epoch_steps=1)  # of 1/6: 0.05
    fit(tmp_path, experiment)
    last = checkpoint(tmp_path / "last.ckpt")
    assert (last["global_step"], last["solved"]) == (3, True) and len(logged(tmp_path, "val/loss")) == 3
    fit(tmp_path, experiment)
    assert checkpoint(tmp_path / "last.ckpt")["global_step"] == 3


def test_diverged_training_stops_and_keeps_the_best_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(task: SequenceTask, *_: Any) -> None:
        if task.global_step == 2 * EPOCH_STEPS - 1:
            torch.nn.init.constant_(task.network.readout.bias, float("nan"))

    monkeypatch.setattr(SequenceTask, "on_train_batch_end", spoil)
    with pytest.raises(TrainingError, match="diverged: after 10 steps .*lower train.learning_rate"):
        fit(tmp_path)
    for name in ("last.ckpt", "best.ckpt"):
        kept = checkpoint(tmp_path / name)
        assert kept["global_step"] == EPOCH_STEPS
        assert all(weight.isfinite().all() for weight in kept["state_dict"].values())
    assert len(logged(tmp_path, "val/loss")) == 1


def test_optimisers() -> None:
    rmsprop = SequenceTask(with_training(smoothing=0.8, unitary_rate=0.1)).optimizer()
    assert isinstance(rmsprop, StiefelRMSprop)
    rest, unitary = rmsprop.param_groups
    assert (rest["alpha"], rest["lr"], unitary["lr"]) == (0.8, 2e-3, 0.1)
    assert isinstance(SequenceTask(with_training(optimizer="adamw", weight_decay=0.1)).optimizer(), StiefelAdamW)


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        ("problem", {"name": "copy"}, "name is one of 'memory', 'adding', not 'copy'"),
        ("problem", {"length": 1}, "length must be 2 or more, not 1"),
        ("problem", {"name": "memory"}, "the memory problem takes inputs = 10 and outputs = 9"),
        ("model", {"layer": "rnn"}, "layer is one of 'cgrnn', 'urnn', .*, not 'rnn'"),
        ("train", {"solved": 1.0}, "solved must be a number in"),
        ("train", {"smoothing": 1.0}, "smoothing must be a number in"),
        ("train", {"weight_decay": 0.1}, "weight_decay belongs to optimizer = 'adamw'"),
    ],
)
def test_invalid_experiments_are_refused(table: str, changes: dict[str, Any], message: str) -> None:
    values = to_dict(EXPERIMENT)
    assert experiment_of(values, "here") == EXPERIMENT
    values[table].update(changes)
    with pytest.raises(ConfigError, match=f"here: .*{message}"):
        experiment_of(values, "here")
