"""How many notes are right: mir_eval's scores, but notes are compared with those of their pitch, not with all.

Source: mir_eval.transcription (Raffel et al., "mir_eval: a transparent implementation of common MIR metrics", ISMIR
2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError
from ..notes import Note

__all__ = ["NoteScores", "match_notes", "note_scores"]


@dataclass(frozen=True)
class NoteScores:
    """Agreement of two lists of notes, each from 0 to 1; `offset` scores ask for the right end as well."""

    precision: float
    recall: float
    f1: float
    offset_precision: float
    offset_recall: float
    offset_f1: float


ONSET_TOLERANCE_S = 0.05


def match_notes(
    reference: Sequence[Note],
    estimated: Sequence[Note],
    onset_tolerance_s: float = ONSET_TOLERANCE_S,
    offset_ratio: float | None = None,
    offset_min_tolerance_s: float = 0.0,
) -> list[tuple[int, int]]:
    """Pair notes played with notes found of the same pitch, as many as agree, each with one at most.

    Args:
        reference: What was played; notes without duration are left out, as mir_eval takes none.
        estimated: What was found; likewise.
        onset_tolerance_s: Largest distance of onsets, in seconds.
        offset_ratio: Largest distance of offsets, as a fraction of the reference note's duration; None for any.
        offset_min_tolerance_s: Distance of offsets that is always near enough, in seconds.

    Returns:
        The place in ``reference`` and that in ``estimated``, for each pair.

    Raises:
        ConfigError: mir_eval is not installed.

    Source: mir_eval.transcription.match_notes.
    """
    try:
        from mir_eval import transcription
    except ImportError as error:
        raise ConfigError(
            f"Comparing notes needs {error.name}, which is not installed; run pip install 'audiocx[train]'."
        ) from error

    played, found = _by_pitch(reference), _by_pitch(estimated)
    pairs: list[tuple[int, int]] = []
    for midi_note in played.keys() & found.keys():
        # A matching is the largest there is, pitches never match one another: those of each add up to that of all.
        theirs, ours = played[midi_note], found[midi_note]
        one_pitch = _times_s(reference, theirs), np.ones(len(theirs)), _times_s(estimated, ours), np.ones(len(ours))
        matched = transcription.match_notes(
            *one_pitch, onset_tolerance_s, offset_ratio=offset_ratio, offset_min_tolerance=offset_min_tolerance_s
        )
        pairs += [(theirs[first], ours[second]) for first, second in matched]
    return pairs


def note_scores(
    reference: Sequence[Note],
    estimated: Sequence[Note],
    onset_tolerance_s: float = ONSET_TOLERANCE_S,
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

    Raises:
        ConfigError: mir_eval is not installed.

    Source: mir_eval.transcription.precision_recall_f1_overlap.
    """
    by_onset = match_notes(reference, estimated, onset_tolerance_s)
    by_offset = match_notes(reference, estimated, onset_tolerance_s, offset_ratio, offset_min_tolerance_s)
    counts = [sum(note.offset_s > note.onset_s for note in notes) for notes in (estimated, reference)]
    return NoteScores(*_scores(len(by_onset), *counts), *_scores(len(by_offset), *counts))


def _by_pitch(notes: Sequence[Note]) -> dict[int, list[int]]:
    """Places of each pitch's notes, but for those without duration."""
    places: dict[int, list[int]] = {}
    for place, note in enumerate(notes):
        if note.offset_s > note.onset_s:
            places.setdefault(note.midi_note, []).append(place)
    return places


def _times_s(notes: Sequence[Note], places: Sequence[int]) -> np.ndarray:
    """Onsets and offsets, float [N, 2], of the notes at these places."""
    return np.array([(notes[place].onset_s, notes[place].offset_s) for place in places], dtype=float)


def _scores(right: int, estimated: int, reference: int) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    if not right:
        return 0.0, 0.0, 0.0
    precision, recall = right / estimated, right / reference
    return precision, recall, 2 * precision * recall / (precision + recall)
