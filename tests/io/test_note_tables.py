"""CSV, JSON and tab-separated tables: a round trip keeps notes, and errors name the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocx.errors import DataError, OutputError
from audiocx.io.note_tables import parse_note, read_csv, read_tsv, write_csv, write_json
from audiocx.notes import Note

NOTES = [Note(0.0, 60, 0.5, 64), Note(0.1234567, 21, 2.0, 1), Note(0.5, 60, 0.75, 127), Note(3599.9, 108, 3600.2, 80)]
HEADER = "onset_s,offset_s,midi_note,velocity\n"
SOME = st.builds(
    lambda onset_us, length_us, pitch, velocity: Note(
        onset_us / 1e6, pitch, round((onset_us + length_us) / 1e6, 6), velocity
    ),
    st.integers(0, 10**10), st.integers(0, 10**8), st.integers(0, 127), st.integers(0, 127),
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.lists(SOME, max_size=5))
def test_notes_on_whole_microseconds_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, notes: list[Note]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_csv(reversed(notes), folder / "notes.csv")
    write_json(reversed(notes), folder / "notes.json")
    assert read_csv(folder / "notes.csv") == sorted(notes)
    assert [Note(**row) for row in json.loads((folder / "notes.json").read_text())["notes"]] == sorted(notes)


def test_times_are_rounded_to_the_microsecond(tmp_path: Path) -> None:
    write_csv(NOTES, tmp_path / "a.csv")
    assert [note.onset_s for note in read_csv(tmp_path / "a.csv")] == [0.0, 0.123457, 0.5, 3599.9]


def test_csv_has_a_header_and_one_line_per_note(tmp_path: Path) -> None:
    write_csv([Note(0.5, 60, 1.25, 99)], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == HEADER + "0.500000,1.250000,60,99\n"


def test_further_csv_columns_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("confidence," + HEADER + "none,0,1,60,80\n")
    assert read_csv(tmp_path / "a.csv") == [Note(0.0, 60, 1.0, 80)]


@pytest.mark.parametrize("line", ["x,1,60,80", "0.1,0.2,60", "2,1,60,80", "0,1,200,80"])
def test_csv_errors_name_the_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}0,1,60,80\n{line}\n")
    with pytest.raises(DataError, match=r"a\.csv, line 3: "):
        read_csv(tmp_path / "a.csv")


def test_csv_without_its_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,1,60,80\n")
    with pytest.raises(DataError, match="line 1.*onset_s"):
        read_csv(tmp_path / "a.csv")


def test_json_holds_metadata_and_rounded_confidences(tmp_path: Path) -> None:
    notes = [Note(0.0, 60, 0.5, confidence=0.123456), Note(1.0, 60, 1.5)]
    write_json(notes, tmp_path / "a.json", {"source": "song.wav", "frame_rate": 43.06})
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["metadata"] == {"source": "song.wav", "frame_rate": 43.06}
    assert [row["confidence"] for row in content["notes"]] == [0.1235, 1.0]


@pytest.mark.parametrize(
    "row", [(None, 1, 60, 80), (0, 1, 60.5, "loud"), (1, 0, 60, 80), (0, 1, -1, 80), (0, 1, 60, 128)]
)
def test_fields_that_make_no_note_are_refused(row: tuple[object, ...]) -> None:
    with pytest.raises(DataError, match=r"^song, row 7: "):
        parse_note("song, row 7", *row)


@pytest.mark.parametrize("read", [read_csv, read_tsv])
def test_missing_files_and_folders_are_data_errors(tmp_path: Path, read: object) -> None:
    assert callable(read)
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError, match=str(path)):
            read(path)


@pytest.mark.parametrize("write", [write_csv, write_json])
def test_a_missing_folder_is_an_output_error(tmp_path: Path, write: object) -> None:
    assert callable(write)
    with pytest.raises(OutputError, match="nowhere"):
        write(NOTES, tmp_path / "nowhere" / "a.out")
    assert not list(tmp_path.iterdir())
