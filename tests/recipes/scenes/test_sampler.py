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


def test_labels_end_where_a_key_is_released_under_a_pedal_too(tmp_path: Path) -> None:
    index, _ = make_bank(tmp_path)
    score = note_table([Note(0.1 * n, 50 + n % 40, 0.1 * n + 0.3, 60) for n in range(200)])
    sampler = SceneSampler(index, [score], [], SceneConfig(49152, 10368, shares=(0, 1, 0, 0, 0)))
    sounds, _, labels = sampler.batch(np.random.default_rng(0), 24)
    longest_s = 0.3 * 2**0.45  # at the slowest tempo
    struck = sounds.durations[sounds.durations < 1e6]
    assert struck.max() / RATE > 2 * longest_s
    assert (labels.offsets - labels.onsets).max() * 128 / RATE < longest_s + 1e-3
    assert (labels.offsets > labels.onsets).all()
