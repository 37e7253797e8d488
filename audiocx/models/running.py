"""Input for running a network: samples at the right rate, and a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeAlias

from ..io import audio
from ..io.audio import AudioSource, Recording

__all__ = ["Progress", "frames_bar", "read_channels", "read_samples"]

# Whether to show a progress bar; or what to call with the share that is done, 0 to 1, which may raise to stop the run.
Progress: TypeAlias = bool | Callable[[float], object]

# Longer recordings are read into a temporary file: half an hour at 11025 Hz would take 79 MB of memory.
MAX_MEMORY_S = 600.0


def frames_bar(frames: int, progress: Progress) -> Any:
    """Make a progress bar on stderr, or call a function instead.

    Args:
        frames: Total number of frames.
        progress: Show the bar, if stderr is a terminal; or a function to call with the share that is done.

    Returns:
        A context manager whose ``update(count)`` advances the bar; it is cleared at the end.
    """
    if callable(progress):
        return _ReportedBar(frames, progress)
    if not (progress and sys.stderr.isatty()):
        return _NoBar()
    from tqdm import tqdm

    return tqdm(total=frames, unit=" frames", leave=False)


class _NoBar(AbstractContextManager["_NoBar"]):
    def __exit__(self, *_: object) -> None: ...

    def update(self, count: int) -> None:
        """Show nothing."""


class _ReportedBar(_NoBar):
    def __init__(self, frames: int, report: Callable[[float], object]) -> None:
        self._frames, self._done, self._report = frames, 0, report

    def update(self, count: int) -> None:
        """Report the share that is done."""
        self._done += count
        self._report(min(self._done / max(self._frames, 1), 1.0))


def read_samples(source: AudioSource, sample_rate: float | None, network_rate: int) -> Recording:
    """Read a recording, mixed down to mono and resampled to the rate of a network.

    Args:
        source: A file or samples; see :func:`audiocx.io.audio.load`.
        sample_rate: Sample rate of given samples, in Hz; ignored for files.
        network_rate: Sample rate of the network, in Hz.

    Returns:
        Mono samples, float32 [M], for long recordings a read-only disk-backed array; and what is to be said about them.

    Raises:
        AudioError: The file cannot be used, or the samples are empty, of no usable type or shape or not finite.
        ConfigError: Samples were given without their sample rate.
        OutputError: The disk is too full for a temporary file.
    """
    return audio.load(source, sample_rate, network_rate, max_memory_s=MAX_MEMORY_S)


def read_channels(source: AudioSource, sample_rate: float | None) -> Recording:
    """Read a recording with all channels at the original sample rate.

    Args:
        source: A file or samples; see :func:`audiocx.io.audio.load`.
        sample_rate: Sample rate of given samples, in Hz; ignored for files.

    Returns:
        Samples, float32 [N], or [N, C] if there are several channels; and what is to be said about them.

    Raises:
        AudioError: The file cannot be used, or the samples are empty, of no usable type or shape or not finite.
        ConfigError: Samples were given without their sample rate, or it is not positive.
    """
    recording = audio.load(source, sample_rate, mono=False)
    samples = recording.samples
    return replace(recording, samples=samples[:, 0]) if samples.shape[1] == 1 else recording
