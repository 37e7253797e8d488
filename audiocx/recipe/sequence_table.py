"""The command that lays networks trained on synthetic problems side by side: steps to solve, learning curves."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..config import to_dict
from ..io.atomic_write import atomic_write
from ..models import SequenceConfig, SequenceNetwork
from ..optim import unitary_drift
from ..plots.figure import INK, new_figure, save_figure
from ..plots.learning_curves import Curve, draw_learning_curves, read_curves
from ..train.experiments import ProblemConfig, SequenceExperiment
from ..train.runs import open_trained, read_experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Group", "grouped", "picture", "steps_to_solve", "table", "tabulate"]

LAYERS = {"cgrnn": "cgRNN", "urnn": "uRNN", "gru": "GRU"}
NOT_SOLVED = "–"


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in nothing but their seed.

    Attributes:
        label: What the network is.
        experiment: That of the first.
        parameters: Numbers that were trained.
        curves: How the validation loss of each run fell.
        drifts: How far from unitary the matrices of each run are that are to stay so; 0 where there are none.
    """

    label: str
    experiment: SequenceExperiment
    parameters: int
    curves: list[Curve]
    drifts: list[float]


def tabulate(description: str) -> None:
    """Tabulates as the command line says.

    Args:
        description: What ``--help`` says first.

    Raises:
        AudiocxError: The runs cannot be read, or the table cannot be written.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders that train.py wrote")
    parser.add_argument("-o", "--output", type=Path, default=Path("table"), help="folder of table and picture")
    arguments = parser.parse_args()
    groups = grouped(arguments.runs)
    text = table(groups)
    with suppress(OSError):  # what is written there says why not
        arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_write(arguments.output / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)
    save_figure(picture(groups), arguments.output / "learning_curves.png")


def grouped(runs: Iterable[Path]) -> list[Group]:
    """Reads runs and puts together what differs in nothing but its seed.

    Args:
        runs: Their folders.

    Returns:
        The groups: the memory problem's before the adding problem's, short sequences before long ones.

    Raises:
        DataError: A folder holds no such run, or it is damaged.
    """
    groups: dict[SequenceExperiment, tuple[Path, Group]] = {}
    for run in runs:
        experiment = read_experiment(run, SequenceExperiment)
        curve, _ = read_curves(run, "loss")
        key = dataclasses.replace(experiment, train=dataclasses.replace(experiment.train, seed=0))
        trained = open_trained(str(run), SequenceNetwork)
        if key not in groups:
            groups[key] = run, Group(_label(experiment.model), experiment, trained.parameters, [], [])
        groups[key][1].curves.append(curve)
        groups[key][1].drifts.append(unitary_drift(trained.network))
    names = [(group.label, group.experiment.problem) for _, group in groups.values()]
    # Networks alike that were trained in different ways go by the name of a run as well.
    told = [
        dataclasses.replace(group, label=f"{group.label} ({run.resolve().name})")
        if names.count((group.label, group.experiment.problem)) > 1
        else group
        for run, group in groups.values()
    ]
    return sorted(told, key=lambda group: (group.experiment.problem.name != "memory", group.experiment.problem.length))


def _label(model: SequenceConfig) -> str:
    """What a network is, with all that is not at its default."""
    plain = to_dict(SequenceConfig(model.layer, model.inputs, model.outputs, model.units))
    changes = [f"{key} {value}" for key, value in to_dict(model).items() if value not in (plain[key], None)]
    return ", ".join([f"{LAYERS[model.layer]} {model.units}", *changes])


def steps_to_solve(curve: Curve, experiment: SequenceExperiment) -> int | None:
    """Tells after how many steps a run had solved its problem.

    Args:
        curve: How its validation loss fell.
        experiment: Gives the problem, and when it counts as solved.

    Returns:
        The first validated step whose loss was low enough; None when there was none.
    """
    steps, losses = curve
    enough = losses < experiment.train.solved * experiment.problem.build().baseline
    return int(steps[enough][0]) if enough.any() else None


def table(groups: Sequence[Group]) -> str:
    """Sets out how soon which network solved what.

    Args:
        groups: What :func:`grouped` gave.

    Returns:
        Markdown that also reads as text.
    """
    lines = [
        "| problem | T | network | weights | runs | steps to solve | lowest loss | of the baseline | steps trained "
        "| drift |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
        *map(_row, groups),
        "",
        "Losses are of the validation set. Solved: below "
        + _or(f"{part:g}" for part in {group.experiment.train.solved: None for group in groups})
        + f" of the baseline's loss; {NOT_SOLVED}: not within the steps trained. Of several runs: mean ± standard "
        "deviation, the lowest loss, the most steps and the largest drift. Drift: how far the matrices that are to "
        "stay unitary are from it, ||W^H W - I||, at the lowest loss.",
    ]
    return "\n".join(lines) + "\n"


def _row(group: Group) -> str:
    problem = group.experiment.problem
    # A run that diverged has losses that are no numbers.
    lowest = min(float(np.nanmin(losses)) for _, losses in group.curves)
    cells = [
        problem.name,
        str(problem.length),
        group.label,
        f"{group.parameters:,}",
        str(len(group.curves)),
        _solved(group),
        f"{lowest:.3g}",
        f"{lowest / problem.build().baseline:.3f}",
        f"{max(int(steps[-1]) for steps, _ in group.curves):,}",
        f"{drift:.1e}" if (drift := max(group.drifts)) else "",
    ]
    return f"| {' | '.join(cells)} |"


def _solved(group: Group) -> str:
    """Mean of the steps, their standard deviation where there are several, and how many runs got there if not all."""
    found = [steps for curve in group.curves if (steps := steps_to_solve(curve, group.experiment)) is not None]
    if not found:
        return NOT_SOLVED
    spread = f" ± {np.std(found, ddof=1):,.0f}" if len(found) > 1 else ""
    all_of_them = len(found) == len(group.curves)
    return f"{np.mean(found):,.0f}{spread}" + ("" if all_of_them else f" ({len(found)} of {len(group.curves)} runs)")


def _or(words: Iterable[str]) -> str:
    return " or ".join(words)


def picture(groups: Sequence[Group]) -> Figure:
    """Draws the learning curves, a field for each problem and length, with the baselines as broken lines.

    Args:
        groups: What :func:`grouped` gave.

    Returns:
        The figure; a network has the same colour in every field.
    """
    problems = list(dict.fromkeys(group.experiment.problem for group in groups))
    names = list(dict.fromkeys(problem.name for problem in problems))
    lengths = sorted({problem.length for problem in problems})
    labels = dict.fromkeys(group.label for group in groups)
    figure = new_figure(6.4 * len(lengths), 5.2 * len(names))
    for row, name in enumerate(names):
        for column, length in enumerate(lengths):
            problem = ProblemConfig(name, length)
            if problem not in problems:
                continue
            of_label = {group.label: group.curves for group in groups if group.experiment.problem == problem}
            set_problem = problem.build()
            axes = figure.add_subplot(len(names), len(lengths), row * len(lengths) + column + 1)
            curves = {label: of_label.get(label, []) for label in labels}
            draw_learning_curves(axes, curves, baseline=set_problem.baseline, number_format=".2g")
            # A run that diverges would leave the others no room.
            axes.set_ylim(top=min(axes.get_ylim()[1], 10 * set_problem.baseline))
            # Many curves fill their field: what they are stands below it.
            axes.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2, edgecolor="none", fontsize=8)
            axes.set_title(f"{name} problem, T = {length}", loc="left", color=INK)
            # Some solve it in hundreds of steps, others not in tens of thousands.
            axes.set(xscale="log", xlabel="steps", ylabel=set_problem.measure)
            axes.xaxis.set_major_formatter(lambda steps, _: f"{steps:,.0f}")
    return figure
