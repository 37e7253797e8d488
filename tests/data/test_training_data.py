"""Training data: corpora recognised by their layout, other folders, and invalid combinations."""

from __future__ import annotations

from pathlib import Path

import pytest
from musicnet_lookalike import write_folder
from speech_lookalike import write_librispeech, write_timit
from tiny_corpus import write_corpus

from audiocx.data.corpora import librispeech, maps
from audiocx.data.training_data import find_training_data
from audiocx.errors import DataError


def test_corpora_are_recognised_and_split_as_their_own(tmp_path: Path) -> None:
    pianos, chamber = write_corpus(tmp_path / "a"), write_folder(tmp_path / "b", (1727, 2131, 2303), 0.6)
    data = find_training_data([pianos, chamber], speech=False)
    train, validation = maps.split(maps.find_pieces(pianos))
    assert data.corpus == "MAPS and MusicNet"
    assert data.train[0] == train and data.validation[0] == validation
    names = {"corpus": data.corpus, "train": [[p.name for p in train], ["1727"]]}
    assert data.record() == {**names, "validation": [[p.name for p in validation], ["2131"]]}
    spoken = write_librispeech(tmp_path / "c", speakers=4, duration_s=0.2)
    sentences = write_timit(tmp_path / "d", sentences=["sx37"])
    speech = find_training_data([sentences, spoken], speech=True)
    assert speech.corpus == "TIMIT and LibriSpeech"
    assert list(speech.train[1]) == librispeech.split(librispeech.find_utterances(spoken)).train


def test_any_folders_are_taken_whole(tmp_path: Path) -> None:
    pianos, chamber = write_corpus(tmp_path / "a"), write_folder(tmp_path / "b", (1727, 2303), 0.6)
    data = find_training_data([pianos], speech=False, corpus="folder", validation=[chamber])
    assert data.corpus == "a" and len(data.train[0]) == len(maps.find_pieces(pianos))
    assert [piece.name for piece in data.validation[0]] == ["test_data/2303.wav", "train_data/1727.wav"]
    # Of a known corpus only the training part is trained on, whatever is validated with.
    known = find_training_data([chamber], speech=False, validation=[pianos])
    assert [piece.name for piece in known.train[0]] == ["1727"]


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    pianos, spoken = write_corpus(tmp_path / "a"), write_librispeech(tmp_path / "c", speakers=20, duration_s=0.1)
    with pytest.raises(DataError, match="name recordings to validate with by --validation"):
        find_training_data([pianos], speech=False, corpus="folder")
    with pytest.raises(DataError, match="both to be trained on and to be validated with"):
        find_training_data([pianos], speech=False, validation=[pianos])
    with pytest.raises(DataError, match="MAPS is a corpus of music, which this network is not trained on"):
        find_training_data([pianos], speech=True, corpus="maps")
    # Alone, one of the two speakers held out of twenty would be trained on.
    other = tmp_path / "other"
    other.mkdir()
    for utterance in librispeech.split(librispeech.find_utterances(spoken)).validation:
        (other / utterance.audio.name).write_bytes(utterance.audio.read_bytes())
    with pytest.raises(DataError, match="is of a speaker held out"):
        find_training_data([spoken, other], speech=True)
    with pytest.raises(DataError, match="holds no recording for validation; add some of its ids"):
        find_training_data([write_folder(tmp_path / "b", [1727], 0.6)], speech=False)
