"""Compact files of many note tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiocx.notes import Note

__all__ = ["load_tables", "note_table", "save_tables"]

_TICKS_PER_SECOND = 5000


def note_table(notes: Iterable[Note]) -> NDArray[np.float32]:
    """Convert notes to a table.

    Args:
        notes: M notes, in any order.

    Returns:
        Rows of onset_s, offset_s, midi_note, velocity and program, sorted by onset, float32 [M, 5].
    """
    rows = [(n.onset_s, n.offset_s, n.midi_note, n.velocity, n.program) for n in notes]
    return np.array(sorted(rows), np.float32).reshape(-1, 5)


def save_tables(path: Path, tables: Mapping[str, NDArray[np.float32]]) -> None:
    """Write tables to a compressed file; times are rounded to 0.2 ms.

    Args:
        path: File to write, ``.npz``.
        tables: Tables of :func:`note_table` by name.
    """
    rows = np.concatenate(list(tables.values())).astype(float)
    onsets = np.rint(rows[:, 0] * _TICKS_PER_SECOND).astype(np.int32)
    columns = {
        "names": np.array(list(tables)),
        "counts": np.array([len(rows) for rows in tables.values()], np.int32),
        "steps": np.diff(onsets, prepend=0).astype(np.int32),
        "durations": np.rint((rows[:, 1] - rows[:, 0]) * _TICKS_PER_SECOND).astype(np.int32),
        "rest": np.ascontiguousarray(rows[:, 2:].T.astype(np.uint8)),
    }
    np.savez_compressed(path, **columns)


def load_tables(path: Path) -> dict[str, NDArray[np.float32]]:
    """Load a file of :func:`save_tables`.

    Args:
        path: File to read.

    Returns:
        The tables by name.
    """
    with np.load(path) as stored:
        onsets = stored["steps"].cumsum() / _TICKS_PER_SECOND
        columns = [onsets, onsets + stored["durations"] / _TICKS_PER_SECOND, *stored["rest"]]
        rows = np.stack(columns, 1).astype(np.float32)
        parts = np.split(rows, stored["counts"].cumsum()[:-1])
        return dict(zip(stored["names"].tolist(), parts, strict=True))
