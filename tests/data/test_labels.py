"""Label files: which belongs to a recording, and the notes in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiocx.data import labels
from audiocx.errors import DataError
from audiocx.io.midi import write_midi
from audiocx.io.note_tables import write_csv
from audiocx.notes import Note

NOTES = [Note(0.5, 60, 1.25, 70), Note(0.5, 64, 0.75, 80), Note(1.5, 60, 2.0, 90)]


def test_the_first_kind_of_labels_counts(tmp_path: Path) -> None:
    audio = tmp_path / "MAPS_MUS-a_X.wav"
    assert labels.find_labels(audio) is None
    for ending in reversed(labels.LABEL_ENDINGS):
        audio.with_suffix(ending).touch()
        assert labels.find_labels(audio) == audio.with_suffix(ending)


def test_tables_are_read_with_headings_comments_and_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("# by hand\n1.5\t2.0\t60\t90\n0.5\t0.75\t64\t80\n\n  # one more\n0.5\t1.25\t60\t70\n")
    assert labels.read_labels(path) == NOTES
    path = tmp_path / "b.txt"
    path.write_bytes(b"\xef\xbb\xbfOnsetTime\tOffsetTime\tMidiPitch\r\n\r\n0.5\t1.25\t60\r\n1e0\t2\t61\r\n")
    assert labels.read_labels(path) == [Note(0.5, 60, 1.25), Note(1.0, 61, 2.0)]


def test_midi_and_csv_give_the_notes_written(tmp_path: Path) -> None:
    write_csv(NOTES, tmp_path / "a.csv")
    assert labels.read_labels(tmp_path / "a.csv") == NOTES
    write_midi(NOTES, tmp_path / "a.mid")
    read = labels.read_labels(tmp_path / "a.mid")
    assert [(n.midi_note, n.velocity) for n in read] == [(n.midi_note, n.velocity) for n in NOTES]
    for got, want in zip(read, NOTES, strict=True):
        assert (got.onset_s, got.offset_s) == pytest.approx((want.onset_s, want.offset_s), abs=2e-3)


def test_a_table_of_musicnet_is_told_by_its_heading(tmp_path: Path) -> None:
    path = tmp_path / "1727.csv"
    heading = "start_time,end_time,instrument,note,start_beat,end_beat,note_value"
    path.write_text(f"{heading}\n44100,66150,43,60,0.0,1.0,Quarter\n11025,22050,1,72,0.0,1.0,Quarter\n")
    assert labels.read_labels(path) == [Note(0.25, 72, 0.5, program=0), Note(1.0, 60, 1.5, program=42)]


def test_a_table_without_notes_is_a_piece_of_silence(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("# onset_s\n")
    assert labels.read_labels(tmp_path / "a.tsv") == []


@pytest.mark.parametrize(
    "line",
    [
        "0.5\t1.0",
        "0.5\t1.0\tC4",
        "0.5\t1.0\t60.5",
        "0.5;1.0;60",
        "x\t1.0\t60",
        "1.0\t0.5\t60",
        "-0.5\t0.5\t60",
        "0.5\tinf\t60",
        "0.5\tnan\t60",
        "nan\t1.0\t60",
        "0.5\t1.0\t128",
        "0.5\t1.0\t-1",
        "0.5\t1.0\t60\t128",
        "0.5\t1.0\t60\tloud",
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"# heading\n0.0\t1.0\t60\t80\n{line}\n")
    with pytest.raises(DataError) as caught:
        labels.read_labels(path)
    assert str(caught.value).startswith(f"{path}, line 3: ")


@pytest.mark.parametrize("name", ["a.tsv", "a.txt", "a.csv", "a.mid"])
def test_unreadable_labels_name_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(DataError, match=name):
        labels.read_labels(path)
    path.write_bytes(b"\xff\xfe\x00\x01" * 8)
    with pytest.raises(DataError, match=name):
        labels.read_labels(path)
