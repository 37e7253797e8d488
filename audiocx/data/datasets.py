"""Datasets for training and validation: the batches of an epoch, and the frames of a store."""

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
        sampler: Returns a batch for its number.
        first: Returns the number of the first batch; called when the epoch begins.
        count: Batches per epoch.
    """

    def __init__(self, sampler: Sampler, first: Callable[[], int], count: int) -> None:
        self.sampler, self.first, self.count = sampler, first, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Tensor, Labels]]:
        first = self.first()
        return (self.sampler(first + index) for index in range(self.count))


class StoreFrames(IterableDataset):
    """The frames of a store at a fixed hop, in batches of equal size, dealt out to the ranks round-robin.

    Yields windows, float32 [batch_frames, N], and labels, float32 [up to batch_frames, P]. The last batch is padded
    with windows without labels, because a compiled network is compiled anew for every batch size. All ranks have
    equally many batches.

    Args:
        store: The corpus.
        window_samples: N.
        hop_samples: Hop from frame to frame; the first frame of each piece is centred at its first sample.
        batch_frames: Frames per batch; fewer if the store has fewer.
        rank: Rank of this process.
        world_size: Number of processes.
    """

    def __init__(
        self, store: Store, window_samples: int, hop_samples: int, batch_frames: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.store, self.window_samples = store, window_samples
        starts = zip(store.starts, store.lengths, strict=True)
        grid = np.concatenate([start + np.arange(0, length, hop_samples) for start, length in starts])
        most = math.ceil(len(grid) / world_size)
        self.batch_frames = min(batch_frames, most)
        self._batches = math.ceil(most / self.batch_frames)
        self._centres, self._padding = grid[rank::world_size], grid[:1]

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        store, size = self.store, self.batch_frames
        audio, starts, lengths = (torch.from_numpy(part) for part in (store.audio, store.starts, store.lengths))
        for first in range(0, self._batches * size, size):
            centres = self._centres[first : first + size]
            padded = np.concatenate([centres, self._padding.repeat(size - len(centres))])
            windows = cut_windows(audio, starts, lengths, torch.from_numpy(padded), self.window_samples)
            labels = store.masks[np.searchsorted(store.events, centres, side="right")]
            yield windows.float() / 32768, torch.from_numpy(labels).float()
