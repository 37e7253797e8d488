"""Average precision by instrument and by polyphony, against cases worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audiocx.music.group_scores import ScoredFrames, by_instrument, by_polyphony, format_groups, program_name

PITCHES = 10


def roll_of(*frames: tuple[int, ...]) -> np.ndarray:
    """Piano roll of the pitches of each frame."""
    roll = np.zeros((len(frames), PITCHES), bool)
    for row, pitches in zip(roll, frames, strict=True):
        row[list(pitches)] = True
    return roll


def probabilities_of(*frames: dict[int, float]) -> np.ndarray:
    """Probabilities: those given, and 0.001 for all other pitches."""
    probabilities = np.full((len(frames), PITCHES), 0.001)
    for row, named in zip(probabilities, frames, strict=True):
        row[list(named)] = list(named.values())
    return probabilities


def scored(probabilities: np.ndarray, **rolls: np.ndarray) -> ScoredFrames:
    """A scored recording; rolls by program, such as p40, a violin."""
    together = np.logical_or.reduce(list(rolls.values()))
    return ScoredFrames("", probabilities, together, {int(name[1:]): roll for name, roll in rolls.items()})


def ap_of(rows: list[dict[str, Any]]) -> list[float]:
    return [row["average_precision"] for row in rows]


# A violin on pitch 0 and a cello on pitch 1; 2 is a false alarm.
DUET = scored(probabilities_of({0: 0.7, 1: 0.9, 2: 0.8}), p40=roll_of((0,)), p42=roll_of((1,)))
# The cello alone; 4 is a false alarm.
SOLO = scored(probabilities_of({3: 0.2, 4: 0.3}), p42=roll_of((3,)))


def test_notes_of_other_instruments_are_excluded_from_an_instruments_score() -> None:
    violin, cello = by_instrument([DUET])
    # The violin's note comes second, after the false alarm: the cello's, above both, is left out.
    assert violin == {"instrument": "Violin", "average_precision": 0.5, "recordings": 1, "pairs": 1}
    assert cello == {"instrument": "Cello", "average_precision": 1.0, "recordings": 1, "pairs": 1}


def test_an_instrument_is_scored_over_the_recordings_it_plays_in() -> None:
    violin, cello = by_instrument([DUET, SOLO])
    # The cello's two notes come first (1/1) and fourth (2/4) of .9, .8, .3, .2; the violin is not in the second.
    assert cello == {"instrument": "Cello", "average_precision": pytest.approx(0.75), "recordings": 2, "pairs": 2}
    assert violin["average_precision"] == 0.5 and violin["recordings"] == 1


def test_a_unison_counts_for_both() -> None:
    unison = scored(probabilities_of({0: 0.5, 1: 0.6}), p40=roll_of((0,)), p73=roll_of((0,)))
    assert ap_of(by_instrument([unison])) == [0.5, 0.5]


def test_a_silent_instrument_has_no_row() -> None:
    resting = scored(probabilities_of({0: 0.5}), p40=roll_of((0,)), p73=roll_of(()))
    assert [row["instrument"] for row in by_instrument([resting])] == ["Violin"]
    assert by_instrument([]) == []


def test_polyphony_groups_frames_by_their_number_of_notes() -> None:
    rows = by_polyphony(
        [
            scored(
                probabilities_of({0: 0.9, 1: 0.8}, {5: 0.99}, {0: 0.4, 1: 0.6, 2: 0.5}),
                p0=roll_of((1,), (), (0, 1)),
            ),
            scored(probabilities_of({3: 0.7}), p0=roll_of((3,))),
        ]
    )
    assert [(row["notes"], row["frames"]) for row in rows] == [("1", 2), ("2", 1)]
    # One note: .9 wrong, .8 right (1/2), .7 right (2/3). Two: .6 right (1/1), .5 wrong, .4 right (2/3).
    # The frame in which nothing sounds is in neither.
    assert ap_of(rows) == pytest.approx([(1 / 2 + 2 / 3) / 2, (1 + 2 / 3) / 2])


def test_seven_and_more_notes_form_one_group() -> None:
    full = scored(np.tile(np.linspace(0.9, 0.1, PITCHES), (3, 1)), p0=roll_of(range(6), range(7), range(9)))  # type: ignore[arg-type]
    rows = by_polyphony([full])
    assert [(row["notes"], row["frames"]) for row in rows] == [("6", 1), ("7+", 2)]


def test_the_table_is_markdown_in_percent() -> None:
    text = format_groups([{"instrument": "Viola", "average_precision": 0.12345, "recordings": 2, "pairs": 77}])
    assert text.splitlines() == [
        "| instrument | AP | recordings | pairs |",
        "|---|---:|---:|---:|",
        "| Viola | 12.3 | 2 | 77 |",
    ]


def test_programs_are_counted_from_0() -> None:
    assert [program_name(program) for program in (0, 6, 40, 127)] == [
        "Acoustic Grand Piano",
        "Harpsichord",
        "Violin",
        "Gunshot",
    ]
