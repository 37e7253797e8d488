"""Helpers that corpora share: sample indices, interval trees, parallel maps."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocx.data.corpus import interval_tree, parallel, sample_of
from audiocx.notes import Note

NOTES = [Note(0.5, 60, 1.25, 70), Note(0.5, 64, 0.75, 80), Note(1.5, 60, 2.0, 90)]


@given(st.integers(0, 44100 * 3600 * 3), st.sampled_from([8000, 11000, 11025, 16000, 22050, 44100, 48000]))
def test_label_times_are_scaled_exactly(start: int, rate: int) -> None:
    exact = Fraction(start) * rate / 44100
    assert sample_of(start / 44100, rate) == exact.numerator // exact.denominator


def test_the_interval_tree_returns_the_notes_at_a_sample() -> None:
    tree = interval_tree([*NOTES, Note(0.5001, 72, 0.5001), Note(0.50001, 73, 0.50002)], 100)
    assert {i.data.midi_note for i in tree[49]} == set()
    assert {i.data.midi_note for i in tree[50]} == {60, 64}
    assert {i.data.midi_note for i in tree[75]} == {60}
    assert {i.data.midi_note for i in tree[125]} == set()


def test_parallel_keeps_the_order_and_raises_errors() -> None:
    assert list(parallel(lambda x: x * x, list(range(20)), 3)) == [x * x for x in range(20)]
    results = parallel(lambda x: 1 // x, [1, 1, 0, 1], 2)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_parallel_has_a_bounded_number_of_pending_results() -> None:
    started: list[int] = []
    results = parallel(started.append, list(range(50)), 2)
    for done in range(5):
        next(results)
        assert len(started) <= done + 2 + 1
    results.close()
