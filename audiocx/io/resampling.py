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
    "Resampler",
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
    resampler = Resampler(rate_in, rate_out, shape)
    for block in blocks:
        yield resampler.push(block)
    if rate_in != rate_out:
        yield resampler.finish()


class Resampler:
    """A resampler of samples that are pushed.

    Args:
        rate_in: Input sample rate in Hz.
        rate_out: Output sample rate in Hz.
        shape: Shape of a frame: () for mono, else (C,).

    Raises:
        ConfigError: A sample rate is not positive.
    """

    def __init__(self, rate_in: float, rate_out: float, shape: tuple[int, ...] = ()) -> None:
        resampled_length(0, rate_in, rate_out)
        self._rates, self._shape, self._received, self._sent = (rate_in, rate_out), shape, 0, 0
        self._stream = None
        if rate_in != rate_out:
            import soxr

            self._stream = soxr.ResampleStream(rate_in, rate_out, math.prod(shape), dtype="float32")

    def push(self, block: np.ndarray) -> np.ndarray:
        """Add samples, float32 [N, *shape], and return those that are ready, float32 [M, *shape]."""
        if self._stream is None:
            return block
        self._received += len(block)
        resampled: np.ndarray = self._stream.resample_chunk(block)
        self._sent += len(resampled)
        return resampled

    def finish(self) -> np.ndarray:
        """Return the samples that are left, at the end of the signal: ceil(N * rate_out / rate_in) in all."""
        if self._stream is None:
            return np.zeros((0, *self._shape), np.float32)
        # soxr rounds the length; one more output sample of silence makes it round up
        silence = np.zeros((math.ceil(self._rates[0] / self._rates[1]), *self._shape), np.float32)
        rest = self._stream.resample_chunk(silence, last=True)
        missing = resampled_length(self._received, *self._rates) - self._sent
        return np.concatenate([rest[:missing], np.zeros((max(missing - len(rest), 0), *self._shape), np.float32)])
