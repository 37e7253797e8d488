"""Chunks of WAV, RF64, W64, AIFF, CAF and AU files: repair of sizes that were not known when writing began.

A program that writes to a pipe, or that was killed, leaves sizes such as 0, 0x7FFFF000 or 0xFFFFFFFF. Here they are
replaced by what is there, and files that were written one behind the other are told apart.

Sources: IBM and Microsoft, "Multimedia Programming Interface and Data Specifications 1.0" (RIFF); EBU Tech 3306 (RF64);
Apple, "AIFF 1.3" and "Core Audio Format Specification 1.0"; Sony, "Wave64"; Sun, "au(5)".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .spans import WINDOW_BYTES, Layout, Piece, Window

__all__ = ["chunk_layout"]

# Sizes that writers leave which do not know them: sox 0x7FFFF000 and more, others 0, 0x80000000 or 0xFFFFFFFF.
_UNKNOWN_SIZES = (range(1), range(0x7FFFF000, 0x80000100), range(0xFFFFF000, 0x100000000))
_W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_HEADER_BYTES = 2**20  # the data of a file begins within these
_NO_SOUND = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")  # what may follow the last chunk
_LEAST_BYTES = 4096  # of sound behind the last chunk; less is junk


@dataclass(frozen=True)
class _Family:
    """How chunks of a container are written."""

    head: int  # bytes before the first chunk
    id_bytes: int
    size_format: str  # of struct
    data: bytes  # id of the chunk of samples
    align: int  # chunks begin at multiples of this
    size_includes_head: bool = False

    @property
    def chunk_head(self) -> int:
        return self.id_bytes + struct.calcsize(self.size_format)


_RIFF = _Family(12, 4, "<I", b"data", 2)
_FAMILIES = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"BW64": _RIFF,
    b"RIFX": _Family(12, 4, ">I", b"data", 2),
    b"FORM": _Family(12, 4, ">I", b"SSND", 2),
    b"caff": _Family(8, 4, ">q", b"data", 1),
    b"riff": _Family(40, 16, "<Q", b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a", 8, True),
}
_FORMS = (b"WAVE", b"AIFF", b"AIFC")


def chunk_layout(window: Window) -> Layout | None:
    """Find the samples of a file made of chunks.

    Args:
        window: The file.

    Returns:
        Where the sound lies; nothing special if its sizes are right, or if it was cut short. None if the file is of
        another kind.
    """
    parts: list[list[Piece]] = []
    remarks: list[str] = []
    position, plain = window.start, True
    while (family := _family(window, position)) is not None:
        pieces, position, remark = _part(window, position, family)
        parts.append(pieces)
        plain = plain and remark is None
        remarks += [remark] if remark and remark not in remarks else []
    if not parts:
        return _au_layout(window)
    if len(parts) > 1:
        remarks.append(f"{len(parts)} recordings in one file, read one after the other")
    elif plain:
        return Layout()
    return Layout(parts, remarks=remarks)


def _family(window: Window, position: int) -> _Family | None:
    head = window.get(position, 40)
    if head[:4] == b"riff" and head[:16] != _W64_RIFF:
        return None
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM") and head[8:12] not in _FORMS:
        return None
    return _FAMILIES.get(head[:4])


def _part(window: Window, start: int, family: _Family) -> tuple[list[Piece], int, str | None]:
    """Return the pieces of a recording, where it ends, and what was repaired."""
    fields: dict[bytes, int] = {}  # where the contents of some chunks are
    whole: list[Piece] = [(start, window.end)]
    sizes = {}
    for identity, at, size in _chunks(window, start + family.head, family, start + _HEADER_BYTES):
        fields[identity], sizes[identity] = at, size
        if identity == family.data:
            break
    if family.data not in fields:
        return whole, window.end, None  # a decoder says what is wrong
    at, size = fields[family.data], sizes[family.data]
    if b"ds64" in fields:
        size = struct.unpack("<Q", window.get(fields[b"ds64"] + 8, 8).ljust(8, b"\0"))[0]
    if _is_unknown(size) and not 0 < size <= window.end - at:
        if at == window.end or (size == 0 and _rest(window, at, family)[1] == "chunks"):
            return whole, window.end, None  # it is empty
        return _repaired(window, start, family, fields), window.end, "its header states no length; all of it was read"
    if at + size > window.end:
        return whole, window.end, None  # cut short, as a decoder finds
    end, rest = _rest(window, at + size, family)
    if rest == "sound":
        remark = "its header states too short a length; all of it was read"
        return _repaired(window, start, family, fields), window.end, remark
    return [(start, end)], end, None


def _is_unknown(size: int) -> bool:
    return size < 0 or size >= 2**62 or any(size in sizes for sizes in _UNKNOWN_SIZES)


def _chunks(window: Window, position: int, family: _Family, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the id, the position of the content and the size of each chunk that begins before ``end``."""
    while position < end and len(head := window.get(position, family.chunk_head)) == family.chunk_head:
        size = struct.unpack(family.size_format, head[family.id_bytes :])[0]
        at = position + family.chunk_head
        size -= family.chunk_head if family.size_includes_head else 0
        yield head[: family.id_bytes], at, size
        if size < 0:
            return
        position = at + size
        position += -(position if family.align == 8 else size) % family.align


