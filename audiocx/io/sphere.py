"""NIST SPHERE headers: length and compression, which libsndfile does not check.

TIMIT is published in this format. soundfile decodes the samples, but silently accepts truncated files and reads
"shorten"-compressed samples as noise.

Source: NIST Speech Header Resources 2.7; a text header of ``name -type value`` lines, ended by ``end_head``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["MAGIC", "SphereHeader", "read_header"]

MAGIC = b"NIST_1A"
# "NIST_1A\n   1024\n": the magic number and the size of the header.
_PREAMBLE_BYTES = 16
_SHORTEN_MAGIC = b"ajkg"


@dataclass(frozen=True, slots=True)
class SphereHeader:
    """The fields of a header that matter here.

    Attributes:
        frames: Length of the recording in frames; 0 if it is not stated.
        shortened: Whether the samples are compressed by "shorten".
    """

    frames: int
    shortened: bool


def read_header(file: BinaryIO) -> SphereHeader | None:
    """Read the header of a SPHERE file.

    Args:
        file: Binary file, positioned at its beginning.

    Returns:
        The header; None if the file is not SPHERE.
    """
    preamble = file.read(_PREAMBLE_BYTES)
    size = preamble[len(MAGIC) :].strip()
    if not preamble.startswith(MAGIC) or not size.isdigit():
        return None
    lines = file.read(int(size) - _PREAMBLE_BYTES).partition(b"end_head")[0].splitlines()
    fields = {parts[0]: parts[2].strip() for line in lines if len(parts := line.split(None, 2)) == 3}
    frames = fields.get(b"sample_count", b"")
    # Some headers do not state the compression, but compressed samples begin with their own magic number.
    shortened = b"shorten" in fields.get(b"sample_coding", b"").lower() or file.read(4) == _SHORTEN_MAGIC
    return SphereHeader(int(frames) if frames.isdigit() else 0, shortened)
