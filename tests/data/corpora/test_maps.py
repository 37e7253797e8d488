"""MAPS: finding its recordings, and its split."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiocx.data.corpora import maps
from audiocx.errors import DataError


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


def test_a_folder_without_pieces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no MAPS_MUS"):
        maps.find_pieces(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        maps.find_pieces(tmp_path / "missing")


def test_validation_has_other_pianos_and_pieces(tmp_path: Path) -> None:
    for stem in ("a_P", "b_P", "a_Q", "c_Q", "a_AkPnBcht", "d_AkPnBcht", "c_x_AkPnBcht"):
        touch(tmp_path, f"MAPS_MUS-{stem}.wav", f"MAPS_MUS-{stem}.tsv")
    train, validation = maps.split(maps.find_pieces(tmp_path))
    assert {p.name.split("-")[1] for p in train} == {"a_P", "b_P", "a_Q", "c_Q"}
    assert {p.name.split("-")[1] for p in validation} == {"d_AkPnBcht", "c_x_AkPnBcht"}
    train, validation = maps.split(maps.find_pieces(tmp_path), held_out="Q")
    assert {p.source for p in train} == {"P", "AkPnBcht"} and [p.title for p in validation] == ["c"]


@pytest.mark.parametrize("stems", [["a_P", "b_Q"], ["a_AkPnBcht"], ["a_P", "a_AkPnBcht"]])
def test_an_empty_split_is_refused(tmp_path: Path, stems: list[str]) -> None:
    for stem in stems:
        touch(tmp_path, f"MAPS_MUS-{stem}.wav", f"MAPS_MUS-{stem}.tsv")
    with pytest.raises(DataError, match="'AkPnBcht' leaves training or validation empty; the pianos here are"):
        maps.split(maps.find_pieces(tmp_path))
