"""Training examples of note networks: random segments of recordings and their frame-wise targets."""

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
from ..models.configs import NoteConfig
from ..notes import HALF_WIDTH_FRAMES, NoteOutputs
from .augment import draw_steps
from .random_streams import RandomStreams
from .store import Store
from .windows import StoreSampler

__all__ = ["NoteSegmentSampler", "StoreRecordings", "note_targets"]


def note_targets(
    rows: Tensor, onsets: Tensor, offsets: Tensor, pitches: Tensor, velocities: Tensor, shape: tuple[int, int, int]
) -> NoteOutputs:
    """Return the training targets of notes.

    Args:
        rows: Batch row of each note, int64 [M].
        onsets: Onset of each note in frames, fractional, possibly outside of the segment, float [M].
        offsets: Offset of each note in frames, not before its onset, float [M].
        pitches: Pitch index of each note, int64 [M].
        velocities: Velocity of each note, 0 to 1, float [M].
        shape: B, T and P.

    Returns:
        The targets, float32 [B, T, P] each.

    >>> one = torch.zeros(1, dtype=torch.long)
    >>> note_targets(one, one + 1.5, one + 3.0, one, one + 0.5, (1, 5, 1)).frames.flatten().tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0]
    """
    onset_targets, heights, cells = _peaks(rows, onsets, pitches, shape)
    # Of notes of one pitch with close onsets, each frame takes the velocity of the one with the higher target there.
    dominant = ((heights > 0) & (heights == onset_targets[cells])) * velocities[:, None].float()
    velocity_targets = torch.zeros_like(onset_targets).scatter_reduce(0, cells.flatten(), dominant.flatten(), "amax")
    offset_targets = _peaks(rows, offsets, pitches, shape)[0]
    return NoteOutputs(
        onset_targets.view(shape),
        _sounding(rows, onsets, offsets, pitches, shape),
        offset_targets.view(shape),
        velocity_targets.view(shape),
    )


