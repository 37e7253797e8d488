"""The training loop: learning, run folders, and resuming after a kill."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import (
    EPOCH_STEPS,
    EXPERIMENT,
    MODEL,
    TRAIN,
    Killed,
    Stores,
    assert_same,
    assert_same_training,
    checkpoint,
    killed_at,
    logged,
    train,
    with_train,
    write_stores,
)

from audiocx.config import from_dict, to_dict
from audiocx.data.datasets import StoreFrames
from audiocx.data.windows import WindowSampler
from audiocx.errors import CheckpointError, ConfigError
from audiocx.models.window_blocks import BATCH_FRAMES
from audiocx.music.metrics import PooledPrecision, average_precision
from audiocx.train import windows as transcriber
from audiocx.train.experiments import Experiment, read_experiment_toml
from audiocx.train.machine import keep_memory
from audiocx.train.runs import load_network, seen
from audiocx.train.windows import TranscriberTask

# For copies of a run: Lightning looks for its earlier checkpoints where they were written.
moved = pytest.mark.filterwarnings("ignore:The dirpath has changed")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return write_stores(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def whole_run(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run from beginning to end; the windows it saw, and the last layer's weights, after each of its steps."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    weights: list[torch.Tensor] = []
    windows: list[torch.Tensor] = []

    def record(task: TranscriberTask, _: Any, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        windows.append(batch[0])
        weights.append(task.network.body[-1].weight.detach().clone())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TranscriberTask, "on_train_batch_end", record)
        best = train(stores, folder)
    return SimpleNamespace(folder=folder, best=best, weights=weights, windows=windows)


def test_the_files_of_a_run(whole_run: SimpleNamespace) -> None:
    folder = whole_run.folder
    assert whole_run.best == folder / "best.ckpt"
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt", "experiment.json", "log"}
    assert from_dict(Experiment, json.loads((folder / "experiment.json").read_text())) == EXPERIMENT
    assert checkpoint(folder / "last.ckpt")["global_step"] == TRAIN.steps == 3 * EPOCH_STEPS
    assert seen(folder / "last.ckpt", EXPERIMENT) == TRAIN.windows
    assert len(logged(folder, "val/ap")) == TRAIN.epochs == 3


def test_the_validation_loss_falls(whole_run: SimpleNamespace) -> None:
    losses = logged(whole_run.folder, "val/loss")
    assert losses[0] > losses[1] > losses[2]


def test_every_step_draws_its_own_windows(whole_run: SimpleNamespace, stores: Stores) -> None:
    sampler = WindowSampler(stores[0], 256, 16, "time", EXPERIMENT.augmentation, TRAIN.seed)
    assert len(whole_run.windows) == TRAIN.steps
    assert all(torch.equal(seen, sampler(step)[0]) for step, seen in enumerate(whole_run.windows))


def test_the_weight_average_is_saved(whole_run: SimpleNamespace) -> None:
    average = whole_run.weights[0]
    for weights in whole_run.weights[4::4]:  # every fourth step, with the decay of four
        average = torch.lerp(weights, average, 0.9**4)
    network = load_network(whole_run.folder / "last.ckpt", MODEL)
    assert not network.training
    assert torch.allclose(network.body[-1].weight, average, atol=1e-7)
    assert not torch.allclose(average, whole_run.weights[-1], atol=1e-4)


def test_the_loaded_network_has_the_best_score(whole_run: SimpleNamespace, stores: Stores) -> None:
    network = load_network(whole_run.best, MODEL)
    frames = list(StoreFrames(stores[1], MODEL.window_samples, TRAIN.validation_hop_samples, BATCH_FRAMES))
    with torch.inference_mode():
        outputs = [network(windows)[: len(labels)].sigmoid().numpy() for windows, labels in frames]
    probabilities, labels = np.concatenate(outputs), np.concatenate([labels.bool().numpy() for _, labels in frames])
    scores = logged(whole_run.folder, "val/ap")
    # Rounding, which goes by the number of threads, swaps pairs that are nearly tied; epochs lie further apart.
    *others, best = sorted(scores)
    assert average_precision(probabilities, labels) == pytest.approx(best, abs=2e-4)
    assert all(best - other > 1e-3 for other in others)
    states = checkpoint(whole_run.folder / "last.ckpt")["callbacks"].items()
    score = next(state["best_model_score"] for name, state in states if name.startswith("ModelCheckpoint"))
    assert float(score) == pytest.approx(max(scores))


@pytest.mark.parametrize(
    ("method", "calls"),
    [
        ("training_step", 3),  # before the first checkpoint
        ("training_step", EPOCH_STEPS + 1),  # the first batch after a checkpoint
        ("training_step", EPOCH_STEPS + 4),  # in the middle of an epoch
        ("validation_step", 2),  # after an epoch's last batch, before its checkpoint
    ],
)
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    stores: Stores, whole_run: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, calls: int
) -> None:
    with killed_at(TranscriberTask, method, calls, monkeypatch):
        train(stores, tmp_path / "run")
    torch.manual_seed(99)
    train(stores, tmp_path / "run")
    assert_same_training(tmp_path / "run", whole_run.folder)


def test_a_finished_run_is_not_changed(
    stores: Stores, whole_run: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: (whole_run.folder / name).read_bytes() for name in ("best.ckpt", "last.ckpt", "experiment.json")}
    monkeypatch.setattr(TranscriberTask, "training_step", lambda *_: pytest.fail("trained on"))
    assert train(stores, whole_run.folder) == whole_run.best
    assert before == {name: (whole_run.folder / name).read_bytes() for name in before}


@moved
def test_a_run_of_an_earlier_version_is_resumed(
    stores: Stores, whole_run: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version without some settings, which did not count its windows."""
    record = json.loads((whole_run.folder / "experiment.json").read_text())
    for name in ("rates", "shares", "start"):
        del record["train"][name]
    (tmp_path / "experiment.json").write_text(json.dumps(record))
    for name in ("best.ckpt", "last.ckpt"):
        saved = checkpoint(whole_run.folder / name)
        del saved["windows_seen"]
        torch.save(saved, tmp_path / name)
    assert seen(tmp_path / "last.ckpt", EXPERIMENT) == TRAIN.windows
    monkeypatch.setattr(TranscriberTask, "training_step", lambda *_: pytest.fail("begun anew"))
    assert train(stores, tmp_path) == tmp_path / "best.ckpt"
    assert from_dict(Experiment, json.loads((tmp_path / "experiment.json").read_text())) == EXPERIMENT


