"""Compare runs on synthetic problems: python recipes/synthetic/table.py runs/memory-* runs/adding-* -o table.

Takes folders that train.py wrote. Writes table.md (steps to solve each problem) and learning_curves.png (all curves in
one picture, with the baselines), and prints the table. Runs that differ only in their seed share a row.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sequence_experiment import ProblemConfig, SequenceExperiment
from sequence_network import SequenceConfig, SequenceNetwork

from audiocx.cli.scripts import exit_on_errors
from audiocx.config import to_dict
from audiocx.io.atomic_write import atomic_write
from audiocx.plots.figure import INK, new_figure, save_figure
from audiocx.plots.learning_curves import Curve, draw_learning_curves, read_curves
from audiocx.train.runs import open_trained, read_experiment

LAYERS = {
    "cgrnn": "cgRNN",
    "urnn": "uRNN",
    "structured-urnn": "structured uRNN",
    "gru": "GRU",
    "lstm": "LSTM",
    "associative-lstm": "associative LSTM",
    "goru": "GORU",
    "kru": "KRU",
}
NOT_SOLVED = "–"


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ only in their seed.

    Attributes:
        label: Description of the network.
        experiment: The first run's.
        parameters: Number of trained parameters.
        curves: Validation loss of each run.
        drifts: Distance of each run's unitary matrices from unitarity; 0 if it has none.
    """

    label: str
    experiment: SequenceExperiment
    parameters: int
    curves: list[Curve]
    drifts: list[float]


def grouped(runs: Iterable[Path]) -> list[Group]:
    """Read runs and group those that differ only in their seed.

    Args:
        runs: Folders.

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
        groups[key][1].drifts.append(trained.network.drift())
    names = [(group.label, group.experiment.problem) for _, group in groups.values()]
    # Equal networks that were trained differently are told apart by the name of a run.
    labelled = [
        dataclasses.replace(group, label=f"{group.label} ({run.resolve().name})")
        if names.count((group.label, group.experiment.problem)) > 1
        else group
        for run, group in groups.values()
    ]
    return sorted(
        labelled, key=lambda group: (group.experiment.problem.name != "memory", group.experiment.problem.length)
    )


def _label(model: SequenceConfig) -> str:
    """Describe a network, with the settings that are not at their defaults."""
    plain = to_dict(SequenceConfig(model.layer, model.inputs, model.outputs, model.units))
    changes = [f"{key} {value}" for key, value in to_dict(model).items() if value not in (plain[key], None)]
    return ", ".join([f"{LAYERS[model.layer]} {model.units}", *changes])


def steps_to_solve(curve: Curve, experiment: SequenceExperiment) -> int | None:
    """Return the number of steps after which a run had solved its problem.

    Args:
        curve: Its validation loss.
        experiment: Problem, and the loss below which it counts as solved.

    Returns:
        The first validated step whose loss was low enough; None if there was none.
    """
    steps, losses = curve
    enough = losses < experiment.train.solved * experiment.problem.build().baseline
    return int(steps[enough][0]) if enough.any() else None


def table(groups: Sequence[Group]) -> str:
    """Tabulate the steps that each network needed for each problem.

    Args:
        groups: The runs, from :func:`grouped`.

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
    # The losses of a run that diverged are NaN.
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
    """Format mean and standard deviation of the steps, and the number of runs that solved the problem if not all."""
    steps_needed = [steps for curve in group.curves if (steps := steps_to_solve(curve, group.experiment)) is not None]
    if not steps_needed:
        return NOT_SOLVED
    spread = f" ± {np.std(steps_needed, ddof=1):,.0f}" if len(steps_needed) > 1 else ""
    solved, runs = len(steps_needed), len(group.curves)
    return f"{np.mean(steps_needed):,.0f}{spread}" + ("" if solved == runs else f" ({solved} of {runs} runs)")


def _or(words: Iterable[str]) -> str:
    return " or ".join(words)


def picture(groups: Sequence[Group]) -> Figure:
    """Draw the learning curves, a panel for each problem and length, with the baselines as dashed lines.

    Args:
        groups: The runs, from :func:`grouped`.

    Returns:
        The figure; a network has the same colour in every panel.
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
            built = problem.build()
            axes = figure.add_subplot(len(names), len(lengths), row * len(lengths) + column + 1)
            curves = {label: of_label.get(label, []) for label in labels}
            draw_learning_curves(axes, curves, baseline=built.baseline, number_format=".2g")
            # A run that diverges would leave the others no room.
            axes.set_ylim(top=min(axes.get_ylim()[1], 10 * built.baseline))
            # Many curves fill their panel: the legend stands below it.
            axes.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2, edgecolor="none", fontsize=8)
            axes.set_title(f"{name} problem, T = {length}", loc="left", color=INK)
            # Some solve it in hundreds of steps, others not in tens of thousands.
            axes.set(xscale="log", xlabel="steps", ylabel=built.measure)
            axes.xaxis.set_major_formatter(lambda steps, _: f"{steps:,.0f}")
    return figure


def main() -> None:
    """Write table and picture, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders that train.py wrote")
    parser.add_argument("-o", "--output", type=Path, default=Path("table"), help="folder of table and picture")
    arguments = parser.parse_args()
    groups = grouped(arguments.runs)
    text = table(groups)
    with suppress(OSError):  # atomic_write reports the reason
        arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_write(arguments.output / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)
    save_figure(picture(groups), arguments.output / "learning_curves.png")


if __name__ == "__main__":
    with exit_on_errors("table"):
        main()
