"""What running any network takes: a device that works, sound at the network's rate or its own, and a progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, ConfigError
from ..io import audio

if TYPE_CHECKING:
    import torch

__all__ = ["choose_device", "frames_bar", "read_channels", "read_samples"]

# Recordings longer than ten minutes are read into a temporary file: half an hour at 11025 Hz would take 79 MB.
_LONG_S = 600.0


def choose_device(name: str) -> torch.device:
    """Choose a device, having tried that it works.

    Args:
        name: "auto" (a CUDA device if there is one, else the processor) or a name such as "cpu", "cuda:1", "mps".

    Returns:
        The device.

    Raises:
        ConfigError: It is not there.
    """
    import torch

    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch raises all three for absent devices
        raise ConfigError(f"The device {name!r} is not available here; choose auto or cpu.") from error
    return device


def frames_bar(frames: int, progress: bool) -> Any:
    """Make a progress bar on stderr.

    Args:
        frames: How many there are to go through.
        progress: Show it, if stderr is a terminal.

    Returns:
        A context whose ``update(count)`` moves the bar; it leaves nothing on the screen.
    """
    from tqdm import tqdm

    # tqdm shows nothing where stderr is no terminal if disable is None
    return tqdm(total=frames, unit=" frames", leave=False, disable=None if progress else True)


def read_samples(
    source: str | Path | NDArray[np.floating], sample_rate: int | None, wanted_rate: int
) -> tuple[NDArray[np.float32], str]:
    """Bring a file or samples to a network's rate. Those of a long file lie in a temporary one, not in memory.

    Args:
        source: An audio file, or mono samples, float [N].
        sample_rate: Rate of the samples, in Hz; only for samples.
        wanted_rate: The network's, in Hz.

    Returns:
        Mono samples, float32 [M], of a long file read-only, and the recording's name.

    Raises:
        AudioError: The file cannot be used, or the samples are empty, not mono or not finite.
        ConfigError: Samples came without their rate.
        OutputError: There is no room for the temporary file.
    """
    if not isinstance(source, np.ndarray):
        return audio.read(source, wanted_rate, max_memory_s=_LONG_S)[0], Path(source).name
    rate = _checked_rate(source, sample_rate)
    if source.ndim != 1:
        raise AudioError(f"Samples must be mono, [N]; these are {list(source.shape)}.")
    return audio.resample(source, rate, wanted_rate), "samples"


def read_channels(
    source: str | Path | NDArray[np.floating], sample_rate: int | None
) -> tuple[NDArray[np.float32], int, str]:
    """Bring a file or samples into memory as they are, with all their channels.

    Args:
        source: An audio file, or samples, float [N] or [N, C].
        sample_rate: Rate of the samples, in Hz; only for samples.

    Returns:
        Samples, float32 [N] or, of more than one channel, [N, C]; their rate in Hz, and the recording's name.

    Raises:
        AudioError: The file cannot be used, or the samples are empty, of another shape or not finite.
        ConfigError: Samples came without their rate, or it is not positive.
    """
    if not isinstance(source, np.ndarray):
        samples, rate = audio.read(source, mono=False)
        return samples[:, 0] if samples.shape[1] == 1 else samples, rate, Path(source).name
    rate = _checked_rate(source, sample_rate)
    if source.ndim not in (1, 2):
        raise AudioError(f"Samples must be [N] or [N, C]; these are {list(source.shape)}.")
    return source.astype(np.float32), rate, "samples"


def _checked_rate(samples: NDArray[np.floating], sample_rate: int | None) -> int:
    """The rate of samples, having refused those that are none."""
    if sample_rate is None:
        raise ConfigError("Samples need their rate: give sample_rate in Hz.")
    if samples.size == 0:
        raise AudioError(f"Samples must not be empty; these are {list(samples.shape)}.")
    if not np.isfinite(samples).all():
        raise AudioError("The samples hold NaN or infinite values; remove them first.")
    audio.resampled_length(samples.size, sample_rate, sample_rate)  # refuses what is no rate
    return sample_rate
