"""Disk-backed arrays: complete, read-only, and without cost in memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiocx.errors import OutputError
from audiocx.io.disk_array import DiskArray, in_blocks, on_disk


def test_arrays_on_disk_are_concatenated_and_read_only() -> None:
    blocks = [np.full((count, 3), count * 1j, np.complex64) for count in (3, 1, 2)]
    whole = on_disk(iter(blocks))
    np.testing.assert_array_equal(whole, np.concatenate(blocks))
    assert whole.dtype == np.complex64
    with pytest.raises(ValueError, match="read-only"):
        whole[0, 0] = 1


def test_arrays_may_be_one_dimensional_or_empty() -> None:
    rows = DiskArray(np.float32)
    assert rows.array().shape == (0,) and DiskArray(np.float32, 88).array().shape == (0, 88)
    rows = DiskArray(np.float32)
    rows.append(np.arange(4))
    rows.append(np.zeros((0,), np.float32))
    assert rows.array().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("make", [np.asarray, lambda array: on_disk([array])])
def test_blocks_together_are_the_array(make: Any) -> None:
    array = np.random.default_rng(0).normal(size=(1000, 7)).astype(np.float32)
    blocks = list(in_blocks(make(array), 300))
    assert [len(block) for block in blocks] == [300, 300, 300, 100]
    np.testing.assert_array_equal(np.concatenate(blocks), array)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted otherwise")
def test_iterating_over_an_array_on_disk_takes_no_memory() -> None:
    megabytes = 200
    block = np.zeros(2**18, np.float32)
    array = on_disk(block for _ in range(megabytes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(float(block.sum()) for block in in_blocks(array, 2**18)) == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < megabytes / 4 * 1024


def test_a_missing_temporary_folder_is_an_output_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match="TMPDIR"):
        DiskArray(np.float32)
