"""The overview colours notes as hits, missed and extra, and shows probabilities at their times and pitches."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from audiocx.errors import ConfigError
from audiocx.io.note_tables import write_csv
from audiocx.music.note_metrics import match_notes
from audiocx.music.transcription import Transcription
from audiocx.notes import Note
from audiocx.plots import overview
from audiocx.plots.figure import save_figure
from audiocx.plots.overview import plot_overview

SCRIPT = Path(__file__).parents[2] / "examples" / "overview.py"
RATE, FRAME_RATE, LOWEST = 8000, 20.0, 48
FOUND = [Note(0.5, 60, 1.0), Note(1.0, 62, 2.0), Note(2.0, 64, 2.5), Note(3.5, 60, 4.0)]
PLAYED = [
    Note(0.54, 60, 1.0),  # a hit
    Note(1.06, 62, 2.0),  # transcribed too early: missed, and the transcribed one is extra
    Note(2.0, 65, 2.5),  # transcribed with another pitch
    Note(3.45, 60, 4.0),  # a hit
    Note(3.0, 67, 3.0),  # without duration: ignored
]
MATCHES = match_notes(PLAYED, FOUND)


def transcription(notes: list[Note] = FOUND, onsets: bool = False, frames: int = 80) -> Transcription:
    rng = np.random.default_rng(0)
    probabilities, begin = rng.random((2, frames, 24), dtype=np.float32)
    duration_s = frames / FRAME_RATE
    return Transcription(notes, probabilities, FRAME_RATE, LOWEST, duration_s, "song.wav", begin if onsets else None)


def samples(duration_s: float = 4.0) -> np.ndarray:
    return np.sin(np.arange(int(duration_s * RATE))).astype(np.float32)


def bars(axes: Axes, colour: str) -> list[tuple[float, int]]:
    """Return onset and pitch of the bars drawn in a colour, filled or hollow."""
    drawn = []
    for group in axes.collections:
        faces = group.get_facecolor()
        of_group = faces if len(faces) else group.get_edgecolor()
        if len(of_group) and to_hex(of_group[0]) == colour:
            boxes = [path.get_extents() for path in group.get_paths()]
            drawn += [(round(float(box.x0), 6), round((box.y0 + box.y1) / 2)) for box in boxes]
    return sorted(drawn)


def legend(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def rows(figure: Figure) -> list[Axes]:
    figure.canvas.draw()
    waveform, probable, notes = figure.axes
    assert waveform.get_position().y0 > probable.get_position().y0 > notes.get_position().y0
    assert waveform.get_xlim() == probable.get_xlim() == notes.get_xlim()
    assert probable.get_ylim() == notes.get_ylim()
    return [waveform, probable, notes]


def test_hits_missed_and_extra_notes_have_colours_of_their_own() -> None:
    _, _, notes = rows(plot_overview(samples(), RATE, transcription(), PLAYED, MATCHES))
    assert bars(notes, overview.HIT) == [(0.5, 60), (3.5, 60)]
    assert bars(notes, overview.MISSED) == [(1.06, 62), (2.0, 65)]
    assert bars(notes, overview.EXTRA) == [(1.0, 62), (2.0, 64)]
    assert legend(notes) == ["2 hit", "2 missed", "2 extra"]
    assert notes.get_title(loc="left") == "notes compared with the reference: F1 50.0 %"
    assert len({overview.HIT, overview.MISSED, overview.EXTRA}) == 3


def test_only_the_passage_is_drawn_and_counted() -> None:
    figure = plot_overview(samples(), RATE, transcription(onsets=True), PLAYED, MATCHES, start_s=0.75, stop_s=1.5)
    waveform, probable, notes = rows(figure)
    assert notes.get_xlim() == (0.75, 1.5)
    assert legend(notes) == ["1 hit", "1 missed", "1 extra"]  # the first note lasts into the passage
    for image in probable.images:
        left, right, bottom, top = image.get_extent()
        assert left <= 0.75 < left + 1 / FRAME_RATE and right >= 1.5 and (bottom, top) == (47.5, 71.5)
    (wave,) = waveform.patches
    edges_s = wave.get_data().edges
    assert (edges_s[0], edges_s[-1]) == (0.75, 1.5)


def test_without_a_reference_all_notes_have_one_colour() -> None:
    _, _, notes = rows(plot_overview(samples(), RATE, transcription()))
    assert bars(notes, overview.HIT) == [(note.onset_s, note.midi_note) for note in FOUND]
    assert legend(notes) == ["4 found"] and notes.get_title(loc="left") == "notes"


def test_probabilities_are_shown_by_depth_of_colour_onsets_above_them() -> None:
    result = transcription(onsets=True)
    _, probable, _ = rows(plot_overview(samples(), RATE, result))
    assert legend(probable) == ["sounds", "begins"]
    assert result.onsets is not None
    matrices = ((result.probabilities, overview.SOUNDING), (result.onsets, overview.ONSET))
    for image, (matrix, colour) in zip(probable.images, matrices, strict=True):
        np.testing.assert_allclose(image.get_array()[..., 3], matrix.T)
        assert to_hex(image.get_array()[3, 5, :3]) == colour
    _, probable, _ = rows(plot_overview(samples(), RATE, transcription()))
    assert legend(probable) == ["sounds"] and len(probable.images) == 1


def test_columns_keep_onset_peaks_and_extreme_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MAX_COLUMNS", 10)
    result = transcription(onsets=True)
    assert result.onsets is not None
    result.onsets[:] = 0
    result.onsets[37, 5] = 1
    wave = np.zeros(32000, np.float32)
    wave[3300], wave[31999] = 0.5, -1
    waveform, probable, _ = rows(plot_overview(wave, RATE, result))
    begins = probable.images[1].get_array()[..., 3]
    assert begins.shape == (24, 10) and np.argwhere(begins == 1).tolist() == [[5, 4]]
    stairs = waveform.patches[0].get_data()
    assert stairs.values.tolist() == [0, 0.5, *[0] * 8] and stairs.baseline.tolist() == [*[0] * 9, -1]


def test_pitches_shown_are_those_in_use() -> None:
    high = [Note(0.0, 90, 1.0), Note(1.0, 100, 2.0)]
    _, probable, notes = rows(plot_overview(samples(), RATE, transcription(high), [Note(0.0, 86, 1.0)]))
    bottom, top = notes.get_ylim()
    assert bottom < 86 < 100 < top and 24 <= top - bottom <= 26
    assert [tick.get_text() for tick in probable.get_yticklabels()] == ["C6", "C7"]


@pytest.mark.parametrize("played", [None, [], PLAYED])
def test_a_transcription_without_notes_is_drawn(played: list[Note] | None) -> None:
    _, _, notes = rows(plot_overview(samples(), RATE, transcription([]), played))
    assert bars(notes, overview.HIT) == bars(notes, overview.EXTRA) == []
    assert ("F1 0.0 %" in notes.get_title(loc="left")) == (played is not None)


def test_one_sample_is_drawn(tmp_path: Path) -> None:
    result = transcription([], onsets=True, frames=1)
    figure = plot_overview(np.zeros(1, np.float32), RATE, result, [])
    assert rows(figure)[0].get_xlim() == (0.0, 1 / RATE)
    save_figure(figure, tmp_path / "a.png")


@pytest.mark.parametrize("passage_s", [(4.0, None), (2.0, 1.0), (-1.0, 1.0), (float("nan"), None)])
def test_a_passage_without_anything_is_refused(passage_s: tuple[float, float | None]) -> None:
    with pytest.raises(ConfigError, match=r"song\.wav: the passage .* within its 4 s"):
        plot_overview(samples(), RATE, transcription(), start_s=passage_s[0], stop_s=passage_s[1])


def run_script(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["overview.py", *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


@pytest.mark.parametrize("checkpoint", ["tiny_checkpoint", "tiny_notes"])
def test_the_example_draws_a_recording(
    checkpoint: str,
    sine_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, output = request.getfixturevalue(checkpoint), tmp_path / "out.png"
    write_csv([Note(0.0, 69, 1.0)], tmp_path / "played.csv")
    common = (sine_file(), "-m", model, "-o", output, "--played", tmp_path / "played.csv")
    run_script(monkeypatch, *common, "--from", "0.2", "--to", "0.8")
    assert output.read_bytes().startswith(b"\x89PNG") and capsys.readouterr().out == f"{output}\n"
    with pytest.raises(SystemExit, match=r"overview\.py: error: sine\.wav: the passage"):
        run_script(monkeypatch, *common, "--from", "7")
