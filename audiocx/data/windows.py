"""Samplers of random windows and the notes at their centres, cut on the device that holds the corpus."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import ConfigError
from .augment import AugmentConfig, augment, draw_shift, resample_windows
from .random_streams import RandomStreams
from .store import MARGIN_SAMPLES, Store

__all__ = ["Labels", "MixedSampler", "Sampler", "StoreSampler", "WindowSampler", "cut_windows", "batch_seed", "mixed"]

# A tensor, or a named tuple of tensors.
Labels = Tensor | tuple[Tensor, ...]
# Returns windows and labels for the number of a batch.
Sampler = Callable[[int], tuple[Tensor, Labels]]


def batch_seed(seed: int, stream: int, batch: int) -> int:
    """Return the seed of a batch.

    Args:
        seed: Seed of the run.
        stream: Number of the sampler.
        batch: Number of the batch.

    Returns:
        Seed for a random generator, different for each combination.
    """
    digest = hashlib.sha256(f"{seed}/{stream}/{batch}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def cut_windows(audio: Tensor, starts: Tensor, lengths: Tensor, centres: Tensor, length: int) -> Tensor:
    """Cut windows of any length out of the pieces of a store, padded with silence beyond the ends of their piece.

    Args:
        audio: Samples of the store, int16 [N].
        starts: First sample of each piece, int64 [pieces].
        lengths: Length of each piece in samples, int64 [pieces].
        centres: Sample indices in ``audio``, each within a piece, int64 [B].
        length: Length of a window; its centre lies at ``length // 2``.

    Returns:
        int16 [B, length].
    """
    pieces = torch.bucketize(centres, starts, right=True)[:, None] - 1
    indices = centres[:, None] - length // 2 + torch.arange(length, device=centres.device)
    inside = (indices >= starts[pieces]) & (indices < starts[pieces] + lengths[pieces])
    return torch.where(inside, audio[indices.clamp(0, len(audio) - 1)], 0)


class StoreSampler(ABC):
    """Base class of samplers that draw batches of windows from a store; subclasses add the labels.

    Batch number i depends on the seed, the stream and i alone, so that a resumed run continues with the same batches.
    Distributed processes share the batches that one process alone would draw; no two of them get the same window.

    Args:
        store: The corpus.
        window_samples: N.
        batch_size: Windows per batch, of all processes together; with ``order="pieces"`` windows per piece.
        order: "time": all sample positions of the corpus are equally likely; "pieces": every batch has ``batch_size``
            windows of each piece, as in "Deep Complex Networks".
        augmentation: Data augmentation; None for the original recordings.
        seed: Seed of the random numbers.
        stream: Number of this sampler among those with the same seed.
        rank_slice: Windows of a batch that belong to this process.
        device: Device that holds the samples and cuts the windows; on "cpu" the samples stay memory-mapped.
    """

    def __init__(
        self,
        store: Store,
        window_samples: int = 4096,
        batch_size: int = 256,
        order: Literal["time", "pieces"] = "time",
        augmentation: AugmentConfig | None = None,
        seed: int = 0,
        stream: int = 0,
        rank_slice: slice = slice(None),
        device: torch.device | str = "cpu",
    ) -> None:
        self.window_samples, self.batch_size, self.order = window_samples, batch_size, order
        self.augmentation, self.seed, self.stream, self.rank_slice = augmentation, seed, stream, rank_slice
        self.device = torch.device(device)
        self.sample_rate = store.sample_rate
        self._audio = torch.from_numpy(store.audio).to(self.device)
        self._starts = torch.from_numpy(store.starts).to(self.device)
        self._lengths = torch.from_numpy(store.lengths).to(self.device)
        self._ends = self._lengths.cumsum(0)
        self._read_labels(store)

    def __call__(self, batch: int) -> tuple[Tensor, Labels]:
        """Draw a batch.

        Args:
            batch: Number of the batch, from 0.

        Returns:
            Windows of this process, float32 [B, N] in about +-1, and the labels at their centres, sample N // 2.
        """
        generator = torch.Generator(self.device).manual_seed(batch_seed(self.seed, self.stream, batch))
        rows = self.batch_size * (len(self._starts) if self.order == "pieces" else 1)
        streams = RandomStreams(generator, rows, self.rank_slice)
        centres = self._centres(streams)
        semitones, labels = self._draw_labels(centres, streams)
        # The same length on either side, so that the centre stays in the middle.
        echo = 0 if self.augmentation is None else self.augmentation.echo_samples(self.sample_rate)
        length = self.window_samples + 2 * echo
        if semitones is None:
            windows = self._cut(centres, length).float() / 32768
        else:
            windows = resample_windows(self._cut, centres, length, semitones) / 32768
        if self.augmentation is not None:
            windows = windows[:, : length - echo]
            windows = augment(windows, self.sample_rate, self.augmentation, streams)
        return windows, labels

    @abstractmethod
    def _read_labels(self, store: Store) -> None:
        """Check that the store fits, and keep its labels."""

    @abstractmethod
    def _draw_labels(self, centres: Tensor, streams: RandomStreams) -> tuple[Tensor | None, Labels]:
        """Draw transpositions in semitones, float32 [B] or None, and return them with the transposed labels."""

    def _cut(self, centres: Tensor, length: int) -> Tensor:
        """Cut int16 [B, length] around the centres, which lie at ``length // 2``."""
        return cut_windows(self._audio, self._starts, self._lengths, centres, length)

    def _centres(self, streams: RandomStreams) -> Tensor:
        if self.order == "pieces":
            pieces = torch.arange(len(self._starts), device=self.device).repeat(self.batch_size)[self.rank_slice]
            return self._starts[pieces] + (streams.uniform(dtype=torch.float64) * self._lengths[pieces]).long()
        position = streams.integers(0, int(self._ends[-1]))
        pieces = torch.bucketize(position, self._ends, right=True)
        return self._starts[pieces] + self._lengths[pieces] - (self._ends[pieces] - position)


