"""Samplers of spectra of utterances, whole or in segments, computed on the device that holds the corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ..errors import DataError
from ..models.speech_transform import stft
from ..stft import FRAME_SAMPLES, HOP_SAMPLES, SPEECH_RATE, frame_count
from .store import Store

__all__ = ["SegmentSampler", "StoreUtterances", "UtteranceSampler", "Utterances"]

# Frames per validation batch, with padding: about a gigabyte in the published networks; more are not faster.
VALIDATION_BATCH_FRAMES = 2048


class Utterances:
    """The utterances of one or more stores.

    Args:
        stores: Prepared stores at 8000 Hz.
        device: Device that holds the samples and computes the spectra; on "cpu" the samples stay memory-mapped.

    Attributes:
        samples: Length of each utterance in samples, int64 [U].
        frames: Length of each utterance in frames, int64 [U].

    Raises:
        DataError: A store has another sample rate, or there are no utterances.
    """

    def __init__(self, stores: Sequence[Store], device: torch.device | str = "cpu") -> None:
        self._parts: list[Tensor] = []
        for store in stores:
            if store.sample_rate != SPEECH_RATE:
                raise DataError(
                    f"{store.folder}: its sample rate is {store.sample_rate} Hz; prepare it again at {SPEECH_RATE} Hz."
                )
            audio = torch.from_numpy(store.audio).to(device)
            spans = zip(store.starts.tolist(), store.lengths.tolist(), strict=True)
            self._parts += [audio[start : start + length] for start, length in spans]
        if not self._parts:
            raise DataError("There are no utterances for training or validation; add recordings to the corpus.")
        self.samples = np.array([len(part) for part in self._parts], np.int64)
        self.frames = np.array([frame_count(len(part)) for part in self._parts], np.int64)

    def spectra(self, chosen: np.ndarray, begins: np.ndarray, frames: int) -> Tensor:
        """Return the spectra of segments of utterances.

        Args:
            chosen: Indices of the utterances, int64 [B].
            begins: First sample of each segment, int64 [B]; -256 for a whole utterance. Samples outside of an utterance
                are zero.
            frames: T.

        Returns:
            Complex64 [B, T, F]. Frame t covers the 256 samples from begin + 128 t on; for whole utterances these are
            the frames of :func:`audiocx.stft.stft`.
        """
        length = FRAME_SAMPLES + (frames - 1) * HOP_SAMPLES
        rows = self._parts[0].new_zeros(len(chosen), length)
        for row, index, begin in zip(rows, chosen.tolist(), begins.tolist(), strict=True):
            part = self._parts[index][max(begin, 0) : begin + length]
            row[max(-begin, 0) :][: len(part)] = part
        # Leave out the frames that overlap the zeros which stft adds.
        return stft(rows / 32768)[:, 2:-2]

    def whole(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return the spectra of whole utterances.

        Args:
            chosen: Indices of the utterances, int64 [B].

        Returns:
            Spectra, complex64 [B, T, F], padded with zeros to the longest; and the frames of each, int64 [B].
        """
        lengths = self.frames[chosen]
        spectra = self.spectra(chosen, np.full(len(chosen), -FRAME_SAMPLES), lengths.max())
        return spectra, torch.from_numpy(lengths).to(spectra.device)


