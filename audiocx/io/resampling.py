"""Resampling: of samples in memory, of streams of blocks, and on the GPU."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError

if TYPE_CHECKING:
    import torch

__all__ = [
    "MAX_RATE",
    "MIN_RATE",
    "resample",
    "resample_stream",
    "resample_torch",
    "resampled_length",
]

# Of recordings, in Hz; what states others is damaged.
MIN_RATE, MAX_RATE = 1000, 1_000_000


def resampled_length(frames: int, rate_in: float, rate_out: float) -> int:
    """Return the length of a signal after resampling: ceil(frames * rate_out / rate_in).

    Args:
        frames: Input length in samples.
        rate_in: Input sample rate in Hz.
        rate_out: Output sample rate in Hz.

    Returns:
        Output length in samples.

    Raises:
        ConfigError: A sample rate is not positive.

    >>> resampled_length(44101, 44100, 11025)
    11026
    """
    if not (rate_in > 0 and rate_out > 0):
        raise ConfigError(f"A sample rate must be positive, not {min(rate_in, rate_out)} Hz; give it in Hz.")
    return int(-(-frames * rate_out // rate_in))


def resample(samples: np.ndarray, rate_in: float, rate_out: float) -> NDArray[np.float32]:
    """Resample a signal by band-limited interpolation (soxr, high quality).

    Args:
        samples: Float [N].
        rate_in: Input sample rate in Hz.
        rate_out: Output sample rate in Hz.

    Returns:
        Float32 [ceil(N * rate_out / rate_in)].

    Raises:
        ConfigError: A sample rate is not positive.
    """
    return np.concatenate([*resample_stream([np.asarray(samples, dtype=np.float32)], rate_in, rate_out)])


def resample_torch(samples: torch.Tensor, rate_in: int, rate_out: int) -> torch.Tensor:
    """Resample a tensor on its device (needs the extra ``torchaudio``).

    Args:
        samples: Float [*, N], on any device.
        rate_in: Input sample rate in Hz.
        rate_out: Output sample rate in Hz.

    Returns:
        Float [*, ceil(N * rate_out / rate_in)], on the same device.

    Raises:
        ConfigError: A sample rate is not positive, or torchaudio is missing or does not fit the installed torch.

    Source: J. O. Smith, "Digital Audio Resampling", 2002 (torchaudio.functional.resample).
    """
    resampled_length(samples.shape[-1], rate_in, rate_out)
    try:
        from torchaudio.functional import resample as smith
    except (ImportError, OSError, RuntimeError) as error:  # a build for another torch version raises any of the three
        raise ConfigError(
            "resample_torch needs torchaudio, which is missing or does not fit the installed torch "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); install a pair that works, such "
            "as torch 2.11.0 with torchaudio 2.11.0, or use audiocx.io.resampling.resample instead."
        ) from error
    resampled: torch.Tensor = smith(samples, rate_in, rate_out)
    return resampled


def resample_stream(
    blocks: Iterable[np.ndarray], rate_in: float, rate_out: float, shape: tuple[int, ...] = ()
) -> Iterator[np.ndarray]:
    """Resample a signal block by block; the blocks of a mono signal together are the result of :func:`resample`.

    Args:
        blocks: Float32 [*, *shape] each, N frames in all.
        rate_in: Input sample rate in Hz.
        rate_out: Output sample rate in Hz.
        shape: Shape of a frame: () for mono, else (C,).

    Yields:
        Float32 [*, *shape]; ceil(N * rate_out / rate_in) frames in all.

    Raises:
        ConfigError: A sample rate is not positive.
    """
    resampled_length(0, rate_in, rate_out)
    if rate_in == rate_out:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(rate_in, rate_out, math.prod(shape), dtype="float32")
    received = sent = 0
    for block in blocks:
        received += len(block)
        resampled = stream.resample_chunk(block)
        sent += len(resampled)
        yield resampled
    # soxr rounds the length; one more output sample of silence makes it round up
    rest = stream.resample_chunk(np.zeros((math.ceil(rate_in / rate_out), *shape), dtype=np.float32), last=True)
    missing = resampled_length(received, rate_in, rate_out) - sent
    yield rest[:missing]
    if missing > len(rest):
        yield np.zeros((missing - len(rest), *shape), np.float32)
