"""Figures, axes and colours that all plots share.

Figures are made without pyplot, so no window opens and no global state changes; notebooks show them as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OutputError, printable, require
from ..io.atomic_write import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

__all__ = [
    "FAINT",
    "INK",
    "LINE_COLOURS",
    "colour_bar",
    "column_starts",
    "draw_legend",
    "fitted_title",
    "new_figure",
    "plain_text",
    "save_figure",
    "time_axis",
]

INK, FAINT = "#333333", "#d9d9d9"
# The categorical colours of M. Okabe and K. Ito, "Color Universal Design", 2008, without its yellow.
LINE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
DOTS_PER_INCH = 150
# Where matplotlib's own font lacks a character: fonts that come with Linux distributions, macOS and Windows.
FALLBACK_FONTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Noto Emoji", "Symbola"),
    *("Hiragino Sans", "PingFang SC", "Arial Unicode MS", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic"),
    *("Segoe UI Symbol", "Segoe UI Emoji"),
)
NO_GLYPH = "\u25a1"  # a white square
MARGIN_INCHES = 1.0  # beside a title: tick labels and the colour bar


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """Make an empty figure without pyplot.

    Args:
        width_inches: Width in inches.
        height_inches: Height in inches.

    Returns:
        The figure, with a constrained layout.

    Raises:
        ConfigError: The extra ``plots`` is not installed.
    """
    require("A picture", "plots", "matplotlib")
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches, height_inches), dpi=100, layout="constrained", facecolor="white")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure to a file, atomically.

    Args:
        figure: The figure.
        path: File to write; its suffix names the format (png, pdf, svg, ...).

    Raises:
        OutputError: The format is unknown, or the file cannot be written.
    """
    known = figure.canvas.get_supported_filetypes()
    if Path(path).suffix.lower().lstrip(".") not in known:
        raise OutputError(f"{path}: unknown picture format; choose one of {', '.join(sorted(known))}.")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH)


def fitted_title(text: str, width_inches: float) -> tuple[str, dict[str, Any]]:
    """Return a title as it is to be drawn: neither TeX nor control characters mean anything in it.

    Args:
        text: The title, such as the name of a file; one that is too long loses its middle.
        width_inches: Width of the axes or the figure.

    Returns:
        The text, and the arguments of ``set_title`` or ``suptitle`` that go with it.
    """
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    whole = shown = plain_text(text)
    families, most = _families(whole), len(whole)
    font, renderer = FontProperties(family=families, size="large"), RendererAgg(1, 1, 72)
    while renderer.get_text_width_height_descent(shown, font, False)[0] > 72 * (width_inches - MARGIN_INCHES):
        most = most * 9 // 10
        shown = f"{whole[: most - most // 3]}\u2026{whole[len(whole) - most // 3 :]}"
    return shown, {"color": INK, "parse_math": False, "family": families}


def draw_legend(axes: Axes, **style: Any) -> None:
    """Draw a legend whose labels, such as names of runs, are shown as they are.

    Args:
        axes: Axes with labelled lines; their labels are of :func:`plain_text`.
        style: Place, columns and frame, passed to ``Axes.legend``.
    """
    for text in axes.legend(**style).get_texts():
        text.set(parse_math=False, family=_families(text.get_text()))


def plain_text(text: str) -> str:
    """Return a text that can be drawn without a warning.

    Args:
        text: Any text.

    Returns:
        The text with escapes for what is not printable, and squares for what no font here has.
    """
    known = {code for family in _families(text) for code in _glyphs(family)}
    return "".join(c if ord(c) in known else NO_GLYPH for c in printable(text))


def _families(text: str) -> list[str]:
    """Return matplotlib's fonts, followed by those of the fallbacks that are installed, should the text need them."""
    from matplotlib import rcParams
    from matplotlib.font_manager import fontManager

    usual = list(rcParams["font.family"])
    if all(ord(c) in _glyphs(usual[0]) for c in printable(text)):
        return usual
    installed = {font.name for font in fontManager.ttflist}
    return usual + [name for name in FALLBACK_FONTS if name in installed]


@cache
def _glyphs(family: str) -> frozenset[int]:
    """Return the characters that a font has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=[family]))).get_charmap())


def time_axis(axes: Axes, start_s: float, end_s: float) -> None:
    """Label a horizontal axis in seconds, or in minutes and seconds if it reaches two minutes.

    Args:
        axes: The axes.
        start_s: Left limit, in seconds.
        end_s: Right limit, in seconds.
    """
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    def clock(time_s: float, _: Any) -> str:
        return f"{int(time_s) // 60}:{int(time_s) % 60:02d}"

    axes.set_xlim(start_s, end_s)
    axes.set_xlabel("time (s)")
    if end_s >= 120:
        steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
        step_s = next((step for step in steps if (end_s - start_s) / step <= 24), 7200)
        axes.xaxis.set_major_locator(MultipleLocator(step_s))
        axes.xaxis.set_major_formatter(FuncFormatter(clock))
        axes.set_xlabel("time (min:s)")
    axes.tick_params(axis="x", length=3, color=FAINT)


def colour_bar(figure: Figure, image: ScalarMappable, axes: Sequence[Axes], label: str, **style: Any) -> None:
    """Put a colour bar beside axes.

    Args:
        figure: The figure.
        image: The image or collection whose colours are explained.
        axes: The axes to put it beside.
        label: Quantity shown by the colours, with its unit.
        style: Size, padding and ticks, passed to ``Figure.colorbar``.
    """
    bar = figure.colorbar(image, ax=list(axes), **style)
    bar.set_label(label)
    bar.outline.set_visible(False)


def column_starts(rows: int, max_columns: int) -> np.ndarray:
    """Return the first row of each image column when rows are spread evenly, for NumPy's ``reduceat``.

    Args:
        rows: Number of rows of the array that is drawn, one for each time step.
        max_columns: Largest number of columns.

    Returns:
        First row of each column, int64 [min(rows, max_columns)].

    >>> column_starts(5, 2), column_starts(2, 5)
    (array([0, 2]), array([0, 1]))
    """
    columns = min(rows, max_columns)
    return np.arange(columns) * rows // columns
