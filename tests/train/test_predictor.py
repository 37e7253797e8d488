"""Training of predictors: learning, padding, and resuming."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from training_runs import (
    EPOCH_STEPS,
    PREDICTOR_EXPERIMENT,
    PREDICTOR_TRAINING,
    Killed,
    Stores,
    assert_same,
    assert_same_training,
    checkpoint,
    killed_at,
    logged,
    train_predictor,
    with_predictor_training,
    write_speech_stores,
)

from audiocx import checkpoints
from audiocx.data.utterances import SegmentSampler, UtteranceSampler
from audiocx.errors import ConfigError, DataError
from audiocx.kinds import build
from audiocx.models import PredictorConfig, PredictorNetwork, TranscriberNetwork
from audiocx.models.speech_transform import log_power_db, stft
from audiocx.speech.metrics import SpectralError
from audiocx.train import runs
from audiocx.train.experiments import Experiment, PredictorExperiment
from audiocx.train.predictor import PredictorTask, phase_error
from audiocx.train.runs import load_network, open_trained, read_experiment

MODEL = PREDICTOR_EXPERIMENT.model


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return write_speech_stores(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def whole_run(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run from beginning to end, and the spectra that it saw."""
    folder, seen = tmp_path_factory.mktemp("runs") / "whole", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PredictorTask, "on_train_batch_end", lambda _, __, batch, index: seen.append(batch[0]))
        best = train_predictor(stores, folder)
    return SimpleNamespace(folder=folder, best=best, seen=seen)


def test_the_files_of_a_run(whole_run: SimpleNamespace) -> None:
    folder = whole_run.folder
    assert whole_run.best == folder / "best.ckpt"
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt", "experiment.json", "log"}
    record = json.loads((folder / "experiment.json").read_text())
    assert record["kind"] == "predictor"
    assert read_experiment(folder) == read_experiment(folder, PredictorExperiment) == PREDICTOR_EXPERIMENT
    assert checkpoint(folder / "last.ckpt")["global_step"] == PREDICTOR_TRAINING.steps == 3 * EPOCH_STEPS
    assert runs.seen(folder / "last.ckpt", PREDICTOR_EXPERIMENT) == 3 * EPOCH_STEPS * 4 * 16
    assert len(logged(folder, "val/mse")) == 3


def test_the_validation_score_improves(whole_run: SimpleNamespace) -> None:
    errors = logged(whole_run.folder, "val/mse")
    assert errors[0] > errors[1] > errors[2]


def test_every_step_draws_its_own_segments(whole_run: SimpleNamespace, stores: Stores) -> None:
    sampler = SegmentSampler([stores[0]], 16, 4, PREDICTOR_TRAINING.seed)
    assert len(whole_run.seen) == PREDICTOR_TRAINING.steps
    assert all(torch.equal(spectra, sampler(step)[0]) for step, spectra in enumerate(whole_run.seen))


def test_the_loaded_network_has_the_best_score(whole_run: SimpleNamespace, stores: Stores) -> None:
    network, error = load_network(whole_run.best, MODEL), SpectralError()
    for number in range(len(stores[1].names)):  # one by one: no padding
        spectra = stft(torch.from_numpy(stores[1].samples(number)))
        with torch.inference_mode():
            predicted = network(spectra[None, :-1])[0][0]
        error.add(log_power_db(spectra[1:]).numpy(), log_power_db(predicted).numpy())
    assert error.mse == pytest.approx(min(logged(whole_run.folder, "val/mse")), rel=1e-5)


def task_of(model: PredictorConfig, **changes: Any) -> PredictorTask:
    torch.manual_seed(0)
    training = dataclasses.replace(PREDICTOR_TRAINING, **changes)
    return PredictorTask(PredictorExperiment(model, training))


def tones(batch: int = 3, frames: int = 14) -> tuple[Tensor, Tensor]:
    """Spectra of a steady tone each, a frame of it padded away in the last."""
    time = torch.arange(frames * 128) / 8000
    spectra = stft(torch.stack([0.5 * torch.sin(2 * torch.pi * 300 * (1 + row) * time) for row in range(batch)]))
    lengths = torch.full((batch,), spectra.shape[1] - 2)
    lengths[-1] -= 1
    return spectra[:, :-2], lengths


