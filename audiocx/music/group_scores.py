"""Average precision by instrument and by polyphony."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .metrics import average_precision

__all__ = ["ScoredFrames", "by_instrument", "by_polyphony", "format_groups", "program_name"]

MAX_POLYPHONY = 7


@dataclass(frozen=True, eq=False)
class ScoredFrames:
    """Estimated and reference frames of a recording.

    Attributes:
        name: Name of the recording.
        probabilities: Estimated probabilities, float [T, P].
        roll: Reference piano roll, bool [T, P].
        rolls_by_program: Reference piano roll of each instrument, bool [T, P], by General MIDI program from 0.
    """

    name: str
    probabilities: np.ndarray
    roll: np.ndarray
    rolls_by_program: dict[int, np.ndarray]


def by_instrument(pieces: Sequence[ScoredFrames]) -> list[dict[str, Any]]:
    """Compute the average precision of each instrument's notes.

    It is taken over the recordings in which the instrument plays, of its active pairs against all silent ones. Pairs in
    which only other instruments are active are left out, because the network does not tell instruments apart.

    Args:
        pieces: The recordings.

    Returns:
        A row for each instrument, by General MIDI program: instrument (its name), average_precision, recordings, pairs
        (of frame and pitch in which it is active).
    """
    rows = []
    for program in sorted({program for piece in pieces for program in piece.rolls_by_program}):
        playing = [piece for piece in pieces if program in piece.rolls_by_program]
        counted = [piece.rolls_by_program[program] | ~piece.roll for piece in playing]
        estimated = np.concatenate([p.probabilities[mask] for p, mask in zip(playing, counted, strict=True)])
        active = np.concatenate([p.rolls_by_program[program][m] for p, m in zip(playing, counted, strict=True)])
        if active.any():
            rows.append(
                {
                    "instrument": program_name(program),
                    "average_precision": average_precision(estimated, active),
                    "recordings": len(playing),
                    "pairs": int(active.sum()),
                }
            )
    return rows


def by_polyphony(pieces: Sequence[ScoredFrames]) -> list[dict[str, Any]]:
    """Compute the average precision over the frames with one active note, with two, and so on.

    Args:
        pieces: The recordings.

    Returns:
        A row for each number of notes: notes ("1", "2", ..., "7+"), average_precision, frames.
    """
    probabilities = np.concatenate([piece.probabilities for piece in pieces])
    roll = np.concatenate([piece.roll for piece in pieces])
    polyphony = np.minimum(roll.sum(1), MAX_POLYPHONY)
    rows = []
    for count in range(1, MAX_POLYPHONY + 1):
        frames = polyphony == count
        if frames.any():
            rows.append(
                {
                    "notes": f"{count}{'+' * (count == MAX_POLYPHONY)}",
                    "average_precision": average_precision(probabilities[frames], roll[frames]),
                    "frames": int(frames.sum()),
                }
            )
    return rows


def format_groups(rows: Sequence[dict[str, Any]]) -> str:
    """Format rows of :func:`by_instrument` or :func:`by_polyphony` as a Markdown table.

    Args:
        rows: The rows, at least one.

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
    """Return the name of a General MIDI program, counted from 0.

    >>> program_name(42)
    'Cello'
    """
    import pretty_midi

    return str(pretty_midi.program_to_instrument_name(program))
