"""Label files: finding them, and reading their notes."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiocx.data import labels
from audiocx.errors import DataError
from audiocx.io.midi import write_midi
from audiocx.io.note_tables import write_csv
from audiocx.notes import Note

NOTES = [Note(0.5, 60, 1.25, 70), Note(0.5, 64, 0.75, 80), Note(1.5, 60, 2.0, 90)]


def test_the_first_suffix_takes_precedence(tmp_path: Path) -> None:
    audio = tmp_path / "MAPS_MUS-a_X.wav"
    assert labels.find_labels(audio) is None
    paths = [audio.with_suffix(suffix) for suffix in labels.LABEL_SUFFIXES]
    for path in reversed(paths):
        path.touch()
        assert labels.find_labels(audio) == path
    assert labels.label_files(audio) == paths


@pytest.mark.parametrize("name", ["Song.1.TSV", "Song.1.MID", "Song.1.jams", "Song.1_basic_pitch.csv"])
def test_names_that_differ_from_the_recordings(tmp_path: Path, name: str) -> None:
    (tmp_path / "Song.1.txt").write_text("You are my sunshine,\nmy only sunshine.\n")
    (tmp_path / "Song.1.json").write_text('{"title": "You are my sunshine"}')
    (tmp_path / "Song.tsv").write_text("0 1 60\n")
    audio = tmp_path / "Song.1.wav"
    assert labels.find_labels(audio) is None
    (tmp_path / name).touch()
    assert labels.find_labels(audio) == tmp_path / name and len(labels.label_files(audio)) == 3


def test_the_archive_of_musicnet_names_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "musicnet.npz").touch()
    with pytest.raises(DataError, match="python recipes/musicnet/evaluate.py NETWORK FOLDER"):
        labels.find_labelled(tmp_path)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_layout_of_musicnet(tmp_path: Path) -> None:
    pairs = [(tmp_path / f"{side}_data" / "1.wav", tmp_path / f"{side}_labels" / "1.csv") for side in ("test", "train")]
    touch(*(path for pair in pairs for path in pair), tmp_path / "musicnet_metadata.csv")
    assert labels.find_labelled(tmp_path) == pairs


def test_the_layout_of_maestro(tmp_path: Path) -> None:
    heading = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n"
    rows = [
        'Bach,"Fugue, in C",train,2018,2018/a.midi,2018/a.wav,9.5\n',
        "Bach,Prelude,test,2018,2018/take 2.midi,2018/b.wav,9.5\n",
    ]
    (tmp_path / "maestro-v3.0.0.csv").write_text(heading + "".join(rows))
    year = tmp_path / "2018"
    touch(*(year / name for name in ("a.midi", "a.wav", "take 2.midi", "b.wav", "b.midi", "c.wav", "c.midi")))
    pairs = [
        (year / f"{audio}.wav", year / f"{midi}.midi") for audio, midi in (("a", "a"), ("b", "take 2"), ("c", "c"))
    ]
    assert labels.find_labelled(tmp_path) == pairs
    assert labels.find_labelled(tmp_path, "test") == pairs[1:2]
    with pytest.raises(DataError, match="no listing of recordings for validation; the parts listed are test, train"):
        labels.find_labelled(tmp_path, "validation")


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


def test_a_table_of_musicnet_is_recognised_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "1727.csv"
    heading = "start_time,end_time,instrument,note,start_beat,end_beat,note_value"
    path.write_text(f"{heading}\n44100,66150,43,60,0.0,1.0,Quarter\n11025,22050,1,72,0.0,1.0,Quarter\n")
    notes = [Note(0.25, 72, 0.5, program=0), Note(1.0, 60, 1.5, program=42)]
    assert labels.read_labels(path) == notes and labels.label_format(path) == "table of MusicNet"
    path.write_text("start_time,end_time,instrument,note\n44100.0,66150.0,43.0,60.0\n11025,22050,1,72\n")
    assert labels.read_labels(path) == notes
    path.write_text("start_time,end_time,instrument,note\n1.0,1.5,43,60\n")  # seconds
    with pytest.raises(DataError, match="line 2"):
        labels.read_labels(path)


def test_a_table_may_have_no_notes(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", ["a.tsv", "a.txt", "a.csv", "a.mid", "a.jams", "a.json"])
def test_unreadable_labels_name_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(DataError, match=name):
        labels.read_labels(path)
    path.write_bytes(b"\xff\xfe\x00\x01" * 8)
    with pytest.raises(DataError, match=name):
        labels.read_labels(path)
