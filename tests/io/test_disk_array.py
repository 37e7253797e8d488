"""Arrays in temporary files: whole, read-only, gone with the array, and a sentence where there is no room."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiocx.errors import OutputError
from audiocx.io.disk_array import DiskArray, in_blocks, on_disk


def test_arrays_on_disk_outlive_their_file_and_cannot_be_changed() -> None:
    blocks = [np.full((count, 3), count * 1j, np.complex64) for count in (3, 1, 2)]
    whole = on_disk(iter(blocks))
    np.testing.assert_array_equal(whole, np.concatenate(blocks))
    assert whole.dtype == np.complex64
    with pytest.raises(ValueError, match="read-only"):
        whole[0, 0] = 1


def test_rows_may_be_numbers_and_none_at_all() -> None:
    spool = DiskArray(np.float32)
    assert spool.array().shape == (0,) and DiskArray(np.float32, 88).array().shape == (0, 88)
    spool = DiskArray(np.float32)
    spool.append(np.arange(4))
    spool.append(np.zeros((0,), np.float32))
    assert spool.array().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("make", [np.asarray, lambda array: on_disk([array])])
def test_blocks_are_the_array_and_stay_when_it_has_gone(make: Any) -> None:
    array = np.random.default_rng(0).normal(size=(1000, 7)).astype(np.float32)
    blocks = list(in_blocks(make(array), 300))
    assert [len(block) for block in blocks] == [300, 300, 300, 100]
    np.testing.assert_array_equal(np.concatenate(blocks), array)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted otherwise")
def test_going_through_an_array_on_disk_takes_no_memory() -> None:
    megabytes = 200
    block = np.zeros(2**18, np.float32)
    array = on_disk(block for _ in range(megabytes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(float(block.sum()) for block in in_blocks(array, 2**18)) == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < megabytes / 4 * 1024


def test_where_there_is_no_room_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match="TMPDIR"):
        DiskArray(np.float32)
