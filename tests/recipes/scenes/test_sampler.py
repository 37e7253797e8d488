"""Scenes label the notes that they play."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scenes.sampler import Recording, SceneConfig, SceneSampler
from scenes.score_tables import note_table
from tiny_bank import RATE, make_bank

from audiocx.notes import Note


def test_labels_are_in_range_and_sounds_within_the_bank(tmp_path: Path) -> None:
    index, _ = make_bank(tmp_path)
    score = note_table([Note(0.1 * n, 50 + n % 40, 0.1 * n + 0.3, 60) for n in range(200)])
    recording = Recording(0, 2 * RATE * 20, score)
    sampler = SceneSampler(index, [score], [recording], SceneConfig(49152, 10368))
    sounds, clips, labels = sampler.batch(np.random.default_rng(0), 24)
    assert set(labels.rows) <= set(range(24))
    assert len(labels.rows) > 50
    assert (labels.offsets > labels.onsets).all()
    assert labels.pitches.min() >= 0
    assert labels.pitches.max() < 88
    assert (sounds.starts + sounds.lengths).max() <= 2 * (index.starts + index.lengths).max()
    assert [column.dtype for column in clips] == ["int64", "float64", "int64", "int64", "float64", "float32"]