def test_another_experiment_is_refused_in_the_folder(stores: Stores, whole_run: SimpleNamespace) -> None:
    before = (whole_run.folder / "experiment.json").read_bytes()
    with pytest.raises(ConfigError, match="holds a run with other settings; name another folder"):
        train(stores, whole_run.folder, with_train(seed=1))
    assert (whole_run.folder / "experiment.json").read_bytes() == before


def test_starting_over_removes_the_old_run_at_once(
    stores: Stores, whole_run: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("best.ckpt", "last.ckpt", "experiment.json"):
        (tmp_path / name).write_bytes((whole_run.folder / name).read_bytes())
    other = with_train(seed=1, windows=TRAIN.epoch_windows)
    with monkeypatch.context() as patch:
        patch.setattr(TranscriberTask, "training_step", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(stores, tmp_path, other, resume=False)
    # The next start must not resume the old run.
    assert not (tmp_path / "last.ckpt").exists() and not (tmp_path / "best.ckpt").exists()
    train(stores, tmp_path, other)
    assert checkpoint(tmp_path / "last.ckpt")["global_step"] == EPOCH_STEPS


def test_early_stopping(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.2, 0.3, 0.3, 0.1, 0.9])
    monkeypatch.setattr(PooledPrecision, "score", lambda _: next(scores))
    experiment = with_train(patience=2, windows=16 * 10, epoch_windows=16, ema_decay=0.0)
    train(stores, tmp_path, experiment)
    # One step an epoch: best in the second, not better in two more, all of which last.ckpt has seen.
    assert logged(tmp_path, "val/ap") == pytest.approx([0.2, 0.3, 0.3, 0.1])
    assert checkpoint(tmp_path / "best.ckpt")["global_step"] == 2
    assert checkpoint(tmp_path / "last.ckpt")["global_step"] == 4
    # Started again, it stays stopped.
    train(stores, tmp_path, experiment)
    assert checkpoint(tmp_path / "last.ckpt")["global_step"] == 4 and next(scores) == 0.9


def test_without_an_average_the_weights_are_saved_also_in_bf16(stores: Stores, tmp_path: Path) -> None:
    experiment = with_train(ema_decay=0.0, windows=TRAIN.epoch_windows)
    train(stores, tmp_path, experiment, precision="bf16-mixed")
    saved = checkpoint(tmp_path / "last.ckpt")
    assert "current_model_state" not in saved
    network = load_network(tmp_path / "last.ckpt", MODEL)
    assert_same({f"network.{name}": p for name, p in network.state_dict().items()}, dict(saved["state_dict"]))
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in network.parameters())


