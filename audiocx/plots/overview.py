"""Overview of a transcription: waveform, probabilities, and the notes compared with a reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from ..notes import Note
from .figure import FAINT, INK, LINE_COLOURS, column_starts, fitted_title, new_figure, time_axis
from .piano_roll import MIN_NOTE_INCHES, keyboard, note_bars, pitch_axis, pitch_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from ..music.transcription import Transcription

__all__ = ["plot_overview"]

# More columns would not be visible on a page of this width.
WIDTH_INCHES, MAX_COLUMNS = 10.0, 1000
WAVEFORM_INCHES, INCHES_PER_PITCH, PITCH_AXIS_RANGE_INCHES = 1.0, 0.055, (1.8, 3.6)
WAVEFORM_COLOUR = "#808080"
# They differ in lightness, too.
SOUNDING, ONSET = LINE_COLOURS[0], LINE_COLOURS[1]
HIT, MISSED, EXTRA = LINE_COLOURS[0], LINE_COLOURS[1], LINE_COLOURS[5]


def plot_overview(
    samples: np.ndarray,
    sample_rate: int,
    transcription: Transcription,
    reference: Sequence[Note] | None = None,
    matches: Iterable[tuple[int, int]] = (),
    *,
    start_s: float = 0.0,
    stop_s: float | None = None,
) -> Figure:
    """Draw the waveform, the probabilities and the notes of a passage, one above the other.

    Args:
        samples: The recording, mono, float [N].
        sample_rate: Sample rate in Hz.
        transcription: Transcription of the recording.
        reference: The notes played, where they are known. Then a note of the transcription is a hit if it matches one
            of them and extra otherwise, and an unmatched reference note is missed.
        matches: Index in ``reference`` and index in ``transcription.notes`` of each matching pair, as
            :func:`audiocx.music.note_metrics.match_notes` returns them.
        start_s: Start of the passage, in seconds.
        stop_s: End of the passage, in seconds; None for the end of the recording.

    Returns:
        The figure; counts and F1 are those of the notes in the passage.

    Raises:
        ConfigError: The passage holds nothing of the recording.
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
        for name, notes in _compare(transcription.notes, reference, matches).items()
    }
    low, high = pitch_range([note.midi_note for notes in groups.values() for note in notes])
    inches = float(np.clip(INCHES_PER_PITCH * (high - low + 1), *PITCH_AXIS_RANGE_INCHES))
    figure = new_figure(WIDTH_INCHES, WAVEFORM_INCHES + 2 * inches + 1.0)
    heights = {"height_ratios": (WAVEFORM_INCHES, inches, inches)}
    waveform, probabilities, roll = figure.subplots(3, 1, sharex=True, gridspec_kw=heights)
    _draw_waveform(waveform, samples, sample_rate, start_s, stop_s)
    shown, style = fitted_title(transcription.source, WIDTH_INCHES)
    waveform.set_title(shown, loc="left", **style)
    _draw_probabilities(probabilities, transcription, start_s, stop_s)
    pitch_axis(probabilities, low, high)
    probabilities.grid(color=FAINT, linewidth=0.5, zorder=1)
    keyboard(roll, low, high)
    roll.grid(axis="x", color=FAINT, linewidth=0.5, zorder=1)
    _draw_notes(roll, groups, MIN_NOTE_INCHES * (stop_s - start_s) / WIDTH_INCHES)
    time_axis(roll, start_s, stop_s)
    return figure


def _compare(
    estimated: Sequence[Note], reference: Sequence[Note] | None, matches: Iterable[tuple[int, int]]
) -> dict[str, list[Note]]:
    """Sort notes into hit, missed and extra ones; those without duration are inaudible, and match nothing."""
    if reference is None:
        return {"found": list(estimated)}
    pairs = list(matches)
    matched, hits = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    return {
        "hit": [estimated[index] for index in sorted(hits)],
        "missed": [note for index, note in enumerate(reference) if index not in matched and note.duration_s > 0],
        "extra": [note for index, note in enumerate(estimated) if index not in hits and note.duration_s > 0],
    }


