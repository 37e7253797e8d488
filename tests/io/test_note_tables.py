"""CSV, JSON and tab-separated tables: a round trip keeps notes, and errors name the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocx.errors import DataError, OutputError
from audiocx.io.note_tables import is_table, parse_note, read_json, read_table, write_csv, write_json
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
    assert read_table(folder / "notes.csv") == sorted(notes)
    assert [Note(**row) for row in json.loads((folder / "notes.json").read_text())["notes"]] == sorted(notes)
    assert read_json(folder / "notes.json") == sorted(notes)


def test_times_are_rounded_to_the_microsecond(tmp_path: Path) -> None:
    write_csv(NOTES, tmp_path / "a.csv")
    assert [note.onset_s for note in read_table(tmp_path / "a.csv")] == [0.0, 0.123457, 0.5, 3599.9]


def test_csv_has_a_header_and_one_line_per_note(tmp_path: Path) -> None:
    write_csv([Note(0.5, 60, 1.25, 99)], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == HEADER + "0.500000,1.250000,60,99\n"


def test_further_csv_columns_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("confidence," + HEADER + "none,0,1,60,80\n")
    assert read_table(tmp_path / "a.csv") == [Note(0.0, 60, 1.0, 80)]


@pytest.mark.parametrize("line", ["x,1,60,80", "0.1,0.2,60", "2,1,60,80", "0,1,200,80"])
def test_csv_errors_name_the_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}0,1,60,80\n{line}\n")
    with pytest.raises(DataError, match=r"a\.csv, line 3: "):
        read_table(tmp_path / "a.csv")


ONE = [Note(0.5, 57, 1.25, 53), Note(1.5, 60, 2.0, 49)]
PLAIN = [Note(0.5, 57, 1.25), Note(1.5, 60, 2.0)]


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("0.5,1.25,57,53\n1.5,2,60,49\n", ONE),
        ("# onset,offset,note,velocity\n0.5\t1.25\t57.000000\t53.000000\n1.5\t2\t60.0\t49.0\n", ONE),
        ("onset_s,offset_s,midi_note,velocity\n0.5,1.25,57.0,53.0\n1.5,2.0,6e1,49\n", ONE),
        (",midi_note,velocity,offset_s,onset_s\n0,57,53,1.25,0.5\n1,60,49,2,1.5\n", ONE),  # as pandas writes an index
        ("OnsetTime\tOffsetTime\tMidiPitch\n0.5\t1.25\t57\n1.5\t2\t60\n", PLAIN),
        (
            "start_time_s,end_time_s,pitch_midi,velocity,pitch_bend\n0.5,1.25,57,53,0,1,1,0,-1\n1.5,2,60,49,0,0\n",
            ONE,
        ),
        ("start_time;end_time;pitch;velocity\n0.5;1.25;57;53\n1.5;2;60;49\n", ONE),
        ("Onset (s),Duration (s),Frequency (Hz)\n0.5,0.75,220\n1.5,0.5,261.626\n", PLAIN),
        ("# onset duration freq_hz\n0.5 0.75 220.0\n1.5 0.5 261.0\n", PLAIN),
        ("0.5 1.25 220.00\n1.5 2.0 261.63\n", PLAIN),  # mir_eval's valued intervals, MIREX
        ("onset,offset,pitch\n0.5,1.25,219.1\n1.5,2,261.63\n", PLAIN),
        ("0.5 1.25 110\n1.5 2.0 130.8\n2.5 3 155.6\n", [Note(0.5, 45, 1.25), Note(1.5, 48, 2.0), Note(2.5, 51, 3.0)]),
        ("instrument,onset,offset,note\nPiano,0.5,1.25,57\nPiano,1.5,2,60\n", PLAIN),
        ("notes of a song\n\n0.5 1.25 57\n1.5\t2 60\n", PLAIN),
        ("onset,offset,pitch,velocity\n0.5,1.25,57,\n1.5,2,60,\n", PLAIN),
        ("onset,offset,pitch\n", []),
    ],
)
def test_columns_are_found_by_heading_unit_and_separator(tmp_path: Path, text: str, notes: list[Note]) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert is_table(tmp_path / "a.txt") and read_table(tmp_path / "a.txt") == notes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("onset,offset,colour\n0,1,60\n", "line 1: has no column of midi_note"),
        ("onset_ms,offset_ms,pitch\n500,1250,60\n", "line 1: has no column of onset_s"),
        ("onset,offset,frequency\n0,1,0\n", "line 2: .*Hz, above 0"),
        ("onset,duration,pitch\n0,,60\n", "line 2: a note needs"),
        ("onset,duration,pitch\n1,-0.5,60\n", "line 2: .*onset_s <= offset_s"),
        ("0 1 60\n0 1 60.5\n", "line 2: a note needs the numbers"),
        ("You are my sunshine\nmy only sunshine\n", "holds no notes"),
    ],
)
def test_tables_without_notes_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / "a.csv")


def jams(namespace: str, values: list[float], source: str = "") -> dict[str, object]:
    rows = [{"time": 0.5 + n, "duration": 0.75, "value": value, "confidence": None} for n, value in enumerate(values)]
    return {"namespace": namespace, "data": rows, "annotation_metadata": {"data_source": source}}


def test_jams_are_read_by_namespace_and_rivals_are_not_joined(tmp_path: Path) -> None:
    path, (low, high) = tmp_path / "a.jams", ([56.8, 60.2], [69.0])
    one, two = [Note(0.5, 57, 1.25), Note(1.5, 60, 2.25)], [Note(0.5, 69, 1.25)]
    for content, notes in [
        ([jams("beat", [1.0]), jams("note_midi", low)], one),
        ([jams("note_hz", [217.0, 262.0])], one),
        ([jams("note_hz", [880.0]), jams("note_midi", low)], one),
        ([jams("note_midi", low, "0"), jams("note_midi", high, "1")], sorted(one + two)),  # strings of a guitar
        ([jams("note_midi", low), jams("note_midi", high)], one),
        ([{"namespace": "note_midi", "data": {"time": [0.5], "duration": [0.75], "value": [69]}}], two),
    ]:
        path.write_text(json.dumps({"annotations": content, "file_metadata": {}, "sandbox": {}}))
        assert read_json(path) == notes
    refused: list[tuple[object, str]] = [
        ({"annotations": [jams("beat", [1.0])]}, "holds no annotation note_midi or note_hz"),
        ({"annotations": [jams("note_midi", [60.0, 200.0])]}, r"a\.jams, note_midi 2: midi_note and velocity"),
        ({"annotations": [{"namespace": "note_hz", "data": [{"time": None}]}]}, "note_hz 1: .*not None"),
        ({"annotations": [{"namespace": "note_hz", "data": [{}]}]}, "is neither JSON of notes nor JAMS"),
        ({"title": "Sunshine"}, "is neither JSON of notes nor JAMS"),
        ([1, 2], "is neither JSON of notes nor JAMS"),
    ]
    for whole, said in refused:
        path.write_text(json.dumps(whole))
        with pytest.raises(DataError, match=said):
            read_json(path)


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


@pytest.mark.parametrize("read", [read_json, read_table])
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
