"""Piano rolls show every note and probability at its time and pitch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audiocx.notes import Note, notes_to_roll
from audiocx.plots import piano_roll
from audiocx.plots.figure import save_figure

NOTES = [Note(0.5, 60, 1.0, 20), Note(1.0, 61, 2.0, 110), Note(3.0, 76, 3.01, 64)]


def test_each_note_is_drawn_where_it_sounds() -> None:
    figure = piano_roll.plot_notes(NOTES, 4.0, title="Étude")
    axes = figure.axes[0]
    (bars,) = axes.collections
    for note, path, velocity in zip(NOTES, bars.get_paths(), bars.get_array(), strict=True):
        box = path.get_extents()
        assert box.x0 == note.onset_s and box.x1 >= note.offset_s
        assert round((box.y0 + box.y1) / 2) == note.midi_note and velocity == note.velocity
    assert axes.get_xlim() == (0.0, 4.0) and axes.get_title(loc="left") == "Étude"
    assert "C4" in [tick.get_text() for tick in axes.get_yticklabels()]
    assert axes.get_xlabel() == "time (s)" and figure.axes[1].get_ylabel() == "velocity"


def test_width_grows_with_time_within_limits() -> None:
    widths = [piano_roll.plot_notes([], seconds).get_size_inches()[0] for seconds in (1, 10, 30, 60, 600, 6000)]
    assert widths == sorted(widths) and widths[0] == 8.0 and widths[3] > widths[2] > 8.0
    assert widths[-1] == widths[-2] == 40.0


def test_long_pieces_count_minutes_and_keep_short_notes_visible() -> None:
    figure = piano_roll.plot_notes(NOTES, 600.0)
    figure.canvas.draw()
    axes = figure.axes[0]
    assert "2:30" in [tick.get_text() for tick in axes.get_xticklabels()]
    box = axes.collections[0].get_paths()[2].get_extents()
    assert (box.x1 - box.x0) * figure.get_size_inches()[0] / 600 >= 0.01


@pytest.mark.parametrize("duration_s", [0.0, 0.1, 36000.0])
def test_odd_durations_are_drawn(tmp_path: Path, duration_s: float) -> None:
    save_figure(piano_roll.plot_notes(NOTES[:1] if duration_s else [], duration_s), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_prediction_above_truth() -> None:
    rng = np.random.default_rng(0)
    roll = notes_to_roll(NOTES, np.arange(100) / 20)
    probabilities = rng.random(roll.shape).astype(np.float32)
    for reference in (roll, NOTES):
        figure = piano_roll.plot_prediction(probabilities, 20.0, reference, start_s=1.0, end_s=3.0)
        upper, lower = figure.axes[:2]
        assert upper.get_position().y0 > lower.get_position().y0
        np.testing.assert_array_equal(upper.images[0].get_array(), probabilities[20:60].T)
        np.testing.assert_array_equal(lower.images[0].get_array(), roll[20:60].T)
        # Frame 20 is centred at 1 s, pitch 21 at 21.
        assert upper.images[0].get_extent() == [0.975, 2.975, 20.5, 108.5]


def test_prediction_of_no_frames_or_of_another_shape_is_refused() -> None:
    probabilities = np.zeros((100, 88), np.float32)
    with pytest.raises(ValueError, match="no frame"):
        piano_roll.plot_prediction(probabilities, 20.0, [], start_s=9.0)
    with pytest.raises(ValueError, match="shape"):
        piano_roll.plot_prediction(probabilities, 20.0, np.zeros((99, 88), bool))
