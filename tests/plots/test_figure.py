"""Figures are saved atomically in the format of their suffix, and made without pyplot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocx.errors import OutputError
from audiocx.plots.figure import NO_GLYPH, column_starts, fitted_title, new_figure, plain_text, save_figure


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_the_suffix_is_the_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    save_figure(new_figure(2.0, 1.0), path)
    assert path.stat().st_size > 300 and [file.name for file in tmp_path.iterdir()] == [path.name]


def test_an_unknown_format_or_folder_is_an_output_error(tmp_path: Path) -> None:
    figure = new_figure(2.0, 1.0)
    with pytest.raises(OutputError, match="format.*png"):
        save_figure(figure, tmp_path / "a.xyz")
    with pytest.raises(OutputError, match="nowhere"):
        save_figure(figure, tmp_path / "nowhere" / "a.png")
    assert not list(tmp_path.iterdir())


@given(st.integers(1, 500), st.integers(1, 100))
def test_columns_take_about_as_many_rows_each(rows: int, max_columns: int) -> None:
    starts = column_starts(rows, max_columns)
    counts = np.diff(starts, append=rows)
    assert starts[0] == 0 and len(starts) == min(rows, max_columns)
    assert counts.sum() == rows and counts.min() >= 1 and counts.max() - counts.min() <= 1


def test_pyplot_and_torch_are_never_imported() -> None:
    code = (
        "import sys, numpy as np\n"
        "from audiocx.plots import learning_curves, overview, piano_roll, precision_recall, spectrograms\n"
        "assert 'matplotlib' not in sys.modules\n"
        "piano_roll.plot_notes([], 1.0).canvas.draw()\n"
        "spectrograms.plot_spectrograms(np.zeros((9, 9)), np.zeros((9, 9)), 1, 4000).canvas.draw()\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "matplotlib.figure" in loaded and not {"matplotlib.pyplot", "torch"} & set(loaded)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("title", ["$x$ \\frac{", "a\nb\x1b\udce9", "\u65e5\u672c \U0001f3b9", "W" * 255, "x" * 20, ""])
def test_titles_are_drawn_as_they_are(tmp_path: Path, title: str) -> None:
    figure = new_figure(6.0, 2.0)
    shown, style = fitted_title(title, 6.0)
    text = figure.add_subplot().set_title(shown, **style)
    for suffix in ("png", "svg", "pdf"):
        save_figure(figure, tmp_path / f"a.{suffix}")
    assert text.get_window_extent().width <= 6.0 * figure.dpi and shown.isprintable()
    assert shown == title or not title.isprintable() or len(title) == 255 or NO_GLYPH in shown


@pytest.mark.filterwarnings("error")
def test_fonts_that_are_installed_are_used_for_what_the_usual_one_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    usual, other = (get_font(findfont(FontProperties(family=[name]))) for name in ("DejaVu Sans", "STIXGeneral"))
    lacking = "a" + chr(
        max(code for code in set(other.get_charmap()) - set(usual.get_charmap()) if chr(code).isalpha())
    )
    assert plain_text(lacking) == "a" + NO_GLYPH
    monkeypatch.setattr("audiocx.plots.figure.FALLBACK_FONTS", ("No such font", "STIXGeneral"))
    figure = new_figure(6.0, 2.0)
    shown, style = fitted_title(lacking, 6.0)
    figure.add_subplot().set_title(shown, **style)
    save_figure(figure, tmp_path / "a.png")
    assert shown == lacking