def _rest(window: Window, position: int, family: _Family) -> tuple[int, Literal["chunks", "sound", "junk"]]:
    """Return where a recording ends, from the end of its samples, and what follows these."""
    at, first = position + -position % family.align, True
    while at < window.end and _family(window, at) is None:
        chunk = next(_chunks(window, at, family, window.end), None)
        if chunk is None or not _is_chunk(*chunk, window.end):
            return window.end, "sound" if first and _is_sound(window, position) else "junk"
        at, first = chunk[1] + chunk[2] + -chunk[2] % family.align, False
    return min(at, window.end), "chunks"


def _is_sound(window: Window, position: int) -> bool:
    """Return whether the rest of a file is more than tags and zeros."""
    if window.end - position < _LEAST_BYTES or window.get(position, 16).startswith(_NO_SOUND):
        return False
    return any(any(window.get(at, WINDOW_BYTES)) for at in range(position, window.end, WINDOW_BYTES))


def _is_chunk(identity: bytes, at: int, size: int, end: int) -> bool:
    return identity[:4].isascii() and identity[:4].decode("ascii").isprintable() and 0 <= size <= end - at


def _repaired(window: Window, start: int, family: _Family, fields: dict[bytes, int]) -> list[Piece]:
    """Return the recording with a header that states the sizes that are there."""
    at = fields[family.data]
    header, size = bytearray(window.get(start, at - start)), window.end - at
    most = 2 ** (8 * struct.calcsize(family.size_format)) - 1

    def put(form: str, position: int, *values: int) -> None:
        struct.pack_into(form, header, position, *values)

    whole_head = family.chunk_head if family.size_includes_head else 0
    put(family.size_format, at - start - struct.calcsize(family.size_format), min(size + whole_head, most))
    if family.id_bytes == 16:
        put("<Q", 16, window.end - start)
    elif family.head == 12:
        put(family.size_format, 4, min(window.end - start - 8, most))
    if b"ds64" in fields:
        put("<QQ", fields[b"ds64"] - start, window.end - start - 8, size)
    if b"COMM" in fields:  # of AIFF; its frames are stated besides
        position = fields[b"COMM"] - start
        channels, _, bits = struct.unpack_from(">HIH", header, position)
        coding = bytes(header[position + 18 : position + 22]) if header[8:12] == b"AIFC" else b"NONE"
        if frame_bytes := channels * {b"ulaw": 1, b"alaw": 1}.get(coding, -(-bits // 8)):
            put(">I", position + 2, min((size - 8) // frame_bytes, most))
    return [bytes(header), (at, window.end)]


def _au_layout(window: Window) -> Layout | None:
    """Return the layout of AU files, whose only size is that of the samples."""
    parts: list[list[Piece]] = []
    remarks: list[str] = []
    start = window.start
    pieces: list[Piece]
    while (head := window.get(start, 24))[:4] == b".snd" and len(head) == 24:
        at, size = struct.unpack(">II", head[4:12])
        end, present = start + at + size, window.end - start - at
        unknown = any(size in sizes for sizes in _UNKNOWN_SIZES)
        if present <= 0 or size > present > 0 and not unknown:
            end, pieces = window.end, [(start, window.end)]  # a decoder says what is wrong
        elif unknown or (size < present - _LEAST_BYTES and window.get(end, 4) != b".snd"):
            said = "no length" if unknown else "too short a length"
            remarks.append(f"its header states {said}; all of it was read")
            end, pieces = window.end, [head[:8] + b"\xff" * 4, (start + 12, window.end)]
        else:
            pieces = [(start, end)]
        parts.append(pieces)
        start = end
    if len(parts) > 1:
        remarks.append(f"{len(parts)} recordings in one file, read one after the other")
    return Layout(parts if remarks else (), remarks=remarks) if parts else None
