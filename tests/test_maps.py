"""MAPS folders: which recordings there are, how they are split, and what their label files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiocx.data import maps
from audiocx.data.corpus import interval_tree, parallel
from audiocx.errors import DataError
from audiocx.midi import write_csv, write_midi
from audiocx.notes import Note

NOTES = [Note(0.5, 60, 1.25, 70), Note(0.5, 64, 0.75, 80), Note(1.5, 60, 2.0, 90)]


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_finds_recordings_with_labels_in_all_subfolders(tmp_path: Path) -> None:
    touch(tmp_path / "AkPnBcht" / "MUS", "MAPS_MUS-alb_se3_AkPnBcht.wav", "MAPS_MUS-alb_se3_AkPnBcht.txt")
    touch(tmp_path / "b", "MAPS_MUS-bk_xmas.1_StbgTGd2.FLAC", "MAPS_MUS-bk_xmas.1_StbgTGd2.mid")
    touch(tmp_path, "MAPS_MUS-no_labels_StbgTGd2.wav", "MAPS_MUS-alone_X.tsv", "other.wav", "other.tsv")
    touch(tmp_path, "MAPS_ISOL-x_X.wav", "MAPS_ISOL-x_X.tsv", "MAPS_MUS-nopiano.wav", "MAPS_MUS-nopiano.tsv")
    found = [(p.name, p.title, p.source, p.labels.suffix) for p in maps.find_pieces(tmp_path)]
    assert found == [
        ("MAPS_MUS-alb_se3_AkPnBcht", "alb_se3", "AkPnBcht", ".txt"),
        ("MAPS_MUS-bk_xmas.1_StbgTGd2", "bk_xmas.1", "StbgTGd2", ".mid"),
    ]


def test_the_first_kind_of_labels_counts(tmp_path: Path) -> None:
    audio = tmp_path / "MAPS_MUS-a_X.wav"
    assert maps.find_labels(audio) is None
    for ending in reversed(maps.LABEL_ENDINGS):
        touch(tmp_path, audio.stem + ending)
        assert maps.find_labels(audio) == audio.with_suffix(ending)


def test_a_folder_without_pieces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no MAPS_MUS"):
        maps.find_pieces(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        maps.find_pieces(tmp_path / "missing")


def test_validation_knows_neither_piano_nor_piece(tmp_path: Path) -> None:
    for stem in ("a_P", "b_P", "a_Q", "c_Q", "a_AkPnBcht", "d_AkPnBcht", "c_x_AkPnBcht"):
        touch(tmp_path, f"MAPS_MUS-{stem}.wav", f"MAPS_MUS-{stem}.tsv")
    train, validation = maps.split(maps.find_pieces(tmp_path))
    assert {p.name.split("-")[1] for p in train} == {"a_P", "b_P", "a_Q", "c_Q"}
    assert {p.name.split("-")[1] for p in validation} == {"d_AkPnBcht", "c_x_AkPnBcht"}
    train, validation = maps.split(maps.find_pieces(tmp_path), held_out="Q")
    assert {p.source for p in train} == {"P", "AkPnBcht"} and [p.title for p in validation] == ["c"]


@pytest.mark.parametrize("stems", [["a_P", "b_Q"], ["a_AkPnBcht"], ["a_P", "a_AkPnBcht"]])
def test_a_split_with_an_empty_side_is_refused(tmp_path: Path, stems: list[str]) -> None:
    for stem in stems:
        touch(tmp_path, f"MAPS_MUS-{stem}.wav", f"MAPS_MUS-{stem}.tsv")
    with pytest.raises(DataError, match="'AkPnBcht' leaves a side without pieces; the pianos here are"):
        maps.split(maps.find_pieces(tmp_path))


def test_tables_are_read_with_headings_comments_and_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("# by hand\n1.5\t2.0\t60\t90\n0.5\t0.75\t64\t80\n\n  # one more\n0.5\t1.25\t60\t70\n")
    assert maps.read_labels(path) == NOTES
    path = tmp_path / "b.txt"
    path.write_bytes(b"\xef\xbb\xbfOnsetTime\tOffsetTime\tMidiPitch\r\n\r\n0.5\t1.25\t60\r\n1e0\t2\t61\r\n")
    assert maps.read_labels(path) == [Note(0.5, 60, 1.25), Note(1.0, 61, 2.0)]


def test_midi_and_csv_give_the_notes_written(tmp_path: Path) -> None:
    write_csv(NOTES, tmp_path / "a.csv")
    assert maps.read_labels(tmp_path / "a.csv") == NOTES
    write_midi(NOTES, tmp_path / "a.mid")
    read = maps.read_labels(tmp_path / "a.mid")
    assert [(n.midi_note, n.velocity) for n in read] == [(n.midi_note, n.velocity) for n in NOTES]
    for got, want in zip(read, NOTES, strict=True):
        assert (got.onset_s, got.offset_s) == pytest.approx((want.onset_s, want.offset_s), abs=2e-3)


def test_a_table_without_notes_is_a_piece_of_silence(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("# onset_s\n")
    assert maps.read_labels(tmp_path / "a.tsv") == []


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
        maps.read_labels(path)
    assert str(caught.value).startswith(f"{path}, line 3: ")


@pytest.mark.parametrize("name", ["a.tsv", "a.txt", "a.csv", "a.mid"])
def test_unreadable_labels_name_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(DataError, match=name):
        maps.read_labels(path)
    path.write_bytes(b"\xff\xfe\x00\x01" * 8)
    with pytest.raises(DataError, match=name):
        maps.read_labels(path)


def test_the_tree_knows_what_sounds_at_a_sample() -> None:
    tree = interval_tree([*NOTES, Note(0.5001, 72, 0.5001), Note(0.50001, 73, 0.50002)], 100)
    assert {i.data.midi_note for i in tree[49]} == set()
    assert {i.data.midi_note for i in tree[50]} == {60, 64}
    assert {i.data.midi_note for i in tree[75]} == {60}
    assert {i.data.midi_note for i in tree[125]} == set()


def test_parallel_keeps_the_order_and_passes_errors_on() -> None:
    assert list(parallel(lambda x: x * x, list(range(20)), 3)) == [x * x for x in range(20)]
    results = parallel(lambda x: 1 // x, [1, 1, 0, 1], 2)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_parallel_works_ahead_by_no_more_than_its_workers() -> None:
    started: list[int] = []
    results = parallel(started.append, list(range(50)), 2)
    for done in range(5):
        next(results)
        assert len(started) <= done + 2 + 1
    results.close()
