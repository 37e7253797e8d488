"""Samples in memory as callers have them: integers, any precision, channels first or last.

Integers are scaled by their type, as files are: int16 by 1/32768, and unsigned ones are centred. Of two axes the longer
one is time; if both are equally long, the first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import AudioError, ConfigError
from .resampling import MAX_RATE, MIN_RATE

__all__ = ["checked_rate", "checked_samples", "scaled"]

_MAX_CHANNELS = 256


def checked_samples(samples: np.ndarray) -> np.ndarray:
    """Check given samples, and bring them to one layout and scale.

    Args:
        samples: [N], [N, C] or [C, N], real: of floating point with full scale 1, or integers of 8, 16 or 32 bits.

    Returns:
        Float [N, C]; not yet checked for NaN and infinite values.

    Raises:
        AudioError: They are empty, complex, of another type or of another shape.
    """
    described = f"these are {list(samples.shape)} of {samples.dtype}"
    if samples.dtype.kind == "c":
        raise AudioError(f"Samples are real, {described}; a spectrum has to be transformed back first.")
    if samples.dtype.kind not in "fiu" or (samples.dtype.kind in "iu" and samples.dtype.itemsize > 4):
        raise AudioError(
            f"Samples are floating point or integers of 8, 16 or 32 bits, {described}; convert them so that full scale "
            "is 1."
        )
    if samples.size == 0:
        raise AudioError(f"Samples must not be empty; {described}.")
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and min(samples.shape) > _MAX_CHANNELS):
        raise AudioError(f"Samples must be [N], [N, C] or [C, N]; {described}.")
    frames = samples[:, None] if samples.ndim == 1 else samples
    return scaled(frames.T if frames.shape[1] > frames.shape[0] and samples.ndim == 2 else frames)


def scaled(samples: np.ndarray) -> np.ndarray:
    """Scale integers by their type to full scale 1; leave floating point as it is.

    Args:
        samples: Real [*].

    Returns:
        Float [*].

    >>> scaled(np.array([-32768, 16384], np.int16)), scaled(np.array([0, 192], np.uint8))
    (array([-1. ,  0.5], dtype=float32), array([-1. ,  0.5], dtype=float32))
    """
    if samples.dtype.kind not in "iu":
        return samples
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    floating = samples.astype(np.float64 if samples.dtype.itemsize > 2 else np.float32)
    scale = (floating - half if samples.dtype.kind == "u" else floating) / half
    return scale.astype(np.float32)


def checked_rate(rate: Any) -> float:
    """Check the sample rate of given samples.

    Args:
        rate: In Hz.

    Returns:
        The same, an integer if it is whole.

    Raises:
        ConfigError: It is missing, no number, or no rate of a recording.

    >>> checked_rate(np.float64(11025.0))
    11025
    """
    if rate is None:
        raise ConfigError("Samples need their rate: give sample_rate in Hz.")
    try:
        number = math.nan if isinstance(rate, (bool, str, bytes)) else float(rate)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not MIN_RATE <= number <= MAX_RATE:
        raise ConfigError(
            f"A sample rate is a positive number from {MIN_RATE} to {MAX_RATE} Hz, not {rate!r}; give it in Hz."
        )
    return int(number) if number == int(number) else number
