"""MPEG audio (MP3) frames: the true length of a file, whatever its header states or a decoder estimates.

Decoders take the length of an MP3 file from a Xing or Info frame, which encoders may leave out, and which is wrong
where files were concatenated; without one, they estimate it from the first frame. Here all frame headers are read,
which takes about a hundredth of the time of decoding. Where the length differs, a decoder is given the frames with an
Info frame that states it.

Sources: ISO/IEC 11172-3 and 13818-3, section 2.4.1.3 (headers); LAME tag, http://gabriel.mp3-tech.org/mp3infotag.html;
ID3v2.4.0, section 6.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from .spans import Layout, Piece, Window

__all__ = ["is_mpeg", "mpeg_layout", "skip_id3"]

_KBPS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44100, 48000, 32000)
# A file is MPEG audio if this many frames follow one another, within this many bytes from its beginning.
_FIRST_FRAMES = 4
_SEARCH_BYTES = 2**16
_SAME = 0xFFFE0C00  # bits of a header that all frames of a stream share: version, layer and sample rate
# Encoders leave some bytes, and tags at the end are not always of a known kind.
_JUNK_BYTES = 4096
_TOLERANCE_FRAMES = 1  # some encoders count the Xing frame, some do not
_LAME_DELAYS = 21  # offset of the delays, after the name of the encoder


class _Header(NamedTuple):
    size: int
    samples: int
    rate: int
    channels: int
    layer: int
    side_bytes: int  # of the frame's head, after which a Xing tag stands
    stream: tuple[int, bool]  # what all frames of a stream share


@dataclass
class _Part:
    """Consecutive frames of one rate and number of channels."""

    first: bytes
    header: _Header
    frames: int = 0
    stated: int | None = None  # in its Xing frame
    tag: bytes = b""  # that frame
    spans: list[Piece] = field(default_factory=list)


def is_mpeg(window: Window) -> bool:
    """Return whether a file is MPEG audio: a few frames follow one another near its beginning."""
    return _first_frame(window, skip_id3(window, window.start), window.start + _SEARCH_BYTES, _FIRST_FRAMES) is not None


def skip_id3(window: Window, position: int) -> int:
    """Return the end of the ID3v2 tags at a position of a file; the position if there is none."""
    while (head := window.get(position, 10))[:3] == b"ID3" and len(head) == 10:
        position += 10 + sum((byte & 127) << 7 * (3 - i) for i, byte in enumerate(head[6:10]))
    return position


def mpeg_layout(window: Window) -> Layout:
    """Find all frames of an MPEG audio file.

    Args:
        window: The file.

    Returns:
        Where the sound lies; nothing special if the file states its length and it is right, or the file was cut short.
    """
    parts, junk_bytes, cut = _walk(window)
    remarks = [f"{junk_bytes} damaged bytes left out"] if junk_bytes > _JUNK_BYTES else []
    if cut:
        remarks.append("its last frame is incomplete, so its end may be missing")
    if not parts:
        return Layout()
    first, samples = parts[0], parts[0].frames * parts[0].header.samples
    if len(parts) == 1 and first.header.layer != 3:  # such files state no length, and cannot be told one
        return Layout(frames=samples, remarks=remarks)
    if len(parts) == 1 and first.stated is not None and first.stated >= first.frames - _TOLERANCE_FRAMES:
        stated = first.stated * first.header.samples
        # Decoders comment on tags and damage between frames.
        pieces = [] if len(first.spans) == 1 and not junk_bytes else [[first.tag, *first.spans]]
        return Layout(pieces, samples, stated if first.stated > first.frames + _TOLERANCE_FRAMES else None, remarks)
    if len(parts) > 1 or first.stated is not None:
        remarks.append("its header states too short a length; all of it was read")
    return Layout([[_info_frame(part), *part.spans] for part in parts if part.frames], remarks=remarks)


def _walk(window: Window) -> tuple[list[_Part], int, bool]:
    """List the streams of a file, count the bytes that belong to none, and tell whether it ends within a frame."""
    parts: list[_Part] = []
    headers: dict[bytes, _Header | None] = {}
    position, junk_bytes, begun, cut = skip_id3(window, window.start), 0, -1, False
    while position < window.end:
        head = window.get(position, 4)
        if head not in headers:
            headers[head] = _parse(head)
        header = headers[head]
        if header is None or (parts and header.stream != parts[-1].header.stream):
            after = _skip_tag(window, position)
            if after == position:
                found = _first_frame(window, position, window.end, 2)
                after = window.end if found is None else found
                junk_bytes += after - position
            if after > position:
                position, begun = after, -1
                continue
            header = _parse(head)
            assert header is not None
            parts.append(_Part(head, header))
        elif not parts:
            parts.append(_Part(head, header))
        part = parts[-1]
        if begun < 0 and header.layer == 3:  # the first frame after a tag or a fault may be a header
            begun = position
            frame = window.get(position, header.size)
            tag_at = header.side_bytes
            if frame[tag_at : tag_at + 4] in (b"Xing", b"Info"):
                if part.stated is None and not part.frames:
                    part.tag, part.stated = frame, _stated_frames(frame, tag_at)
                position += header.size
                continue
        end = min(position + header.size, window.end)
        cut = position + header.size > window.end
        last = part.spans[-1] if part.spans else None
        if isinstance(last, tuple) and last[1] == position:
            part.spans[-1] = (last[0], end)
        else:
            part.spans.append((position, end))
        part.frames += 1
        position = end
    return parts, junk_bytes, cut


def _parse(head: bytes) -> _Header | None:
    """Read the header of a frame; None if it is none, or of free format."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version_bits, layer, kbps_index = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4
    rate_index, padding, channels = head[2] >> 2 & 3, head[2] >> 1 & 1, 1 if head[3] >> 6 == 3 else 2
    if version_bits == 1 or layer == 4 or rate_index == 3 or not 0 < kbps_index < 15 or head[3] & 3 == 2:
        return None
    version = 1 if version_bits == 3 else 2
    rate = _RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version_bits]
    bits_per_s = 1000 * _KBPS[version, layer][kbps_index - 1]
    if layer == 1:
        samples, size = 384, (12 * bits_per_s // rate + padding) * 4
    else:
        samples = 576 if version == 2 and layer == 3 else 1152
        size = samples // 8 * bits_per_s // rate + padding
    side_bytes = 4 + ((17 if channels == 1 else 32) if version == 1 else (9 if channels == 1 else 17))
    return _Header(
        size, samples, rate, channels, layer, side_bytes, (int.from_bytes(head, "big") & _SAME, channels < 2)
    )


def _first_frame(window: Window, position: int, end: int, frames: int) -> int | None:
    """Return the position of the first of some frames of one stream that follow one another; None if there are none.

    At the end of the file two are enough, or one that is complete.
    """
    while 0 <= (position := window.find(b"\xff", position)) < end:
        at, stream, matched = position, None, 0
        while matched < frames and at < window.end:
            header = _parse(window.get(at, 4))
            if header is None or stream not in (None, header.stream):
                break
            at, stream, matched = at + header.size, header.stream, matched + 1
        if matched == frames or (at >= window.end and (matched > 1 or at == window.end)):
            return position
        position += 1
    return None


def _skip_tag(window: Window, position: int) -> int:
    """Return the end of an ID3v2, ID3v1 or APE tag; the position if there is none."""
    if window.get(position, 3) == b"TAG":
        return min(position + 128, window.end)
    head = window.get(position, 32)
    if head[:8] == b"APETAGEX" and len(head) == 32:
        size, flags = struct.unpack("<4xI4xI", head[8:24])
        is_header = bool(flags & 1 << 29)
        return min(position + 32 + (size if is_header else 0), window.end)
    return min(skip_id3(window, position), window.end)


def _stated_frames(frame: bytes, tag_at: int) -> int | None:
    flags, frames = struct.unpack_from(">II", frame + bytes(12), tag_at + 4)
    return frames if flags & 1 else None


def _info_frame(part: _Part) -> bytes:
    """Make an Info frame that states the number of frames, and the delay of the encoder if it is known."""
    header = part.header
    head = bytearray(part.first)
    head[1] |= 1  # without a checksum
    head[2] = 0x90 | head[2] & 0x0C  # 80 to 128 kbit/s, large enough for the tag
    made = _parse(bytes(head))
    assert made is not None
    frame = bytearray(head + bytes(made.size - 4))
    frame[header.side_bytes : header.side_bytes + 12] = b"Info" + struct.pack(">II", 1, part.frames)
    if part.tag:
        flags = struct.unpack_from(">I", part.tag, header.side_bytes + 4)[0]
        old = header.side_bytes + 8 + 4 * bool(flags & 1) + 4 * bool(flags & 2) + 100 * bool(flags & 4)
        old += 4 * bool(flags & 8)
        lame = bytearray(part.tag[old : old + 24])
        if lame[:4] in (b"LAME", b"Lavf", b"Lavc") and len(lame) == 24:
            lame[_LAME_DELAYS + 1] &= 0xF0  # 12 bits of delay, then 12 bits of padding, which is the first file's
            lame[_LAME_DELAYS + 2] = 0
            frame[header.side_bytes + 12 : header.side_bytes + 36] = lame
    return bytes(frame)
