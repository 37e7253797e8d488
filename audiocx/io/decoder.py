"""An open audio file, whatever decodes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..errors import AudioError

__all__ = ["CONVERSION_HINT", "MISSING_TOLERANCE_S", "Decoder", "check_length", "with_channels"]

MISSING_TOLERANCE_S = 0.1  # codecs pad and trim a few thousand samples; truncated files lack more
CONVERSION_HINT = "convert it to WAV or FLAC first, for example with ffmpeg"


@dataclass
class Decoder:
    """An open audio file.

    Attributes:
        name: What to call it in messages.
        sample_rate: Sample rate in Hz.
        channels: Number of channels.
        frames: Length in frames as stated or estimated; reading may find another.
        format: Container, such as ``WAV`` or ``FLAC``.
        subtype: Encoding of the samples, such as ``PCM_16``.
        decode: Decodes from the beginning, in blocks of at most so many frames, float [<= N, C].
        remarks: What a user should know about the file; complete when it has been decoded.
    """

    name: str
    sample_rate: float
    channels: int
    frames: int
    format: str
    subtype: str
    decode: Callable[[int], Iterator[np.ndarray]]
    remarks: list[str] = field(default_factory=list)


def check_length(name: str, stated: int, present: int, rate: float) -> None:
    """Refuse a file that holds clearly fewer frames than its header states.

    Args:
        name: What to call the file.
        stated: Frames that its header states.
        present: Frames that are there.
        rate: Sample rate in Hz.

    Raises:
        AudioError: More than a tenth of a second is missing.
    """
    if stated - present > MISSING_TOLERANCE_S * rate:
        raise AudioError(
            f"{name}: is cut short: its header states {stated / rate:.2f} s and {present / rate:.2f} s are there; copy "
            "or download it again, or convert the rest with ffmpeg."
        )


def with_channels(block: np.ndarray, channels: int) -> np.ndarray:
    """Bring a block to another number of channels by way of their mean.

    Args:
        block: Float [N, *].
        channels: The number C.

    Returns:
        Float [N, C].
    """
    return np.repeat(block.mean(axis=1, keepdims=True), channels, axis=1)