def test_phase_errors_of_a_quarter_and_half_a_turn() -> None:
    """In the mean over bins weighted by their magnitude; how loud the prediction is does not matter."""
    true = tones()[0][:, 3:9]
    for turn, expected in ((0.0, 0.0), (0.25, 1.0), (0.5, 2.0)):
        turned = 0.1 * true * torch.exp(torch.tensor(2j * torch.pi * turn))
        assert phase_error(turned, true).mean() == pytest.approx(expected, abs=1e-3)


def test_the_phase_error_has_a_gradient_where_magnitudes_are_large() -> None:
    model = PredictorConfig(hidden=4, front_end="increment", skip=True, ahead=3)
    task, batch, errors = task_of(model, phase_weight=50.0, learning_rate=1e-2), tones(), []
    optimizer = torch.optim.Adam(task.network.parameters(), 1e-2)
    for _ in range(40):
        _, phase = task.errors(*batch)
        errors.append(float(phase.detach()))
        optimizer.zero_grad()
        phase.backward()
        optimizer.step()
    assert errors[-1] < 0.5 * errors[0]


@pytest.mark.parametrize("ahead", [1, 3])
def test_padding_is_ignored_at_all_distances(ahead: int) -> None:
    spectra, lengths = tones()
    task = task_of(PredictorConfig(hidden=4, ahead=ahead), phase_weight=1.0)
    with torch.no_grad():
        alone = [task.errors(spectra[row : row + 1, :size], lengths[row : row + 1]) for row, size in enumerate(lengths)]
    # Mean over frames, of which the last utterance has fewer.
    counts = [sum(int(length) - 1 - step for step in range(ahead)) for length in lengths]
    level = sum(count * float(one[0]) for count, one in zip(counts, alone, strict=True)) / sum(counts)
    assert float(task.errors(spectra, lengths)[0].detach()) == pytest.approx(level, rel=1e-4)
    spectra[-1, lengths[-1] :] = torch.inf
    assert float(task.errors(spectra, lengths)[0].detach()) == pytest.approx(level, rel=1e-4)


@pytest.mark.parametrize(
    ("method", "calls"), [("training_step", 3), ("training_step", EPOCH_STEPS + 4), ("validation_step", 2)]
)
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    stores: Stores, whole_run: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, calls: int
) -> None:
    with killed_at(PredictorTask, method, calls, monkeypatch):
        train_predictor(stores, tmp_path / "run")
    torch.manual_seed(99)
    train_predictor(stores, tmp_path / "run")
    assert_same_training(tmp_path / "run", whole_run.folder)


