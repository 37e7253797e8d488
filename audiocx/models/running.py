"""Input for running a network: samples at the right rate, and a progress bar."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, ConfigError
from ..io import audio
from ..io.resampling import resample, resampled_length

__all__ = ["frames_bar", "read_channels", "read_samples"]

# Longer recordings are read into a temporary file: half an hour at 11025 Hz would take 79 MB of memory.
MAX_MEMORY_S = 600.0


def frames_bar(frames: int, progress: bool) -> Any:
    """Make a progress bar on stderr.

    Args:
        frames: Total number of frames.
        progress: Show the bar, if stderr is a terminal.

    Returns:
        A context manager whose ``update(count)`` advances the bar; it is cleared at the end.
    """
    if not (progress and sys.stderr.isatty()):
        return _NoBar()
    from tqdm import tqdm

    return tqdm(total=frames, unit=" frames", leave=False)


class _NoBar(AbstractContextManager["_NoBar"]):
    def __exit__(self, *_: object) -> None: ...

    def update(self, count: int) -> None:
        """Show nothing."""


def read_samples(
    source: str | Path | NDArray[np.floating], sample_rate: int | None, network_rate: int
) -> tuple[NDArray[np.float32], str]:
    """Read a file, or take samples, and resample them to the rate of a network.

    Args:
        source: An audio file, or mono samples, float [N].
        sample_rate: Sample rate of given samples, in Hz; ignored for files.
        network_rate: Sample rate of the network, in Hz.

    Returns:
        Mono samples, float32 [M], for long files a read-only disk-backed array; and the name of the recording.

    Raises:
        AudioError: The file cannot be used, or the samples are empty, not mono or not finite.
        ConfigError: Samples were given without their sample rate.
        OutputError: The disk is too full for a temporary file.
    """
    if not isinstance(source, np.ndarray):
        return audio.read(source, network_rate, max_memory_s=MAX_MEMORY_S)[0], Path(source).name
    rate = _checked_rate(source, sample_rate)
    if source.ndim != 1:
        raise AudioError(f"Samples must be mono, [N]; these are {list(source.shape)}.")
    return resample(source, rate, network_rate), "samples"


def read_channels(
    source: str | Path | NDArray[np.floating], sample_rate: int | None
) -> tuple[NDArray[np.float32], int, str]:
    """Read a file, or take samples, with all channels at the original sample rate.

    Args:
        source: An audio file, or samples, float [N] or [N, C].
        sample_rate: Sample rate of given samples, in Hz; ignored for files.

    Returns:
        Samples, float32 [N], or [N, C] if there are several channels; their sample rate in Hz; and the name of the
        recording.

    Raises:
        AudioError: The file cannot be used, or the samples are empty, of another shape or not finite.
        ConfigError: Samples were given without their sample rate, or it is not positive.
    """
    if not isinstance(source, np.ndarray):
        samples, rate = audio.read(source, mono=False)
        return samples[:, 0] if samples.shape[1] == 1 else samples, rate, Path(source).name
    rate = _checked_rate(source, sample_rate)
    if source.ndim not in (1, 2):
        raise AudioError(f"Samples must be [N] or [N, C]; these are {list(source.shape)}.")
    return source.astype(np.float32), rate, "samples"


def _checked_rate(samples: NDArray[np.floating], sample_rate: int | None) -> int:
    """Check given samples, and return their sample rate."""
    if sample_rate is None:
        raise ConfigError("Samples need their rate: give sample_rate in Hz.")
    if samples.size == 0:
        raise AudioError(f"Samples must not be empty; these are {list(samples.shape)}.")
    if not np.isfinite(samples).all():
        raise AudioError("The samples hold NaN or infinite values; remove them first.")
    resampled_length(samples.size, sample_rate, sample_rate)  # raises if the rate is not positive
    return sample_rate
