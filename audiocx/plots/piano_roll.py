"""Pictures: the notes of a transcription, a prediction above the truth, precision against recall.

Figures are made without pyplot, so no window opens and no global state changes; notebooks show them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OutputError
from ..io.atomic_write import atomic_write
from ..notes import LOWEST_PIANO_NOTE, Note, notes_to_roll

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

# Perceptually uniform, and readable in grey and by the colour-blind. Source: matplotlib's documentation of colormaps.
VELOCITY_COLOURS = "viridis_r"
PROBABILITY_COLOURS = "magma"
INK, FAINT, BLACK_KEY = "#333333", "#d9d9d9", "#f2f2f4"
# The categorical colours of M. Okabe and K. Ito, "Color Universal Design", 2008, without its yellow.
LINE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
BLACK_KEYS = frozenset((1, 3, 6, 8, 10))
# A second is this wide, within what screens and pages bear.
INCHES_PER_SECOND = 0.35
WIDTH_RANGE_INCHES = (8.0, 40.0)
# Notes shorter than this many inches would vanish in long pieces.
LEAST_NOTE_INCHES = 0.015
SEAM_INCHES_PER_SECOND = 0.2
DOTS_PER_INCH = 150


def plot_notes(notes: Sequence[Note], duration_s: float, title: str = "") -> Figure:
    """Draw notes as a piano roll, coloured by velocity.

    Args:
        notes: The notes.
        duration_s: Length of the recording in seconds.
        title: What to write above it.

    Returns:
        The figure; its width grows with the duration.
    """
    end_s = max([duration_s, 1e-3] + [note.offset_s for note in notes])
    width = float(np.clip(1.5 + INCHES_PER_SECOND * end_s, *WIDTH_RANGE_INCHES))
    low, high = pitch_range([note.midi_note for note in notes])
    figure = new_figure(width, 1.4 + 0.085 * (high - low))
    axes = figure.add_subplot()
    keyboard(axes, low, high)
    bars = note_bars(
        axes,
        notes,
        LEAST_NOTE_INCHES * end_s / width,
        array=[note.velocity for note in notes],
        cmap=VELOCITY_COLOURS,
        clim=(1, 127),
        # A thin seam parts repeated notes; where seconds are narrow it would hide the notes themselves.
        edgecolors="white",
        linewidths=0.5 if width / end_s > SEAM_INCHES_PER_SECOND else 0.0,
    )
    time_axis(axes, 0.0, end_s)
    axes.grid(axis="x", color=FAINT, linewidth=0.5, zorder=1)
    axes.set_title(title, loc="left", color=INK)
    place = {"pad": 0.15 / width, "fraction": 0.6 / width, "aspect": 30}
    colour_bar(figure, bars, [axes], "velocity", ticks=[1, 32, 64, 96, 127], **place)
    return figure


def plot_prediction(
    probabilities: np.ndarray,
    frame_rate: float,
    reference: np.ndarray | Sequence[Note],
    start_s: float = 0.0,
    end_s: float | None = None,
    lowest_note: int = LOWEST_PIANO_NOTE,
) -> Figure:
    """Draw predicted probabilities above what was played, for a passage.

    Args:
        probabilities: That each pitch sounds, float [T, P]; frame t is at t / frame_rate seconds.
        frame_rate: Frames per second.
        reference: What was played: a roll, bool [T, P], or notes.
        start_s: Where the passage starts, in seconds.
        end_s: Where it ends, in seconds; None for the end of the piece.
        lowest_note: MIDI number of the first pitch.

    Returns:
        The figure.

    Raises:
        ValueError: If the passage holds no frame, or the roll's shape is not the probabilities'.

    Source: Figure 3 of C. Trabelsi et al., "Deep complex networks", ICLR 2018.
    """
    frames, pitches = probabilities.shape
    if isinstance(reference, np.ndarray):
        roll = reference
    else:
        roll = notes_to_roll(reference, np.arange(frames) / frame_rate, lowest_note, pitches)
    if roll.shape != probabilities.shape:
        raise ValueError(f"the roll's shape {roll.shape} must be the probabilities' {probabilities.shape}.")
    first = max(0, round(start_s * frame_rate))
    after = frames if end_s is None else min(frames, round(end_s * frame_rate))
    if first >= after:
        raise ValueError(f"the passage from {start_s} s to {end_s} s holds no frame.")
    shown = probabilities[first:after], roll[first:after].astype(np.float32)
    sounding = np.flatnonzero(shown[1].any(axis=0) | (shown[0] >= 0.5).any(axis=0)) + lowest_note
    low, high = pitch_range(sounding.tolist(), margin=3)
    low, high = max(low, lowest_note), min(high, lowest_note + pitches - 1)
    edges_s = (first - 0.5) / frame_rate, (after - 0.5) / frame_rate
    width = float(np.clip(2.0 + 0.5 * (after - first) / frame_rate, 8.0, 20.0))
    figure = new_figure(width, 1.8 + 0.09 * (high - low))
    upper, lower = figure.subplots(2, 1, sharex=True, sharey=True)
    style = {"origin": "lower", "aspect": "auto", "interpolation": "nearest", "cmap": PROBABILITY_COLOURS}
    extent = (*edges_s, lowest_note - 0.5, lowest_note + pitches - 0.5)
    for axes, matrix, name in ((upper, shown[0], "prediction"), (lower, shown[1], "ground truth")):
        axes.imshow(matrix.T, vmin=0, vmax=1, extent=extent, **style)
        pitch_axis(axes, low, high)
        axes.set_title(name, loc="left", color=INK)
    time_axis(lower, *edges_s)
    upper.tick_params(bottom=False)
    upper.set_xlabel("")
    colour_bar(figure, upper.images[0], [upper, lower], "probability", pad=0.01, fraction=0.03, aspect=40)
    return figure


def plot_precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray, float]]) -> Figure:
    """Draw precision against recall, a line for each network.

    Args:
        curves: For each label: precision [N], recall [N], and the average precision (0 to 1) to write in the legend.

    Returns:
        The figure.

    Source: Figure 2 of C. Trabelsi et al., "Deep complex networks", ICLR 2018, draws its networks so.
    """
    figure = new_figure(5.6, 5.2)
    axes = figure.add_subplot()
    for index, (label, (precision, recall, average)) in enumerate(curves.items()):
        colour = LINE_COLOURS[index % len(LINE_COLOURS)]
        axes.plot(recall, precision, color=colour, linewidth=1.8, label=f"{label}  (AP {100 * average:.1f} %)")
    axes.set(xlim=(0, 1), ylim=(0, 1.005), xlabel="recall", ylabel="precision", aspect="equal")
    axes.grid(color=FAINT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if curves:
        axes.legend(loc="lower left", frameon=False)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure to a file, whole or not at all.

    Args:
        figure: The figure.
        path: The file; its suffix names the format (png, pdf, svg, ...).

    Raises:
        OutputError: If the format is unknown or the file cannot be written.
    """
    known = figure.canvas.get_supported_filetypes()
    if Path(path).suffix.lower().lstrip(".") not in known:
        raise OutputError(f"{path}: pictures are not written in this format; choose one of {', '.join(sorted(known))}.")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH)


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """Make an empty figure without pyplot.

    Args:
        width_inches: Its width.
        height_inches: Its height.

    Returns:
        The figure; what is put into it is arranged so that nothing overlaps.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches, height_inches), dpi=100, layout="constrained", facecolor="white")


def time_axis(axes: Axes, start_s: float, end_s: float) -> None:
    """Make the horizontal axis one of seconds, or of minutes and seconds from two minutes on.

    Args:
        axes: Where.
        start_s: Its beginning, in seconds.
        end_s: Its end, in seconds.
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