def test_unitary_matrices_and_their_averages_stay_unitary_in_a_resumed_run(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Large steps: only then is the mean of two matrices far from unitary.
    train = with_predictor_training(unitary_rate=1.0, clip_norm=1.0, schedule="constant", ema_decay=0.95).train
    experiment = dataclasses.replace(PREDICTOR_EXPERIMENT, model=PredictorConfig("cgrnn", hidden=4), train=train)
    train_predictor(stores, tmp_path / "whole", experiment)
    with killed_at(PredictorTask, "training_step", EPOCH_STEPS + 4, monkeypatch):
        train_predictor(stores, tmp_path / "run", experiment)
    train_predictor(stores, tmp_path / "run", experiment)
    assert_same_training(tmp_path / "run", tmp_path / "whole")
    saved = checkpoint(tmp_path / "whole" / "last.ckpt")
    average, current = (
        torch.complex(*saved[part]["network.core.layers.0.cell.state.weight"])
        for part in ("state_dict", "current_model_state")
    )
    for weight in (average, current):
        torch.testing.assert_close(weight.mH @ weight, torch.eye(4, dtype=torch.complex64), rtol=0, atol=1e-5)
    assert float((average - current).abs().max()) > 0.03


def test_unitary_matrices_have_their_own_rate_under_the_same_schedule() -> None:
    changes = {"warmup_steps": 4, "unitary_rate": 1e-6, "weight_decay": 0.0}
    optimization = task_of(PredictorConfig("urnn", hidden=3), **changes).configure_optimizers()
    optimizer, schedule = optimization["optimizer"], optimization["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(PREDICTOR_TRAINING.steps):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    kernels, rest, unitary = zip(*seen, strict=True)
    assert kernels == rest and max(kernels) > 2 * kernels[0] > 8 * kernels[-1]
    assert unitary == pytest.approx([rate * 1e-6 / PREDICTOR_TRAINING.learning_rate for rate in kernels])


def test_another_experiment_is_refused_in_the_folder(stores: Stores, whole_run: SimpleNamespace) -> None:
    before = (whole_run.folder / "experiment.json").read_bytes()
    with pytest.raises(ConfigError, match="holds a run with other settings; name another folder"):
        train_predictor(stores, whole_run.folder, with_predictor_training(seed=1))
    assert (whole_run.folder / "experiment.json").read_bytes() == before


def test_starting_over_removes_the_old_run(stores: Stores, whole_run: SimpleNamespace, tmp_path: Path) -> None:
    for name in ("best.ckpt", "last.ckpt", "experiment.json"):
        (tmp_path / name).write_bytes((whole_run.folder / name).read_bytes())
    train_predictor(stores, tmp_path, with_predictor_training(seed=1, steps=EPOCH_STEPS), resume=False)
    assert checkpoint(tmp_path / "last.ckpt")["global_step"] == EPOCH_STEPS
    assert runs.seen(tmp_path / "last.ckpt", PREDICTOR_EXPERIMENT) == EPOCH_STEPS * 4 * 16


def test_the_best_epoch_has_the_lowest_error_and_early_stopping_applies(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([9.0, 5.0, 5.0, 7.0, 1.0])
    monkeypatch.setattr(PredictorTask, "validation_step", lambda *_: None)
    end = PredictorTask.on_validation_epoch_end

    def scored(task: PredictorTask) -> None:
        task.summed_error.update(2 * next(scores))
        task.summed_count.update(2)
        end(task)

    monkeypatch.setattr(PredictorTask, "on_validation_epoch_end", scored)
    train_predictor(stores, tmp_path, with_predictor_training(patience=2, steps=10, epoch_steps=1))
    assert logged(tmp_path, "val/mse") == [9.0, 5.0, 5.0, 7.0]
    assert checkpoint(tmp_path / "best.ckpt")["global_step"] == 2
    assert checkpoint(tmp_path / "last.ckpt")["global_step"] == 4


def test_training_on_whole_utterances_of_several_corpora(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(PredictorTask, "on_train_batch_end", lambda _, __, batch, index: seen.append(batch[1]))
    train_predictor((stores, stores[1]), tmp_path, with_predictor_training(segment_frames=0, steps=4, epoch_steps=2))
    sampler = UtteranceSampler(stores, 4)
    assert all(torch.equal(lengths, sampler(step)[1]) for step, lengths in enumerate(seen))
    assert runs.seen(tmp_path / "last.ckpt", PREDICTOR_EXPERIMENT) == sum(int(lengths.sum()) for lengths in seen)
    # Two rounds through all eight utterances of both.
    assert runs.seen(tmp_path / "last.ckpt", PREDICTOR_EXPERIMENT) == 2 * sum(
        int(n) // 128 + 3 for store in stores for n in store.lengths
    )


def noise(lengths: list[int], padding: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Spectra of those lengths, the same however many more there are; padded with values of a given size."""
    rows = [torch.randn(n, 129, 2, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in lengths]
    padded = torch.randn(len(rows), max(lengths), 129, 2, dtype=torch.float64) * padding
    for row, spectrum in zip(padded, rows, strict=True):
        row[: len(spectrum)] = spectrum
    return torch.view_as_complex(padded), torch.tensor(lengths)


PADDED = [
    MODEL,
    PredictorConfig("lstm", complex=False, hidden=5),
    PredictorConfig("urnn", hidden=5),
    PredictorConfig("cgrnn", hidden=4),
]


@pytest.mark.parametrize("model", PADDED, ids=lambda model: model.architecture)
def test_padding_changes_neither_loss_nor_gradient(model: PredictorConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    task = PredictorTask(dataclasses.replace(PREDICTOR_EXPERIMENT, model=model)).double()
    monkeypatch.setattr(task, "log", lambda *_, **__: None)

    def loss_and_gradient(*batch: torch.Tensor) -> tuple[torch.Tensor, list[Any]]:
        task.zero_grad()
        loss = task.training_step(batch, 0)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), [p.grad.clone() for p in task.parameters() if p.grad is not None]

    short, long = loss_and_gradient(*noise([4])), loss_and_gradient(*noise([11]))
    # The mean over all frames that are predicted: 3 of one, 10 of the other.
    loss = (3 * short[0] + 10 * long[0]) / 13
    gradient = [(3 * a + 10 * b) / 13 for a, b in zip(short[1], long[1], strict=True)]
    for padding in (0.0, 1e3):
        torch.testing.assert_close(loss_and_gradient(*noise([4, 11], padding)), (loss, gradient), rtol=1e-9, atol=1e-9)


def test_gradients_are_clipped(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []

    def record(task: PredictorTask, *_: Any) -> None:
        gradients = [p.grad for p in task.parameters() if p.grad is not None]
        norms.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))

    monkeypatch.setattr(PredictorTask, "on_train_batch_end", record)
    train_predictor(stores, tmp_path, with_predictor_training(clip_norm=0.01, steps=2, epoch_steps=2))
    assert norms == pytest.approx([0.01, 0.01], rel=1e-3)


def test_training_starts_from_the_weights_of_a_checkpoint(stores: Stores, tmp_path: Path) -> None:
    network = build(MODEL)
    folder = checkpoints.save_checkpoint(network, tmp_path / "begin")
    begun: list[dict[str, torch.Tensor]] = []

    def record(task: PredictorTask, *_: Any) -> None:
        begun.append({name: value.clone() for name, value in task.network.state_dict().items()})
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PredictorTask, "training_step", record)
        with pytest.raises(Killed):
            train_predictor(stores, tmp_path / "run", with_predictor_training(start=str(folder)))
    assert_same(begun[0], dict(network.state_dict()))
    other = dataclasses.replace(with_predictor_training(start=str(folder)), model=PredictorConfig(hidden=5))
    with pytest.raises(ConfigError, match="is another network, with hidden=4; configure the same"):
        train_predictor(stores, tmp_path / "other", other)


def test_starting_from_a_transcriber_is_refused(stores: Stores, tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is another network, with architecture='deep'"):
        train_predictor(stores, tmp_path, with_predictor_training(start=str(tiny_checkpoint)))


def test_a_run_and_a_checkpoint_open_as_their_kind(
    whole_run: SimpleNamespace, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    trained = open_trained(str(whole_run.folder), PredictorNetwork)
    assert (trained.name, trained.windows, trained.frames) == ("whole", None, 3 * EPOCH_STEPS * 4 * 16)
    assert not trained.network.training and trained.parameters == sum(p.numel() for p in trained.network.parameters())
    shipped = checkpoints.save_checkpoint(trained.network, tmp_path / "shipped", figures={"frames": 7})
    again = open_trained(str(shipped))
    assert (again.name, again.frames, again.parameters) == ("shipped", 7, trained.parameters)
    assert_same(dict(again.network.state_dict()), dict(trained.network.state_dict()))
    with pytest.raises(DataError, match='whole is of kind "predictor"; name one of kind "transcriber"'):
        open_trained(str(whole_run.folder), TranscriberNetwork)
    with pytest.raises(DataError, match='tiny is of kind "transcriber"; name one of kind "predictor"'):
        open_trained(str(tiny_checkpoint), PredictorNetwork)
    with pytest.raises(DataError, match='whole is of kind "predictor"; name one of kind "transcriber"'):
        read_experiment(whole_run.folder, Experiment)
