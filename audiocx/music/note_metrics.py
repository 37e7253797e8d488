"""Note scores of mir_eval.transcription, computed pitch by pitch, which is faster.

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
    """Agreement of two lists of notes, each score from 0 to 1; `offset` scores also require matching offsets."""

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
    """Match reference notes with estimated notes of the same pitch, one to one, as many as possible.

    Args:
        reference: Reference notes; those without duration are left out, as mir_eval does not accept them.
        estimated: Estimated notes; likewise.
        onset_tolerance_s: Largest distance of onsets, in seconds.
        offset_ratio: Largest distance of offsets, as a fraction of the reference note's duration; None for any.
        offset_min_tolerance_s: Distance of offsets that is always near enough, in seconds.

    Returns:
        Indices into ``reference`` and ``estimated`` of each pair.

    Raises:
        ConfigError: mir_eval is not installed.

    Source: mir_eval.transcription.match_notes.
    """
    try:
        from mir_eval import transcription
    except ImportError as error:
        raise ConfigError(
            f"Comparing notes needs {error.name}, which is not installed; run pip install 'audiocx[evaluate]'."
        ) from error

    references, estimates = _by_pitch(reference), _by_pitch(estimated)
    pairs: list[tuple[int, int]] = []
    for midi_note in references.keys() & estimates.keys():
        # Notes of different pitch never match: the largest matchings of all pitches are together the largest one.
        rows, columns = references[midi_note], estimates[midi_note]
        one_pitch = (
            *(_times_s(reference, rows), np.ones(len(rows))),
            *(_times_s(estimated, columns), np.ones(len(columns))),
        )
        matched = transcription.match_notes(
            *one_pitch, onset_tolerance_s, offset_ratio=offset_ratio, offset_min_tolerance=offset_min_tolerance_s
        )
        pairs += [(rows[first], columns[second]) for first, second in matched]
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
        reference: Reference notes; those without duration are left out, as mir_eval does not accept them.
        estimated: Estimated notes; likewise.
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
    """Return the indices of each pitch's notes, without those of no duration."""
    indices: dict[int, list[int]] = {}
    for index, note in enumerate(notes):
        if note.offset_s > note.onset_s:
            indices.setdefault(note.midi_note, []).append(index)
    return indices


def _times_s(notes: Sequence[Note], indices: Sequence[int]) -> np.ndarray:
    """Return onsets and offsets of the notes at these indices, float [N, 2]."""
    return np.array([(notes[index].onset_s, notes[index].offset_s) for index in indices], dtype=float)


def _scores(matched: int, estimated: int, reference: int) -> tuple[float, float, float]:
    """Return precision, recall and F1."""
    if not matched:
        return 0.0, 0.0, 0.0
    precision, recall = matched / estimated, matched / reference
    return precision, recall, 2 * precision * recall / (precision + recall)
