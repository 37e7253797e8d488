"""Random windows with the notes at their centres, cut on the device that holds the corpus."""

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

__all__ = ["Labels", "MixedSampler", "Sampler", "StoreSampler", "WindowSampler", "cut_windows", "draw_seed", "mixed"]

# One tensor, or a named tuple of several.
Labels = Tensor | tuple[Tensor, ...]
# Number of a batch in, windows and labels out.
Sampler = Callable[[int], tuple[Tensor, Labels]]


def draw_seed(seed: int, rank: int, batch: int) -> int:
    """Return each batch of each rank a seed of its own.

    Args:
        seed: Of the run.
        rank: Number of the process.
        batch: That of the batch.

    Returns:
        What a generator takes.
    """
    digest = hashlib.sha256(f"{seed}/{rank}/{batch}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def cut_windows(audio: Tensor, starts: Tensor, lengths: Tensor, centres: Tensor, length: int) -> Tensor:
    """Cut windows out of the pieces of a store; what lies beyond its piece is silent, however long a window is.

    Args:
        audio: The store's samples, int16 [N].
        starts: Where its pieces begin, int64 [pieces].
        lengths: How long they are, int64 [pieces].
        centres: Samples of ``audio`` within a piece each, int64 [B].
        length: Of a window; the centre comes to lie at ``length // 2``.

    Returns:
        int16 [B, length].
    """
    pieces = torch.bucketize(centres, starts, right=True)[:, None] - 1
    places = centres[:, None] - length // 2 + torch.arange(length, device=centres.device)
    inside = (places >= starts[pieces]) & (places < starts[pieces] + lengths[pieces])
    return torch.where(inside, audio[places.clamp(0, len(audio) - 1)], 0)


class StoreSampler(ABC):
    """Draw batches of windows from a store; a subclass knows their labels.

    Batch number i depends on the seed, the stream and i alone: a run that is resumed draws what it would have drawn.
    Several processes share the batches that one alone would draw; no two of them have the same window.

    Args:
        store: The corpus.
        window_samples: N.
        batch_size: Windows a batch, of all processes together; with ``order="pieces"`` windows a piece instead.
        order: "time": every moment of the corpus is equally likely; "pieces": every batch has ``batch_size`` windows
            of each piece, as the paper draws them.
        augmentation: What to vary; None for the recordings as they are.
        seed: Of the draws.
        stream: Number of this sampler among those that draw with the same seed.
        mine: The windows of a batch that are this process's.
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
        stream: int = 0,
        mine: slice = slice(None),
        device: torch.device | str = "cpu",
    ) -> None:
        self.window_samples, self.batch_size, self.order = window_samples, batch_size, order
        self.augmentation, self.seed, self.stream, self.mine = augmentation, seed, stream, mine
        self.device = torch.device(device)
        self.sample_rate = store.sample_rate
        self._audio = torch.from_numpy(store.audio).to(self.device)
        self._starts = torch.from_numpy(store.starts).to(self.device)
        self._lengths = torch.from_numpy(store.lengths).to(self.device)
        self._ends = self._lengths.cumsum(0)
        self._open(store)

    def __call__(self, batch: int) -> tuple[Tensor, Labels]:
        """Draw a batch.

        Args:
            batch: Its number, from 0.

        Returns:
            This process's windows, float32 [B, N] in about +-1, the moments that were drawn at sample N // 2, and
            their labels.
        """
        generator = torch.Generator(self.device).manual_seed(draw_seed(self.seed, self.stream, batch))
        rows = self.batch_size * (len(self._starts) if self.order == "pieces" else 1)
        draws = RandomStreams(generator, rows, self.mine)
        centres = self._centres(draws)
        semitones, labels = self._labelled(centres, draws)
        # As much on either side, for the moment drawn to stay in the middle.
        echo = 0 if self.augmentation is None else self.augmentation.echo_samples(self.sample_rate)
        length = self.window_samples + 2 * echo
        if semitones is None:
            windows = self._cut(centres, length).float() / 32768
        else:
            windows = resample_windows(self._cut, centres, length, semitones) / 32768
        if self.augmentation is not None:
            windows = windows[:, : length - echo]
            windows = augment(windows, self.sample_rate, self.augmentation, draws)
        return windows, labels

    @abstractmethod
    def _open(self, store: Store) -> None:
        """Check that the store serves, and keeps its labels."""

    @abstractmethod
    def _labelled(self, centres: Tensor, draws: RandomStreams) -> tuple[Tensor | None, Labels]:
        """Draw the semitones by which windows are shifted, float32 [B] or None, and gives the labels moved by them."""

    def _cut(self, centres: Tensor, length: int) -> Tensor:
        """Cut int16 [B, length] around the centres, which lie at ``length // 2``."""
        return cut_windows(self._audio, self._starts, self._lengths, centres, length)

    def _centres(self, draws: RandomStreams) -> Tensor:
        if self.order == "pieces":
            pieces = torch.arange(len(self._starts), device=self.device).repeat(self.batch_size)[self.mine]
            return self._starts[pieces] + (draws.uniform(dtype=torch.float64) * self._lengths[pieces]).long()
        moment = draws.integers(0, int(self._ends[-1]))
        pieces = torch.bucketize(moment, self._ends, right=True)
        return self._starts[pieces] + self._lengths[pieces] - (self._ends[pieces] - moment)


class WindowSampler(StoreSampler):
    """Windows, and the notes at their centres (sample N / 2), float32 [B, P]; see :class:`StoreSampler`."""

    def _open(self, store: Store) -> None:
        self._events = torch.from_numpy(store.events).to(self.device)
        self._masks = torch.from_numpy(store.masks).to(self.device)

    def _labelled(self, centres: Tensor, draws: RandomStreams) -> tuple[Tensor | None, Tensor]:
        labels, semitones = self._masks[torch.bucketize(centres, self._events, right=True)], None
        if self.augmentation is not None:
            semitones, labels = draw_shift(labels, self.augmentation, draws)
        return semitones, labels.float()

    def _cut(self, centres: Tensor, length: int) -> Tensor:
        if length // 2 > MARGIN_SAMPLES:
            return super()._cut(centres, length)
        # There is silence enough around each piece, and no need to look where it ends.
        rows = self._audio.as_strided((len(self._audio) - length + 1, length), (1, 1))
        return rows[centres - length // 2]


class MixedSampler:
    """Draw every batch from several samplers, in fixed parts.

    Args:
        samplers: Each gives its part.
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
    ranks: int,
    kind: type[StoreSampler] = WindowSampler,
    **options: Any,
) -> Sampler:
    """Make the sampler over one corpus or several.

    The processes together draw what one alone, with a batch of all of theirs, would draw.

    Args:
        stores: The corpora.
        shares: Part of a batch that each gives; as each is long when empty.
        batch_size: B, all corpora together, of this process.
        rank: Number of this process.
        ranks: Number of processes.
        kind: What draws from each corpus.
        options: Of every one of these.

    Returns:
        The sampler.

    Raises:
        ConfigError: There are not as many shares as corpora, or a share is less than a window.
    """
    whole = batch_size * ranks
    if options.get("order") == "pieces":
        sizes, rows = [whole] * len(stores), [whole * len(store.starts) for store in stores]
    else:
        seconds = [float(store.lengths.sum()) / store.sample_rate for store in stores]
        parts = list(shares) or [second / sum(seconds) for second in seconds]
        if len(parts) != len(stores):
            raise ConfigError(f"shares={list(shares)} do not fit {len(stores)} corpora; give one for each.")
        ends = [round(whole * sum(parts[: count + 1])) for count in range(len(parts))]
        sizes = rows = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    if min(sizes) < 1:
        raise ConfigError(f"shares={list(shares)} leave a corpus no window of {whole}; take a larger batch_size.")
    # Dealt out in turn through the whole batch, so that all processes have as many, of every corpus about as many.
    firsts = [(rank - sum(rows[:index])) % ranks for index in range(len(rows))]
    samplers = [
        kind(store, batch_size=size, stream=index, mine=slice(first, None, ranks), **options)
        for index, (store, size, first) in enumerate(zip(stores, sizes, firsts, strict=True))
        if first < rows[index]
    ]
    return samplers[0] if len(samplers) == 1 else MixedSampler(samplers)