def _peaks(rows: Tensor, times: Tensor, pitches: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the maximum of all triangles, [B * T * P]; the triangles, [M, nearby frames]; and their flat indices."""
    radius = math.ceil(HALF_WIDTH_FRAMES)
    near = times.floor().long()[:, None] + torch.arange(1 - radius, radius + 1, device=times.device)
    heights = F.relu(1 - (near - times[:, None]).abs() / HALF_WIDTH_FRAMES).float() * ((near >= 0) & (near < shape[1]))
    cells = (rows[:, None] * shape[1] + near.clamp(0, shape[1] - 1)) * shape[2] + pitches[:, None]
    roll = torch.zeros(math.prod(shape), device=times.device)
    return roll.scatter_reduce(0, cells.flatten(), heights.flatten(), "amax"), heights, cells


def _sounding(rows: Tensor, onsets: Tensor, offsets: Tensor, pitches: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return 1 where more notes have begun than ended, else 0, [B, T, P]."""
    batch, frames, notes = shape
    change = torch.zeros(batch, frames + 1, notes, device=onsets.device)
    for times, step in ((onsets, 1.0), (offsets, -1.0)):
        cells = (rows * (frames + 1) + times.ceil().long().clamp(0, frames)) * notes + pitches
        change.view(-1).index_add_(0, cells, torch.full_like(times, step, dtype=torch.float32))
    return (change.cumsum(1)[:, :frames] > 0.5).float()


class _Notes(NamedTuple):
    """The notes of a store within the pitch range of a network, sorted by onset; [M] each.

    Attributes:
        pieces: Index of the piece, int64.
        onsets: Onset in samples of the audio of the store, float64.
        offsets: Offset likewise, no later than the end of the piece, float64.
        pitches: Pitch index, int64.
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
            f"{store.folder}: its sample rate is {store.sample_rate} Hz; prepare it again at {config.sample_rate} Hz."
        )
    pieces, onsets, offsets, midi_notes, velocities, _ = store.note_rows.T
    pieces, pitches = pieces.astype(np.int64), midi_notes.astype(np.int64) - config.lowest_note
    onsets = onsets * store.sample_rate
    offsets = np.minimum(offsets * store.sample_rate, store.lengths[pieces])
    kept = (onsets < offsets) & (pitches >= 0) & (pitches < config.outputs)
    starts = store.starts[pieces]
    columns = (pieces, starts + onsets, starts + offsets, pitches, (velocities / 127).astype(np.float32))
    order = np.flatnonzero(kept)[np.argsort(columns[1][kept], kind="stable")]
    return _Notes(*(torch.from_numpy(column[order]) for column in columns))


class NoteSegmentSampler(StoreSampler):
    """Sampler of segments of T frames, float32 [B, T * hop_samples + windows[0]], and their targets.

    Frame t is centred at sample ``config.left_context_samples + t * config.hop_samples``. The sample position drawn
    lies in the middle, so that at both ends of a piece up to half a segment is silence. Transposition resamples a
    segment, and moves the times of its notes towards the middle or away from it.

    Args:
        store: The corpus.
        config: Configuration of the network.
        frames: T.
        options: Further arguments of :class:`audiocx.data.windows.StoreSampler`.

    Raises:
        DataError: The sample rates of store and network differ.
    """

    def __init__(self, store: Store, config: NoteConfig, frames: int, **options: Any) -> None:
        self.config, self.frames = config, frames
        super().__init__(store, frames * config.hop_samples + config.windows[0], **options)

    def _read_labels(self, store: Store) -> None:
        self._notes = _Notes(*(column.to(self.device) for column in _notes_of(store, self.config)))
        # The latest offset of all notes so far, ascending like the onsets.
        self._latest_offsets = self._notes.offsets.cummax(0).values

    def _draw_labels(self, centres: Tensor, streams: RandomStreams) -> tuple[Tensor | None, NoteOutputs]:
        config = self.config
        rows, chosen = self._near(centres)
        notes = _Notes(*(column[chosen] for column in self._notes))
        pitches, semitones = notes.pitches, None
        samples_per_frame = torch.full_like(centres, config.hop_samples, dtype=torch.float64)
        if self.augmentation is not None and self.augmentation.max_semitones:
            present = torch.zeros(len(centres), config.outputs, dtype=torch.bool, device=self.device)
            present[rows, pitches] = True
            steps, semitones = draw_steps(present, self.augmentation, streams)
            pitches, samples_per_frame = pitches + steps[rows], samples_per_frame * torch.exp2(semitones / 12)
        middle = (self.window_samples // 2 - config.left_context_samples) / config.hop_samples
        onsets, offsets = (
            (times - centres[rows]) / samples_per_frame[rows] + middle for times in (notes.onsets, notes.offsets)
        )
        shape = (len(centres), self.frames, config.outputs)
        return semitones, note_targets(rows, onsets, offsets, pitches, notes.velocities, shape)

    def _near(self, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Return batch rows and indices of all notes that may sound in a segment, for any transposition, int64 [M]."""
        max_ratio = 2 ** (self.augmentation.max_semitones / 12) if self.augmentation else 1.0
        half_width = (self.frames / 2 + HALF_WIDTH_FRAMES + 1) * self.config.hop_samples * max_ratio
        first = torch.bucketize(centres.double() - half_width, self._latest_offsets, right=True)
        counts = torch.bucketize(centres.double() + half_width, self._notes.onsets) - first
        rows = torch.arange(len(centres), device=self.device).repeat_interleave(counts)
        notes = torch.arange(len(rows), device=self.device) + (first - counts.cumsum(0) + counts)[rows]
        own = self._notes.pieces[notes] == self._piece(centres)[rows]
        return rows[own], notes[own]

    def _piece(self, centres: Tensor) -> Tensor:
        return torch.bucketize(centres, self._starts, right=True) - 1


class StoreRecordings(IterableDataset):
    """The pieces of a store one by one, dealt out to the ranks round-robin.

    Yields samples, float32 [N], and targets [T, P], T = ceil(N / hop_samples), frame t centred at sample
    t * hop_samples. All ranks have equally many pieces; where they do not divide evenly, some get an empty one.

    Args:
        store: The corpus.
        config: Configuration of the network.
        max_duration_s: Length to which pieces are cut, in seconds; 0 for whole pieces.
        rank: Rank of this process.
        world_size: Number of processes.

    Raises:
        DataError: The sample rates of store and network differ.
    """

    def __init__(
        self, store: Store, config: NoteConfig, max_duration_s: float = 0.0, rank: int = 0, world_size: int = 1
    ) -> None:
        self.store, self.config = store, config
        self._max_samples = round(max_duration_s * config.sample_rate) or None
        self._notes = _notes_of(store, config)
        count = len(store.names)
        self._pieces = range(rank, math.ceil(count / world_size) * world_size, world_size)

    def __len__(self) -> int:
        return len(self._pieces)

    def __iter__(self) -> Iterator[tuple[np.ndarray, NoteOutputs]]:
        last = len(self.store.names) - 1
        for piece in self._pieces:
            samples = self.store.samples(min(piece, last))[: self._max_samples if piece <= last else 0]
            yield samples, self._targets(min(piece, last), math.ceil(len(samples) / self.config.hop_samples))

    def _targets(self, piece: int, frames: int) -> NoteOutputs:
        of_piece = self._notes.pieces == piece
        notes = _Notes(*(column[of_piece] for column in self._notes))
        onsets, offsets = (
            (times - int(self.store.starts[piece])) / self.config.hop_samples for times in (notes.onsets, notes.offsets)
        )
        shape = (1, max(frames, 1), self.config.outputs)
        whole = note_targets(torch.zeros_like(notes.pitches), onsets, offsets, notes.pitches, notes.velocities, shape)
        return NoteOutputs(*(part[0, :frames] for part in whole))
