"""Notes: order, piano rolls, names, and snapping to a grid."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audiocx.notes import Note, note_name, notes_to_roll, snap_to_grid

NOTES = st.builds(
    lambda onset, length, pitch, velocity, program: Note(onset / 8, pitch, (onset + length) / 8, velocity, program),
    st.integers(0, 40), st.integers(0, 16), st.integers(60, 62), st.integers(1, 127), st.integers(0, 1),
)  # fmt: skip


def test_notes_sort_by_onset_then_pitch_and_know_their_duration() -> None:
    notes = [Note(1.0, 60, 2.0), Note(0.5, 72, 0.6), Note(0.5, 40, 9.0)]
    assert [note.midi_note for note in sorted(notes)] == [40, 72, 60]
    assert notes[0].duration_s == 1.0 and notes[0].velocity == 80


def test_confidence_takes_no_part_in_comparisons() -> None:
    sure, unsure = Note(1.0, 60, 2.0), Note(1.0, 60, 2.0, confidence=0.1)
    assert sure == unsure and hash(sure) == hash(unsure) and not sure < unsure and sure.confidence == 1.0


def test_a_note_sounds_from_its_onset_up_to_its_offset() -> None:
    times = np.arange(6) / 10
    notes = [Note(0.1, 22, 0.3), Note(0.35, 22, 0.41), Note(0.0, 20, 1.0), Note(0.0, 24, 1.0)]
    roll = notes_to_roll(notes, times, lowest_note=21, pitches=3)
    assert roll.dtype == bool and roll.shape == (6, 3)
    assert roll[:, 1].tolist() == [False, True, True, False, True, False]
    assert not roll[:, [0, 2]].any()  # notes 20 and 24 are out of range


def test_no_notes_make_an_empty_roll() -> None:
    assert not notes_to_roll([], np.arange(3.0)).any()


def test_pitches_are_named_from_the_lowest_to_the_highest_key() -> None:
    names = [note_name(pitch) for pitch in range(21, 109)]
    assert names[0] == "A0" and names[39] == "C4" and names[-1] == "C8" and len(set(names)) == 88


@given(st.lists(NOTES, max_size=12))
def test_snapped_notes_lie_on_the_grid_and_never_overlap(notes: list[Note]) -> None:
    snapped = snap_to_grid(notes, lambda time_s: round(4 * time_s))
    assert all(0 <= start < end for start, end, _ in snapped)
    onsets = {(note.program, note.midi_note, round(4 * note.onset_s)) for note in notes}
    assert {(note.program, note.midi_note, start) for start, _, note in snapped} == onsets
    last_end: dict[tuple[int, int], int] = {}
    for start, end, note in snapped:
        assert start >= last_end.get((note.program, note.midi_note), 0)
        last_end[note.program, note.midi_note] = end


def test_merged_notes_keep_the_longest_duration_and_the_highest_velocity() -> None:
    notes = [Note(0.0, 60, 0.4, 100), Note(0.01, 60, 1.0, 50), Note(-0.2, 62, 0.1)]
    assert snap_to_grid(notes, lambda time_s: round(10 * time_s)) == [
        (0, 10, Note(0.01, 60, 1.0, 100)),
        (0, 1, Note(-0.2, 62, 0.1)),
    ]
