"""Read-only files made of pieces of another file and of bytes: repaired headers, single parts of a file."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, BinaryIO

__all__ = ["Layout", "Piece", "Spans", "Window"]

# Bytes, or start and end of a piece of the file.
Piece = bytes | tuple[int, int]
WINDOW_BYTES = 2**20


@dataclass
class Layout:
    """Where the sound of a file lies, if a decoder would not find all of it by itself.

    Attributes:
        parts: Parts to decode one after the other, each of pieces; none if the file is decoded as it is.
        frames: True length of the file in frames, if a decoder may find another; None if it is right or unknown.
        stated: Length that the header states, if the file was cut short; else None.
        remarks: What a user should know.
    """

    parts: Sequence[Sequence[Piece]] = ()
    frames: int | None = None
    stated: int | None = None
    remarks: list[str] = field(default_factory=list)


class Window:
    """Random access to a file by way of a buffer; unlike a memory map, it survives that the file is cut meanwhile.

    Args:
        file: A binary file.
        start: Where to begin.
        end: Where to end; None for the end of the file.
    """

    def __init__(self, file: BinaryIO, start: int = 0, end: int | None = None) -> None:
        self._file, self._at, self._buffer = file, 0, b""
        self.start, self.end = start, file.seek(0, io.SEEK_END) if end is None else end

    def get(self, position: int, count: int) -> bytes:
        """Return up to ``count`` bytes from a position of the file on; fewer at the end."""
        offset = position - self._at
        if offset < 0 or offset + count > len(self._buffer):
            self._file.seek(position)
            self._buffer, self._at = self._file.read(max(min(WINDOW_BYTES, self.end - position), 0)), position
            offset = 0
            if count > WINDOW_BYTES:
                raise ValueError(f"{count} bytes are more than the window holds.")
        return self._buffer[offset : offset + count]

    def find(self, wanted: bytes, position: int) -> int:
        """Return the next position of some bytes, from a position on; -1 if there is none."""
        while position < self.end:
            block = self.get(position, min(WINDOW_BYTES, self.end - position))
            found = block.find(wanted)
            if found >= 0:
                return position + found
            if len(block) < len(wanted):
                return -1
            position += len(block) - len(wanted) + 1
        return -1


class Spans(io.RawIOBase):
    """A read-only file made of pieces of another one.

    Args:
        file: The other file.
        pieces: Bytes, or start and end of a piece of the file.

    >>> Spans(io.BytesIO(b"abcdefg"), [b"--", (1, 3), (5, 6)]).read()
    b'--bcf'
    """

    def __init__(self, file: BinaryIO, pieces: Iterable[Piece]) -> None:
        self._file = file
        self._pieces = list(pieces)
        sizes = [len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in self._pieces]
        self._starts = [0, *accumulate(sizes)]
        self._position = self._index = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}[whence]
        self._position = max(origin + offset, 0)
        if self._position < self._starts[self._index]:
            self._index = 0
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on, as far as there is content."""
        view, filled = memoryview(buffer).cast("B"), 0
        while filled < len(view) and self._position < self._starts[-1]:
            while self._position >= self._starts[self._index + 1]:
                self._index += 1
            piece, offset = self._pieces[self._index], self._position - self._starts[self._index]
            count = min(len(view) - filled, self._starts[self._index + 1] - self._position)
            if isinstance(piece, bytes):
                content = piece[offset : offset + count]
            else:
                self._file.seek(piece[0] + offset)
                content = self._file.read(count)
            if not content:
                break
            view[filled : filled + len(content)] = content
            filled += len(content)
            self._position += len(content)
        return filled
