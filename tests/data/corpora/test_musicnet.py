"""MusicNet: finding its recordings, splits, samples and labels, and errors."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from musicnet_lookalike import labels_of, piece_of, refused, samples_of, write_folder, write_metadata, write_npz

from audiocx.data.corpora import musicnet
from audiocx.data.corpora.musicnet_labels import Label, to_note, write_table
from audiocx.data.corpus import Piece, interval_tree
from audiocx.errors import AudioError, DataError
from audiocx.notes import Note

IDS = (1727, 2303, 2131, 1759)  # train, test, validation, and one of the seven that 2021's test folder holds


def pieces_of(ids: tuple[int, ...]) -> list[Piece]:
    return [Piece(str(number), Path("a.wav"), Path("a.csv"), "unknown", "") for number in ids]


def names(pieces: list[Piece]) -> set[int]:
    return {int(piece.name) for piece in pieces}


def test_there_are_330_recordings_and_all_named_ids_are_among_them() -> None:
    assert len(set(musicnet.IDS)) == len(musicnet.IDS) == 330
    named = {*musicnet.TEST_IDS, *musicnet.VALIDATION_IDS, *musicnet.EXTENDED_TEST_IDS}
    assert named <= set(musicnet.IDS) and len(named) == 16


@pytest.mark.parametrize(("extended", "sizes"), [(False, (321, 6, 3)), (True, (314, 6, 10))])
def test_splits_are_disjoint_and_complete(extended: bool, sizes: tuple[int, int, int]) -> None:
    sides = musicnet.split(pieces_of(musicnet.IDS), extended)
    assert tuple(map(len, sides)) == sizes
    assert set.union(*map(names, sides)) == set(musicnet.IDS)
    assert names(sides.test) == set(musicnet.EXTENDED_TEST_IDS if extended else musicnet.TEST_IDS)
    assert names(sides.validation) == set(musicnet.VALIDATION_IDS)
    for number in sides.test + sides.validation:
        assert number not in sides.train


def test_the_paper_trains_on_seven_recordings_of_the_test_folder(tmp_path: Path) -> None:
    write_folder(tmp_path, (*musicnet.EXTENDED_TEST_IDS, 1727), seconds=0.6, rate=8000)
    assert len(list((tmp_path / "test_data").iterdir())) == 10
    sides = musicnet.split(musicnet.find_pieces(tmp_path))
    assert names(sides.train) == {1727, 1759, 2106, 2191, 2298, 2416, 2556, 2628}
    assert names(sides.test) == {2303, 2382, 1819} and not sides.validation


@pytest.mark.parametrize("form", ["folder", "folder around", "archive", "folder with archive", "folder around archive"])
def test_both_forms_are_found(tmp_path: Path, form: str) -> None:
    inner = tmp_path / "musicnet" if "around" in form else tmp_path
    if "archive" in form:
        inner.mkdir(exist_ok=True)
        write_metadata(tmp_path / "musicnet_metadata.csv", IDS)
        archive = write_npz(inner / "musicnet.npz", IDS, 0.6)
        pieces = musicnet.find_pieces(archive if form == "archive" else tmp_path)
    else:
        write_folder(inner, IDS, 0.6, 8000)
        pieces = musicnet.find_pieces(tmp_path)
    assert [piece.name for piece in pieces] == ["1727", "1759", "2131", "2303"]
    assert {piece.source for piece in pieces} == {"String Quartet"}
    assert pieces[0].title == "Dvořák: Quartet No 1727: 2. Lento, ma non troppo"


def test_without_metadata_the_ensemble_is_unknown(tmp_path: Path) -> None:
    write_folder(tmp_path, IDS, 0.6, 8000)
    (tmp_path / "musicnet_metadata.csv").unlink()
    piece = piece_of(tmp_path)
    assert (piece.source, piece.title) == ("unknown", "1727")


def test_recordings_may_be_flac_and_hidden_files_are_ignored(tmp_path: Path) -> None:
    wav = write_folder(tmp_path, [1727], 0.6, 8000) / "train_data" / "1727.wav"
    soundfile.write(wav.with_suffix(".FLAC"), *soundfile.read(wav), format="FLAC")
    wav.rename(wav.with_name("._1727.wav"))
    (tmp_path / "train_data" / "readme.txt").touch()
    assert [piece.audio.name for piece in musicnet.find_pieces(tmp_path)] == ["1727.FLAC"]


def test_another_corpus_lists_its_ids_in_its_metadata(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", [99_001, 1727], 0.6, 8000)
    assert len(musicnet.find_pieces(tmp_path / "mine")) == 2
    (tmp_path / "mine" / "musicnet_metadata.csv").rename(tmp_path / "musicnet_metadata.csv")
    assert len(musicnet.find_pieces(tmp_path / "mine")) == 2
    (tmp_path / "musicnet_metadata.csv").unlink()
    with pytest.raises(DataError, match="no recording 99001; remove it"):
        musicnet.find_pieces(tmp_path / "mine")


def test_recordings_and_labels_must_come_in_pairs(tmp_path: Path) -> None:
    write_folder(tmp_path, IDS, 0.6, 8000)
    (tmp_path / "train_labels" / "1727.csv").rename(tmp_path / "1727.csv")
    refused(tmp_path, r"no labels \(ID\.csv\) for 1727; copy or unpack")
    (tmp_path / "1727.csv").rename(tmp_path / "train_labels" / "1727.csv")
    (tmp_path / "test_data" / "2303.wav").unlink()
    (tmp_path / "train_data" / "2131.wav").unlink()
    refused(tmp_path, "no recording .* for 2131, 2303;")
    shutil.rmtree(tmp_path / "train_data")
    refused(tmp_path, "no recording .* for 1727, 2131, 2303;")


def test_many_missing_files_are_counted(tmp_path: Path) -> None:
    write_folder(tmp_path, musicnet.IDS[:9], 0.6, 8000)
    shutil.rmtree(tmp_path / "train_labels")
    refused(tmp_path, "for 1727, 1728, 1729, 1730, 1733 and [0-9]+ more;")


def test_duplicate_and_malformed_ids_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, [1727], 0.6, 8000)
    data = tmp_path / "train_data"
    shutil.copy(data / "1727.wav", tmp_path / "test_data" / "1727.wav")
    refused(tmp_path, "test_data.*1727.wav: .*train_data.*1727.wav has the same id")
    (tmp_path / "test_data" / "1727.wav").rename(data / "song.wav")
    refused(tmp_path, "song.wav: 'song' is not a MusicNet id")
    (data / "song.wav").rename(data / "1.wav")
    refused(tmp_path, "MusicNet has no recording 1;")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "holds neither train_data or test_data nor musicnet.npz; name the folder")
    refused(tmp_path / "missing", "holds neither")
    (tmp_path / "train_data").mkdir()
    refused(tmp_path, "holds no recordings")
    (tmp_path / "musicnet.npz").write_bytes(b"")
    refused(tmp_path / "musicnet.npz", "musicnet.npz: is cut short or damaged .*download it again")


def test_damaged_metadata_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, [1727], 0.6, 8000)
    (tmp_path / "musicnet_metadata.csv").write_text("<html>not found</html>\n1727\n")
    refused(tmp_path, "musicnet_metadata.csv: is not MusicNet's table")


@pytest.mark.parametrize("rate", [11_000, 11_025, 44_100])
def test_label_times_are_scaled_exactly(tmp_path: Path, rate: int) -> None:
    _, notes = piece_of(write_folder(tmp_path, [1727])).load(rate)
    rows = labels_of(1727)
    expected = {(r.start_time * rate // 44100, r.end_time * rate // 44100, r.note, r.instrument - 1) for r in rows}
    tree = interval_tree(notes, rate)
    assert {(i.begin, i.end, i.data.midi_note, i.data.program) for i in tree} == expected
    assert notes == sorted(map(to_note, rows))


def test_samples_are_those_of_the_file_and_band_limited_below_its_rate(tmp_path: Path) -> None:
    piece = piece_of(write_folder(tmp_path, [1727]))
    expected = samples_of(labels_of(1727))
    samples, _ = piece.load(44_100)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, expected, atol=2 / 32768)
    lower, _ = piece.load(11_025)
    assert len(lower) == -(-len(expected) // 4)
    # Sines below the new Nyquist frequency are the same, but for their sudden beginnings and ends.
    assert np.corrcoef(lower, expected[::4])[0, 1] > 0.99


def test_a_render_may_have_a_lower_rate_than_its_labels(tmp_path: Path) -> None:
    piece = piece_of(write_folder(tmp_path, [1727], rate=11_025))
    samples, notes = piece.load(11_000)
    assert len(samples) == 22_000 and notes == sorted(map(to_note, labels_of(1727)))
    with pytest.raises(DataError, match="1727.wav: has a sample rate of 11025 Hz, below the requested 22050 Hz"):
        piece.load(22_050)


def test_a_truncated_recording_is_refused(tmp_path: Path) -> None:
    piece = piece_of(write_folder(tmp_path, [1727]))
    os.truncate(piece.audio, piece.audio.stat().st_size // 2)
    with pytest.raises(AudioError, match="1727.wav: is cut short"):
        piece.load(11_025)


@pytest.mark.parametrize(
    ("start", "end", "past"),
    [
        (88_199, 88_200, False),
        (88_199, 88_200 + 44_100, False),
        (88_199, 88_201 + 44_100, True),
        (88_200, 88_200, True),
        (88_201, 88_300, True),
    ],
)
@pytest.mark.parametrize("rate", [44_100, 11_025])
def test_a_label_past_the_end_is_refused(tmp_path: Path, start: int, end: int, past: bool, rate: int) -> None:
    piece = piece_of(write_folder(tmp_path, [1727], seconds=2.0, rate=rate))
    write_table([Label(start, end, 1, 60, 0.0, 1.0, "Quarter")], piece.labels)
    if not past:
        assert piece.load(11_025)[1] == [Note(start / 44100, 60, end / 44100)]
        return
    with pytest.raises(
        DataError, match=r"1727\.csv: a label of recording 1727, from (2\.000|1\.999|2\.0\d\d) to .* 2\.000 s"
    ):
        piece.load(11_025)


def test_a_wrong_sample_rate_is_noticed_by_the_labels(tmp_path: Path) -> None:
    piece = piece_of(write_folder(tmp_path, [1727], seconds=4.0))
    soundfile.write(piece.audio, soundfile.read(piece.audio)[0], 176_400)
    with pytest.raises(DataError, match="lies past the end of its audio, which lasts 1.000 s"):
        piece.load(11_025)
