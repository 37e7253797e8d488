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

__all__ = ["BLOCK_SAMPLES", "DECAY_DB_PER_S", "LOOKAHEAD_BLOCKS", "LOWEST_DBFS", "normalize_level"]

# Distance of the gain's grid points; a level is measured over two blocks, 93 ms at 11025 Hz.
BLOCK_SAMPLES = 512
LOOKAHEAD_BLOCKS = 16
DECAY_DB_PER_S = 1.0
# Below this level there is only quantisation noise.
LOWEST_DBFS = -86.0


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
    gain = _RunningGain(sample_rate, level_dbfs)
    pending = np.zeros(0, np.float32)
    for chunk in chunks:
        pending = np.concatenate([pending, chunk])
        complete = len(pending) // BLOCK_SAMPLES * BLOCK_SAMPLES
        # One array a chunk, for each one yielded is a run of the network.
        if ready := list(gain.push(pending[:complete])):
            yield np.concatenate(ready)
        pending = pending[complete:]
    padding = -len(pending) % BLOCK_SAMPLES
    last = [*gain.push(np.pad(pending, (0, padding))), *gain.flush()]
    samples = np.concatenate(last) if last else pending
    yield samples[: len(samples) - padding]


class _RunningGain:
    """Gain of consecutive blocks, computed once the blocks of the look-ahead have arrived."""

    def __init__(self, sample_rate: int, level_dbfs: float) -> None:
        self._decay_db = DECAY_DB_PER_S * BLOCK_SAMPLES / sample_rate
        self._target_db = level_dbfs
        self._queue: list[NDArray[np.float32]] = []
        self._levels_db: list[float] = []
        self._last_power = 0.0
        self._level_db: float | None = None

    def push(self, samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Add whole blocks, and yield those that are ready."""
        for block in samples.reshape(-1, BLOCK_SAMPLES):
            power = float(np.square(block, dtype=np.float64).mean())
            mean_power, self._last_power = (power + self._last_power) / 2, power
            self._queue.append(block)
            self._levels_db.append(max(10 * math.log10(mean_power + 1e-20), LOWEST_DBFS))
            if len(self._queue) > LOOKAHEAD_BLOCKS:
                yield self._next()

    def flush(self) -> Iterator[NDArray[np.float32]]:
        """Yield the blocks that are left."""
        while self._queue:
            yield self._next()

    def _next(self) -> NDArray[np.float32]:
        ahead_db = self._levels_db[: LOOKAHEAD_BLOCKS + 1]
        if self._level_db is None:
            before_db = after_db = max(ahead_db)
        else:
            before_db = self._level_db
            decayed_db = max(before_db - self._decay_db, LOWEST_DBFS)
            # The steepest of the straight lines to the levels ahead.
            rise_db = max((level_db - decayed_db) / max(blocks, 1) for blocks, level_db in enumerate(ahead_db))
            after_db = decayed_db + max(rise_db, 0.0)
        self._level_db = after_db
        self._levels_db.pop(0)
        gain_db = self._target_db - np.linspace(before_db, after_db, BLOCK_SAMPLES, endpoint=False)
        return (self._queue.pop(0) * 10 ** (gain_db / 20)).astype(np.float32)
