"""Arrays too long for memory, in temporary files that are gone when the arrays are."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError

__all__ = ["DiskArray", "in_blocks", "on_disk"]


class DiskArray:
    """Rows that are written one after the other, and then are an array.

    Args:
        dtype: Of the array.
        shape: Of a row; that of a number when left out.

    Raises:
        OutputError: There is no place for temporary files.

    >>> spool = DiskArray(np.float32, 2)
    >>> spool.append(np.ones((3, 2)))
    >>> spool.array().shape
    (3, 2)
    """

    def __init__(self, dtype: Any, *shape: int) -> None:
        self._dtype, self._shape, self._rows = np.dtype(dtype), shape, 0
        try:
            self._file = tempfile.TemporaryFile(prefix="audiocx-")  # noqa: SIM115 - array() closes it
        except OSError as error:
            raise _no_room(error) from error

    def append(self, rows: NDArray[Any]) -> None:
        """Writes rows.

        Args:
            rows: [N, *shape].

        Raises:
            OutputError: There is no room for them.
        """
        try:
            self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        except OSError as error:
            raise _no_room(error) from error
        self._rows += len(rows)

    def array(self) -> NDArray[Any]:
        """Gives the rows; none can be written any more.

        Returns:
            [N, *shape], read-only; what is used of it comes from the disk.

        Raises:
            OutputError: There is no room for them.
        """
        shape = (self._rows, *self._shape)
        try:
            with self._file:
                self._file.flush()
                if not self._rows:  # nothing can be mapped
                    return np.zeros(shape, self._dtype)
                return np.memmap(self._file, self._dtype, "r", shape=shape)
        except OSError as error:
            raise _no_room(error) from error


def on_disk(blocks: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Lays an array into a temporary file, which is gone when the array is.

    Args:
        blocks: [N, *] each, one at least, of the same type and with rows of the same shape.

    Returns:
        All of them one behind the other, read-only; what is used of it comes from the disk.

    Raises:
        OutputError: There is no room for it.
    """
    remaining = iter(blocks)
    first = next(remaining)
    spool = DiskArray(first.dtype, *first.shape[1:])
    spool.append(first)
    for block in remaining:
        spool.append(block)
    return spool.array()


def in_blocks(array: NDArray[Any], rows: int) -> Iterator[NDArray[Any]]:
    """Goes through an array without keeping in memory what of it lies on the disk.

    Args:
        array: [N, *].
        rows: How many at a time.

    Yields:
        [<= rows, *], copies of what lies on the disk.
    """
    mapped = getattr(array, "_mmap", None)
    for start in range(0, len(array), rows):
        block = array[start : start + rows]
        yield block if mapped is None else np.array(block)
        # The pages read so far would count as ours for as long as the array lives.
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def _no_room(error: OSError) -> OutputError:
    return OutputError(
        f"{tempfile.gettempdir()}: cannot take temporary data ({error.strerror or error}); make room in this folder, "
        "or name another for temporary files in the environment variable TMPDIR."
    )
