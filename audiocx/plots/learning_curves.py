"""Learning curves: the error of a run step by step, read from its log and drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .figure import FAINT, INK, LINE_COLOURS, draw_legend, new_figure, plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Curve", "draw_learning_curves", "plot_learning_curves", "read_curves"]

# Training steps [N], and the error after each [N].
Curve = tuple[np.ndarray, np.ndarray]

LINE_STYLES = ("-", "-.", ":")  # where there are more lines than colours
LEGEND_CHARACTERS = 40  # per line; longer ones would leave the curves no room


def read_curves(run: str | Path, score: str = "mse") -> tuple[Curve, Curve]:
    """Read the learning curves of a run from its log.

    Args:
        run: Folder of the run.
        score: Name in the log: "mse" of predictors, "loss" of transcribers and networks for synthetic problems, "ap".

    Returns:
        The validation curve; and the training curve, for each validation the mean over the batches logged since the
        last.

    Raises:
        DataError: The folder holds no log with this score.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = Path(run) / "log"
    events = EventAccumulator(str(log))
    if log.is_dir():
        events.Reload()
    validation_tag, training_tag = f"val/{score}", f"train/{score}"
    scalars = events.Tags()["scalars"]
    if validation_tag not in scalars:
        raise DataError(f"{run}: holds no training log with {validation_tag}; name the folder that training wrote.")
    # A run that was interrupted and resumed has logged some steps twice: the later value counts.
    logged = {
        tag: {event.step: event.value for event in sorted(events.Scalars(tag), key=lambda event: event.wall_time)}
        for tag in (validation_tag, training_tag)
        if tag in scalars
    }
    validation = _curve(logged[validation_tag])
    return validation, _interval_means(_curve(logged.get(training_tag, {})), validation[0])


def _curve(values: dict[int, float]) -> Curve:
    steps = sorted(values)
    return np.array(steps, np.int64), np.array([values[step] for step in steps], np.float64)


def _interval_means(curve: Curve, steps: np.ndarray) -> Curve:
    """Average a curve over the intervals that end at the given steps; empty intervals are left out."""
    interval = np.searchsorted(steps, curve[0])
    filled = [index for index in range(len(steps)) if (interval == index).any()]
    return steps[filled], np.array([curve[1][interval == index].mean() for index in filled])


def plot_learning_curves(
    validation: Mapping[str, Sequence[Curve]], training: Mapping[str, Sequence[Curve]] | None = None
) -> Figure:
    """Draw learning curves: one colour for each network, one line for each of its runs.

    Args:
        validation: For each label, the validation curves of its runs.
        training: The training curves likewise, where known; drawn as pale dashed lines.

    Returns:
        The figure.

    Source: Figure 4 of C. Trabelsi et al., "Deep complex networks", ICLR 2018.
    """
    figure = new_figure(7.2, 4.8)
    from matplotlib.ticker import FuncFormatter

    axes = figure.add_subplot()
    draw_learning_curves(axes, validation, training)
    axes.set(xlabel="steps", ylabel="mean squared error (dB²)")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return figure


def draw_learning_curves(
    axes: Axes,
    validation: Mapping[str, Sequence[Curve]],
    training: Mapping[str, Sequence[Curve]] | None = None,
    baseline: float | None = None,
    number_format: str = ".2f",
) -> None:
    """Draw learning curves into axes; see :func:`plot_learning_curves`.

    Args:
        axes: The axes.
        validation: For each label, the validation curves of its runs; a label without runs still uses up a colour.
        training: The training curves likewise.
        baseline: An error to compare with, drawn as a dashed horizontal line.
        number_format: Format of the lowest error in the legend, as of :func:`format`.
    """
    for index, (label, curves) in enumerate(validation.items()):
        colour = LINE_COLOURS[index % len(LINE_COLOURS)]
        style = LINE_STYLES[index // len(LINE_COLOURS) % len(LINE_STYLES)]
        for steps, errors in (training or {}).get(label, ()):
            axes.plot(steps, errors, color=colour, linewidth=0.8, linestyle="--", alpha=0.5)
        for number, (steps, errors) in enumerate(curves):
            lowest = min(float(np.nanmin(values)) for _, values in curves if len(values))
            # A network whose settings differ from the paper's has them in its name, which can be long.
            text = textwrap.fill(f"{plain_text(label)}  (lowest {lowest:{number_format}})", LEGEND_CHARACTERS)
            axes.plot(steps, errors, color=colour, linewidth=1.8, linestyle=style, label=text if number == 0 else "_")
    if training and any(training.values()):
        axes.plot([], [], color=INK, linewidth=0.8, linestyle="--", alpha=0.5, label="while training")
    if baseline is not None:
        axes.axhline(
            baseline, color=INK, linewidth=1.2, linestyle="--", label=f"baseline  ({baseline:{number_format}})"
        )
    axes.set_yscale("log")
    axes.grid(color=FAINT, linewidth=0.6, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    if validation:
        draw_legend(axes, loc="upper right", framealpha=0.85, edgecolor="none")  # curves may pass behind it
