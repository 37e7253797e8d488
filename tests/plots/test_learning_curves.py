"""Learning curves are those of the log, and are drawn in one colour for each network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audiocx.errors import DataError
from audiocx.plots.figure import save_figure
from audiocx.plots.learning_curves import Curve, plot_learning_curves, read_curves


def curve(lowest: float) -> Curve:
    return np.arange(1, 5) * 100, lowest + np.array([50.0, 5.0, 0.0, 1.0])


def test_runs_of_a_network_share_a_colour_and_an_entry(tmp_path: Path) -> None:
    validation = {"complex": [curve(12.0), curve(11.5)], "real": [curve(12.5)]}
    figure = plot_learning_curves(validation, {"complex": [curve(10.0)]})
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "complex  (lowest 11.50)",
        "real  (lowest 12.50)",
        "while training",
    ]
    training, first, second, real, _ = axes.lines
    assert training.get_color() == first.get_color() == second.get_color() != real.get_color()
    assert training.get_linestyle() == "--" and first.get_linestyle() == second.get_linestyle() == "-"
    np.testing.assert_array_equal(second.get_xydata(), np.stack(curve(11.5), axis=1))
    save_figure(figure, tmp_path / "a.png")
    assert plot_learning_curves({}).axes


def test_a_long_name_leaves_the_curves_room() -> None:
    long = "complex ConvLSTM, hidden 28, kernel 13, front_end compressed, level True, skip True, forget_bias 1.0"
    figure = plot_learning_curves({long: [curve(10.0)]})
    figure.canvas.draw()
    legend = figure.axes[0].get_legend() or figure.legends[0]
    assert "\n" in legend.get_texts()[0].get_text()
    width = figure.get_window_extent().width
    assert figure.axes[0].get_window_extent().width > 0.5 * width
    assert legend.get_window_extent().x0 > 0


def test_curves_are_those_of_the_log_and_training_is_averaged_between_validations(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "log")) as log:
        for step, mse in ((5, 100.0), (9, 20.0), (10, 40.0), (15, 7.0), (25, 5.0)):
            log.add_scalar("train/mse", mse, step)
        for step, mse in ((10, 99.0), (20, 30.0), (30, 20.0)):
            log.add_scalar("val/mse", mse, step)
    with SummaryWriter(str(tmp_path / "log"), filename_suffix=".resumed") as log:
        log.add_scalar("val/mse", 31.0, 30)
    validation, training = read_curves(tmp_path)
    np.testing.assert_array_equal(validation, [[10, 20, 30], [99.0, 30.0, 31.0]])
    np.testing.assert_allclose(training, [[10, 20, 30], [160 / 3, 7.0, 5.0]])


def test_a_folder_without_such_a_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(DataError, match=f"{tmp_path}: holds no training log"):
        read_curves(tmp_path)
