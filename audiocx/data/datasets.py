"""What a trainer iterates over: the batches of an epoch, and the frames it is validated on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from .store import Store
from .windows import Labels, Sampler, cut_windows

__all__ = ["EpochBatches", "StoreFrames"]


class EpochBatches(IterableDataset):
    """The batches of one epoch, numbered through the whole run.

    Args:
        sampler: Draws them.
        first: Gives the number of the epoch's first batch when the epoch begins.
        count: Batches an epoch.
    """

    def __init__(self, sampler: Sampler, first: Callable[[], int], count: int) -> None:
        self.sampler, self.first, self.count = sampler, first, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Tensor, Labels]]:
        first = self.first()
        return (self.sampler(first + index) for index in range(self.count))


class StoreFrames(IterableDataset):
    """The frames of a store at a fixed hop, in batches of one size; every rank takes every so many.

    Yields windows, float32 [batch_frames, N], and the labels of the first of them, float32 [up to batch_frames, P]: the
    last batch is filled up with windows that do not count, for every size of batch is compiled anew. Every rank has as
    many batches.

    Args:
        store: The corpus.
        window_samples: N.
        hop_samples: Distance of the frames; each piece's first is centred at its first sample.
        batch_frames: Frames a batch; fewer where there are not as many.
        rank: Number of this process.
        ranks: Number of processes.
    """

    def __init__(
        self, store: Store, window_samples: int, hop_samples: int, batch_frames: int, rank: int = 0, ranks: int = 1
    ) -> None:
        self.store, self.window_samples = store, window_samples
        starts = zip(store.starts, store.lengths, strict=True)
        grid = np.concatenate([start + np.arange(0, length, hop_samples) for start, length in starts])
        most = math.ceil(len(grid) / ranks)
        self.batch_frames = min(batch_frames, most)
        self._batches = math.ceil(most / self.batch_frames)
        self._centres, self._any = grid[rank::ranks], grid[:1]

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        store, size = self.store, self.batch_frames
        audio, starts, lengths = (torch.from_numpy(part) for part in (store.audio, store.starts, store.lengths))
        for first in range(0, self._batches * size, size):
            centres = self._centres[first : first + size]
            filled = np.concatenate([centres, self._any.repeat(size - len(centres))])
            windows = cut_windows(audio, starts, lengths, torch.from_numpy(filled), self.window_samples)
            labels = store.masks[np.searchsorted(store.events, centres, side="right")]
            yield windows.float() / 32768, torch.from_numpy(labels).float()