def rates(**changes: Any) -> list[float]:
    optimization = TranscriberTask(with_train(**changes)).configure_optimizers()
    optimizer, schedule = optimization["optimizer"], optimization["lr_scheduler"]["scheduler"]
    values = []
    for _ in range(TRAIN.steps):
        values.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return values


def test_the_rate_rises_then_falls_to_zero_or_stays() -> None:
    constant, cosine = rates(schedule="constant", warmup_windows=64), rates(warmup_windows=64)
    assert constant == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3] + [1e-3] * (TRAIN.steps - 3))
    halfway = TRAIN.steps // 2
    assert cosine[:3] == sorted(cosine[:3]) and cosine[3:] == sorted(cosine[3:], reverse=True)
    assert cosine[halfway] == pytest.approx(0.5e-3) and cosine[-1] < 1e-5
    assert rates(warmup_windows=0, schedule="constant") == pytest.approx([1e-3] * TRAIN.steps)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_the_rate_steps_down_where_its_epochs_begin(batch_size: int) -> None:
    sizes = {"batch_size": batch_size, "epoch_windows": EPOCH_STEPS * batch_size, "windows": TRAIN.steps * batch_size}
    steps: dict[str, Any] = {"schedule": "steps", "rates": [[1.0, 1e-4], [2.0, 1e-6]], **sizes}
    expected = [1e-3] * EPOCH_STEPS + [1e-4] * EPOCH_STEPS + [1e-6] * EPOCH_STEPS
    assert rates(warmup_windows=0, **steps) == pytest.approx(expected)
    assert rates(warmup_windows=4 * batch_size, **steps) == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, *expected[3:]])
    from_the_start = {**steps, "rates": [[0.0, 1e-5], [2.0, 1e-4]]}
    assert rates(warmup_windows=0, **from_the_start) == pytest.approx([1e-5] * 2 * EPOCH_STEPS + [1e-4] * EPOCH_STEPS)


def test_the_papers_rates() -> None:
    path = Path(__file__).parents[2] / "recipes" / "musicnet" / "conf" / "paper-deep-complex.toml"
    task: Any = SimpleNamespace(settings=read_experiment_toml(path).train)

    def rate(epoch: int) -> list[float]:
        return [1e-3 * TranscriberTask.rate_factor(task, step) for step in (1000 * epoch, 1000 * epoch + 999)]

    decades = {0: 1e-3, 9: 1e-3, 10: 1e-4, 99: 1e-4, 100: 1e-5, 119: 1e-5, 120: 1e-6, 149: 1e-6, 150: 1e-7, 199: 1e-7}
    for epoch, expected in decades.items():
        assert rate(epoch) == pytest.approx([expected] * 2)


@moved
def test_a_run_resumes_without_its_initial_checkpoint(
    stores: Stores, whole_run: SimpleNamespace, tmp_path: Path
) -> None:
    experiment = with_train(start=str(tmp_path / "gone"))
    for name in ("best.ckpt", "last.ckpt"):
        (tmp_path / name).write_bytes((whole_run.folder / name).read_bytes())
    (tmp_path / "experiment.json").write_text(json.dumps(to_dict(experiment)))
    assert train(stores, tmp_path, experiment) == tmp_path / "best.ckpt"
    with pytest.raises(CheckpointError, match="gone"):
        train(stores, tmp_path, experiment, resume=False)


def test_only_matrices_and_kernels_decay() -> None:
    task = TranscriberTask(EXPERIMENT)
    decayed, free = task.configure_optimizers()["optimizer"].param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.01, 0.0)
    names = {id(p): name for name, p in task.network.named_parameters()}
    decayed_names, free_names = ({names[id(p)].rpartition(".")[2] for p in g["params"]} for g in (decayed, free))
    assert decayed_names == {"weight", "weight_real", "weight_imag"}
    assert free_names == {"bias", "gamma", "beta"}
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_a_batch_that_cannot_be_shared_is_refused(stores: Stores) -> None:
    corpora: Any = transcriber.WindowData(EXPERIMENT, stores[:1], stores[1:])
    corpora.trainer = SimpleNamespace(world_size=3)
    with pytest.raises(ConfigError, match="batch_size=16 cannot be shared by 3 devices"):
        corpora.setup("fit")


def test_keeping_memory_needs_no_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    import ctypes

    monkeypatch.setattr(ctypes, "CDLL", lambda _: (_ for _ in ()).throw(OSError))
    keep_memory()


def test_a_window_too_short_for_the_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="is too short for the deep network; enlarge window_samples"):
        TranscriberTask(dataclasses.replace(EXPERIMENT, model=dataclasses.replace(MODEL, window_samples=100)))
