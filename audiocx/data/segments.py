"""What a note network learns from: random segments of recordings, and what it should say of each frame of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import IterableDataset

from ..errors import DataError
from ..models.note_network import NoteConfig
from ..notes import HALF_WIDTH_FRAMES, NoteOutputs
from .augment import draw_steps
from .random_streams import RandomStreams
from .store import Store
from .windows import StoreSampler

__all__ = ["NoteSegmentSampler", "NoteOutputs", "StoreRecordings", "targets"]


def targets(
    rows: Tensor, onsets: Tensor, offsets: Tensor, pitches: Tensor, velocities: Tensor, shape: tuple[int, int, int]
) -> NoteOutputs:
    """Arrange notes out in frames.

    Args:
        rows: Which row of the batch each note is in, int64 [M].
        onsets: Frame at which it begins, fractional, before the first and after the last too, float [M].
        offsets: Frame at which it ends, not before it begins, float [M].
        pitches: Index of its pitch, int64 [M].
        velocities: 0 to 1, float [M].
        shape: B, T and P.

    Returns:
        The targets, float32 [B, T, P] each.

    >>> one = torch.zeros(1, dtype=torch.long)
    >>> targets(one, one + 1.5, one + 3.0, one, one + 0.5, (1, 5, 1)).frames.flatten().tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0]
    """
    begun, heights, cells = _peaks(rows, onsets, pitches, shape)
    # Notes of a pitch that begin close to one another share the frames out: to each those in which it is the higher.
    struck = ((heights > 0) & (heights == begun[cells])) * velocities[:, None].float()
    strength = torch.zeros_like(begun).scatter_reduce(0, cells.flatten(), struck.flatten(), "amax")
    ended = _peaks(rows, offsets, pitches, shape)[0]
    return NoteOutputs(
        begun.view(shape), _sounding(rows, onsets, offsets, pitches, shape), ended.view(shape), strength.view(shape)
    )


def _peaks(rows: Tensor, times: Tensor, pitches: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the highest triangle in every cell, [B * T * P]; the triangles, [M, frames near], and their cells."""
    reach = math.ceil(HALF_WIDTH_FRAMES)
    near = times.floor().long()[:, None] + torch.arange(1 - reach, reach + 1, device=times.device)
    heights = F.relu(1 - (near - times[:, None]).abs() / HALF_WIDTH_FRAMES).float() * ((near >= 0) & (near < shape[1]))
    cells = (rows[:, None] * shape[1] + near.clamp(0, shape[1] - 1)) * shape[2] + pitches[:, None]
    roll = torch.zeros(math.prod(shape), device=times.device)
    return roll.scatter_reduce(0, cells.flatten(), heights.flatten(), "amax"), heights, cells


