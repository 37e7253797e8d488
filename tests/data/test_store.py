"""Prepared stores: exact samples and labels, caching, invalidation, interrupted preparation."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tiny_corpus import RATE, random_notes, tones, write_piece

from audiocx.data import store as store_module
from audiocx.data.corpus import Piece, sample_of
from audiocx.data.store import MARGIN_SAMPLES, Store, prepare
from audiocx.errors import AudioError, DataError
from audiocx.notes import Note

LENGTHS_S = (1.5, 0.9, 1.2)


@pytest.fixture
def pieces(tmp_path: Path) -> list[Piece]:
    """Three pieces: random notes, some past the end; notes at the very ends and out of range; and silence."""
    rng = np.random.default_rng(1)
    edges = [Note(0.0, 60, 0.1), Note(0.8, 61, 7.0), Note(5.0, 62, 6.0), Note(0.1, 10, 0.5), Note(0.1, 120, 0.5)]
    return [
        write_piece(tmp_path / "corpus", title, "P", tones(notes, length_s), notes, ending)
        for title, notes, length_s, ending in [
            ("a", random_notes(rng, 12, LENGTHS_S[0]), LENGTHS_S[0], ".wav"),
            ("b", edges, LENGTHS_S[1], ".flac"),
            ("c", [], LENGTHS_S[2], ".wav"),
        ]
    ]


@pytest.fixture
def store(pieces: list[Piece], tmp_path: Path) -> Store:
    return prepare(pieces, tmp_path / "cache", progress=False)


def finished(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if not path.name.startswith("."))


def test_the_samples_are_those_of_the_files(store: Store, pieces: list[Piece]) -> None:
    assert store.names == [piece.name for piece in pieces]
    assert store.audio.dtype == np.int16
    for index, piece in enumerate(pieces):
        written, _ = soundfile.read(piece.audio, dtype="int16")
        start = store.starts[index]
        np.testing.assert_array_equal(store.audio[start : start + store.lengths[index]], written)
        np.testing.assert_array_equal(store.samples(index), written / np.float32(32768))


def test_pieces_are_separated_by_margins_of_silence(store: Store) -> None:
    inside = np.zeros(len(store.audio), bool)
    for start, length in zip(store.starts, store.lengths, strict=True):
        inside[start : start + length] = True
    assert not store.audio[~inside].any()
    assert store.starts[0] == MARGIN_SAMPLES
    ends = store.starts + store.lengths
    assert [*(store.starts[1:] - ends[:-1]), len(store.audio) - ends[-1]] == [MARGIN_SAMPLES] * 3


def test_labels_are_exact_at_every_sample(store: Store, pieces: list[Piece]) -> None:
    for index in range(len(pieces)):
        length = int(store.lengths[index])
        expected = np.zeros((length, 88), bool)
        for note in store.notes(index):
            if 21 <= note.midi_note < 109:
                expected[sample_of(note.onset_s, RATE) : sample_of(note.offset_s, RATE), note.midi_note - 21] = True
        np.testing.assert_array_equal(store.sounding(index, np.arange(length)), expected)
    assert store.sounding(0, np.arange(store.lengths[0])).any() and store.sounding(1, np.array([0])).any()


def test_labels_past_the_end_do_not_reach_into_the_next_piece(store: Store) -> None:
    everywhere = store.masks[np.searchsorted(store.events, np.arange(len(store.audio)), side="right")]
    for start, length in zip(store.starts, store.lengths, strict=True):
        everywhere[start : start + length] = False
    assert not everywhere.any()
    assert not store.sounding(2, np.arange(store.lengths[2])).any()


def test_notes_are_stored_exactly(store: Store) -> None:
    assert [len(store.notes(index)) for index in range(3)] == [12, 5, 0]
    assert store.notes(1)[-1] == Note(5.0, 62, 6.0)
    assert store.notes(0) == sorted(store.notes(0)) and store.notes(0)[0].velocity == 64


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    piece = write_piece(tmp_path, "a", "P", np.zeros(0, np.int16), [Note(0.25, 69, 0.75)])
    time_s = np.arange(44100) / 44100
    soundfile.write(piece.audio, 0.5 * np.sin(2 * np.pi * 440 * time_s), 44100)
    store = prepare([piece], tmp_path / "cache", progress=False)
    assert store.lengths.tolist() == [RATE]
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(store.samples(0)[500:-500], expected[500:-500], atol=2e-3)


def test_loud_samples_are_clipped_not_wrapped(tmp_path: Path) -> None:
    piece = write_piece(tmp_path, "a", "P", np.zeros(1, np.int16), [])
    soundfile.write(piece.audio, np.array([1.0, 1.5, -1.0, -1.5, 0.5]), RATE, subtype="FLOAT")
    store = prepare([piece], tmp_path / "cache", progress=False)
    assert store.audio[MARGIN_SAMPLES:][:5].tolist() == [32767, 32767, -32768, -32768, 16384]


def test_lowest_note_and_outputs_select_the_labels(pieces: list[Piece], tmp_path: Path) -> None:
    store = prepare(pieces, tmp_path / "cache", lowest_note=60, outputs=2, progress=False)
    assert store.masks.shape[1] == 2
    assert store.sounding(1, np.array([0, int(0.85 * RATE)])).tolist() == [[True, False], [False, True]]


def test_an_unchanged_corpus_is_not_prepared_again(
    store: Store, pieces: list[Piece], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "join_parts", lambda *_: pytest.fail("prepared again"))
    changed_ns = store.folder.stat().st_mtime_ns
    again = prepare(pieces, tmp_path / "cache", progress=False)
    assert again.folder == store.folder and again.folder.stat().st_mtime_ns == changed_ns
    np.testing.assert_array_equal(again.audio, store.audio)
    np.testing.assert_array_equal(again.masks, store.masks)


def test_a_corpus_that_was_moved_is_not_prepared_again(store: Store, pieces: list[Piece], tmp_path: Path) -> None:
    moved = shutil.copytree(tmp_path / "corpus", tmp_path / "elsewhere")
    there = [Piece(p.name, moved / p.audio.name, moved / p.labels.name, p.source, p.title) for p in pieces]
    assert prepare(there, tmp_path / "cache", progress=False).folder == store.folder


class Silence:
    """A recording without a file."""

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        return np.zeros(sample_rate, np.float32), []

    def stamps(self) -> list[Any]:
        return [[f"{self.name}.wav", 1000, 17 * 10**17], [f"{self.name}.tsv", 20, 17 * 10**17 + 1]]


def test_stores_of_earlier_versions_are_still_found(tmp_path: Path) -> None:
    """The name that this content had in release 0.1; another would make users prepare gigabytes again."""
    store = prepare([Silence("a"), Silence("b")], tmp_path, progress=False)
    assert store.folder.name == "81f58919d46908be" and store.lengths.tolist() == [11025, 11025]


def test_a_store_may_be_without_notes_and_empty(tmp_path: Path) -> None:
    store = prepare([Silence("a")], tmp_path, 8000, outputs=0, progress=False)
    assert store.masks.shape[1] == 0 and store.notes(0) == [] and store.lengths.tolist() == [8000]
    empty = prepare([], tmp_path, 8000, outputs=0, progress=False)
    assert empty.names == [] and empty.lengths.sum() == 0 and empty.folder != store.folder


@pytest.mark.parametrize("change", ["labels", "audio", "touch", "sample_rate", "lowest_note", "outputs", "pieces"])
def test_every_relevant_change_makes_a_new_store(
    store: Store, pieces: list[Piece], tmp_path: Path, change: str
) -> None:
    parameters: dict[str, Any] = {"sample_rate": 8000, "lowest_note": 20, "outputs": 84}
    if change == "labels":
        with open(pieces[2].labels, "a") as file:
            file.write("0.1\t0.2\t60\t80\n")
    elif change == "audio":
        soundfile.write(pieces[2].audio, np.ones(100, np.int16), RATE)
    elif change == "touch":
        os.utime(pieces[2].labels, ns=(1, 1))
    chosen = pieces[:2] if change == "pieces" else pieces
    options = {change: parameters[change]} if change in parameters else {}
    new = prepare(chosen, tmp_path / "cache", progress=False, **options)
    assert new.folder != store.folder and len(finished(tmp_path / "cache")) == 2
    if change == "labels":
        assert new.notes(2) == [Note(0.1, 60, 0.2)] and new.sounding(2, np.array([1500])).sum() == 1
    if change == "audio":
        assert new.lengths[2] == 100


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DataError("bad"), AudioError("bad"), OSError(28, "disk full")])
def test_an_interrupted_preparation_resumes(
    pieces: list[Piece], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    load, cache = Piece.load, tmp_path / "cache"
    loaded: list[str] = []

    def fail_late(piece: Piece, sample_rate: int) -> Any:
        if piece is pieces[-1]:
            assert not finished(cache)
            raise error
        loaded.append(piece.name)
        return load(piece, sample_rate)

    monkeypatch.setattr(Piece, "load", fail_late)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else DataError):
        prepare(pieces, cache, progress=False)
    assert not finished(cache) and sorted(loaded) == [piece.name for piece in pieces[:-1]]

    def only_the_last(piece: Piece, sample_rate: int) -> Any:
        assert piece is pieces[-1]
        return load(piece, sample_rate)

    monkeypatch.setattr(Piece, "load", only_the_last)
    store = prepare(pieces, cache, progress=False)
    assert finished(cache) == [store.folder] and not list(cache.glob(".unfinished*"))
    monkeypatch.undo()
    afresh = prepare(pieces, tmp_path / "afresh", progress=False)
    for name in ("audio", "events", "masks"):
        np.testing.assert_array_equal(getattr(store, name), getattr(afresh, name))
    assert [store.notes(index) for index in range(3)] == [afresh.notes(index) for index in range(3)]


def test_a_preparation_killed_just_before_its_end_resumes(
    pieces: list[Piece], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    join = store_module.join_parts

    def killed(*arguments: Any) -> None:
        join(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module, "join_parts", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(pieces, cache, progress=False)
    assert not finished(cache)
    monkeypatch.undo()
    assert [prepare(pieces, cache, progress=False).folder] == finished(cache)


def test_a_second_process_waits_for_the_first(
    pieces: list[Piece], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    load, waits, calls = Piece.load, threading.Event(), []
    stores: list[Store] = []

    def slow(piece: Piece, sample_rate: int) -> Any:
        calls.append(piece.name)
        assert waits.wait(60)
        return load(piece, sample_rate)

    monkeypatch.setattr(Piece, "load", slow)
    cache = tmp_path / "cache"
    threads = [threading.Thread(target=lambda: stores.append(prepare(pieces, cache, progress=False))) for _ in range(2)]
    for thread in threads:
        thread.start()
    messages = ""
    while "another process is preparing this store" not in messages:
        messages += capfd.readouterr().err
    waits.set()
    for thread in threads:
        thread.join()
    assert len(calls) == len(pieces) and len(stores) == 2 and stores[0].folder == stores[1].folder
    assert [stores[0].folder] == finished(cache)


def test_all_errors_are_reported_together(pieces: list[Piece], tmp_path: Path) -> None:
    pieces[0].labels.write_text("0.1\n")
    pieces[2].audio.write_bytes(b"no sound")
    with pytest.raises(DataError, match=r"(?s)MAPS_MUS-a_P\.tsv.*MAPS_MUS-c_P\.wav"):
        prepare(pieces, tmp_path / "cache", progress=False)


def test_a_malformed_label_file_is_named(pieces: list[Piece], tmp_path: Path) -> None:
    pieces[1].labels.write_text("0.1\t0.2\t60\n0.2\tsoon\t60\n")
    with pytest.raises(DataError, match=r"MAPS_MUS-b_P\.tsv, line 2"):
        prepare(pieces, tmp_path / "cache", progress=False)


def test_a_damaged_store_is_a_data_error(store: Store, pieces: list[Piece], tmp_path: Path) -> None:
    (store.folder / "index.json").write_text("{")
    with pytest.raises(DataError, match=rf"{store.folder.name}: is not a complete store; delete it"):
        prepare(pieces, tmp_path / "cache", progress=False)


def test_a_missing_recording_is_named(pieces: list[Piece], tmp_path: Path) -> None:
    pieces[0].audio.unlink()
    with pytest.raises(DataError, match=r"MAPS_MUS-a_P\.wav"):
        prepare(pieces, tmp_path / "cache", progress=False)


def test_an_impossible_cache_folder_is_refused(pieces: list[Piece], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        prepare(pieces, tmp_path / "file", progress=False)