class SegmentSampler:
    """Sampler of segments; all positions in the corpora are about equally likely.

    Batch number i depends on the seed, the rank and i alone, so that a resumed run continues with the same batches. The
    ranks share the batches that one process alone would draw; no two of them get the same segment.

    Args:
        stores: The corpora, drawn from in proportion to their durations.
        segment_frames: T.
        batch_size: Batch size B of this process.
        seed: Seed of the random numbers.
        rank: Rank of this process.
        world_size: Number of processes.
        device: Device that holds the samples and computes the spectra.

    Raises:
        DataError: See :class:`Utterances`.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        segment_frames: int,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.segment_frames, self.seed = segment_frames, seed
        self._total, self._rank_slice = batch_size * world_size, slice(rank, None, world_size)
        self._utterances = Utterances(stores, device)
        self._ends = self._utterances.samples.cumsum()

    def __call__(self, batch: int) -> tuple[Tensor, Tensor]:
        """Draw a batch.

        Args:
            batch: Number of the batch, from 0.

        Returns:
            Spectra, complex64 [B, T, F]; and the frames of each, int64 [B]. A segment may begin at any sample of an
            utterance; utterances shorter than a segment are taken whole and padded with zeros.
        """
        # The 0 was once the rank; it keeps the batches of earlier runs.
        rng = np.random.default_rng([self.seed, 0, batch])
        chosen = np.searchsorted(self._ends, rng.integers(self._ends[-1], size=self._total), side="right")
        # Possible first samples: the length of the zero-padded utterance less that of the segment.
        length = FRAME_SAMPLES + (self.segment_frames - 1) * HOP_SAMPLES
        positions = np.maximum(self._utterances.samples[chosen] + 2 * FRAME_SAMPLES - length, 0)
        begins = rng.integers(positions + 1)[self._rank_slice] - FRAME_SAMPLES
        chosen = chosen[self._rank_slice]
        spectra = self._utterances.spectra(chosen, begins, self.segment_frames)
        lengths = np.minimum(self._utterances.frames[chosen], self.segment_frames)
        return spectra, torch.from_numpy(lengths).to(spectra.device)


class UtteranceSampler:
    """Sampler of whole utterances, in a new random order for each pass over the corpora.

    Batch number i of a rank depends on the seed, the rank and i alone; the ranks share the utterances.

    Args:
        stores: The corpora.
        batch_size: Batch size B of this process.
        seed: Seed of the random numbers.
        rank: Rank of this process.
        world_size: Number of processes.
        device: Device that holds the samples and computes the spectra.

    Raises:
        DataError: See :class:`Utterances`.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self._utterances = Utterances(stores, device)

    def __call__(self, batch: int) -> tuple[Tensor, Tensor]:
        """Draw a batch.

        Args:
            batch: Number of the batch, from 0.

        Returns:
            Spectra, complex64 [B, T, F], padded with zeros to the longest; and the frames of each, int64 [B].
        """
        count = len(self._utterances.frames)
        indices = (batch * self.world_size + self.rank) * self.batch_size + np.arange(self.batch_size)
        epochs, indices = np.divmod(indices, count)
        orders = {epoch: np.random.default_rng([self.seed, epoch]).permutation(count) for epoch in set(epochs.tolist())}
        chosen = [orders[epoch][index] for epoch, index in zip(epochs.tolist(), indices, strict=True)]
        return self._utterances.whole(np.array(chosen))


class StoreUtterances(IterableDataset):
    """All utterances once, in batches of similar length, dealt out to the ranks round-robin.

    All ranks have equally many batches.

    Args:
        stores: The corpora.
        rank: Rank of this process.
        world_size: Number of processes.

    Raises:
        DataError: See :class:`Utterances`.
    """

    def __init__(self, stores: Sequence[Store], rank: int = 0, world_size: int = 1) -> None:
        self._utterances = Utterances(stores)
        order = np.argsort(-self._utterances.frames, kind="stable")
        own, longest = order[rank::world_size], self._utterances.frames[order[::world_size]]
        self._batches: list[np.ndarray] = []
        begin = 0
        while begin < len(longest):
            end = begin + max(VALIDATION_BATCH_FRAMES // int(longest[begin]), 1)
            self._batches.append(own[begin:end])
            begin = end

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self._batches:
            # If other ranks have one more utterance, this one yields any utterance with a length of 0.
            spectra, lengths = self._utterances.whole(batch if len(batch) else np.zeros(1, np.int64))
            yield spectra, lengths if len(batch) else torch.zeros_like(lengths)
