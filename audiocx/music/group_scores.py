"""Where the average precision comes from: by instrument, and by the number of notes that sound together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .metrics import average_precision

__all__ = ["ScoredFrames", "by_instrument", "by_polyphony", "format_breakdown", "program_name"]

MOST_NOTES_TOGETHER = 7


@dataclass(frozen=True, eq=False)
class ScoredFrames:
    """The frames of a recording, heard and labelled.

    Attributes:
        name: The recording.
        probabilities: Estimated probabilities, float [T, P].
        roll: What sounds, bool [T, P].
        rolls_by_program: What each instrument plays, bool [T, P], by General MIDI program, counted from 0.
    """

    name: str
    probabilities: np.ndarray
    roll: np.ndarray
    rolls_by_program: dict[int, np.ndarray]


def by_instrument(pieces: Sequence[ScoredFrames]) -> list[dict[str, Any]]:
    """Compute the average precision of each instrument's notes.

    Taken over the recordings in which the instrument plays: its notes against all that is silent. What other
    instruments alone play there counts neither way, since the network does not say who plays.

    Args:
        pieces: The recordings.

    Returns:
        A row for each instrument, by General MIDI program: instrument (its name), average_precision, recordings, pairs
        (frames and pitches in which it sounds).
    """
    rows = []
    for program in sorted({program for piece in pieces for program in piece.rolls_by_program}):
        playing = [piece for piece in pieces if program in piece.rolls_by_program]
        counted = [piece.rolls_by_program[program] | ~piece.roll for piece in playing]
        estimated = np.concatenate([p.probabilities[mask] for p, mask in zip(playing, counted, strict=True)])
        sounding = np.concatenate([p.rolls_by_program[program][m] for p, m in zip(playing, counted, strict=True)])
        if sounding.any():
            rows.append(
                {
                    "instrument": program_name(program),
                    "average_precision": average_precision(estimated, sounding),
                    "recordings": len(playing),
                    "pairs": int(sounding.sum()),
                }
            )
    return rows


def by_polyphony(pieces: Sequence[ScoredFrames]) -> list[dict[str, Any]]:
    """Compute the average precision over the frames in which one note sounds, two notes, and so on.

    Args:
        pieces: The recordings.

    Returns:
        A row for each number of notes: notes ("1", "2", ..., "7+"), average_precision, frames.
    """
    probabilities = np.concatenate([piece.probabilities for piece in pieces])
    roll = np.concatenate([piece.roll for piece in pieces])
    together = np.minimum(roll.sum(1), MOST_NOTES_TOGETHER)
    rows = []
    for count in range(1, MOST_NOTES_TOGETHER + 1):
        frames = together == count
        if frames.any():
            rows.append(
                {
                    "notes": f"{count}{'+' * (count == MOST_NOTES_TOGETHER)}",
                    "average_precision": average_precision(probabilities[frames], roll[frames]),
                    "frames": int(frames.sum()),
                }
            )
    return rows


def format_breakdown(rows: Sequence[dict[str, Any]]) -> str:
    """Set out rows of :func:`by_instrument` or :func:`by_polyphony` as a Markdown table.

    Args:
        rows: At least one.

    Returns:
        The table, average precision in per cent.
    """
    names = list(rows[0])
    lines = [
        f"| {' | '.join('AP' if name == 'average_precision' else name for name in names)} |",
        "|---" + "|---:" * (len(names) - 1) + "|",
    ]
    for row in rows:
        cells = (f"{100 * row[name]:.1f}" if name == "average_precision" else str(row[name]) for name in names)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def program_name(program: int) -> str:
    """Name a General MIDI program, counted from 0.

    >>> program_name(42)
    'Cello'
    """
    import pretty_midi

    return str(pretty_midi.program_to_instrument_name(program))
