"""The recipe of the synthetic problems: its configurations, and its commands end to end."""

from __future__ import annotations

import itertools
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from recipe_runs import RECIPES, refusal, run_script
from sequence_experiment import ProblemConfig, SequenceExperiment
from sequence_network import SequenceConfig, SequenceNetwork
from table import Group, picture, table

from audiocx.plots import figure
from audiocx.train.experiments import read_experiment_toml

CONF = RECIPES / "synthetic" / "conf"
# The sizes that the README states.
WEIGHTS = {
    "memory": {
        "cgrnn": 45_211,
        "urnn": 44_669,
        "structured-urnn": 39_753,
        "gru": 42_681,
        "lstm": 43_174,
        "associative-lstm": 40_005,
        "goru": 38_601,
        "kru": 40_025,
    },
    "adding": {
        "cgrnn": 40_083,
        "urnn": 40_181,
        "structured-urnn": 12_097,
        "gru": 39_089,
        "lstm": 39_286,
        "associative-lstm": 36_125,
        "goru": 34_497,
        "kru": 7_249,
    },
}
TINY = {"problem.length": 5, "model.hidden": 3, "train.steps": 4, "train.epoch_steps": 2, "train.batch_size": 4}


@pytest.fixture(scope="module", autouse=True)
def small_pictures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure, "DOTS_PER_INCH", 20)
        yield


def read(path: Path) -> SequenceExperiment:
    experiment = read_experiment_toml(path)
    assert isinstance(experiment, SequenceExperiment)
    return experiment


def size_of(config: SequenceConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in SequenceNetwork(config).parameters())


def test_every_network_on_every_problem_over_every_length() -> None:
    seen = set()
    for path in CONF.glob("*.toml"):
        experiment = read(path)
        problem, layer = experiment.problem, experiment.model.layer
        assert size_of(experiment.model) == WEIGHTS[problem.name][layer]
        assert path.stem == f"{problem.name}-{layer}" + ("" if problem.length == 250 else f"-{problem.length}")
        assert experiment.train.batch_size == {"memory": 128, "adding": 50}[problem.name]
        assert (experiment.train.optimizer, experiment.train.learning_rate) == ("rmsprop", 1e-3)
        seen.add((problem.name, layer, problem.length))
    assert seen == {*itertools.product(WEIGHTS, WEIGHTS["memory"], (100, 250, 500))}


def test_grid_configs_differ_from_the_gated_network_as_named() -> None:
    seen = set()
    for path in (CONF / "grid").glob("*.toml"):
        experiment = read(path)
        base = read(CONF / f"{experiment.problem.name}-cgrnn.toml")
        assert (experiment.problem, experiment.train) == (base.problem, base.train)
        model = experiment.model
        assert size_of(model) == size_of(base.model)
        words = [model.activation, "unitary" if model.unitary else "free"]
        name = "-".join(["unitary-gates"] if model.unitary_gates else words)
        assert path.stem == f"{experiment.problem.name}-{name}"
        seen.add((experiment.problem.name, *words, model.unitary_gates))
    grid = {*itertools.product(WEIGHTS, ("modrelu", "hirose"), ("unitary", "free"), (False,))}
    plain = {(problem, "modrelu", "unitary", False) for problem in WEIGHTS}
    assert seen == grid - plain | {(problem, "modrelu", "unitary", True) for problem in WEIGHTS}


