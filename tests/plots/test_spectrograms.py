"""Spectrogram plots show the levels they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audiocx.plots import spectrograms
from audiocx.plots.figure import save_figure
from audiocx.plots.spectrograms import plot_concealment, plot_spectrograms

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
    save_figure(figure, tmp_path / "a.png")


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
    save_figure(figure, tmp_path / "a.png")


def test_long_recordings_are_thinned_to_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrograms, "MAX_COLUMNS", 4)
    true_db = np.repeat(np.array([[1.0], [2.0], [4.0], [3.0]]), 5, axis=0)[:18] + np.zeros(3)
    shown = plot_spectrograms(true_db, true_db, 1.0, 4000).axes[0].images[0]
    # Shares of four, five, four and five frames.
    np.testing.assert_allclose(shown.get_array()[0], [1.0, 9 / 5, 4.0 - 2 / 4, (4.0 + 4.0 + 9.0) / 5], atol=1e-6)
    assert shown.get_extent()[:2] == [-0.5, 17.5]


@pytest.mark.parametrize("frames", [1, 10_000])
def test_any_length_is_drawn(tmp_path: Path, frames: int) -> None:
    silence = np.full((frames, 3), -50.0, np.float32)
    figure = plot_spectrograms(silence, silence, 0.016, 4000)
    assert figure.axes[0].images[0].get_array().shape[1] <= spectrograms.MAX_COLUMNS
    assert 8 <= figure.get_size_inches()[0] <= 20
    save_figure(figure, tmp_path / "a.png")


def test_levels_that_do_not_match_are_refused() -> None:
    for shapes in [((0, 3), (0, 3)), ((2, 3), (3, 3)), ((3,), (3,))]:
        with pytest.raises(ValueError, match="Levels"):
            plot_spectrograms(np.zeros(shapes[0]), np.zeros(shapes[1]), 0.016, 4000)
