"""Pictures of spectra predicted: the levels beside the true ones, gaps concealed, and how the error fell."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .piano_roll import FAINT, INK, LINE_COLOURS, colour_bar, column_starts, new_figure, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Curve", "draw_learning_curves", "plot_concealment", "plot_learning_curves", "plot_spectrograms"]

# Steps trained [N], and the error after each [N].
Curve = tuple[np.ndarray, np.ndarray]

# No screen shows more; an hour of speech has 225 000.
MOST_COLUMNS = 4000
LEVEL_COLOURS, DIFFERENCE_COLOURS = "magma", "RdBu_r"
# What lies further below the loudest is drawn as silence.
SHOWN_RANGE_DB = 80.0
# Of the differences, this part is within the colour scale.
SHOWN_PER_CENT = 99.0
LINE_STYLES = ("-", "-.", ":")  # where there are more lines than colours
LEGEND_CHARACTERS = 40  # a line; longer ones would leave the curves no room
INCHES_PER_SECOND = 1.2
INCHES_PER_ROW = 2.5
WIDTH_RANGE_INCHES = (8.0, 20.0)


def plot_spectrograms(
    true_db: np.ndarray,
    predicted_db: np.ndarray,
    hop_s: float,
    highest_hz: float,
    start_s: float = 0.0,
    title: str = "",
) -> Figure:
    """Draws true levels above predicted ones above their difference.

    Args:
        true_db: Float [T, F].
        predicted_db: What was predicted of these very frames, [T, F].
        hop_s: Distance of the frames, in seconds.
        highest_hz: Frequency of the last bin; the first is at 0 Hz.
        start_s: Time of the first frame, in seconds.
        title: What to write above.

    Returns:
        The figure; where there are more than 4000 frames, a column is the mean of several.

    Raises:
        ValueError: There are no frames, or the shapes differ.
    """
    true, predicted = _alike(true_db, predicted_db)
    difference = predicted - true
    most_db = max(1.0, float(np.percentile(np.abs(difference), SHOWN_PER_CENT)))
    levels, apart = _level_colours(true), {"cmap": DIFFERENCE_COLOURS, "vmin": -most_db, "vmax": most_db}
    drawn = (("true", true, levels), ("predicted", predicted, levels), ("predicted - true", difference, apart))
    figure, rows = _stacked(drawn, hop_s * len(true_db) / len(true), highest_hz, start_s - hop_s / 2, title)
    # At a fixed distance, however wide the picture.
    colour_bar(figure, rows[0].images[0], rows[:2], "level (dB)", pad=0.01, fraction=0.04, aspect=40)
    colour_bar(figure, rows[2].images[0], rows[2:], "difference (dB)", pad=0.01, fraction=0.04, aspect=20)
    return figure


def plot_concealment(
    lost_db: np.ndarray,
    concealed_db: np.ndarray,
    hop_s: float,
    highest_hz: float,
    gaps: Sequence[tuple[float, float]],
    start_s: float = 0.0,
    title: str = "",
) -> Figure:
    """Draws the levels of a recording with gaps above those of the concealed one, a bar over every gap.

    Args:
        lost_db: Float [T, F].
        concealed_db: Of these very frames, [T, F].
        hop_s: Distance of the frames, in seconds.
        highest_hz: Frequency of the last bin; the first is at 0 Hz.
        gaps: Start and end of each, in seconds.
        start_s: Time of the first frame, in seconds.
        title: What to write above.

    Returns:
        The figure; where there are more than 4000 frames, a column is the mean of several.

    Raises:
        ValueError: There are no frames, or the shapes differ.
    """
    lost, concealed = _alike(lost_db, concealed_db)
    colours = _level_colours(concealed)
    drawn = (("with gaps", lost, colours), ("concealed", concealed, colours))
    figure, rows = _stacked(drawn, hop_s * len(lost_db) / len(lost), highest_hz, start_s - hop_s / 2, title)
    for axes in rows:
        for first_s, last_s in gaps:
            # Above the picture, to hide nothing of it; the line is seen where the gap would be too narrow.
            axes.axvspan(first_s, last_s, 1.01, 1.03, color=LINE_COLOURS[1], linewidth=0.5, clip_on=False)
    colour_bar(figure, rows[0].images[0], rows, "level (dB)", pad=0.01, fraction=0.04, aspect=40)
    return figure


def _alike(first_db: np.ndarray, second_db: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both, thinned, having seen that they are of the same frames."""
    if first_db.shape != second_db.shape or first_db.ndim != 2 or not first_db.size:
        raise ValueError(f"levels must be [T, F], twice, not {first_db.shape} and {second_db.shape}.")
    return _thinned(first_db), _thinned(second_db)


