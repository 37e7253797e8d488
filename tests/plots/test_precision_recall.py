"""Precision-recall curves."""

from __future__ import annotations

import numpy as np

from audiocx.plots.precision_recall import plot_precision_recall


def test_precision_recall_has_a_line_and_an_entry_for_each_network() -> None:
    recall = np.linspace(0, 1, 5)
    curves = {"deep complex": (1 - recall / 2, recall, 0.829), "deep real": (1 - recall, recall, 0.5)}
    axes = plot_precision_recall(curves).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "deep complex  (AP 82.9 %)",
        "deep real  (AP 50.0 %)",
    ]
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), np.stack([recall, 1 - recall], axis=1))
    assert axes.lines[0].get_color() != axes.lines[1].get_color()
    assert plot_precision_recall({}).axes
