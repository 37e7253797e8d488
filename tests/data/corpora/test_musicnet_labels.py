"""Label tables of MusicNet."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocx.data.corpora.musicnet_labels import Label, is_table, read_table, to_note, write_table
from audiocx.errors import DataError
from audiocx.notes import Note

HEADING = "start_time,end_time,instrument,note,start_beat,end_beat,note_value"
LABELS = st.builds(
    lambda start, length, *rest: Label(start, start + length, *rest),
    st.integers(0, 10**9),
    st.integers(0, 10**7),
    st.integers(1, 128),
    st.integers(0, 127),
    st.floats(0, 1e4),
    st.floats(0, 1e2),
    st.sampled_from(["Quarter", "Dotted Eighth", "Triplet Sixty Fourth", ""]),
)


def test_a_table_is_written_as_published(tmp_path: Path) -> None:
    write_table(
        [Label(9182, 90078, 43, 53, 4, 1.5, "Dotted Quarter"), Label(0, 1, 1, 0, 1 / 3, 0.0, "")], tmp_path / "a.csv"
    )
    text = f"{HEADING}\n9182,90078,43,53,4.0,1.5,Dotted Quarter\n0,1,1,0,0.3333333333333333,0.0,\n"
    assert (tmp_path / "a.csv").read_bytes() == text.encode()
    assert is_table(tmp_path / "a.csv")


@settings(deadline=None, max_examples=40)
@given(st.lists(LABELS, max_size=5))
def test_a_table_survives_a_round_trip(tmp_path_factory: pytest.TempPathFactory, labels: list[Label]) -> None:
    path = tmp_path_factory.getbasetemp() / "table.csv"
    write_table(labels, path)
    assert read_table(path) == labels


def test_windows_line_ends_and_byte_order_mark_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADING.encode() + b"\r\n1,2,41,60,0.0,1,Quarter\r\n\r\n")
    assert is_table(path) and read_table(path) == [Label(1, 2, 41, 60, 0.0, 1.0, "Quarter")]


def test_notes_have_times_in_seconds_and_programs_from_0() -> None:
    assert to_note(Label(22050, 44100, 1, 60, 0.0, 0.0, "")) == Note(0.5, 60, 1.0, program=0)


@pytest.mark.parametrize(
    "line",
    [
        "1,2,41,60,0.0,1.0",
        "1,2,41,60,0.0,1.0,Quarter,more",
        "1.5,2,41,60,0.0,1.0,Quarter",
        "1,x,41,60,0.0,1.0,Quarter",
        "1,2,41,60,,1.0,Quarter",
        "-1,2,41,60,0.0,1.0,Quarter",
        "2,1,41,60,0.0,1.0,Quarter",
        f"1,{10**400},41,60,0.0,1.0,Quarter",
        "1,2,0,60,0.0,1.0,Quarter",
        "1,2,129,60,0.0,1.0,Quarter",
        "1,2,41,128,0.0,1.0,Quarter",
        "1,2,41,-1,0.0,1.0,Quarter",
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADING}\n1,2,41,60,0.0,1.0,Quarter\n{line}\n")
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}, line 3: ")


@pytest.mark.parametrize("content", [None, b"", b"onset_s,offset_s,midi_note,velocity\n", b"\xff\xfe\x00" * 9])
def test_other_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content)
    assert not is_table(path)
    with pytest.raises(DataError, match=r"a\.csv"):
        read_table(path)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 44100 * 3600), st.sampled_from([11_000, 11_025, 8_000]))
def test_seconds_lose_no_sample(start: int, rate: int) -> None:
    """The onset of a note is within a millionth of a sample of the exact time of its label."""
    onset_s = to_note(Label(start, start, 1, 60, 0.0, 0.0, "")).onset_s
    assert abs(Fraction(onset_s) * rate - Fraction(start * rate, 44100)) < Fraction(1, 10**6)
