"""Scores of performances whose notation is known: worked by hand, and properties of any notes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocx.errors import ConfigError
from audiocx.music.hands import split_hands
from audiocx.music.key import Key, estimate_key, spell
from audiocx.music.metre import QUARTER, Metre, estimate_metre
from audiocx.music.score import Chord, Score, make_score
from audiocx.notes import Note

SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


def performed(rows: Sequence[tuple[float, float, int]], bpm: float = 100, jitter_s: float = 0.012) -> list[Note]:
    """Rows of quarter, length in quarters and pitch, played at a tempo, none quite in time."""
    random = np.random.default_rng(0)
    notes = []
    for quarter, length, pitch in rows:
        onset_s = 0.7 + quarter * 60 / bpm + random.uniform(-jitter_s, jitter_s)
        notes.append(Note(onset_s, pitch, onset_s + 0.92 * length * 60 / bpm, 80))
    return notes


def read(score: Score, staff: int = 0, voice: int = 0) -> list[list[tuple[float, list[int]]]]:
    """Bars of a voice: note values in quarters, and pitches."""
    return [
        [(chord.length / QUARTER, [pitch for pitch, _ in chord.pitches]) for chord in bar.voices[voice]]
        for bar in score.staves[staff]
        if len(bar.voices) > voice
    ]


def sounding(score: Score) -> list[tuple[int, int]]:
    """Onset in ticks and pitch of all notes, tied ones once."""
    found = []
    for staff in score.staves:
        at = 0
        for bar, ticks in zip(staff, score.bar_ticks, strict=True):
            for voice in bar.voices:
                for chord in voice:
                    if chord.tie in ("", "start"):
                        found += [(at + chord.start, pitch) for pitch, _ in chord.pitches]
            at += ticks
    return sorted(found)


def quarters(bars: int = 8) -> list[tuple[float, float, int]]:
    """C major scale in quarters over a bass and a chord, which change with each bar."""
    rows: list[tuple[float, float, int]] = []
    for bar in range(bars):
        chord = (48, 55, 64) if bar % 2 == 0 else (43, 53, 59)
        rows += [(4.0 * bar, 4.0, pitch) for pitch in chord[:2]]
        rows += [(4.0 * bar + i, 1.0, (SCALE[i] if bar % 2 == 0 else SCALE[7 - i]) + 12) for i in range(4)]
    return rows


def test_a_jittered_scale_reads_back_as_written() -> None:
    score = make_score(performed(quarters()))
    assert (score.metre.signature, score.key, score.bar_ticks) == ("4/4", Key(0, "major"), [4 * QUARTER] * 8)
    assert score.metre.tempo_bpm == pytest.approx(100, abs=1)
    upper = read(score)
    assert upper[0] == [(1.0, [pitch]) for pitch in (72, 74, 76, 77)]
    assert upper[1] == [(1.0, [pitch]) for pitch in (84, 83, 81, 79)]
    assert read(score, staff=1) == [[(4.0, [48, 55])], [(4.0, [43, 53])]] * 4
    assert [bar.clef for bar in score.staves[0] + score.staves[1]] == ["treble"] * 8 + ["bass"] * 8


def waltz(first: int = 0) -> list[tuple[float, float, int]]:
    rows: list[tuple[float, float, int]] = [] if not first else [(3.0 - first, float(first), 79)]
    lead = 3.0 if first else 0.0
    for bar in range(10):
        root = (48, 43, 45, 41, 43)[bar % 5]
        rows.append((lead + 3.0 * bar, 1.0, root))
        rows += [(lead + 3.0 * bar + beat, 1.0, root + step) for beat in (1, 2) for step in (16, 19)]
        rows.append((lead + 3.0 * bar, 3.0, root + 36))
    return rows


def test_a_waltz_is_in_three() -> None:
    metre = estimate_metre(performed(waltz(), bpm=110))
    assert (metre.signature, metre.pickup_beats) == ("3/4", 0)


def test_an_upbeat_has_a_short_bar() -> None:
    score = make_score(performed(waltz(first=1), bpm=110))
    assert (score.metre.signature, score.bar_ticks[:2]) == ("3/4", [QUARTER, 3 * QUARTER])
    assert read(score)[0] == [(1.0, [79])]


def test_the_chromatic_degrees_of_g_minor_are_spelled_as_usual() -> None:
    line = [67, 66, 67, 70, 74, 73, 74, 75, 74, 72, 70, 69, 67, 69, 71, 72, 75, 74, 66, 67]
    notes = performed([(float(i), 1.0, pitch) for i, pitch in enumerate(line)])
    key = estimate_key(notes)
    assert key == Key(-2, "minor")
    names = [pitch.step + {-1: "b", 0: "", 1: "#"}[pitch.alter] for pitch in spell(notes, key)]
    assert " ".join(names) == "G F# G Bb D C# D Eb D C Bb A G A B C Eb D F# G"


def test_middle_c_has_octave_four_by_any_name() -> None:
    written = spell(performed([(0, 1, 59), (1, 1, 60)]), Key(6, "major"))  # F# major: B3, B#3
    assert [(p.step, p.alter, p.octave) for p in written] == [("B", 0, 3), ("B", 1, 3)]


def fixed(notes: list[Note], per_bar: int = 4, compound: bool = False, bpm: float = 100) -> Metre:
    end_s = max(note.offset_s for note in notes) + 2
    return Metre(np.arange(0.7, end_s, 60 / bpm), per_bar, compound)


def test_triplets_are_marked_and_fill_their_beat() -> None:
    rows = [(i / 3, 1 / 3, 72 + i % 5) for i in range(6)] + [(2.0, 0.5, 76), (2.5, 0.5, 77), (3.0, 1.0, 79)]
    notes = performed(rows)
    bar = make_score(notes, metre=fixed(notes)).staves[0][0].voices[0]
    assert [(chord.length, chord.tuplet, chord.edge) for chord in bar] == [
        *[(8, 3, edge) for edge in ("start", "", "stop")] * 2,
        *[(12, 0, "")] * 2,
        (24, 0, ""),
    ]


def test_notes_over_the_bar_are_tied() -> None:
    notes = performed([(0, 3, 60), (3, 2, 64), (5, 3, 67)])
    first, second = make_score(notes, metre=fixed(notes)).staves[0]
    assert [(chord.length, chord.tie) for chord in first.voices[0]] == [(72, ""), (24, "start")]
    assert [(chord.length, chord.tie) for chord in second.voices[0]] == [(24, "stop"), (72, "")]


def test_sixteenths_and_dotted_notes_in_six_eight() -> None:
    rows = [(0, 1.5, 60), (1.5, 0.5, 62), (2, 1, 64), (3, 0.25, 65), (3.25, 0.25, 64), (3.5, 1, 62), (4.5, 1.5, 60)]
    notes = performed(rows, bpm=60)
    metre = Metre(np.arange(0.7, 9, 1.5), 2, compound=True)
    bars = read(make_score(notes, metre=metre))
    assert [[value for value, _ in bar] for bar in bars] == [[1.5, 0.5, 1.0], [0.25, 0.25, 1.0, 1.5]]


def test_a_held_bass_has_a_voice_of_its_own() -> None:
    rows = [(0, 4, 36), *((0.5 + i / 2, 0.5, 52 + i) for i in range(7)), *((i, 1, 76) for i in range(4))]
    notes = performed(rows)
    bass = make_score(notes, metre=fixed(notes)).staves[1][0]
    assert [[pitch for pitch, _ in chord.pitches] for chord in bass.voices[1]] == [[36]]
    assert bass.stems == ["up", "down"] and not bass.voices[0][0].pitches


def test_hands_follow_their_notes_over_middle_c() -> None:
    both_high = [[62, 65, 79, 84]] * 6
    both_low = [[36, 43, 55, 60]] * 6
    bounds = split_hands(np.arange(12.0).tolist(), both_high + both_low)
    assert all(65 < bound <= 79 for bound in bounds[:6]) and all(43 < bound <= 55 for bound in bounds[6:])


def test_four_voices_are_not_left_to_one_hand() -> None:
    chords = [[43, 59, 62, 67], [55, 59, 62, 67], [52, 60, 64, 67]]
    assert all(
        chord[0] < bound <= chord[1] for bound, chord in zip(split_hands([0.0, 0.6, 1.2], chords), chords, strict=True)
    )


def test_a_melody_alone_has_one_staff() -> None:
    rows = [(float(i), 1.0, SCALE[i % 8]) for i in range(16)]
    assert len(make_score(performed(rows)).staves) == 1
    assert [bar.clef for bar in make_score(performed([(q, n, p - 24) for q, n, p in rows])).staves[0]][0] == "bass"


@pytest.mark.parametrize("shift_s", [-500.0, -2.0, 1e7])
def test_where_time_begins_makes_no_difference(shift_s: float) -> None:
    notes = [Note(0.5 * i, 60 + i % 7, 0.5 * i + 0.4) for i in range(20)]
    moved = [replace(n, onset_s=n.onset_s + shift_s, offset_s=n.offset_s + shift_s) for n in notes]
    assert make_score(moved).staves == make_score(notes).staves


@pytest.mark.parametrize(
    ("strange", "words"),
    [(Note(1e5, 60, 1e5 + 1), "6 hours"), (Note(math.nan, 60, 1.0), "finite"), (Note(0.0, 60, math.inf), "finite")],
)
def test_times_of_no_performance_are_refused(strange: Note, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_score([Note(0.0, 62, 1.0), strange])


@pytest.mark.parametrize("notes", [[], [Note(3.0, 69, 3.5)], [Note(0.0, 0, 9.0), Note(0.0, 127, 0.01)]])
def test_hardly_any_notes(notes: list[Note]) -> None:
    score = make_score(notes)
    assert len(score.bar_ticks) == 1 and len(sounding(score)) == len(notes)


TIMES = st.floats(0, 12, allow_nan=False)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(TIMES, st.integers(0, 127), st.floats(0.001, 6)), max_size=40),
    st.sampled_from([(2, False), (3, False), (4, False), (2, True), (3, True)]),
)
def test_every_note_appears_and_every_voice_fills_its_bar(
    rows: list[tuple[float, int, float]], kind: tuple[int, bool]
) -> None:
    notes = [Note(onset_s, pitch, onset_s + length_s) for onset_s, pitch, length_s in rows]
    metre = Metre(np.arange(0.0, 20, 0.55), *kind)
    score = make_score(notes, metre=metre)
    pitches = [pitch for _, pitch in sounding(score)]
    assert set(pitches) == {note.midi_note for note in notes} and len(pitches) <= len(notes)
    for staff in score.staves:
        for bar, ticks in zip(staff, score.bar_ticks, strict=True):
            for voice in bar.voices:
                ends = [chord.start + chord.length for chord in voice]
                assert [chord.start for chord in voice] == [0, *ends[:-1]] and ends[-1] == ticks
                assert all(written(chord, metre) for chord in voice)


def written(chord: Chord, metre: Metre) -> bool:
    """Whether a note value exists: at most one dot, a whole bar's rest, or a part of a tuplet."""
    plain = {3 * 2**n for n in range(6)} | {9 * 2**n for n in range(5)}
    value = chord.length * chord.tuplet / chord.normal if chord.tuplet else chord.length
    return value in plain or (not chord.pitches and chord.length == metre.bar_ticks)
