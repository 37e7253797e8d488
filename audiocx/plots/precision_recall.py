"""Precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .figure import FAINT, LINE_COLOURS, draw_legend, new_figure, plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray, float]]) -> Figure:
    """Draw precision against recall, one line for each network.

    Args:
        curves: For each label: precision [N], recall [N], and the average precision (0 to 1) for the legend.

    Returns:
        The figure.

    Source: Figure 2 of C. Trabelsi et al., "Deep complex networks", ICLR 2018.
    """
    figure = new_figure(5.6, 5.2)
    axes = figure.add_subplot()
    for index, (label, (precision, recall, average)) in enumerate(curves.items()):
        colour = LINE_COLOURS[index % len(LINE_COLOURS)]
        axes.plot(
            recall, precision, color=colour, linewidth=1.8, label=f"{plain_text(label)}  (AP {100 * average:.1f} %)"
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.005), xlabel="recall", ylabel="precision", aspect="equal")
    axes.grid(color=FAINT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if curves:
        draw_legend(axes, loc="lower left", frameon=False)
    return figure
