"""LibriSpeech: finding its recordings, holding out speakers, and preparing stores."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from recipe_runs import refusal, run_script
from speech_lookalike import write_librispeech

from audiocx.data.corpora import librispeech
from audiocx.data.corpora.speech import Utterance, find_recordings
from audiocx.errors import DataError


def utterances_of(speakers: int, each: int = 2) -> list[Utterance]:
    names = [
        f"{19 + 7 * speaker}-{100 + speaker}-{number:04d}" for speaker in range(speakers) for number in range(each)
    ]
    return [Utterance(name, Path(f"{name}.flac"), name.split("-")[0]) for name in names]


@pytest.mark.parametrize("chapters", [True, False])
def test_any_parent_folder_is_accepted(tmp_path: Path, chapters: bool) -> None:
    split = write_librispeech(tmp_path / "LibriSpeech" / "train-clean-100", 3, duration_s=0.02, chapters=chapters)
    (split / "19" / "19-198.trans.txt").touch()
    (split / "19" / "intro.flac").touch()
    (split / "19" / "._19-198-0000.flac").touch()
    found = librispeech.find_utterances(split)
    names = ["19-198-0000", "19-198-0001", "26-199-0000", "26-199-0001", "33-200-0000", "33-200-0001"]
    assert [utterance.name for utterance in found] == names
    assert [utterance.speaker for utterance in found] == ["19", "19", "26", "26", "33", "33"]
    assert librispeech.find_utterances(tmp_path) == found
    assert len(librispeech.find_utterances(split / "26")) == 2


def test_a_recording_in_two_formats_is_listed_once(tmp_path: Path) -> None:
    write_librispeech(tmp_path / "a", 2, 1, 0.02)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a" / "19" / "198" / "19-198-0000.wav").touch()
    found = librispeech.find_utterances(tmp_path)
    assert [utterance.audio.relative_to(tmp_path).as_posix() for utterance in found] == [
        "a/19/198/19-198-0000.flac",
        "a/26/199/26-199-0000.flac",
    ]


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "song.flac").touch()
    with pytest.raises(DataError, match="holds no recording named as in LibriSpeech, .*; name the folder of a split"):
        librispeech.find_utterances(tmp_path)
    with pytest.raises(DataError, match="missing: is not a folder"):
        librispeech.find_utterances(tmp_path / "missing")


@pytest.mark.parametrize(
    ("speakers", "held_out"), [(2, 1), (8, 1), (19, 1), (20, 2), (249, 24), (250, 25), (251, 25), (921, 25)]
)
def test_a_tenth_of_the_speakers_is_held_out_and_never_trained_on(speakers: int, held_out: int) -> None:
    utterances = utterances_of(speakers)
    train, validation, test = librispeech.split(utterances)
    assert len({u.speaker for u in validation}) == held_out and len({u.speaker for u in train}) == speakers - held_out
    assert not {u.speaker for u in train} & {u.speaker for u in validation} and not test
    assert sorted(u.name for u in train + validation) == sorted(u.name for u in utterances)


def test_held_out_speakers_depend_on_the_ids_alone() -> None:
    utterances = utterances_of(40)
    held_out = {u.speaker for u in librispeech.split(utterances).validation}
    # sha256 of these begins lowest, of the ids 19, 26, ..., 292.
    assert held_out == {"152", "229", "250", "117"}
    random.Random(0).shuffle(utterances)
    assert {u.speaker for u in librispeech.split(utterances).validation} == held_out
    # Another speaker's recordings drive out one at most.
    more = [*utterances, Utterance("7-1-0000", Path("7-1-0000.flac"), "7")]
    assert len(held_out - {u.speaker for u in librispeech.split(more).validation}) <= 1


def test_one_speaker_cannot_be_split() -> None:
    with pytest.raises(DataError, match="takes two or more, and there are recordings of 1; add the folder"):
        librispeech.split(utterances_of(1))


def test_stores_of_librispeech_and_of_extra_folders_are_prepared(tmp_path: Path) -> None:
    folder = write_librispeech(tmp_path / "speech", 20, 2, 0.05)
    extra = write_librispeech(tmp_path / "more", 3, 2, 0.05, chapters=False)
    for number, path in enumerate(sorted(extra.rglob("*.flac"))):
        path.rename(path.with_name(f"command {number}.flac"))
    words = (folder, "--extra", extra, "--cache", tmp_path / "cache")
    printed = run_script("librispeech/prepare", *words)
    assert [line.rpartition(" h at ")[0].rpartition(", ")[0] for line in printed.splitlines()] == [
        "train: 36 recordings of 18 speakers",
        f"train, {extra}: 6 recordings",
        "validation: 4 recordings of 2 speakers",
    ]
    assert run_script("librispeech/prepare", *words) == printed
    alone = run_script("librispeech/prepare", folder, "--cache", tmp_path / "cache").splitlines()
    assert alone == [printed.splitlines()[0], printed.splitlines()[2]]


def test_extra_folders_with_held_out_speakers_are_refused(tmp_path: Path) -> None:
    folder = write_librispeech(tmp_path / "speech", 4, 1, 0.05)
    sentence = refusal("librispeech/prepare", folder, "--extra", folder, "--cache", tmp_path / "cache")
    (validation,) = librispeech.split(librispeech.find_utterances(folder)).validation
    assert str(validation.audio) in sentence and "is of a speaker held out for validation; add a folder" in sentence


def test_recordings_of_any_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/x.flac", "a.WAV", "a.txt", ".hidden.wav"):
        (tmp_path / name).touch()
    found = find_recordings(tmp_path)
    assert found == [Utterance("a.WAV", tmp_path / "a.WAV", ""), Utterance("b/x.flac", tmp_path / "b" / "x.flac", "")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no recording; name another folder"):
        find_recordings(tmp_path / "empty")