def colour_bar(figure: Figure, image: ScalarMappable, axes: Sequence[Axes], label: str, **how: Any) -> None:
    """Put a colour bar beside axes.

    Args:
        figure: Theirs.
        image: What is coloured.
        axes: What it stands beside.
        label: What the colours mean, and their unit.
        how: More for matplotlib: size, distance, ticks.
    """
    bar = figure.colorbar(image, ax=list(axes), **how)
    bar.set_label(label)
    bar.outline.set_visible(False)


def note_name(midi_note: int) -> str:
    """Name a pitch, middle C being C4.

    >>> note_name(60), note_name(21), note_name(70)
    ('C4', 'A0', 'A#4')
    """
    return f"{NOTE_NAMES[midi_note % 12]}{midi_note // 12 - 1}"


def note_bars(axes: Axes, notes: Sequence[Note], least_s: float, **how: Any) -> PolyCollection:
    """Draw notes as bars, a little lower than their rows.

    Args:
        axes: Where: seconds to the right, MIDI numbers upwards.
        notes: The notes.
        least_s: The shortest bar, in seconds.
        how: More for matplotlib: colours, lines, a label.

    Returns:
        The bars, in the order of the notes.
    """
    from matplotlib.collections import PolyCollection

    corners = []
    for note in notes:
        offset_s, low, high = max(note.offset_s, note.onset_s + least_s), note.midi_note - 0.42, note.midi_note + 0.42
        corners.append([(note.onset_s, low), (note.onset_s, high), (offset_s, high), (offset_s, low)])
    bars = PolyCollection(corners, zorder=3, **how)
    axes.add_collection(bars, autolim=False)
    return bars


def pitch_range(midi_notes: Sequence[int], margin: int = 2) -> tuple[int, int]:
    """Lowest and highest pitch to show: those used and a margin, at least two octaves around them."""
    low, high = (min(midi_notes), max(midi_notes)) if midi_notes else (60, 60)
    spare = max(margin, (25 - (high - low)) // 2)
    return low - spare, high + spare


def pitch_axis(axes: Axes, low: int, high: int) -> None:
    """Make the vertical axis one of MIDI numbers, every C named."""
    cs = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
    axes.set_yticks(cs, [note_name(pitch) for pitch in cs])
    axes.set_ylim(low - 0.5, high + 0.5)
    axes.set_ylabel("pitch")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def keyboard(axes: Axes, low: int, high: int) -> None:
    """Make a vertical axis of pitches, shade the black keys' rows and part the octaves under each C."""
    pitch_axis(axes, low, high)
    for pitch in range(low, high + 1):
        if pitch % 12 in BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=BLACK_KEY, linewidth=0, zorder=0)
        if pitch % 12 == 0:
            axes.axhline(pitch - 0.5, color=FAINT, linewidth=0.8, zorder=1)


def column_starts(rows: int, most: int) -> np.ndarray:
    """Share rows out evenly to at most so many columns of a picture: the first row of each, for NumPy's ``reduceat``.

    >>> column_starts(5, 2), column_starts(2, 5)
    (array([0, 2]), array([0, 1]))
    """
    columns = min(rows, most)
    return np.arange(columns) * rows // columns
