"""Changes of rate: of samples in memory, of samples that come block by block, and on the accelerator."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError

if TYPE_CHECKING:
    import torch

__all__ = ["at_rate", "of_length", "resample", "resample_blocks", "resample_torch", "resampled_length"]


def resampled_length(frames: int, rate_in: int, rate_out: int) -> int:
    """Length of a signal after a change of rate: ceil(frames * rate_out / rate_in).

    Args:
        frames: Length before, in samples.
        rate_in: Rate before, in Hz.
        rate_out: Rate after, in Hz.

    Returns:
        Length after, in samples.

    Raises:
        ConfigError: A rate is not positive.

    >>> resampled_length(44101, 44100, 11025)
    11026
    """
    if rate_in <= 0 or rate_out <= 0:
        raise ConfigError(f"A sample rate must be positive, not {min(rate_in, rate_out)} Hz; give it in Hz.")
    return -(-frames * rate_out // rate_in)


def resample(samples: np.ndarray, rate_in: int, rate_out: int) -> NDArray[np.float32]:
    """Change the rate of samples in memory, by band-limited interpolation (soxr, high quality).

    Args:
        samples: Float [N].
        rate_in: Their rate, in Hz.
        rate_out: Rate wanted, in Hz.

    Returns:
        Float32 [ceil(N * rate_out / rate_in)].

    Raises:
        ConfigError: A rate is not positive.
    """
    whole = [np.asarray(samples, dtype=np.float32)]
    return np.concatenate([*resample_blocks(whole, len(samples), rate_in, rate_out)])


def resample_blocks(
    blocks: Iterable[NDArray[np.float32]], frames: int, rate_in: int, rate_out: int
) -> Iterator[NDArray[np.float32]]:
    """Change the rate of samples that come block by block; see :func:`resample`.

    Args:
        blocks: Float32 [*] each.
        frames: How many samples all of them hold.
        rate_in: Their rate, in Hz.
        rate_out: Rate wanted, in Hz.

    Yields:
        Float32 [*], ceil(frames * rate_out / rate_in) in all.

    Raises:
        ConfigError: A rate is not positive.
    """
    yield from of_length(at_rate(blocks, rate_in, rate_out), resampled_length(frames, rate_in, rate_out))


def resample_torch(samples: torch.Tensor, rate_in: int, rate_out: int) -> torch.Tensor:
    """Change the rate of samples where they lie, on the accelerator too (needs the extra ``torchaudio``).

    Args:
        samples: Float [*, N], on any device.
        rate_in: Their rate, in Hz.
        rate_out: Rate wanted, in Hz.

    Returns:
        Float [*, ceil(N * rate_out / rate_in)], on the same device.

    Raises:
        ConfigError: A rate is not positive, or torchaudio is missing or cannot be loaded beside this torch.

    Source: J. O. Smith, "Digital Audio Resampling", 2002 (torchaudio.functional.resample).
    """
    resampled_length(samples.shape[-1], rate_in, rate_out)
    try:
        from torchaudio.functional import resample as smith
    except (ImportError, OSError, RuntimeError) as error:  # one built for another torch fails in all three ways
        raise ConfigError(
            "Resampling on the accelerator needs torchaudio, which is missing or cannot be loaded beside this torch "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); install a pair that works, such "
            "as torch 2.11.0 with torchaudio 2.11.0, or resample with audiocx.io.audio.resample instead."
        ) from error
    resampled: torch.Tensor = smith(samples, rate_in, rate_out)
    return resampled


def at_rate(
    blocks: Iterable[np.ndarray], rate_in: int, rate_out: int, shape: tuple[int, ...] = ()
) -> Iterator[np.ndarray]:
    """Change the rate of blocks; what comes out may be longer than :func:`resampled_length`.

    Args:
        blocks: Float32 [*, *shape] each.
        rate_in: Their rate, in Hz.
        rate_out: Rate wanted, in Hz.
        shape: Of a frame; that of a number when empty.

    Yields:
        Float32 [*, *shape], ceil(N * rate_out / rate_in) at least in all.
    """
    if rate_in == rate_out:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(rate_in, rate_out, math.prod(shape), dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    # soxr rounds the length; silence worth one more output sample makes it round up
    yield stream.resample_chunk(np.zeros((math.ceil(rate_in / rate_out), *shape), dtype=np.float32), last=True)


def of_length(
    blocks: Iterable[NDArray[np.float32]], length: int, shape: tuple[int, ...] = ()
) -> Iterator[NDArray[np.float32]]:
    """Cut what is too much off the end, or make up for what lacks there by silence.

    Args:
        blocks: Float32 [*, *shape] each.
        length: Frames wanted in all.
        shape: Of a frame; that of a number when empty.

    Yields:
        Float32 [*, *shape].
    """
    left = length
    for block in blocks:
        kept = block[:left]
        left -= len(kept)
        yield kept
    if left:
        yield np.zeros((left, *shape), np.float32)
