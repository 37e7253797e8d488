"""A recording seen whole: its waveform, what the network holds probable, and the notes found against those played."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from ..music.note_metrics import match_notes
from ..notes import Note
from .piano_roll import (
    FAINT,
    INK,
    LEAST_NOTE_INCHES,
    LINE_COLOURS,
    column_starts,
    keyboard,
    new_figure,
    note_bars,
    pitch_axis,
    pitch_range,
    time_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from ..music.transcription import Transcription

__all__ = ["plot_overview"]

# As wide as a page shows it: what is drawn finer is lost.
WIDTH_INCHES, MOST_COLUMNS = 10.0, 1000
WAVEFORM_INCHES, INCHES_PER_PITCH, PITCHES_RANGE_INCHES = 1.0, 0.055, (1.8, 3.6)
WAVEFORM_COLOUR = "#808080"
# Told apart by their lightness, too.
SOUNDING, BEGINNING = LINE_COLOURS[0], LINE_COLOURS[1]
HIT, MISSED, EXTRA = LINE_COLOURS[0], LINE_COLOURS[1], LINE_COLOURS[5]


def plot_overview(
    samples: np.ndarray,
    sample_rate: int,
    transcription: Transcription,
    played: Sequence[Note] | None = None,
    start_s: float = 0.0,
    stop_s: float | None = None,
) -> Figure:
    """Draws the waveform above the probabilities above the notes of a passage.

    Args:
        samples: The recording, mono, float [N].
        sample_rate: Its rate, in Hz.
        transcription: What was found in it.
        played: What was played, where that is known: a note found is a hit if a note of its pitch was played within 50
            ms of its onset, else extra; what was played and not found is missed.
        start_s: Where the passage begins, in seconds.
        stop_s: Where it ends, in seconds; None for the end of the recording.

    Returns:
        The figure; counts and F1 are those of the notes that are seen.

    Raises:
        ConfigError: Nothing of the recording lies in the passage; or notes were played, and mir_eval is not installed.
    """
    end_s = len(samples) / sample_rate
    stop_s = end_s if stop_s is None else min(stop_s, end_s)
    if not 0 <= start_s < stop_s:
        raise ConfigError(
            f"{transcription.source}: the passage from {start_s:g} s to {stop_s:g} s is empty; choose one within its "
            f"{end_s:g} s."
        )
    groups = {
        name: [note for note in notes if note.onset_s < stop_s and note.offset_s > start_s]
        for name, notes in _judged(transcription.notes, played).items()
    }
    low, high = pitch_range([note.midi_note for notes in groups.values() for note in notes])
    inches = float(np.clip(INCHES_PER_PITCH * (high - low + 1), *PITCHES_RANGE_INCHES))
    figure = new_figure(WIDTH_INCHES, WAVEFORM_INCHES + 2 * inches + 1.0)
    heights = {"height_ratios": (WAVEFORM_INCHES, inches, inches)}
    waveform, probable, found = figure.subplots(3, 1, sharex=True, gridspec_kw=heights)
    _draw_waveform(waveform, samples, sample_rate, start_s, stop_s)
    waveform.set_title(transcription.source, loc="left", color=INK)
    _draw_probabilities(probable, transcription, start_s, stop_s)
    pitch_axis(probable, low, high)
    probable.grid(color=FAINT, linewidth=0.5, zorder=1)
    keyboard(found, low, high)
    found.grid(axis="x", color=FAINT, linewidth=0.5, zorder=1)
    _draw_notes(found, groups, LEAST_NOTE_INCHES * (stop_s - start_s) / WIDTH_INCHES)
    time_axis(found, start_s, stop_s)
    return figure


def _judged(found: Sequence[Note], played: Sequence[Note] | None) -> dict[str, list[Note]]:
    """What is drawn, by what it is called."""
    if played is None:
        return {"found": list(found)}
    # Without duration a note is never heard, and mir_eval takes none.
    found, played = ([note for note in notes if note.duration_s > 0] for notes in (found, played))
    pairs = match_notes(played, found)
    known, right = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    return {
        "hit": [found[place] for place in sorted(right)],
        "missed": [note for place, note in enumerate(played) if place not in known],
        "extra": [note for place, note in enumerate(found) if place not in right],
    }


def _draw_waveform(axes: Axes, samples: np.ndarray, sample_rate: int, start_s: float, stop_s: float) -> None:
    """From the lowest to the highest sample of each column."""
    first = min(int(start_s * sample_rate), len(samples) - 1)
    shown = samples[first : max(first + 1, round(stop_s * sample_rate))]
    starts = column_starts(len(shown), MOST_COLUMNS)
    edges_s = (first + np.append(starts, len(shown))) / sample_rate
    lowest, highest = (extreme.reduceat(shown, starts) for extreme in (np.minimum, np.maximum))
    # The line joins columns that do not overlap, where samples are few.
    axes.stairs(highest, edges_s, baseline=lowest, fill=True, color=WAVEFORM_COLOUR, linewidth=0.5)
    peak = float(np.abs(shown).max()) or 1.0
    axes.set(ylim=(-1.05 * peak, 1.05 * peak), yticks=[])
    axes.tick_params(bottom=False)
    axes.spines[:].set_visible(False)


def _draw_probabilities(axes: Axes, transcription: Transcription, start_s: float, stop_s: float) -> None:
    """Of sounding and, where the network tells it, of beginning: the likelier, the deeper the colour."""
    from matplotlib.colors import to_rgb

    rate, lowest = transcription.frame_rate, transcription.lowest_note
    frames, pitches = transcription.probabilities.shape
    # Frame t is centred at t / rate.
    first = min(frames - 1, int(start_s * rate + 0.5))
    after = max(first + 1, min(frames, int(stop_s * rate + 0.5) + 1))
    extent = ((first - 0.5) / rate, (after - 0.5) / rate, lowest - 0.5, lowest + pitches - 0.5)
    layers = {"sounds": (transcription.probabilities, SOUNDING), "begins": (transcription.onsets, BEGINNING)}
    shown = {name: (matrix[first:after], colour) for name, (matrix, colour) in layers.items() if matrix is not None}
    for matrix, colour in shown.values():
        # The highest of each column: the moment of an onset is not to be lost.
        alpha = np.maximum.reduceat(matrix, column_starts(len(matrix), MOST_COLUMNS)).T
        image = np.dstack([np.broadcast_to(to_rgb(colour), (*alpha.shape, 3)), np.clip(alpha, 0, 1)])
        axes.imshow(image, origin="lower", aspect="auto", interpolation="nearest", extent=extent, zorder=2)
    axes.set_title("probability that a note ...", loc="left", color=INK)
    axes.tick_params(bottom=False)
    _legend(axes, [_patch(name, colour) for name, (_, colour) in shown.items()])


def _draw_notes(axes: Axes, groups: dict[str, list[Note]], least_s: float) -> None:
    """Bars, hollow where nothing was found; what was hit, missed and extra is counted."""
    counts = {name: len(notes) for name, notes in groups.items()}
    colours = {"found": HIT, "hit": HIT, "missed": MISSED, "extra": EXTRA}
    for name, notes in groups.items():
        face = "none" if name == "missed" else colours[name]
        edge = colours[name] if name == "missed" else "white"
        note_bars(axes, notes, least_s, facecolors=face, edgecolors=edge, linewidths=1.2 if name == "missed" else 0.5)
    title = "notes"
    if "hit" in counts:
        total = 2 * counts["hit"] + counts["missed"] + counts["extra"]
        title = f"notes found against played: F1 {200 * counts['hit'] / max(1, total):.1f} %"
    axes.set_title(title, loc="left", color=INK)
    _legend(axes, [_patch(f"{counts[name]} {name}", colours[name], name == "missed") for name in groups])


def _patch(label: str, colour: str, hollow: bool = False) -> Patch:
    from matplotlib.patches import Patch

    return Patch(facecolor="none" if hollow else colour, edgecolor=colour, linewidth=1.2, label=label)


def _legend(axes: Axes, patches: list[Patch]) -> None:
    """Above the axes, at the right of their title's line."""
    sizes = {"handlelength": 1.0, "handleheight": 0.7, "columnspacing": 1.2, "borderaxespad": 0.2}
    axes.legend(
        handles=patches, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(patches), frameon=False, **sizes
    )