class WindowSampler(StoreSampler):
    """Sampler of windows and the notes at their centres (sample N // 2), float32 [B, P]; see :class:`StoreSampler`."""

    def _read_labels(self, store: Store) -> None:
        self._events = torch.from_numpy(store.events).to(self.device)
        self._masks = torch.from_numpy(store.masks).to(self.device)

    def _draw_labels(self, centres: Tensor, streams: RandomStreams) -> tuple[Tensor | None, Tensor]:
        labels, semitones = self._masks[torch.bucketize(centres, self._events, right=True)], None
        if self.augmentation is not None:
            semitones, labels = draw_shift(labels, self.augmentation, streams)
        return semitones, labels.float()

    def _cut(self, centres: Tensor, length: int) -> Tensor:
        if length // 2 > MARGIN_SAMPLES:
            return super()._cut(centres, length)
        # The margins of the store are long enough, so that windows need not be clipped to their piece.
        rows = self._audio.as_strided((len(self._audio) - length + 1, length), (1, 1))
        return rows[centres - length // 2]


class MixedSampler:
    """Sampler that concatenates the batches of several samplers.

    Args:
        samplers: The samplers.
    """

    def __init__(self, samplers: Sequence[Sampler]) -> None:
        self.samplers = samplers

    def __call__(self, batch: int) -> tuple[Tensor, Labels]:
        """Draw a batch; see :class:`StoreSampler`."""
        windows, labels = zip(*(sampler(batch) for sampler in self.samplers), strict=True)
        if isinstance(labels[0], Tensor):
            return torch.cat(windows), torch.cat(labels)
        return torch.cat(windows), type(labels[0])(*map(torch.cat, zip(*labels, strict=True)))


def mixed(
    stores: Sequence[Store],
    shares: Sequence[float],
    batch_size: int,
    rank: int,
    world_size: int,
    kind: type[StoreSampler] = WindowSampler,
    **options: Any,
) -> Sampler:
    """Make the sampler of one corpus or several.

    All processes together draw the same windows as one process with a batch of ``batch_size * world_size``.

    Args:
        stores: The corpora.
        shares: Fraction of a batch from each corpus; if empty, in proportion to their durations.
        batch_size: Batch size B of this process, all corpora together.
        rank: Rank of this process.
        world_size: Number of processes.
        kind: Class of the sampler of each corpus.
        options: Further arguments of these samplers.

    Returns:
        The sampler.

    Raises:
        ConfigError: The numbers of shares and corpora differ, or a share is less than one window.
    """
    total = batch_size * world_size
    if options.get("order") == "pieces":
        sizes, rows = [total] * len(stores), [total * len(store.starts) for store in stores]
    else:
        seconds = [float(store.lengths.sum()) / store.sample_rate for store in stores]
        parts = list(shares) or [second / sum(seconds) for second in seconds]
        if len(parts) != len(stores):
            raise ConfigError(f"shares={list(shares)} do not fit {len(stores)} corpora; give one for each.")
        ends = [round(total * sum(parts[: count + 1])) for count in range(len(parts))]
        sizes = rows = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    if min(sizes) < 1:
        raise ConfigError(f"shares={list(shares)} leave a corpus no window of {total}; take a larger batch_size.")
    # Rows go to the processes round-robin, through all corpora, so that all get equally many.
    firsts = [(rank - sum(rows[:index])) % world_size for index in range(len(rows))]
    samplers = [
        kind(store, batch_size=size, stream=index, rank_slice=slice(first, None, world_size), **options)
        for index, (store, size, first) in enumerate(zip(stores, sizes, firsts, strict=True))
        if first < rows[index]
    ]
    return samplers[0] if len(samplers) == 1 else MixedSampler(samplers)
