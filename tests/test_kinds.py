"""A kind of network is one row of the table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import toy_kind
from toy_kind import TOY, ToyConfig, ToyExperiment, ToyNetwork

import audiocx
from audiocx import checkpoints, kinds
from audiocx.errors import CheckpointError, ConfigError
from audiocx.train.experiments import read_experiment_toml
from audiocx.train.loop import fit
from audiocx.train.runs import open_trained
from audiocx.train.settings import StepTraining


@pytest.fixture
def registered() -> Iterator[None]:
    kinds.register(TOY)
    yield
    del kinds.KINDS["toy"]


@pytest.mark.usefixtures("registered")
def test_a_kind_of_one_row_is_trained_saved_loaded_and_run(tmp_path: Path) -> None:
    path = tmp_path / "toy.toml"
    path.write_text('kind = "toy"\n[train]\nsteps = 40\nepoch_steps = 20\nbatch_size = 4\nlearning_rate = 0.05\n')
    experiment = read_experiment_toml(path)
    assert experiment == ToyExperiment(StepTraining(40, 20, 4, learning_rate=0.05))
    fit(experiment, (), (), tmp_path / "run", accelerator="cpu", devices=1, progress=False)
    trained = open_trained(str(tmp_path / "run"))
    assert isinstance(trained.network, ToyNetwork) and trained.parameters == 1 and trained.frames is None
    folder = checkpoints.save_checkpoint(trained.network, tmp_path / "toy", description="a constant")
    loaded = audiocx.load(folder, "cpu")
    assert isinstance(loaded, toy_kind.ToyRunner)
    assert loaded.level("any") == trained.network.level.item() > 0.5
    assert loaded.checkpoint.kind is TOY and not {"decode", "hop_samples"} & set(loaded.checkpoint.card)


@pytest.mark.usefixtures("registered")
def test_a_kind_that_neither_transcribes_nor_predicts_is_refused_where_that_is_needed(tmp_path: Path) -> None:
    folder = checkpoints.save_checkpoint(kinds.build(ToyConfig()), tmp_path / "toy")
    with pytest.raises(CheckpointError, match="toy is trained only and cannot transcribe; choose a transcriber"):
        audiocx.load_transcriber(folder)


def test_unknown_kinds_are_refused() -> None:
    for name in ("nothing", ["notes"], None):
        with pytest.raises(ConfigError, match="here: kind is one of 'transcriber', 'predictor', 'notes'.*, not "):
            kinds.find(name, "here")


@pytest.mark.parametrize("name", ["transcriber", "predictor", "notes"])
def test_every_field_of_a_row_names_something_that_exists(name: str) -> None:
    row = kinds.KINDS[name]
    for field in ("config", "network", "experiment", "task", "data", "runner", "decode", "tuning", "card", "onnx"):
        assert (row.load(field) is None) == (getattr(row, field) is None)
    assert row.load("config").kind == row.load("network").kind == name
