"""FLAC headers: files that state no length or another one, and files one behind the other.

Source: RFC 9639, sections 8.2 (STREAMINFO) and 9.1 (frame headers).
"""

from __future__ import annotations

from .mpeg import skip_id3
from .spans import Layout, Piece, Window

__all__ = ["flac_layout"]

_MAGIC = b"fLaC"
_START = _MAGIC + b"\x00\x00\x00\x22"  # STREAMINFO, always the first block, of 34 bytes
_START_LAST = _MAGIC + b"\x80\x00\x00\x22"
_STREAMINFO_BYTES = 42  # with what comes before it
_MOST_FRAMES = 2**36 - 1
_TAIL_BYTES = 2**20  # holds the last frame
_LONGEST_FRAME_BYTES = 2**15  # of two channels of 24 bits at the usual 4096 samples
_LONGER_FRAMES = 65_536  # a block; by more than one a stated length is wrong


def flac_layout(window: Window) -> Layout | None:
    """Find the samples of a FLAC file.

    Args:
        window: The file.

    Returns:
        Where the sound lies; nothing special if its header states its length, or it was cut short. None if the file is
        of another kind.
    """
    start = skip_id3(window, window.start)
    if window.get(start, 4) != _MAGIC:
        return None
    starts = [start]
    for magic in (_START, _START_LAST):
        position = start
        while (position := window.find(magic, position + 1)) > 0:
            starts.append(position)
    starts.sort()
    parts: list[list[Piece]] = []
    remarks: list[str] = []
    frames = 0
    for begin, end in zip(starts, [*starts[1:], window.end], strict=True):
        pieces, length, remark = _part(window, begin, end)
        parts.append(pieces)
        frames += length
        remarks += [remark] if remark and remark not in remarks else []
    if len(parts) > 1:
        remarks.append(f"{len(parts)} recordings in one file, read one after the other")
        return Layout(parts, frames, remarks=remarks)
    return Layout(parts, frames, remarks=remarks) if remarks else Layout()


def _part(window: Window, start: int, end: int) -> tuple[list[Piece], int, str | None]:
    """Return the pieces of a recording, its length in frames, and what was repaired."""
    header = window.get(start, _STREAMINFO_BYTES)
    if len(header) < _STREAMINFO_BYTES:
        return [(start, end)], 0, None
    stated = int.from_bytes(header[21:26], "big") & _MOST_FRAMES
    found = _last_sample(window, start, end, header)
    if stated and found <= stated + _LONGER_FRAMES:
        return [(start, end)], stated, None
    # with the length and without a checksum
    made = header[:21] + (header[21] >> 4 << 36 | found).to_bytes(5, "big") + bytes(16)
    said = "too short a length" if stated else "no length"
    return [made, (start + _STREAMINFO_BYTES, end)], found, f"its header states {said}; all of it was read"


def _last_sample(window: Window, start: int, end: int, header: bytes) -> int:
    """Return the number of the sample behind the last frame whose header is found; 0 if none is."""
    begin = max(end - _TAIL_BYTES, start + _STREAMINFO_BYTES)
    tail = window.get(begin, end - begin)
    block_samples = int.from_bytes(header[8:10], "big")  # the least of a block; all have it where the size is fixed
    at, likely = len(tail), 0
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        after = _frame_end(tail[at : at + 16], block_samples)
        if after is not None:
            if _crc(tail[at:], 0x8005, 16) == 0:
                return after
            likely = likely or after  # a tag follows the frame, or it is none
            if len(tail) - at > 2 * _LONGEST_FRAME_BYTES:
                break
    return likely


def _frame_end(head: bytes, block_samples: int) -> int | None:
    """Return the number of the sample behind a frame, from its header; None if it is none."""
    if len(head) < 16 or head[1] & 0xFE != 0xF8 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] & 1:
        return None
    extra = 0 if head[4] < 0x80 else 8 - (head[4] ^ 0xFF).bit_length()  # bytes of a number as in UTF-8
    if extra == 1 or extra > 7:
        return None
    number = head[4] & (0x7F >> extra)
    at = 5
    for byte in head[5 : 5 + max(extra - 1, 0)]:
        if byte & 0xC0 != 0x80:
            return None
        number, at = number << 6 | byte & 0x3F, at + 1
    code = head[2] >> 4
    if code in (6, 7):
        size = int.from_bytes(head[at : at + code - 5], "big") + 1
        at += code - 5
    else:
        size = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    at += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if at >= len(head) or _crc(head[: at + 1], 0x07, 8):
        return None
    return (number if head[1] & 1 else number * block_samples) + size


def _crc(content: bytes, polynomial: int, bits: int) -> int:
    """Return the checksum of some bytes; 0 if they end with their own."""
    crc, top = 0, 1 << (bits - 1)
    for byte in content:
        crc ^= byte << (bits - 8)
        for _ in range(8):
            crc = crc << 1 ^ (polynomial if crc & top else 0)
        crc &= 2 * top - 1
    return crc
