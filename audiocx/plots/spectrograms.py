"""Spectrograms: predicted levels beside the true ones, and recordings before and after concealment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .figure import FAINT, INK, LINE_COLOURS, colour_bar, column_starts, fitted_title, new_figure, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_concealment", "plot_spectrograms"]

# No screen shows more; an hour of speech has 225 000 frames.
MAX_COLUMNS = 4000
LEVEL_COLOURS, DIFFERENCE_COLOURS = "magma", "RdBu_r"
# Levels further below the loudest are drawn as silence.
DYNAMIC_RANGE_DB = 80.0
# The colour scale of differences covers this percentage of them.
DIFFERENCE_PERCENTILE = 99.0
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
    """Draw true levels, predicted levels and their difference, one above the other.

    Args:
        true_db: Levels in dB, float [T, F].
        predicted_db: Predicted levels of the same frames, float [T, F].
        hop_s: Time from frame to frame, in seconds.
        highest_hz: Frequency of the last bin; the first is at 0 Hz.
        start_s: Time of the first frame, in seconds.
        title: Title of the figure.

    Returns:
        The figure; of more than 4000 frames, each column is the mean of several.

    Raises:
        ValueError: There are no frames, or the shapes differ.
    """
    true, predicted = _same_frames(true_db, predicted_db)
    difference = predicted - true
    limit_db = max(1.0, float(np.percentile(np.abs(difference), DIFFERENCE_PERCENTILE)))
    levels, diverging = _level_colours(true), {"cmap": DIFFERENCE_COLOURS, "vmin": -limit_db, "vmax": limit_db}
    images = (("true", true, levels), ("predicted", predicted, levels), ("predicted - true", difference, diverging))
    figure, rows = _stacked(images, hop_s * len(true_db) / len(true), highest_hz, start_s - hop_s / 2, title)
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
    """Draw the levels of a recording with gaps above those of the concealed one, with a bar over every gap.

    Args:
        lost_db: Levels with gaps, in dB, float [T, F].
        concealed_db: Concealed levels of the same frames, float [T, F].
        hop_s: Time from frame to frame, in seconds.
        highest_hz: Frequency of the last bin; the first is at 0 Hz.
        gaps: Start and end of each gap, in seconds.
        start_s: Time of the first frame, in seconds.
        title: Title of the figure.

    Returns:
        The figure; of more than 4000 frames, each column is the mean of several.

    Raises:
        ValueError: There are no frames, or the shapes differ.
    """
    lost, concealed = _same_frames(lost_db, concealed_db)
    colours = _level_colours(concealed)
    images = (("with gaps", lost, colours), ("concealed", concealed, colours))
    figure, rows = _stacked(images, hop_s * len(lost_db) / len(lost), highest_hz, start_s - hop_s / 2, title)
    for axes in rows:
        for first_s, last_s in gaps:
            # Above the image, so that it hides nothing; the outline keeps very short gaps visible.
            axes.axvspan(first_s, last_s, 1.01, 1.03, color=LINE_COLOURS[1], linewidth=0.5, clip_on=False)
    colour_bar(figure, rows[0].images[0], rows, "level (dB)", pad=0.01, fraction=0.04, aspect=40)
    return figure


def _same_frames(first_db: np.ndarray, second_db: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check that two level matrices have the same shape, and return them with at most ``MAX_COLUMNS`` rows."""
    if first_db.shape != second_db.shape or first_db.ndim != 2 or not first_db.size:
        raise ValueError(f"Levels must be [T, F] of equal shapes, not {first_db.shape} and {second_db.shape}.")
    return _averaged(first_db), _averaged(second_db)


def _level_colours(levels_db: np.ndarray) -> dict[str, Any]:
    loudest_db = float(levels_db.max())
    return {
        "cmap": LEVEL_COLOURS,
        "vmin": max(float(levels_db.min()), loudest_db - DYNAMIC_RANGE_DB),
        "vmax": loudest_db,
    }


def _stacked(
    images: Sequence[tuple[str, np.ndarray, dict[str, Any]]],
    column_s: float,
    highest_hz: float,
    start_s: float,
    title: str,
) -> tuple[Figure, list[Axes]]:
    """Draw matrices [T, F] of the same frames one above the other, given as name, matrix and colours."""
    _, first, _ = images[0]
    edges_s = start_s, start_s + len(first) * column_s
    bin_khz = highest_hz / 1000 / max(1, first.shape[1] - 1)
    extent = (*edges_s, -bin_khz / 2, highest_hz / 1000 + bin_khz / 2)
    width = float(np.clip(2.0 + INCHES_PER_SECOND * (edges_s[1] - edges_s[0]), *WIDTH_RANGE_INCHES))
    figure = new_figure(width, INCHES_PER_ROW * len(images))
    rows = list(figure.subplots(len(images), 1, sharex=True, sharey=True))
    for axes, (name, matrix, colours) in zip(rows, images, strict=True):
        axes.imshow(matrix.T, origin="lower", aspect="auto", interpolation="nearest", extent=extent, **colours)
        axes.set_title(name, loc="left", color=INK)
        axes.set_ylabel("frequency (kHz)")
        axes.tick_params(length=3, color=FAINT)
        axes.spines[:].set_visible(False)
    time_axis(rows[-1], *edges_s)
    if title:
        shown, style = fitted_title(title, width)
        figure.suptitle(shown, **style)
    return figure, rows


def _averaged(levels_db: np.ndarray) -> np.ndarray:
    """Average frames so that at most ``MAX_COLUMNS`` rows are left."""
    starts = column_starts(len(levels_db), MAX_COLUMNS)
    counts = np.diff(starts, append=len(levels_db))
    return np.add.reduceat(levels_db, starts, axis=0) / counts[:, None]
