"""Piano rolls: the notes of a transcription, and predicted probabilities above the notes played."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..notes import LOWEST_PIANO_NOTE, Note, note_name, notes_to_roll
from .figure import FAINT, INK, colour_bar, fitted_title, new_figure, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

# Perceptually uniform, and readable in grey and by the colour-blind. Source: matplotlib's documentation of colormaps.
VELOCITY_COLOURS = "viridis_r"
PROBABILITY_COLOURS = "magma"
BLACK_KEY = "#f2f2f4"
BLACK_KEYS = frozenset((1, 3, 6, 8, 10))
# Width of one second, within the widths that screens and pages can show.
INCHES_PER_SECOND = 0.35
WIDTH_RANGE_INCHES = (8.0, 40.0)
# Notes shorter than this would vanish in long pieces.
MIN_NOTE_INCHES = 0.015
SEAM_INCHES_PER_SECOND = 0.2


def plot_notes(notes: Sequence[Note], duration_s: float, title: str = "") -> Figure:
    """Draw notes as a piano roll, coloured by velocity.

    Args:
        notes: The notes.
        duration_s: Length of the recording in seconds.
        title: Title of the plot.

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
        MIN_NOTE_INCHES * end_s / width,
        array=[note.velocity for note in notes],
        cmap=VELOCITY_COLOURS,
        clim=(1, 127),
        # A thin white edge separates repeated notes; at a narrow scale it would hide the notes themselves.
        edgecolors="white",
        linewidths=0.5 if width / end_s > SEAM_INCHES_PER_SECOND else 0.0,
    )
    time_axis(axes, 0.0, end_s)
    axes.grid(axis="x", color=FAINT, linewidth=0.5, zorder=1)
    shown, style = fitted_title(title, width)
    axes.set_title(shown, loc="left", **style)
    size = {"pad": 0.15 / width, "fraction": 0.6 / width, "aspect": 30}
    colour_bar(figure, bars, [axes], "velocity", ticks=[1, 32, 64, 96, 127], **size)
    return figure


def plot_prediction(
    probabilities: np.ndarray,
    frame_rate: float,
    reference: np.ndarray | Sequence[Note],
    start_s: float = 0.0,
    end_s: float | None = None,
    lowest_note: int = LOWEST_PIANO_NOTE,
) -> Figure:
    """Draw predicted probabilities above the notes played, for a passage.

    Args:
        probabilities: Probability that each pitch sounds, float [T, P]; frame t is at t / frame_rate seconds.
        frame_rate: Frames per second.
        reference: The notes played, as a piano roll, bool [T, P], or as notes.
        start_s: Start of the passage, in seconds.
        end_s: End of the passage, in seconds; None for the end of the piece.
        lowest_note: MIDI number of the first pitch.

    Returns:
        The figure.

    Raises:
        ValueError: The passage holds no frame, or the piano roll and the probabilities differ in shape.

    Source: Figure 3 of C. Trabelsi et al., "Deep complex networks", ICLR 2018.
    """
    frames, pitches = probabilities.shape
    if isinstance(reference, np.ndarray):
        roll = reference
    else:
        roll = notes_to_roll(reference, np.arange(frames) / frame_rate, lowest_note, pitches)
    if roll.shape != probabilities.shape:
        raise ValueError(
            f"The piano roll has shape {roll.shape}, the probabilities {probabilities.shape}; they must be equal."
        )
    first = max(0, round(start_s * frame_rate))
    after = frames if end_s is None else min(frames, round(end_s * frame_rate))
    if first >= after:
        raise ValueError(f"The passage from {start_s} s to {end_s} s holds no frame.")
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


def note_bars(axes: Axes, notes: Sequence[Note], min_duration_s: float, **style: Any) -> PolyCollection:
    """Draw notes as bars, a little lower than one semitone.

    Args:
        axes: Axes with seconds to the right and MIDI numbers upwards.
        notes: The notes.
        min_duration_s: Length of the shortest bar, in seconds.
        style: Colours, lines and label, passed to ``PolyCollection``.

    Returns:
        The bars, in the order of the notes.
    """
    from matplotlib.collections import PolyCollection

    corners = []
    for note in notes:
        offset_s, low, high = (
            max(note.offset_s, note.onset_s + min_duration_s),
            note.midi_note - 0.42,
            note.midi_note + 0.42,
        )
        corners.append([(note.onset_s, low), (note.onset_s, high), (offset_s, high), (offset_s, low)])
    bars = PolyCollection(corners, zorder=3, **style)
    axes.add_collection(bars, autolim=False)
    return bars


def pitch_range(midi_notes: Sequence[int], margin: int = 2) -> tuple[int, int]:
    """Return the lowest and highest pitch to show: the given ones with a margin, at least two octaves in all."""
    low, high = (min(midi_notes), max(midi_notes)) if midi_notes else (60, 60)
    margin = max(margin, (25 - (high - low)) // 2)
    return low - margin, high + margin


def pitch_axis(axes: Axes, low: int, high: int) -> None:
    """Label a vertical axis of MIDI numbers: every C by its name."""
    cs = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
    axes.set_yticks(cs, [note_name(pitch) for pitch in cs])
    axes.set_ylim(low - 0.5, high + 0.5)
    axes.set_ylabel("pitch")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def keyboard(axes: Axes, low: int, high: int) -> None:
    """Label a vertical axis of pitches, shade the rows of the black keys and draw a line below each C."""
    pitch_axis(axes, low, high)
    for pitch in range(low, high + 1):
        if pitch % 12 in BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=BLACK_KEY, linewidth=0, zorder=0)
        if pitch % 12 == 0:
            axes.axhline(pitch - 0.5, color=FAINT, linewidth=0.8, zorder=1)
