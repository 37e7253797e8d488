"""Spectra of utterances, whole or in segments, computed on the device that holds the corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ..errors import DataError
from ..stft import FRAME_SAMPLES, HOP_SAMPLES, SPEECH_RATE, frame_count, stft
from .store import Store

__all__ = ["SegmentSampler", "StoreUtterances", "UtteranceSampler", "Utterances"]

# Padding included. So many take about a gigabyte in the paper's networks; more are no faster on two cores.
BATCH_FRAMES = 2048


class Utterances:
    """The utterances of one store or several.

    Args:
        stores: At 8000 Hz.
        device: Where the samples are kept and the spectra are computed; on "cpu" samples stay memory-mapped.

    Attributes:
        samples: Length of each utterance, int64 [U].
        frames: The same in frames.

    Raises:
        DataError: A store has another sample rate, or there is no utterance.
    """

    def __init__(self, stores: Sequence[Store], device: torch.device | str = "cpu") -> None:
        self._parts: list[Tensor] = []
        for store in stores:
            if store.sample_rate != SPEECH_RATE:
                raise DataError(
                    f"{store.folder}: has {store.sample_rate} samples a second; prepare it anew at {SPEECH_RATE}."
                )
            audio = torch.from_numpy(store.audio).to(device)
            spans = zip(store.starts.tolist(), store.lengths.tolist(), strict=True)
            self._parts += [audio[start : start + length] for start, length in spans]
        if not self._parts:
            raise DataError("There is no utterance to train on or to validate with; add recordings to the corpus.")
        self.samples = np.array([len(part) for part in self._parts], np.int64)
        self.frames = np.array([frame_count(len(part)) for part in self._parts], np.int64)

    def spectra(self, chosen: np.ndarray, begins: np.ndarray, frames: int) -> Tensor:
        """Transform stretches of utterances.

        Args:
            chosen: Numbers of utterances, int64 [B].
            begins: Sample at which each stretch begins, int64 [B]; -256 for the beginning of the whole. What lies
                outside of an utterance is silence.
            frames: T, of each.

        Returns:
            Complex64 [B, T, F]. Frame t covers 256 samples from begin + 128 t on: of whole utterances these are the
            frames of :func:`audiocx.stft.stft`.
        """
        length = FRAME_SAMPLES + (frames - 1) * HOP_SAMPLES
        rows = self._parts[0].new_zeros(len(chosen), length)
        for row, index, begin in zip(rows, chosen.tolist(), begins.tolist(), strict=True):
            part = self._parts[index][max(begin, 0) : begin + length]
            row[max(-begin, 0) :][: len(part)] = part
        # Those are left out that reach into the zeros which it adds.
        return stft(rows / 32768)[:, 2:-2]

    def whole(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Transform whole utterances.

        Args:
            chosen: Their numbers, int64 [B].

        Returns:
            Spectra, complex64 [B, T, F], padded with zeros to the longest; frames of each, int64 [B].
        """
        lengths = self.frames[chosen]
        spectra = self.spectra(chosen, np.full(len(chosen), -FRAME_SAMPLES), lengths.max())
        return spectra, torch.from_numpy(lengths).to(spectra.device)


class SegmentSampler:
    """Draw batches of segments; every moment of the corpus is about equally likely.

    Batch number i of a rank depends on the seed, the rank and i alone: a run that is resumed draws what it would have
    drawn. The ranks share the batches that one alone would draw; no two of them have the same segment.

    Args:
        stores: The corpora, drawn from as each is long.
        segment_frames: T.
        batch_size: B, of this process.
        seed: Of the draws.
        rank: Number of this process among those that train together.
        ranks: How many there are.
        device: Where the samples are kept and the spectra are computed.

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
        ranks: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.segment_frames, self.seed = segment_frames, seed
        self._whole, self._mine = batch_size * ranks, slice(rank, None, ranks)
        self._utterances = Utterances(stores, device)
        self._ends = self._utterances.samples.cumsum()

    def __call__(self, batch: int) -> tuple[Tensor, Tensor]:
        """Draw a batch.

        Args:
            batch: Its number, from 0.

        Returns:
            Spectra, complex64 [B, T, F]; frames of each, int64 [B]. A segment begins at any sample of an utterance, and
            its first frames hold what is there; an utterance shorter than a segment is taken whole and padded with
            zeros.
        """
        # The zero: once the rank, when every one had draws of its own. One process alone draws as it did then.
        rng = np.random.default_rng([self.seed, 0, batch])
        chosen = np.searchsorted(self._ends, rng.integers(self._ends[-1], size=self._whole), side="right")
        # Of an utterance with its zeros before and behind, less the segment: how far this can be moved.
        length = FRAME_SAMPLES + (self.segment_frames - 1) * HOP_SAMPLES
        room = np.maximum(self._utterances.samples[chosen] + 2 * FRAME_SAMPLES - length, 0)
        begins = rng.integers(room + 1)[self._mine] - FRAME_SAMPLES
        chosen = chosen[self._mine]
        spectra = self._utterances.spectra(chosen, begins, self.segment_frames)
        lengths = np.minimum(self._utterances.frames[chosen], self.segment_frames)
        return spectra, torch.from_numpy(lengths).to(spectra.device)


class UtteranceSampler:
    """Draw batches of whole utterances: all of them in random order, then all of them in another, without an end.

    Batch number i of a rank depends on the seed, the rank and i alone; the ranks share the utterances.

    Args:
        stores: The corpora.
        batch_size: B, of this process.
        seed: Of the draws.
        rank: Number of this process among those that train together.
        ranks: How many there are.
        device: Where the samples are kept and the spectra are computed.

    Raises:
        DataError: See :class:`Utterances`.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.batch_size, self.seed, self.rank, self.ranks = batch_size, seed, rank, ranks
        self._utterances = Utterances(stores, device)

    def __call__(self, batch: int) -> tuple[Tensor, Tensor]:
        """Draw a batch.

        Args:
            batch: Its number, from 0.

        Returns:
            Spectra, complex64 [B, T, F], padded with zeros to the longest of the batch; frames of each, int64 [B].
        """
        count = len(self._utterances.frames)
        places = (batch * self.ranks + self.rank) * self.batch_size + np.arange(self.batch_size)
        rounds, places = np.divmod(places, count)
        turns = {turn: np.random.default_rng([self.seed, turn]).permutation(count) for turn in set(rounds.tolist())}
        chosen = [turns[turn][place] for turn, place in zip(rounds.tolist(), places, strict=True)]
        return self._utterances.whole(np.array(chosen))


class StoreUtterances(IterableDataset):
    """All utterances once, those of about the same length together; every rank takes every so many.

    Every rank has as many batches.

    Args:
        stores: The corpora.
        rank: Number of this process.
        ranks: Number of processes.

    Raises:
        DataError: See :class:`Utterances`.
    """

    def __init__(self, stores: Sequence[Store], rank: int = 0, ranks: int = 1) -> None:
        self._utterances = Utterances(stores)
        order = np.argsort(-self._utterances.frames, kind="stable")
        mine, longest = order[rank::ranks], self._utterances.frames[order[::ranks]]
        self._batches: list[np.ndarray] = []
        begin = 0
        while begin < len(longest):
            end = begin + max(BATCH_FRAMES // int(longest[begin]), 1)
            self._batches.append(mine[begin:end])
            begin = end

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self._batches:
            # Where the other ranks have one utterance more: any, of which no frame counts.
            spectra, lengths = self._utterances.whole(batch if len(batch) else np.zeros(1, np.int64))
            yield spectra, lengths if len(batch) else torch.zeros_like(lengths)
