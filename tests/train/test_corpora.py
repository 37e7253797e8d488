"""Training on several corpora, from a checkpoint's weights, and by pieces."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import (
    EXPERIMENT,
    MODEL,
    TRAIN,
    Killed,
    Stores,
    assert_same,
    checkpoint,
    logged,
    train,
    with_train,
    write_stores,
)

from audiocx import checkpoints
from audiocx.data.augment import AugmentConfig
from audiocx.data.datasets import StoreFrames
from audiocx.data.windows import mixed
from audiocx.errors import ConfigError
from audiocx.kinds import build
from audiocx.models.window_blocks import BATCH_FRAMES
from audiocx.music.metrics import average_precision
from audiocx.train.experiments import Experiment
from audiocx.train.runs import load_network, seen
from audiocx.train.windows import TranscriberTask


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return write_stores(tmp_path_factory.mktemp("corpus"))


def test_several_corpora_are_learned_from_and_validated_with_together(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = with_train(shares=[0.75, 0.25], ema_decay=0.0, windows=2 * 16, epoch_windows=16)
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(TranscriberTask, "on_train_batch_end", lambda _, __, batch, index: seen.append(batch[0]))
    train((stores, stores), tmp_path, experiment)
    options: dict[str, Any] = {"window_samples": 256, "augmentation": EXPERIMENT.augmentation, "seed": TRAIN.seed}
    expected = mixed(stores, [0.75, 0.25], 16, 0, 1, **options)
    assert len(seen) == 2 and all(torch.equal(windows, expected(step)[0]) for step, windows in enumerate(seen))
    network = load_network(tmp_path / "last.ckpt", MODEL)
    probabilities, labels = [], []
    for store in stores:
        for windows, notes in StoreFrames(store, 256, TRAIN.validation_hop_samples, BATCH_FRAMES):
            with torch.inference_mode():
                probabilities.append(network(windows)[: len(notes)].sigmoid().numpy())
            labels.append(notes.bool().numpy())
    scores = logged(tmp_path, "val/ap")
    assert len(scores) == 2  # one each epoch
    expected_score = average_precision(np.concatenate(probabilities), np.concatenate(labels))
    # Scores this close count as tied: after two steps the network tells hardly anything apart.
    assert scores[-1] == pytest.approx(expected_score, abs=2e-4)


@pytest.mark.parametrize(
    ("shares", "message"),
    [([1.0], "do not fit 2 corpora; give one for each"), ([0.01, 0.99], "leave a corpus no window of 16")],
)
def test_shares_that_do_not_fit_the_corpora_are_refused(
    stores: Stores, tmp_path: Path, shares: list[float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train((stores, stores[1]), tmp_path, with_train(shares=shares))


@pytest.fixture(scope="module")
def started_from(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    torch.manual_seed(7)
    network = build(MODEL)
    folder = tmp_path_factory.mktemp("checkpoints") / "begin"
    checkpoints.save_checkpoint(network, folder, half=False)
    return SimpleNamespace(network=network, folder=folder)


def begun_with(stores: Stores, folder: Path, start: Path) -> dict[str, torch.Tensor]:
    """The weights that a run which starts from others begins with."""
    begun: list[dict[str, torch.Tensor]] = []

    def record(task: TranscriberTask, *_: Any) -> None:
        begun.append({name: value.clone() for name, value in task.network.state_dict().items()})
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TranscriberTask, "training_step", record)
        with pytest.raises(Killed):
            train(stores, folder, with_train(start=str(start)))
    return begun[0]


def test_training_starts_from_a_checkpoints_weights(
    stores: Stores, started_from: SimpleNamespace, tmp_path: Path
) -> None:
    assert_same(begun_with(stores, tmp_path, started_from.folder), dict(started_from.network.state_dict()))


def test_training_starts_from_the_best_weights_of_a_run(stores: Stores, tmp_path: Path) -> None:
    best = train(stores, tmp_path / "first")
    assert_same(begun_with(stores, tmp_path / "second", best.parent), dict(load_network(best, MODEL).state_dict()))


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"outputs": 84}, "outputs=88"), ({"outputs": 84, "norm": "naive"}, "outputs=88, norm='whitening'")],
)
def test_another_network_is_not_started_from(
    stores: Stores, started_from: SimpleNamespace, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    settings = dataclasses.replace(TRAIN, start=str(started_from.folder))
    other = Experiment(dataclasses.replace(MODEL, **changes), AugmentConfig(), settings)
    with pytest.raises(ConfigError, match=f"is another network, with {named}; configure the same"):
        train(stores, tmp_path, other)


def test_windows_by_pieces_are_all_counted_also_after_a_kill(stores: Stores, tmp_path: Path) -> None:
    pieces, each = len(stores[0].names), 2
    experiment = with_train(
        order="pieces", batch_size=each, epoch_windows=2 * each, windows=2 * 2 * each, ema_decay=0.0
    )
    step, left = TranscriberTask.training_step, [4]

    def fatal(task: TranscriberTask, batch: Any, index: int) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return step(task, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TranscriberTask, "training_step", fatal)
        with pytest.raises(Killed):
            train(stores, tmp_path, experiment)
    last = tmp_path / "last.ckpt"
    assert checkpoint(last)["global_step"] == 2
    assert seen(last, experiment) == 2 * pieces * each
    train(stores, tmp_path, experiment)
    assert seen(last, experiment) == experiment.train.steps * pieces * each == 4 * pieces * each
