"""What running any network takes: a device that works, and sound at the network's rate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import audio
from .errors import AudioError, ConfigError

if TYPE_CHECKING:
    import torch

__all__ = ["choose_device", "read_samples"]


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


def read_samples(
    source: str | Path | NDArray[np.floating], sample_rate: int | None, wanted_rate: int
) -> tuple[NDArray[np.float32], str]:
    """Bring a file or samples to a network's rate.

    Args:
        source: An audio file, or mono samples, float [N].
        sample_rate: Rate of the samples, in Hz; only for samples.
        wanted_rate: The network's, in Hz.

    Returns:
        Mono samples, float32 [M], and the recording's name.

    Raises:
        AudioError: The file cannot be used, or the samples are empty, not mono or not finite.
        ConfigError: Samples came without their rate.
    """
    if not isinstance(source, np.ndarray):
        return audio.read(source, wanted_rate)[0], Path(source).name
    if sample_rate is None:
        raise ConfigError("Samples need their rate: give sample_rate in Hz.")
    if source.ndim != 1 or len(source) == 0:
        raise AudioError(f"Samples must be mono, [N], and not empty; these are {list(source.shape)}.")
    if not np.isfinite(source).all():
        raise AudioError("The samples hold NaN or infinite values; remove them first.")
    return audio.resample(source, sample_rate, wanted_rate), "samples"
