"""Pictures show what they are given, and leave matplotlib's state alone."""

import subprocess
import sys

import numpy as np
import pytest

from audiocx.errors import OutputError
from audiocx.notes import Note, notes_to_roll
from audiocx.plots import piano_roll

NOTES = [Note(0.5, 60, 1.0, 20), Note(1.0, 61, 2.0, 110), Note(3.0, 76, 3.01, 64)]


def size(figure):
    return figure.get_size_inches()


def test_each_note_is_drawn_where_it_sounds():
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


def test_width_grows_with_time_within_limits():
    widths = [size(piano_roll.plot_notes([], seconds))[0] for seconds in (1, 10, 30, 60, 600, 6000)]
    assert widths == sorted(widths) and widths[0] == 8.0 and widths[3] > widths[2] > 8.0
    assert widths[-1] == widths[-2] == 40.0


def test_long_pieces_count_minutes_and_keep_short_notes_visible():
    figure = piano_roll.plot_notes(NOTES, 600.0)
    figure.canvas.draw()
    axes = figure.axes[0]
    assert "2:30" in [tick.get_text() for tick in axes.get_xticklabels()]
    box = axes.collections[0].get_paths()[2].get_extents()
    assert (box.x1 - box.x0) * size(figure)[0] / 600 >= 0.01


@pytest.mark.parametrize("duration_s", [0.0, 0.1, 36000.0])
def test_odd_durations_are_drawn(tmp_path, duration_s):
    piano_roll.save(piano_roll.plot_notes(NOTES[:1] if duration_s else [], duration_s), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_prediction_above_truth():
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


def test_prediction_of_no_frames_or_of_another_shape_is_refused():
    probabilities = np.zeros((100, 88), np.float32)
    with pytest.raises(ValueError, match="no frame"):
        piano_roll.plot_prediction(probabilities, 20.0, [], start_s=9.0)
    with pytest.raises(ValueError, match="shape"):
        piano_roll.plot_prediction(probabilities, 20.0, np.zeros((99, 88), bool))


def test_precision_recall_has_a_line_and_an_entry_for_each_network():
    recall = np.linspace(0, 1, 5)
    curves = {"deep complex": (1 - recall / 2, recall, 0.829), "deep real": (1 - recall, recall, 0.5)}
    axes = piano_roll.plot_precision_recall(curves).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "deep complex  (AP 82.9 %)",
        "deep real  (AP 50.0 %)",
    ]
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), np.stack([recall, 1 - recall], axis=1))
    assert axes.lines[0].get_color() != axes.lines[1].get_color()
    assert piano_roll.plot_precision_recall({}).axes


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_pictures_are_saved_in_the_format_of_their_suffix(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    piano_roll.save(piano_roll.plot_notes(NOTES, 4.0), path)
    assert path.stat().st_size > 1000 and [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_cannot_be_saved_is_an_output_error(tmp_path):
    figure = piano_roll.plot_notes([], 1.0)
    with pytest.raises(OutputError, match="format.*png"):
        piano_roll.save(figure, tmp_path / "a.xyz")
    with pytest.raises(OutputError, match="nowhere"):
        piano_roll.save(figure, tmp_path / "nowhere" / "a.png")
    assert not list(tmp_path.iterdir())


def test_pyplot_is_never_imported():
    draw = "from audiocx.plots import piano_roll as p; p.plot_notes([], 1.0).canvas.draw()"
    code = f"import sys; {draw}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "matplotlib.figure" in done.stdout.split() and "matplotlib.pyplot" not in done.stdout.split()
    assert "torch" not in done.stdout.split()