def _sounding(rows: Tensor, onsets: Tensor, offsets: Tensor, pitches: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Count the notes begun less those ended: 1 where any is left, [B, T, P]."""
    batch, frames, notes = shape
    change = torch.zeros(batch, frames + 1, notes, device=onsets.device)
    for times, step in ((onsets, 1.0), (offsets, -1.0)):
        cells = (rows * (frames + 1) + times.ceil().long().clamp(0, frames)) * notes + pitches
        change.view(-1).index_add_(0, cells, torch.full_like(times, step, dtype=torch.float32))
    return (change.cumsum(1)[:, :frames] > 0.5).float()


class _Notes(NamedTuple):
    """The notes of a store that a network can tell, sorted by their onsets; [M] each.

    Attributes:
        pieces: Whose they are, int64.
        onsets: Samples from the beginning of the store's audio, float64.
        offsets: The same; no later than the end of the piece, for there the sound ends.
        pitches: Index of the network's output, int64.
        velocities: 0 to 1, float32.
    """

    pieces: Tensor
    onsets: Tensor
    offsets: Tensor
    pitches: Tensor
    velocities: Tensor


def _notes_of(store: Store, config: NoteConfig) -> _Notes:
    if store.sample_rate != config.sample_rate:
        raise DataError(
            f"{store.folder}: has {store.sample_rate} samples a second; prepare it anew at {config.sample_rate}."
        )
    pieces, onsets, offsets, midi_notes, velocities, _ = store.note_rows.T
    pieces, pitches = pieces.astype(np.int64), midi_notes.astype(np.int64) - config.lowest_note
    onsets = onsets * store.sample_rate
    offsets = np.minimum(offsets * store.sample_rate, store.lengths[pieces])
    heard = (onsets < offsets) & (pitches >= 0) & (pitches < config.outputs)
    starts = store.starts[pieces]
    columns = (pieces, starts + onsets, starts + offsets, pitches, (velocities / 127).astype(np.float32))
    order = np.flatnonzero(heard)[np.argsort(columns[1][heard], kind="stable")]
    return _Notes(*(torch.from_numpy(column[order]) for column in columns))


class NoteSegmentSampler(StoreSampler):
    """Segments of T frames, float32 [B, T * hop_samples + windows[0]], and their :class:`NoteOutputs`.

    Frame t is centred at sample ``config.left_context_samples + t * config.hop_samples``; the moment drawn in the
    middle: at the beginning and the end of a piece up to half a segment lies outside, and is silence. One that is
    transposed is read faster or slower, and its notes move towards the moment drawn or away from it.

    Args:
        store: The corpus.
        config: Of the network that is to learn.
        frames: T.
        options: The others of :class:`audiocx.data.windows.StoreSampler`.

    Raises:
        DataError: The store has another sample rate than the network.
    """

    def __init__(self, store: Store, config: NoteConfig, frames: int, **options: Any) -> None:
        self.config, self.frames = config, frames
        super().__init__(store, frames * config.hop_samples + config.windows[0], **options)

    def _open(self, store: Store) -> None:
        self._notes = _Notes(*(column.to(self.device) for column in _notes_of(store, self.config)))
        # How long any of the notes so far goes on: ascending, as the onsets are.
        self._held = self._notes.offsets.cummax(0).values

    def _labelled(self, centres: Tensor, draws: RandomStreams) -> tuple[Tensor | None, NoteOutputs]:
        config = self.config
        rows, chosen = self._near(centres)
        notes = _Notes(*(column[chosen] for column in self._notes))
        pitches, semitones = notes.pitches, None
        samples_per_frame = torch.full_like(centres, config.hop_samples, dtype=torch.float64)
        if self.augmentation is not None and self.augmentation.most_semitones:
            present = torch.zeros(len(centres), config.outputs, dtype=torch.bool, device=self.device)
            present[rows, pitches] = True
            steps, semitones = draw_steps(present, self.augmentation, draws)
            pitches, samples_per_frame = pitches + steps[rows], samples_per_frame * torch.exp2(semitones / 12)
        middle = (self.window_samples // 2 - config.left_context_samples) / config.hop_samples
        onsets, offsets = (
            (times - centres[rows]) / samples_per_frame[rows] + middle for times in (notes.onsets, notes.offsets)
        )
        shape = (len(centres), self.frames, config.outputs)
        return semitones, targets(rows, onsets, offsets, pitches, notes.velocities, shape)

    def _near(self, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Return the notes that may touch each segment, however far it is transposed: rows and notes, int64 [M]."""
        widest = 2 ** (self.augmentation.most_semitones / 12) if self.augmentation else 1.0
        reach = (self.frames / 2 + HALF_WIDTH_FRAMES + 1) * self.config.hop_samples * widest
        first = torch.bucketize(centres.double() - reach, self._held, right=True)
        counts = torch.bucketize(centres.double() + reach, self._notes.onsets) - first
        rows = torch.arange(len(centres), device=self.device).repeat_interleave(counts)
        notes = torch.arange(len(rows), device=self.device) + (first - counts.cumsum(0) + counts)[rows]
        own = self._notes.pieces[notes] == self._piece(centres)[rows]
        return rows[own], notes[own]

    def _piece(self, centres: Tensor) -> Tensor:
        return torch.bucketize(centres, self._starts, right=True) - 1


class StoreRecordings(IterableDataset):
    """The pieces of a store one by one, from their beginnings; every rank takes every so many.

    Yields the samples, float32 [N], and targets [T, P], T = ceil(N / hop_samples), frame t centred at sample
    t * hop_samples.

    Every rank has as many: where the pieces cannot be shared out evenly, some have one without a sample at the end.

    Args:
        store: The corpus.
        config: Of the network that is validated.
        longest_s: Of each piece so many seconds at most; 0 for whole pieces.
        rank: Number of this process.
        ranks: Number of processes.

    Raises:
        DataError: The store has another sample rate than the network.
    """

    def __init__(self, store: Store, config: NoteConfig, longest_s: float = 0.0, rank: int = 0, ranks: int = 1) -> None:
        self.store, self.config = store, config
        self._longest = round(longest_s * config.sample_rate) or None
        self._notes = _notes_of(store, config)
        count = len(store.names)
        self._mine = range(rank, math.ceil(count / ranks) * ranks, ranks)

    def __len__(self) -> int:
        return len(self._mine)

    def __iter__(self) -> Iterator[tuple[np.ndarray, NoteOutputs]]:
        last = len(self.store.names) - 1
        for piece in self._mine:
            samples = self.store.samples(min(piece, last))[: self._longest if piece <= last else 0]
            yield samples, self._targets(min(piece, last), math.ceil(len(samples) / self.config.hop_samples))

    def _targets(self, piece: int, frames: int) -> NoteOutputs:
        of_piece = self._notes.pieces == piece
        notes = _Notes(*(column[of_piece] for column in self._notes))
        onsets, offsets = (
            (times - int(self.store.starts[piece])) / self.config.hop_samples for times in (notes.onsets, notes.offsets)
        )
        shape = (1, max(frames, 1), self.config.outputs)
        whole = targets(torch.zeros_like(notes.pitches), onsets, offsets, notes.pitches, notes.velocities, shape)
        return NoteOutputs(*(part[0, :frames] for part in whole))