def test_from_configuration_to_table(tmp_path: Path) -> None:
    runs = []
    for name, seed in (("memory-gru", 0), ("adding-cgrnn", 0), ("adding-cgrnn", 1), ("grid/adding-hirose-free", 0)):
        run = tmp_path / f"{Path(name).name}-{seed}"
        sets = [word for key, value in {**TINY, "train.seed": seed}.items() for word in ("--set", f"{key}={value}")]
        quick = ("--quiet", "--accelerator", "cpu", "--devices", "1")
        printed = run_script("synthetic/train", CONF / f"{name}.toml", "-o", run, *sets, *quick)
        assert printed.strip() == f"best: {run / 'best.ckpt'}"
        runs.append(run)
    printed = run_script("synthetic/table", *reversed(runs), "-o", tmp_path / "table")
    assert printed.strip() == (tmp_path / "table" / "table.md").read_text(encoding="utf-8").strip()
    _, _, memory, free, gated = (line.split(" | ") for line in printed.splitlines() if line.startswith("|"))
    weights = f"{size_of(SequenceConfig('cgrnn', 2, 1, hidden=3)):,}"
    assert memory[:3] == ["| memory", "5", "GRU 3"] and memory[5] == "–" and memory[-2:] == ["4", " |"]
    assert gated[:6] == ["| adding", "5", "cgRNN 3, gate_bias 6.0", weights, "2", "–"]
    assert 0 < float(gated[-1].rstrip(" |")) < 1e-5 and free[-1] == " |"
    assert free[2:5] == ["cgRNN 3, activation hirose, unitary False, gate_bias 6.0", weights, "1"]
    assert (tmp_path / "table" / "learning_curves.png").read_bytes().startswith(b"\x89PNG")
    assert "holds no run" in refusal("synthetic/table", tmp_path, "-o", tmp_path / "table")
    other = RECIPES / "librispeech" / "conf" / "lstm.toml"
    assert 'is of kind "predictor"; name one of kind "sequence"' in refusal("synthetic/train", other)


def group(name: str, label: str, *curves: list[float]) -> Group:
    experiment = read(CONF / f"{name}.toml")
    drifts = [1e-6 * (index + 1) * (experiment.model.layer != "gru") for index in range(len(curves))]
    return Group(label, experiment, 1234, [(np.arange(1, len(c) + 1) * 100, np.array(c)) for c in curves], drifts)


def test_steps_to_solve_are_counted_to_the_first_validation_below_a_tenth_of_the_baseline() -> None:
    some = group("adding-cgrnn", "a", [0.2, 0.016, 0.03], [0.2, 0.017, 0.0166, 0.001], [0.2] * 5)
    rows = table(
        [some, group("adding-gru", "b", [0.2, 0.01]), group("adding-urnn", "c", [0.3, float("nan")])]
    ).splitlines()[2:5]
    assert rows[0] == "| adding | 250 | a | 1,234 | 3 | 250 ± 71 (2 of 3 runs) | 0.001 | 0.006 | 500 | 3.0e-06 |"
    assert rows[1] == "| adding | 250 | b | 1,234 | 1 | 200 | 0.01 | 0.060 | 200 |  |"
    assert rows[2] == "| adding | 250 | c | 1,234 | 1 | – | 0.3 | 1.800 | 200 | 1.0e-06 |"


def test_the_figure_has_a_panel_for_each_problem_with_its_baseline() -> None:
    figure = picture(
        [group("memory-gru", "b", [0.07]), group("adding-cgrnn-100", "a", [0.2]), group("adding-gru", "b", [1.0])]
    )
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["memory problem, T = 250", "adding problem, T = 100", "adding problem, T = 250"]

    def colour(axes: Axes) -> str:
        return next(str(line.get_color()) for line in axes.lines if line.get_linestyle() == "-")

    memory, short, long = figure.axes
    assert colour(memory) == colour(long) != colour(short)
    for axes, baseline in ((memory, ProblemConfig("memory", 250).build().baseline), (short, 1 / 6), (long, 1 / 6)):
        (dashed,) = (line for line in axes.lines if line.get_linestyle() == "--")
        assert list(dashed.get_ydata()) == [baseline, baseline]
    figure.canvas.draw()


def test_the_benchmark_counts_steps_a_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["sequence_step.py", "--length", "2", "--batch", "2", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(RECIPES.parent / "benchmarks" / words[0]), run_name="__main__")
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:3] for row in rows] == [
        ["| torch.nn.GRU", "112", "42,681"],
        ["| uRNN", "140", "44,669"],
        ["| cgRNN", "80", "45,211"],
    ]
    assert rows[0][4] == "1.00 |" and all(float(row[3]) > 0 for row in rows)