def _draw_waveform(axes: Axes, samples: np.ndarray, sample_rate: int, start_s: float, stop_s: float) -> None:
    """Draw the range of the samples in each column."""
    first = min(int(start_s * sample_rate), len(samples) - 1)
    shown = samples[first : max(first + 1, round(stop_s * sample_rate))]
    starts = column_starts(len(shown), MAX_COLUMNS)
    edges_s = (first + np.append(starts, len(shown))) / sample_rate
    lowest, highest = (extreme.reduceat(shown, starts) for extreme in (np.minimum, np.maximum))
    # The outline connects columns that do not overlap, where samples are few.
    axes.stairs(highest, edges_s, baseline=lowest, fill=True, color=WAVEFORM_COLOUR, linewidth=0.5)
    peak = float(np.abs(shown).max()) or 1.0
    axes.set(ylim=(-1.05 * peak, 1.05 * peak), yticks=[])
    axes.tick_params(bottom=False)
    axes.spines[:].set_visible(False)


def _draw_probabilities(axes: Axes, transcription: Transcription, start_s: float, stop_s: float) -> None:
    """Draw frame probabilities and, where the network has them, onset probabilities; opacity is the probability."""
    from matplotlib.colors import to_rgb

    rate, lowest = transcription.frame_rate, transcription.lowest_note
    frames, pitches = transcription.probabilities.shape
    # Frame t is centred at t / rate.
    first = min(frames - 1, int(start_s * rate + 0.5))
    after = max(first + 1, min(frames, int(stop_s * rate + 0.5) + 1))
    extent = ((first - 0.5) / rate, (after - 0.5) / rate, lowest - 0.5, lowest + pitches - 0.5)
    layers = {"sounds": (transcription.probabilities, SOUNDING), "begins": (transcription.onsets, ONSET)}
    shown = {name: (matrix[first:after], colour) for name, (matrix, colour) in layers.items() if matrix is not None}
    for matrix, colour in shown.values():
        # The maximum of each column keeps short onset peaks visible.
        alpha = np.maximum.reduceat(matrix, column_starts(len(matrix), MAX_COLUMNS)).T
        image = np.dstack([np.broadcast_to(to_rgb(colour), (*alpha.shape, 3)), np.clip(alpha, 0, 1)])
        axes.imshow(image, origin="lower", aspect="auto", interpolation="nearest", extent=extent, zorder=2)
    axes.set_title("probability that a note ...", loc="left", color=INK)
    axes.tick_params(bottom=False)
    _legend(axes, [_patch(name, colour) for name, (_, colour) in shown.items()])


def _draw_notes(axes: Axes, groups: dict[str, list[Note]], min_duration_s: float) -> None:
    """Draw notes as bars, missed ones hollow, with their counts in the legend."""
    counts = {name: len(notes) for name, notes in groups.items()}
    colours = {"found": HIT, "hit": HIT, "missed": MISSED, "extra": EXTRA}
    for name, notes in groups.items():
        face = "none" if name == "missed" else colours[name]
        edge = colours[name] if name == "missed" else "white"
        note_bars(
            axes, notes, min_duration_s, facecolors=face, edgecolors=edge, linewidths=1.2 if name == "missed" else 0.5
        )
    title = "notes"
    if "hit" in counts:
        total = 2 * counts["hit"] + counts["missed"] + counts["extra"]
        title = f"notes compared with the reference: F1 {200 * counts['hit'] / max(1, total):.1f} %"
    axes.set_title(title, loc="left", color=INK)
    _legend(axes, [_patch(f"{counts[name]} {name}", colours[name], name == "missed") for name in groups])


def _patch(label: str, colour: str, hollow: bool = False) -> Patch:
    from matplotlib.patches import Patch

    return Patch(facecolor="none" if hollow else colour, edgecolor=colour, linewidth=1.2, label=label)


def _legend(axes: Axes, patches: list[Patch]) -> None:
    """Put a legend above the axes, on the right of the title."""
    sizes = {"handlelength": 1.0, "handleheight": 0.7, "columnspacing": 1.2, "borderaxespad": 0.2}
    axes.legend(
        handles=patches, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(patches), frameon=False, **sizes
    )
