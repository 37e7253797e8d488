"""Disk-backed arrays, in temporary files that are deleted with the arrays."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError

__all__ = ["DiskArray", "in_blocks", "on_disk"]


class DiskArray:
    """An array that is written to a temporary file row by row, and then memory-mapped.

    Args:
        dtype: Data type of the array.
        shape: Shape of a row; left out for an array [N].

    Raises:
        OutputError: The folder of temporary files is full or missing.

    >>> rows = DiskArray(np.float32, 2)
    >>> rows.append(np.ones((3, 2)))
    >>> rows.array().shape
    (3, 2)
    """

    def __init__(self, dtype: Any, *shape: int) -> None:
        self._dtype, self._shape, self._rows = np.dtype(dtype), shape, 0
        try:
            self._file = tempfile.TemporaryFile(prefix="audiocx-")  # noqa: SIM115 - array() closes it
        except OSError as error:
            raise _disk_full(error) from error

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):  # it could not be opened, or the disk is full
            self._file.close()

    def append(self, rows: NDArray[Any]) -> None:
        """Append rows.

        Args:
            rows: [N, *shape].

        Raises:
            OutputError: The disk is full.
        """
        try:
            self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        except OSError as error:
            raise _disk_full(error) from error
        self._rows += len(rows)

    def array(self) -> NDArray[Any]:
        """Finish writing and return the array.

        Returns:
            [N, *shape], memory-mapped, read-only.

        Raises:
            OutputError: The disk is full.
        """
        shape = (self._rows, *self._shape)
        try:
            with self._file:
                self._file.flush()
                if not self._rows:  # an empty file cannot be mapped
                    return np.zeros(shape, self._dtype)
                return np.memmap(self._file, self._dtype, "r", shape=shape)
        except OSError as error:
            raise _disk_full(error) from error


def on_disk(blocks: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Write an array to a temporary file, which is deleted with the array.

    Args:
        blocks: One or more arrays [N, *] of the same data type and row shape.

    Returns:
        Their concatenation, memory-mapped, read-only.

    Raises:
        OutputError: The disk is full.
    """
    remaining = iter(blocks)
    first = next(remaining)
    rows = DiskArray(first.dtype, *first.shape[1:])
    rows.append(first)
    for block in remaining:
        rows.append(block)
    return rows.array()


def in_blocks(array: NDArray[Any], rows: int) -> Iterator[NDArray[Any]]:
    """Iterate over an array in blocks of rows, freeing the memory of those already read from disk.

    Args:
        array: [N, *], in memory or memory-mapped.
        rows: Rows per block.

    Yields:
        [<= rows, *]; copies if the array is memory-mapped.
    """
    mapped = getattr(array, "_mmap", None)
    for start in range(0, len(array), rows):
        block = array[start : start + rows]
        yield block if mapped is None else np.array(block)
        # Otherwise the pages read so far stay in memory for as long as the array exists.
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def _disk_full(error: OSError) -> OutputError:
    return OutputError(
        f"{tempfile.gettempdir()}: temporary files cannot be written ({error.strerror or error}); free some space, or "
        "set the environment variable TMPDIR to another folder."
    )