def _level_colours(levels_db: np.ndarray) -> dict[str, Any]:
    loudest_db = float(levels_db.max())
    return {"cmap": LEVEL_COLOURS, "vmin": max(float(levels_db.min()), loudest_db - SHOWN_RANGE_DB), "vmax": loudest_db}


def _stacked(
    drawn: Sequence[tuple[str, np.ndarray, dict[str, Any]]],
    column_s: float,
    highest_hz: float,
    start_s: float,
    title: str,
) -> tuple[Figure, list[Axes]]:
    """Draws matrices [T, F] of the same frames one above the other: name, matrix and colours of each."""
    _, first, _ = drawn[0]
    edges_s = start_s, start_s + len(first) * column_s
    bin_khz = highest_hz / 1000 / max(1, first.shape[1] - 1)
    extent = (*edges_s, -bin_khz / 2, highest_hz / 1000 + bin_khz / 2)
    width = float(np.clip(2.0 + INCHES_PER_SECOND * (edges_s[1] - edges_s[0]), *WIDTH_RANGE_INCHES))
    figure = new_figure(width, INCHES_PER_ROW * len(drawn))
    rows = list(figure.subplots(len(drawn), 1, sharex=True, sharey=True))
    for axes, (name, matrix, colours) in zip(rows, drawn, strict=True):
        axes.imshow(matrix.T, origin="lower", aspect="auto", interpolation="nearest", extent=extent, **colours)
        axes.set_title(name, loc="left", color=INK)
        axes.set_ylabel("frequency (kHz)")
        axes.tick_params(length=3, color=FAINT)
        axes.spines[:].set_visible(False)
    time_axis(rows[-1], *edges_s)
    if title:
        figure.suptitle(title, color=INK)
    return figure, rows


def _thinned(levels_db: np.ndarray) -> np.ndarray:
    """At most so many rows as are drawn, each the mean of its share."""
    starts = column_starts(len(levels_db), MOST_COLUMNS)
    counts = np.diff(starts, append=len(levels_db))
    return np.add.reduceat(levels_db, starts, axis=0) / counts[:, None]


def plot_learning_curves(
    validation: Mapping[str, Sequence[Curve]], training: Mapping[str, Sequence[Curve]] | None = None
) -> Figure:
    """Draws how the error fell, a colour for each network, a line for each of its runs.

    Args:
        validation: The curves of each network's runs.
        training: Those on what was trained on, for networks of which they are known: paler, broken lines.

    Returns:
        The figure.

    Source: Figure 4 of C. Trabelsi et al., "Deep complex networks", ICLR 2018, draws complex against real so.
    """
    from matplotlib.ticker import FuncFormatter

    figure = new_figure(7.2, 4.8)
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
    figures: str = ".2f",
) -> None:
    """Draws into a field how errors fell; see :func:`plot_learning_curves`.

    Args:
        axes: Where.
        validation: The curves of each network's runs; one without runs still keeps its colour.
        training: Those on what was trained on.
        baseline: An error to compare with: a broken line across.
        figures: How the lowest error is written, as of :func:`format`.
    """
    for index, (label, curves) in enumerate(validation.items()):
        colour = LINE_COLOURS[index % len(LINE_COLOURS)]
        style = LINE_STYLES[index // len(LINE_COLOURS) % len(LINE_STYLES)]
        for steps, mse in (training or {}).get(label, ()):
            axes.plot(steps, mse, color=colour, linewidth=0.8, linestyle="--", alpha=0.5)
        for number, (steps, mse) in enumerate(curves):
            lowest = min(float(np.nanmin(own)) for _, own in curves if len(own))
            # A network that differs from the paper's has its settings for a name.
            text = textwrap.fill(f"{label}  (lowest {lowest:{figures}})", LEGEND_CHARACTERS)
            axes.plot(steps, mse, color=colour, linewidth=1.8, linestyle=style, label=text if number == 0 else "_")
    if training and any(training.values()):
        axes.plot([], [], color=INK, linewidth=0.8, linestyle="--", alpha=0.5, label="while training")
    if baseline is not None:
        axes.axhline(baseline, color=INK, linewidth=1.2, linestyle="--", label=f"baseline  ({baseline:{figures}})")
    axes.set_yscale("log")
    axes.grid(color=FAINT, linewidth=0.6, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    if validation:
        axes.legend(loc="upper right", framealpha=0.85, edgecolor="none")  # curves may run behind it
