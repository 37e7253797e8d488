"""Compact files of note tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scenes.score_tables import load_tables, note_table, save_tables

from audiocx.notes import Note


def test_round_trip(tmp_path: Path) -> None:
    tables = {"a": note_table([Note(0.5, 60, 1.25, 70, program=40)]), "b": note_table([Note(0.1, 21, 9.0, 1)])}
    save_tables(tmp_path / "tables.npz", tables)
    loaded = load_tables(tmp_path / "tables.npz")
    assert list(loaded) == ["a", "b"]
    for name, rows in loaded.items():
        np.testing.assert_allclose(rows, tables[name], atol=2e-4)
