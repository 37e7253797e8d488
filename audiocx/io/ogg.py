"""Ogg pages: streams that follow one another in a file, of which decoders read the first only, and missing pages.

Source: RFC 3533, section 6.
"""

from __future__ import annotations

import struct

from .spans import Layout, Window

__all__ = ["ogg_layout"]

_MAGIC = b"OggS"
_FIRST, _LAST = 2, 4


def ogg_layout(window: Window) -> Layout | None:
    """Find the streams of an Ogg file.

    Args:
        window: The file.

    Returns:
        Where the sound lies; None if the file is of another kind.
    """
    if window.get(window.start, 4) != _MAGIC:
        return None
    starts: list[int] = []
    numbers: dict[int, int] = {}  # of the last page, by stream
    position, heads, lost, flags = window.start, False, 0, 0
    while position < window.end:
        page = window.get(position, 27)
        if page[:4] != _MAGIC or len(page) < 27:
            found = window.find(_MAGIC, position + 1)
            position = window.end if found < 0 else found
            continue
        flags, serial, number, segments = page[5], *struct.unpack_from("<II", page, 14), page[26]
        if flags & _FIRST:
            if not heads:  # the first pages of streams side by side come together
                starts.append(position)
                numbers.clear()
        elif serial in numbers:
            lost += max(number - numbers[serial] - 1, 0)
        numbers[serial], heads = number, bool(flags & _FIRST)
        position += 27 + segments + sum(window.get(position + 27, segments))
    remarks = [f"{lost} pages of it are missing"] if lost else []
    if not flags & _LAST or position > window.end:
        remarks.append("its end is missing, unless it was a live stream")
    if len(starts) < 2:
        return Layout(remarks=remarks)
    remarks.append(f"{len(starts)} recordings in one file, read one after the other")
    return Layout([[span] for span in zip(starts, [*starts[1:], window.end], strict=True)], remarks=remarks)
