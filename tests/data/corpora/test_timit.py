"""TIMIT: finding its recordings, its split, and preparing stores."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recipe_runs import refusal, run_script
from speech_lookalike import RATE, SENTENCES, TEST_SPEAKERS, TRAIN_SPEAKERS, speech_like, timit_path, write_timit

from audiocx.data.corpora import timit
from audiocx.data.corpora.speech import Split, Utterance
from audiocx.data.training_data import open_speech_stores
from audiocx.errors import DataError

# All of TIMIT's: 462 speakers under TRAIN, 168 under TEST, with ten sentences each.
ALL_SENTENCES = ("sa1", "sa2", "si1", "si2", "si3", *(f"sx{number}" for number in range(5)))
UNUSED = tuple(f"fsa{letter}{digit}" for letter in "abcdefghij" for digit in range(10))[:94]


def speakers(utterances: list[Utterance]) -> set[str]:
    return {utterance.speaker for utterance in utterances}


def touch_timit(folder: Path, train: tuple[str, ...], test: tuple[str, ...]) -> Path:
    """Empty files, the training set in upper and the test set in lower case; only the paths matter."""
    for side, there, upper in (("train", train, True), ("test", test, False)):
        for speaker in there:
            for sentence in ALL_SENTENCES:
                path = timit_path(folder, side, speaker, sentence, upper=upper)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    return folder


def test_the_lists_of_speakers_are_complete_and_disjoint() -> None:
    assert (len(timit.DEV_SPEAKERS), len(timit.CORE_TEST_SPEAKERS)) == (50, 24)
    assert not timit.DEV_SPEAKERS & timit.CORE_TEST_SPEAKERS
    assert {speaker[0] for speaker in timit.DEV_SPEAKERS | timit.CORE_TEST_SPEAKERS} == {"f", "m"}
    # NIST took two men and one woman of each of the eight dialect regions.
    assert sum(speaker[0] == "f" for speaker in timit.CORE_TEST_SPEAKERS) == 8


def test_the_complete_corpus_has_the_published_counts_and_disjoint_speakers(tmp_path: Path) -> None:
    train = tuple(f"msa{a}{b}" for a in "abcdefghijklmnopqrstuvwxyz" for b in range(10)) + tuple(
        f"{a}{b}sa{digit}" for a in "fm" for b in "abcdefghijk" for digit in range(10)
    )
    test = (*timit.DEV_SPEAKERS, *timit.CORE_TEST_SPEAKERS, *UNUSED)
    folder = touch_timit(tmp_path / "sa1" / "timit", train[:462], test)
    found = timit.find_utterances(folder)
    assert len(found) == len({utterance.name for utterance in found}) == 6300
    parted = timit.split(found)
    assert tuple(map(len, parted)) == timit.EXPECTED == (3696, 400, 192)
    assert speakers(parted.train) == set(train[:462])  # however many have "sa" in their names
    assert speakers(parted.validation) == timit.DEV_SPEAKERS and speakers(parted.test) == timit.CORE_TEST_SPEAKERS
    assert not any(Path(utterance.name).name.startswith("sa") for part in parted for utterance in part)
    assert timit.completeness(parted).startswith("TIMIT is complete: 3696 utterances for training, 400 ")
    assert "3695 of 3696" in timit.completeness(Split(parted.train[1:], parted.validation, parted.test))


def test_validation_and_test_speakers_are_never_trained_on(tmp_path: Path) -> None:
    parted = timit.split(timit.find_utterances(touch_timit(tmp_path, ("fcjf0", "faks0", "mdab0"), ())))
    assert list(map(speakers, parted)) == [{"fcjf0"}, {"faks0"}, {"mdab0"}]


@pytest.mark.parametrize("upper", [True, False])
def test_any_parent_folder_is_accepted(tmp_path: Path, upper: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "a" / "timit" / "TIMIT"
    write_timit(root, ("fcjf0",), ("faks0",), ("sx37",), upper, 0.02)
    (root / "TRAIN").mkdir(exist_ok=True)
    (root / "readme.wav").touch()
    (root / ("TRAIN" if upper else "train") / "._sx1.wav").touch()
    folders = [root, root.parent, tmp_path / "a", tmp_path]
    expected = timit.find_utterances(root)
    assert [(u.name, u.speaker) for u in expected] == [
        ("test/dr6/faks0/sx37", "faks0"),
        ("train/dr2/fcjf0/sx37", "fcjf0"),
    ]
    assert all(timit.find_utterances(folder) == expected for folder in folders)
    monkeypatch.chdir(root / ("TEST" if upper else "test"))
    assert timit.find_utterances(".") == expected[:1]


@pytest.mark.parametrize("converted", [".flac", ".wav", ".WAV.wav", ".wav.flac"])
@pytest.mark.parametrize("upper", [True, False])
def test_converted_recordings_take_precedence(tmp_path: Path, converted: str, upper: bool) -> None:
    write_timit(tmp_path, ("fcjf0",), (), ("sx37", "sx127"), upper, 0.02)
    sphere = timit_path(tmp_path, "train", "fcjf0", "sx37", upper=upper)
    other = sphere.with_name(f"SX37{converted}")
    samples, _ = soundfile.read(sphere, dtype="int16")
    soundfile.write(other, samples, RATE)
    found = {utterance.name: utterance.audio for utterance in timit.find_utterances(tmp_path)}
    assert set(found) == {"train/dr2/fcjf0/sx37", "train/dr2/fcjf0/sx127"}
    assert found["train/dr2/fcjf0/sx37"] == other
    sphere.unlink()
    assert timit.find_utterances(tmp_path)[1].audio == other


@pytest.mark.parametrize("path", ["train/dr9/fcjf0/sx1.wav", "train/dr1/fcjf/sx1.wav", "dr1/fcjf0/sx1.wav", "a.wav"])
def test_other_folders_are_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "x" / path).parent.mkdir(parents=True)
    (tmp_path / "x" / path).touch()
    with pytest.raises(DataError, match=r"x: is not TIMIT: .* name the folder into which TIMIT was unpacked"):
        timit.find_utterances(tmp_path / "x")
    with pytest.raises(DataError, match="missing: is not a folder"):
        timit.find_utterances(tmp_path / "missing")


def test_stores_hold_the_recordings_at_8_khz(tmp_path: Path) -> None:
    path = timit_path(tmp_path, "train", "fcjf0", "sx37")
    path.parent.mkdir(parents=True)
    time_s = np.arange(RATE) / RATE
    # Of a tone in the band kept and one above it, the first stays.
    tones = 0.5 * np.sin(2 * np.pi * 1000 * time_s) + 0.4 * np.sin(2 * np.pi * 5000 * time_s)
    soundfile.write(path, tones, RATE, format="NIST")
    (store,) = open_speech_stores([timit.find_utterances(tmp_path)], str(tmp_path / "cache"))
    assert store.sample_rate == 8000 and store.lengths.tolist() == [8000] and store.notes(0) == []
    np.testing.assert_allclose(
        store.samples(0)[500:-500], 0.5 * np.sin(2 * np.pi * np.arange(500, 7500) / 8), atol=1e-3
    )


def test_samples_at_8_khz_are_not_changed(tmp_path: Path) -> None:
    path = timit_path(tmp_path, "train", "fcjf0", "sx37")
    path.parent.mkdir(parents=True)
    written = np.array([0, 1, -1, 32767, -32768, 16384, *range(100)], np.int16)
    soundfile.write(path, written, 8000, format="NIST")
    (store,) = open_speech_stores([timit.find_utterances(tmp_path)], str(tmp_path / "cache"))
    np.testing.assert_array_equal(store.samples(0), written / np.float32(32768))


def test_an_incomplete_corpus_is_prepared_and_reported(tmp_path: Path) -> None:
    folder = write_timit(tmp_path / "timit", duration_s=0.05)
    words = (folder, "--cache", tmp_path / "cache")
    printed = run_script("timit/prepare", *words)
    count, *lines = printed.splitlines()
    kept = len(SENTENCES) - 2
    assert count.startswith(f"TIMIT is not complete: train has {4 * kept} of 3696 utterances, validation 6 of 400, ")
    sides = [("train", 4), ("validation", 2), ("test", 2)]
    for line, (name, there) in zip(lines, sides, strict=True):
        assert line.startswith(f"{name}: {there * kept} recordings of {there} speakers, 0.00 h at 8000 Hz, 0 MB, ")
        assert Path(line.rpartition(", ")[2]).is_dir()
    assert run_script("timit/prepare", *words) == printed
    assert len(TRAIN_SPEAKERS) == 4 and len(TEST_SPEAKERS) == 5


def test_sets_without_speakers_are_empty(tmp_path: Path) -> None:
    folder = write_timit(tmp_path / "timit", test=(), duration_s=0.05)
    printed = run_script("timit/prepare", folder, "--cache", tmp_path / "cache")
    assert "\nvalidation: 0 recordings, 0.00 h" in printed and "\ntest: 0 recordings, 0.00 h" in printed


def test_failed_preparation_is_one_sentence(tmp_path: Path) -> None:
    assert "is not TIMIT" in refusal("timit/prepare", tmp_path, "--cache", tmp_path / "cache")
    folder = write_timit(tmp_path / "timit", ("fcjf0",), ("faks0",), ("sx37",), duration_s=0.05)
    path = timit_path(folder, "train", "fcjf0", "sx37")
    head, coded = path.read_bytes()[:1024], b"sample_coding -s26 pcm,embedded-shorten-v2.00"
    path.write_bytes(head.rstrip().replace(b"sample_coding -s3 pcm", coded).ljust(1024) + b"ajkg\x02" + os.urandom(99))
    sentence = refusal("timit/prepare", folder, "--cache", tmp_path / "cache")
    assert str(path) in sentence and "sph2pipe -f wav SX37.WAV SX37.WAV.wav" in sentence
    # The remedy, followed.
    soundfile.write(path.with_name("SX37.WAV.wav"), speech_like("a", 0.05), RATE)
    assert "train: 1 recordings of 1 speakers" in run_script("timit/prepare", folder, "--cache", tmp_path / "cache")
