"""Level normalisation of recordings and streams: automatic gain control with look-ahead.

The level of a recording is the RMS of its loudest recent 93 ms. A louder passage raises it linearly in dB over the
0.74 s ahead of the passage; after that it falls by 1 dB a second. The gain is computed on a fixed grid of samples, so
that it does not depend on the chunks in which a stream arrives.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..io.disk_array import in_blocks

__all__ = [
    "BLOCK_SAMPLES",
    "DECAY_DB_PER_S",
    "LOOKAHEAD_BLOCKS",
    "LOWEST_DBFS",
    "LevelNormalizer",
    "measure_level",
    "normalize_level",
    "usual_gain",
]

# Distance of the gain's grid points; a level is measured over two blocks, 93 ms at 11025 Hz.
BLOCK_SAMPLES = 512
LOOKAHEAD_BLOCKS = 16
DECAY_DB_PER_S = 1.0
# Below this level there is only quantisation noise.
LOWEST_DBFS = -86.0
_BLOCKS_AHEAD = np.maximum(np.arange(LOOKAHEAD_BLOCKS + 1), 1)
# Recordings between these levels are left to the network; no recording of full scale 1 is louder.
_USUAL_DBFS = (-50.0, 1.0)
_SCALED_DBFS = -36.0  # level of others, at which networks do best
# Levels of noise alone: rounding, with dither, and codecs.
_NOISE_DBFS = {"PCM_U8": -46.0, "PCM_S8": -46.0, "ULAW": -66.0, "ALAW": -62.0, "PCM_24": -138.0, "PCM_32": -150.0}
_FLOAT_NOISE_DBFS, _USUAL_NOISE_DBFS = -740.0, -92.0
_MEASURE_SAMPLES = 2**20


def normalize_level(
    chunks: Iterable[NDArray[np.float32]], sample_rate: int, level_dbfs: float
) -> Iterator[NDArray[np.float32]]:
    """Normalise the level of a recording that arrives in chunks.

    Args:
        chunks: Samples, float32 [N] each, of any lengths.
        sample_rate: Sample rate in Hz.
        level_dbfs: Level of the output, in dBFS.

    Yields:
        float32 [M] each, as many samples in all, delayed by less than a second.
    """
    normalizer = LevelNormalizer(sample_rate, level_dbfs)
    for chunk in chunks:
        # One array a chunk, for each one yielded is a run of the network.
        if len(ready := normalizer.push(chunk)):
            yield ready
    yield normalizer.flush()


class LevelNormalizer:
    """Level normalisation of samples that are pushed; a shallow copy goes on independently.

    Args:
        sample_rate: Sample rate in Hz.
        level_dbfs: Level of the output, in dBFS.
    """

    def __init__(self, sample_rate: int, level_dbfs: float) -> None:
        self._decay_db = DECAY_DB_PER_S * BLOCK_SAMPLES / sample_rate
        self._target_db = level_dbfs
        self._pending = np.zeros(0, np.float32)  # less than a block
        self._blocks = np.empty((0, BLOCK_SAMPLES), np.float32)  # within the look-ahead
        self._levels_db = np.empty(0)
        self._last_power = 0.0
        self._level_db: float | None = None

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add samples, float32 [N], and return those that no later one changes, float32 [M]."""
        self._pending = np.concatenate([self._pending, samples])
        complete = len(self._pending) // BLOCK_SAMPLES * BLOCK_SAMPLES
        self._add(self._pending[:complete])
        self._pending = self._pending[complete:]
        return self._take(max(len(self._blocks) - LOOKAHEAD_BLOCKS, 0))

    def flush(self) -> NDArray[np.float32]:
        """Return the samples that are left, at the end of the recording."""
        padding = -len(self._pending) % BLOCK_SAMPLES
        self._add(np.pad(self._pending, (0, padding)))
        samples = self._take(len(self._blocks))
        return samples[: len(samples) - padding]

    def _add(self, samples: NDArray[np.float32]) -> None:
        """Measure the levels of whole blocks."""
        blocks = samples.reshape(-1, BLOCK_SAMPLES)
        powers = np.append(self._last_power, np.square(blocks, dtype=np.float64).mean(1))
        self._last_power = float(powers[-1])
        levels_db = np.maximum(10 * np.log10((powers[1:] + powers[:-1]) / 2 + 1e-20), LOWEST_DBFS)
        self._blocks = np.concatenate([self._blocks, blocks])
        self._levels_db = np.append(self._levels_db, levels_db)

    def _take(self, count: int) -> NDArray[np.float32]:
        befores_db, afters_db = np.empty((2, count, 1))
        for block in range(count):
            ahead_db = self._levels_db[block : block + LOOKAHEAD_BLOCKS + 1]
            if self._level_db is None:
                before_db = after_db = float(ahead_db.max())
            else:
                before_db = self._level_db
                decayed_db = max(before_db - self._decay_db, LOWEST_DBFS)
                # The steepest of the straight lines to the levels ahead.
                rise_db = float(((ahead_db - decayed_db) / _BLOCKS_AHEAD[: len(ahead_db)]).max())
                after_db = decayed_db + max(rise_db, 0.0)
            befores_db[block], afters_db[block], self._level_db = before_db, after_db, after_db
        ramp = np.arange(BLOCK_SAMPLES) / BLOCK_SAMPLES
        gains_db = self._target_db - (befores_db + (afters_db - befores_db) * ramp)
        samples = (self._blocks[:count] * 10 ** (gains_db / 20)).astype(np.float32).ravel()
        self._blocks, self._levels_db = self._blocks[count:].copy(), self._levels_db[count:]
        return samples


def measure_level(samples: NDArray[np.floating]) -> float:
    """Measure the level of a recording: the RMS of its loudest 93 ms at 11025 Hz, without its mean.

    Args:
        samples: Mono samples, float [N].

    Returns:
        Level in dBFS; -inf for silence.
    """
    power = 0.0
    for block in in_blocks(samples, _MEASURE_SAMPLES):
        whole = len(block) // (2 * BLOCK_SAMPLES) * 2 * BLOCK_SAMPLES
        parts = [block[:whole].reshape(-1, 2 * BLOCK_SAMPLES), block[None, whole:]]
        power = max([power, *(float(np.var(part, axis=1, dtype=np.float64).max()) for part in parts if part.size)])
    return 10 * math.log10(power) if power > 0 else -math.inf


def usual_gain(samples: NDArray[np.floating], encoding: str = "FLOAT", full_scale_known: bool = True) -> float:
    """Return the gain that brings a recording of unusual level to one that networks were trained on.

    Args:
        samples: Mono samples, float [N].
        encoding: Encoding of the samples, such as ``PCM_16``, which tells the level of its noise.
        full_scale_known: Whether a level of these samples means anything.

    Returns:
        Gain in dB; 0 for levels from -50 to 1 dBFS, and for noise alone.
    """
    level_dbfs = measure_level(samples)
    noise_dbfs = _FLOAT_NOISE_DBFS if encoding in ("FLOAT", "DOUBLE") else _NOISE_DBFS.get(encoding, _USUAL_NOISE_DBFS)
    usual = full_scale_known and _USUAL_DBFS[0] <= level_dbfs <= _USUAL_DBFS[1]
    if level_dbfs <= noise_dbfs or usual:
        return 0.0
    return _SCALED_DBFS - level_dbfs
