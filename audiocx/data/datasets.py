"""What a trainer iterates over: the batches of an epoch, and the frames it is validated on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from .store import Store
from .windows import Labels, Sampler

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

    What is left over after the last full batch is dropped, for every size of batch is compiled anew.

    Args:
        store: The corpus.
        window_samples: N, at most twice the silence around each piece.
        hop_samples: Distance of the frames; each piece's first is centred at its first sample.
        batch_frames: Frames a batch; fewer where there are not as many.
        rank: Number of this process.
        ranks: Number of processes.
    """

    def __init__(
        self, store: Store, window_samples: int, hop_samples: int, batch_frames: int, rank: int = 0, ranks: int = 1
    ) -> None:
        self.store, self.window_samples = store, window_samples
        grids = [s + np.arange(0, n, hop_samples) for s, n in zip(store.starts, store.lengths, strict=True)]
        # As many for every rank, so that all have as many batches.
        frames = sum(map(len, grids)) // ranks
        self.batch_frames = min(batch_frames, frames)
        mine = np.concatenate(grids)[rank::ranks]
        self._centres = mine[: frames - frames % self.batch_frames].reshape(-1, self.batch_frames)

    def __len__(self) -> int:
        return len(self._centres)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        audio, half = self.store.audio, self.window_samples // 2
        for batch in self._centres:
            windows = np.stack([audio[c - half : c + half] for c in batch.tolist()]).astype(np.float32) / 32768
            labels = self.store.masks[np.searchsorted(self.store.events, batch, side="right")]
            yield torch.from_numpy(windows), torch.from_numpy(labels).float()
