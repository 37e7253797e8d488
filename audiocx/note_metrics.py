"""How many notes are right: mir_eval's scores, but notes are compared with those of their pitch, not with all.

Source: mir_eval.transcription (Raffel et al., "mir_eval: a transparent implementation of common MIR metrics", ISMIR
2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .notes import Note

__all__ = ["NoteScores", "note_scores"]


@dataclass(frozen=True)
class NoteScores:
    """Agreement of two lists of notes, each from 0 to 1; `offset` scores ask for the right end as well."""

    precision: float
    recall: float
    f1: float
    offset_precision: float
    offset_recall: float
    offset_f1: float


def note_scores(
    reference: Sequence[Note],
    estimated: Sequence[Note],
    onset_tolerance_s: float = 0.05,
    offset_ratio: float = 0.2,
    offset_min_tolerance_s: float = 0.05,
) -> NoteScores:
    """Score notes: right are those of the right pitch whose onset, and then also whose offset, is near enough.

    Args:
        reference: What was played; notes without duration are left out, as mir_eval takes none.
        estimated: What was found; likewise.
        onset_tolerance_s: Largest distance of onsets, in seconds.
        offset_ratio: Largest distance of offsets, as a fraction of the reference note's duration.
        offset_min_tolerance_s: Distance of offsets that is always near enough, in seconds.

    Returns:
        Precision, recall and F1 by onset and by onset and offset; all 0 if either list is empty, as in mir_eval.

    Source: mir_eval.transcription.precision_recall_f1_overlap.
    """
    from mir_eval.transcription import match_notes

    played, found = _by_pitch(reference), _by_pitch(estimated)
    right = np.zeros(2, dtype=int)
    for midi_note in played.keys() & found.keys():
        # A matching is the largest there is, pitches never match one another: those of each add up to that of all.
        theirs, ours = played[midi_note], found[midi_note]
        one_pitch = theirs, np.ones(len(theirs)), ours, np.ones(len(ours))
        right += [
            len(match_notes(*one_pitch, onset_tolerance_s, offset_ratio=ratio, offset_min_tolerance=least_s))
            for ratio, least_s in ((None, 0.0), (offset_ratio, offset_min_tolerance_s))
        ]
    counts = [sum(map(len, notes.values())) for notes in (found, played)]
    return NoteScores(*(score for hits in right.tolist() for score in _scores(hits, *counts)))


def _by_pitch(notes: Sequence[Note]) -> dict[int, np.ndarray]:
    """Onsets and offsets in seconds, float [N, 2], of each pitch's notes."""
    rows: dict[int, list[tuple[float, float]]] = {}
    for note in notes:
        if note.offset_s > note.onset_s:
            rows.setdefault(note.midi_note, []).append((note.onset_s, note.offset_s))
    return {midi_note: np.array(times_s, dtype=float) for midi_note, times_s in rows.items()}


def _scores(right: int, estimated: int, reference: int) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    if not right:
        return 0.0, 0.0, 0.0
    precision, recall = right / estimated, right / reference
    return precision, recall, 2 * precision * recall / (precision + recall)
