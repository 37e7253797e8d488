"""Random windows with the notes at their centres, cut on the device that holds the corpus."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import ConfigError
from .augment import AugmentConfig, augment, draw_shift, reach_samples, resample_windows
from .store import MARGIN_SAMPLES, Store

__all__ = ["Labels", "MixedSampler", "Sampler", "StoreSampler", "WindowSampler", "mixed"]

# One tensor, or a named tuple of several.
Labels = Tensor | tuple[Tensor, ...]
# Number of a batch in, windows and labels out.
Sampler = Callable[[int], tuple[Tensor, Labels]]


class StoreSampler(ABC):
    """Draws batches of windows from a store; a subclass knows their labels.

    Batch number i of a rank depends on the seed, the rank and i alone: a run that is resumed draws what it would
    have drawn, and no two ranks draw the same.

    Args:
        store: The corpus.
        window_samples: N.
        batch_size: B; with ``order="pieces"`` the number of windows a piece instead.
        order: "time": every moment of the corpus is equally likely; "pieces": every batch has ``batch_size`` windows
            of each piece, as the paper draws them.
        augmentation: What to vary; None for the recordings as they are.
        seed: Of the draws.
        rank: Number of this process among those that train together.
        device: Where the samples are kept and the windows are cut; on "cpu" they stay memory-mapped.
    """

    def __init__(
        self,
        store: Store,
        window_samples: int = 4096,
        batch_size: int = 256,
        order: Literal["time", "pieces"] = "time",
        augmentation: AugmentConfig | None = None,
        seed: int = 0,
        rank: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.window_samples, self.batch_size, self.order = window_samples, batch_size, order
        self.augmentation, self.seed, self.rank, self.device = augmentation, seed, rank, torch.device(device)
        self.sample_rate = store.sample_rate
        self._audio = torch.from_numpy(store.audio).to(self.device)
        self._starts = torch.from_numpy(store.starts).to(self.device)
        self._lengths = torch.from_numpy(store.lengths).to(self.device)
        self._ends = self._lengths.cumsum(0)
        self._open(store)

    def __call__(self, batch: int) -> tuple[Tensor, Labels]:
        """Draws a batch.

        Args:
            batch: Its number, from 0.

        Returns:
            Windows, float32 [B, N] in about +-1, the moments that were drawn at sample N // 2, and their labels.
        """
        generator = torch.Generator(self.device).manual_seed(self._seed_of(batch))
        centres = self._centres(generator)
        semitones, labels = self._labelled(centres, generator)
        if semitones is None:
            windows = self._cut(centres, self.window_samples).float() / 32768
        else:
            windows = resample_windows(self._cut, centres, self.window_samples, semitones) / 32768
        if self.augmentation is not None:
            windows = augment(windows, self.sample_rate, self.augmentation, generator)
        return windows, labels

    @abstractmethod
    def _open(self, store: Store) -> None:
        """Checks that the store serves, and keeps its labels."""

    @abstractmethod
    def _labelled(self, centres: Tensor, generator: torch.Generator) -> tuple[Tensor | None, Labels]:
        """Draws the semitones by which windows are shifted, float32 [B] or None, and gives the labels moved by them."""

    @abstractmethod
    def _cut(self, centres: Tensor, length: int) -> Tensor:
        """Cuts int16 [B, length] around the centres, which lie at ``length // 2``."""

    def _seed_of(self, batch: int) -> int:
        digest = hashlib.sha256(f"{self.seed}/{self.rank}/{batch}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1

    def _centres(self, generator: torch.Generator) -> Tensor:
        if self.order == "pieces":
            pieces = torch.arange(len(self._starts), device=self.device).repeat(self.batch_size)
            place = torch.rand(len(pieces), generator=generator, device=self.device, dtype=torch.float64)
            return self._starts[pieces] + (place * self._lengths[pieces]).long()
        shape = (self.batch_size,)
        moment = torch.randint(int(self._ends[-1]), shape, generator=generator, device=self.device)
        pieces = torch.bucketize(moment, self._ends, right=True)
        return self._starts[pieces] + self._lengths[pieces] - (self._ends[pieces] - moment)


class WindowSampler(StoreSampler):
    """Windows, and the notes at their centres (sample N / 2), float32 [B, P]; see :class:`StoreSampler`.

    Raises:
        ConfigError: The windows, transposed as far as they may be, reach further than the silence between pieces.
    """

    def _open(self, store: Store) -> None:
        semitones = self.augmentation.most_semitones if self.augmentation else 0.0
        reach = reach_samples(self.window_samples, 2 ** (semitones / 12)) if semitones else self.window_samples // 2
        if reach > MARGIN_SAMPLES:
            raise ConfigError(
                f"window_samples={self.window_samples}, transposed by up to {semitones:g} semitones, reaches further "
                f"than the {MARGIN_SAMPLES} samples of silence around each piece; take a shorter window or a smaller "
                "shift."
            )
        self._events = torch.from_numpy(store.events).to(self.device)
        self._masks = torch.from_numpy(store.masks).to(self.device)

    def _labelled(self, centres: Tensor, generator: torch.Generator) -> tuple[Tensor | None, Tensor]:
        labels, semitones = self._masks[torch.bucketize(centres, self._events, right=True)], None
        if self.augmentation is not None:
            semitones, labels = draw_shift(labels, self.augmentation, generator)
        return semitones, labels.float()

    def _cut(self, centres: Tensor, length: int) -> Tensor:
        rows = self._audio.as_strided((len(self._audio) - length + 1, length), (1, 1))
        return rows[centres - length // 2]


class MixedSampler:
    """Draws every batch from several samplers, in fixed parts.

    Args:
        samplers: Each gives its part.
    """

    def __init__(self, samplers: Sequence[Sampler]) -> None:
        self.samplers = samplers

    def __call__(self, batch: int) -> tuple[Tensor, Labels]:
        """Draws a batch; see :class:`StoreSampler`."""
        windows, labels = zip(*(sampler(batch) for sampler in self.samplers), strict=True)
        if isinstance(labels[0], Tensor):
            return torch.cat(windows), torch.cat(labels)
        return torch.cat(windows), type(labels[0])(*map(torch.cat, zip(*labels, strict=True)))


def mixed(
    stores: Sequence[Store],
    shares: Sequence[float],
    batch_size: int,
    rank: int,
    ranks: int,
    kind: type[StoreSampler] = WindowSampler,
    **options: Any,
) -> Sampler:
    """Makes the sampler over one corpus or several.

    Args:
        stores: The corpora.
        shares: Part of a batch that each gives; as each is long when empty.
        batch_size: B, all corpora together.
        rank: Number of this process.
        ranks: Number of processes.
        kind: What draws from each corpus.
        options: Of every one of these.

    Returns:
        The sampler.

    Raises:
        ConfigError: There are not as many shares as corpora, or a share is less than a window.
    """
    if options.get("order") == "pieces":
        sizes = [batch_size] * len(stores)
    else:
        seconds = [float(store.lengths.sum()) / store.sample_rate for store in stores]
        parts = list(shares) or [second / sum(seconds) for second in seconds]
        if len(parts) != len(stores):
            raise ConfigError(f"shares={list(shares)} do not fit {len(stores)} corpora; give one for each.")
        ends = [round(batch_size * sum(parts[: count + 1])) for count in range(len(parts))]
        sizes = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    if min(sizes) < 1:
        raise ConfigError(f"shares={list(shares)} leave a corpus no window of {batch_size}; take a larger batch_size.")
    # Every corpus draws as if it were a process of its own, for no two to draw alike.
    samplers = [
        kind(store, batch_size=size, rank=rank + ranks * index, **options)
        for index, (store, size) in enumerate(zip(stores, sizes, strict=True))
    ]
    return samplers[0] if len(samplers) == 1 else MixedSampler(samplers)
