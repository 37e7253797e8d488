"""Pictures of spectra show what they are given; learning curves are those that were logged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audiocx.errors import DataError
from audiocx.plots import piano_roll, spectrograms
from audiocx.plots.learning_curves import read_curves
from audiocx.plots.spectrograms import plot_concealment, plot_learning_curves, plot_spectrograms

RNG = np.random.default_rng(0)


def test_true_above_predicted_above_their_difference(tmp_path: Path) -> None:
    true_db, predicted_db = RNG.uniform(-50, 20, (2, 60, 129)).astype(np.float32)
    figure = plot_spectrograms(true_db, predicted_db, 0.016, 4000, start_s=0.5, title="Dvořák, read aloud")
    rows = figure.axes[:3]
    figure.canvas.draw()
    heights = [axes.get_position().y0 for axes in rows]
    assert heights == sorted(heights, reverse=True) and figure.get_suptitle() == "Dvořák, read aloud"
    for axes, levels in zip(rows, (true_db, predicted_db, predicted_db - true_db), strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), levels.T, atol=1e-5)
        # Frame 0 is centred at 0.5 s, bin 0 at 0 Hz, bin 128 at 4 kHz.
        np.testing.assert_allclose(axes.images[0].get_extent(), [0.492, 1.452, -4 / 256, 4 + 4 / 256])
        assert axes.get_ylabel() == "frequency (kHz)"
    limits = [axes.images[0].get_clim() for axes in rows]
    assert limits[0] == limits[1] == (true_db.min(), true_db.max()) and limits[2][0] == -limits[2][1]
    assert rows[2].get_xlabel() == "time (s)"
    assert [axes.get_ylabel() for axes in figure.axes[3:]] == ["level (dB)", "difference (dB)"]
    piano_roll.save(figure, tmp_path / "a.png")


def test_gaps_are_marked_above_what_they_were_filled_with(tmp_path: Path) -> None:
    lost_db, concealed_db = RNG.uniform(-50, 20, (2, 60, 129)).astype(np.float32)
    figure = plot_concealment(lost_db, concealed_db, 0.016, 4000, [(0.6, 0.632), (0.9, 0.95)], start_s=0.5)
    rows = figure.axes[:2]
    figure.canvas.draw()
    assert [axes.get_title(loc="left") for axes in rows] == ["with gaps", "concealed"]
    for axes, levels in zip(rows, (lost_db, concealed_db), strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), levels.T, atol=1e-5)
        np.testing.assert_allclose(axes.images[0].get_extent(), [0.492, 1.452, -4 / 256, 4 + 4 / 256])
        spans_s = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
        np.testing.assert_allclose(spans_s, [(0.6, 0.632), (0.9, 0.95)])
        assert all(bar.get_y() > 1 for bar in axes.patches)  # above the picture
    assert rows[0].images[0].get_clim() == rows[1].images[0].get_clim()
    piano_roll.save(figure, tmp_path / "a.png")


def test_long_recordings_are_thinned_to_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrograms, "MOST_COLUMNS", 4)
    true_db = np.repeat(np.array([[1.0], [2.0], [4.0], [3.0]]), 5, axis=0)[:18] + np.zeros(3)
    shown = plot_spectrograms(true_db, true_db, 1.0, 4000).axes[0].images[0]
    # Shares of four, five, four and five frames.
    np.testing.assert_allclose(shown.get_array()[0], [1.0, 9 / 5, 4.0 - 2 / 4, (4.0 + 4.0 + 9.0) / 5], atol=1e-6)
    assert shown.get_extent()[:2] == [-0.5, 17.5]


@pytest.mark.parametrize("frames", [1, 100_000])
def test_any_length_is_drawn(tmp_path: Path, frames: int) -> None:
    silence = np.full((frames, 3), -50.0, np.float32)
    figure = plot_spectrograms(silence, silence, 0.016, 4000)
    assert figure.axes[0].images[0].get_array().shape[1] <= spectrograms.MOST_COLUMNS
    assert 8 <= figure.get_size_inches()[0] <= 20
    piano_roll.save(figure, tmp_path / "a.png")


def test_levels_that_do_not_match_are_refused() -> None:
    for shapes in [((0, 3), (0, 3)), ((2, 3), (3, 3)), ((3,), (3,))]:
        with pytest.raises(ValueError, match="levels"):
            plot_spectrograms(np.zeros(shapes[0]), np.zeros(shapes[1]), 0.016, 4000)


def curve(lowest: float) -> spectrograms.Curve:
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
    piano_roll.save(figure, tmp_path / "a.png")
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
    with pytest.raises(DataError, match=f"{tmp_path} holds no log"):
        read_curves(tmp_path)


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys, numpy as np; from audiocx.plots import spectrograms as s; a = np.zeros((9, 9));"
        "s.plot_spectrograms(a, a, 1, 4000).canvas.draw(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "matplotlib.figure" in loaded and not {"matplotlib.pyplot", "torch"} & set(loaded)
