"""Note scores: equal to mir_eval's, to the last bit, and fast."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest
from mir_eval.transcription import precision_recall_f1_overlap

from audiocx.errors import ConfigError
from audiocx.music.note_metrics import NoteScores, match_notes, note_scores
from audiocx.notes import Note


def test_note_scores_by_hand() -> None:
    reference = [Note(0.0, 60, 1.0), Note(1.0, 60, 2.0), Note(2.0, 64, 2.1), Note(3.0, 67, 4.0)]
    estimated = [
        Note(0.05, 60, 1.2),  # exactly at both tolerances: right
        Note(1.0, 60, 2.21),  # its end is 210 ms late, and a fifth of its second is 200 ms
        Note(2.0, 64, 2.149),  # short notes have 50 ms
        Note(3.051, 67, 4.0),  # onset too late
        Note(1.0, 61, 2.0),  # wrong pitch
    ]
    scores = note_scores(reference, estimated)
    assert (scores.precision, scores.recall) == (3 / 5, 3 / 4)
    assert scores.f1 == pytest.approx(2 * 0.6 * 0.75 / 1.35)
    assert (scores.offset_precision, scores.offset_recall) == (2 / 5, 2 / 4)
    assert note_scores(reference, estimated, onset_tolerance_s=0.06).recall == 1.0


def test_pairs_are_indices_into_the_two_lists() -> None:
    reference = [Note(5.0, 64, 5.0), Note(2.0, 64, 3.0), Note(0.0, 60, 2.0), Note(0.04, 60, 1.0)]
    estimated = [Note(-0.03, 60, 0.5), Note(0.02, 60, 1.0), Note(5.0, 64, 6.0), Note(2.04, 64, 2.5)]
    # The first of MIDI 60 is near one played note alone: it is given that one, the other the other.
    assert sorted(match_notes(reference, estimated)) == [(1, 3), (2, 0), (3, 1)]
    assert match_notes(reference, estimated, offset_ratio=0.2) == [(3, 1)]
    assert sorted(match_notes(reference, estimated, onset_tolerance_s=0.03)) == [(2, 0), (3, 1)]


def test_without_mir_eval_the_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mir_eval", None)
    with pytest.raises(ConfigError, match=r"mir_eval.*audiocx\[evaluate\]"):
        match_notes([], [])


def test_each_reference_note_is_found_once() -> None:
    scores = note_scores([Note(1.0, 60, 2.0)], [Note(1.0, 60, 2.0), Note(1.01, 60, 2.0)])
    assert (scores.precision, scores.recall) == (0.5, 1.0)


def test_scores_of_nothing_are_zero() -> None:
    nothing: list[Note] = []
    something = [Note(0.0, 60, 1.0)]
    for reference, estimated in ((nothing, something), (something, nothing), (nothing, nothing)):
        assert note_scores(reference, estimated) == NoteScores(0, 0, 0, 0, 0, 0)
    assert note_scores([*something, Note(3.0, 60, 3.0)], something).recall == 1.0  # no duration: left out


def played(rng: np.random.Generator, count: int, pitches: int) -> list[Note]:
    """Notes on a grid of 10 ms: many lie exactly at a tolerance. They overlap, too."""
    onsets, lengths = rng.integers(0, 40 * count // pitches, count) / 100, rng.integers(1, 80, count) / 100
    midi_notes = rng.integers(60, 60 + pitches, count).tolist()
    rows = zip(onsets.tolist(), midi_notes, (onsets + lengths).tolist(), strict=True)
    return sorted(Note(*row) for row in rows)


def moved(rng: np.random.Generator, notes: list[Note]) -> list[Note]:
    """Some of them, a little beside, some a semitone off, some twice."""
    chosen = [notes[index] for index in rng.integers(0, len(notes), len(notes)).tolist()]
    steps = rng.integers(-7, 8, (len(chosen), 2)) / 100
    pitches = rng.choice([0, 0, 0, 0, 1], len(chosen)).tolist()
    found = []
    for note, (on, off), step in zip(chosen, steps.tolist(), pitches, strict=True):
        onset_s = max(0.0, note.onset_s + on)
        found.append(Note(onset_s, note.midi_note + step, max(onset_s + 0.01, note.offset_s + off)))
    return found


def by_mir_eval(reference: list[Note], estimated: list[Note], *tolerances: float) -> NoteScores:
    """Every note compared with every other."""
    lists = []
    for notes in (reference, estimated):
        lists.append(np.array([(note.onset_s, note.offset_s) for note in notes]))
        lists.append(440.0 * 2.0 ** ((np.array([note.midi_note for note in notes], float) - 69) / 12))
    onset_s, ratio, least_s = tolerances
    onset = precision_recall_f1_overlap(*lists, onset_tolerance=onset_s, offset_ratio=None)
    offset = precision_recall_f1_overlap(
        *lists, onset_tolerance=onset_s, offset_ratio=ratio, offset_min_tolerance=least_s
    )
    return NoteScores(*onset[:3], *offset[:3])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tolerances", [(0.05, 0.2, 0.05), (0.03, 0.5, 0.0), (0.1, 0.05, 0.02)])
def test_scores_equal_mir_evals(seed: int, tolerances: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(seed)
    reference = played(rng, 300, pitches=int(rng.integers(1, 12)))
    estimated = moved(rng, reference)
    scores = note_scores(reference, estimated, *tolerances)
    assert scores == by_mir_eval(reference, estimated, *tolerances)
    assert 0 < scores.offset_f1 < scores.f1 < 1


def test_an_hour_of_notes_is_scored_at_once() -> None:
    rng = np.random.default_rng(0)
    reference = played(rng, 30000, pitches=88)
    started = time.process_time()
    note_scores(reference, moved(rng, reference))
    assert time.process_time() - started < 5.0  # about 0.6 s on one core
