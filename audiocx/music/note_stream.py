"""Streaming onset-based decoding: notes from model outputs that come in blocks."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from ..notes import LOWEST_PIANO_NOTE, Note
from .note_decoding import NoteDecodeSettings, NoteOutputs, decode_notes

__all__ = ["DECODED_FRAMES", "StreamDecoder", "decode_stream"]

# Frames decoded at a time: decoding a few takes as long as decoding many.
DECODED_FRAMES = 4096
# A note depends on its own frames and on these many on either side, besides the durations in the settings.
_CONTEXT_FRAMES = 16
_DURATIONS = ("min_note_s", "bridge_gap_s", "min_repeat_s", "frame_only_s")
# Frames after which a note counts as long, 12 s at a hop of 128 samples.
LONG_FRAMES = 1024
# Allows for rounding between two decodings of the same note.
_ROUNDING_FRAMES = 5e-4


def decode_stream(
    blocks: Iterable[NoteOutputs],
    frame_rate: float,
    settings: NoteDecodeSettings | None = None,
    lowest_note: int = LOWEST_PIANO_NOTE,
    block_frames: int = DECODED_FRAMES,
) -> Iterator[Note]:
    """Decode blocks of model outputs into the notes that :func:`decode_notes` finds in all of them at once.

    Args:
        blocks: Consecutive outputs of the network, float32 [*, P] each.
        frame_rate: Frames per second.
        settings: Settings of :func:`decode_notes`.
        lowest_note: MIDI number of the first pitch.
        block_frames: Number of frames to collect before they are decoded.

    Yields:
        The notes, sorted by onset, then pitch; their times equal those of :func:`decode_notes` up to rounding.

    Raises:
        ValueError: See :func:`decode_notes`.
    """
    decoder = StreamDecoder(frame_rate, settings, lowest_note, block_frames)
    held: list[Note] = []
    for block in blocks:
        held = sorted([*held, *decoder.push(block)])
        ready = bisect_left(held, decoder.complete_s, key=lambda note: note.onset_s)
        yield from held[:ready]
        held = held[ready:]
    yield from sorted([*held, *decoder.finish()])


class StreamDecoder:
    """Onset-based decoder of model outputs that are pushed.

    Only the frames from the oldest unfinished note on are kept in memory, and of a long note only the last.

    Args:
        frame_rate: Frames per second.
        settings: Settings of :func:`decode_notes`.
        lowest_note: MIDI number of the first pitch.
        block_frames: Number of frames to collect before they are decoded.
        most_frames: Of a note that lasts longer than this, the first frames are forgotten.
    """

    def __init__(
        self,
        frame_rate: float,
        settings: NoteDecodeSettings | None = None,
        lowest_note: int = LOWEST_PIANO_NOTE,
        block_frames: int = 1,
        most_frames: int = LONG_FRAMES,
    ) -> None:
        self._rate, self._settings, self._lowest = frame_rate, settings or NoteDecodeSettings(), lowest_note
        self._block_frames, self._most_frames = block_frames, most_frames
        durations_s = (getattr(self._settings, name) for name in _DURATIONS)
        self._context = math.ceil(max(durations_s) * frame_rate) + _CONTEXT_FRAMES
        # The buffer begins with frame `first`; its last `added` frames are not decoded yet.
        self._buffer, self._added, self._first = _Buffer(2 * block_frames), 0, 0
        # Of each pitch, the notes that begin before frame `settled` are returned, but for a long one that still sounds:
        # it is decoded as if it began at that frame.
        self._settled = np.zeros(0)
        self._long: dict[int, Note] = {}

    @property
    def complete_s(self) -> float:
        """Time before which no note begins that is not returned yet, in seconds."""
        long_s = (note.onset_s for note in self._long.values())
        return min([*((self._settled - _ROUNDING_FRAMES) / self._rate), *long_s], default=0.0)

    def push(self, block: NoteOutputs) -> list[Note]:
        """Add outputs, and return the notes that have ended and that no later outputs can change.

        Args:
            block: The next outputs of the network, float32 [T, P] each.

        Returns:
            The notes, sorted by onset, then pitch; one of another pitch that began earlier may follow later.

        Raises:
            ValueError: See :func:`decode_notes`.
        """
        self._buffer.append(block)
        self._added += len(block.frames)
        if not len(self._settled):
            self._settled = np.zeros(block.frames.shape[1])
        if self._added < self._block_frames:
            return []
        self._added, final = 0, self._first + self._buffer.frames - self._context
        notes = self._decode(self._buffer.outputs())
        sounding = [(begin, note) for begin, note in notes if note.offset_s * self._rate >= final]
        until = np.maximum(self._settled, np.minimum(final, self._runs_begin(notes, final)))
        for begin, note in sounding:
            until[self._pitch(note)] = min(until[self._pitch(note)], begin)
        self._long = {pitch: note for pitch, note in self._long.items() if until[pitch] <= self._settled[pitch]}
        self._settled = np.maximum(self._settled, until)
        for begin, note in sounding:
            if begin < final - self._context - self._most_frames:
                self._shorten(note, final - self._context)
        dropped = max(0, math.floor(self._settled.min()) - self._context - self._first)
        self._buffer.drop(dropped)
        self._first += dropped
        return [note for begin, note in notes if begin < until[self._pitch(note)] - _ROUNDING_FRAMES]

    def finish(self) -> list[Note]:
        """Return the notes that are left, at the end of the recording."""
        return [note for _, note in self._decode(self._buffer.outputs())] if self._buffer.frames else []

    def preview(self, outputs: NoteOutputs) -> list[Note]:
        """Return the notes that would be left if the recording ended after these outputs, which are not kept.

        Args:
            outputs: Outputs that may follow those pushed, float32 [T, P] each.

        Returns:
            The notes, sorted by onset, then pitch.

        Raises:
            ValueError: See :func:`decode_notes`.
        """
        held = self._buffer.outputs() if self._buffer.frames else [part[:0] for part in outputs]
        both = NoteOutputs(*(np.concatenate(parts) for parts in zip(held, outputs, strict=True)))
        return [note for _, note in self._decode(both)] if len(both.frames) else []

    def _decode(self, outputs: NoteOutputs) -> list[tuple[float, Note]]:
        """Return the notes that are not returned yet, and the frame at which each begins in these outputs."""
        found, shift_s = [], self._first / self._rate
        for note in decode_notes(outputs, self._rate, self._settings, self._lowest):
            begin, pitch = self._first + note.onset_s * self._rate, self._pitch(note)
            if len(self._settled) and begin < self._settled[pitch] - _ROUNDING_FRAMES:
                continue
            moved = replace(note, onset_s=note.onset_s + shift_s, offset_s=note.offset_s + shift_s)
            if pitch in self._long and begin < self._settled[pitch] + _ROUNDING_FRAMES:
                moved = replace(self._long[pitch], offset_s=moved.offset_s)
            found.append((begin, moved if self._first else note))
        return found

    def _runs_begin(self, notes: list[tuple[float, Note]], final: int) -> np.ndarray:
        """Return the frame at which each pitch's run of active frames began that may become a note without an onset.

        Its evidence may come long after its beginning, but no later than `most_frames`.
        """
        begins = np.full(len(self._settled), np.inf)
        if self._settings.frame_only_threshold == 1.0:
            return begins
        longest_gap = int(self._settings.bridge_gap_s * self._rate + 1e-6) + 1
        last = {self._pitch(note): begin for begin, note in notes if begin < final}
        oldest = max(final - self._most_frames - self._first, 0)
        active = (
            self._buffer.outputs().frames[oldest : max(final - self._first + 2, 0)] >= self._settings.frame_threshold
        )
        for pitch in np.flatnonzero(active[-longest_gap - 1 :].any(axis=0)).tolist():
            at = np.flatnonzero(active[:, pitch])
            first = self._first + oldest + at[np.append(0, np.flatnonzero(np.diff(at) > longest_gap) + 1)[-1]]
            if last.get(pitch, -np.inf) < first - longest_gap - 1:
                begins[pitch] = first - 1  # between this frame and the next
        return begins

    def _shorten(self, note: Note, before: int) -> None:
        """Let the buffer's part of a note that still sounds begin at its last active frame up to another."""
        pitch, outputs = self._pitch(note), self._buffer.outputs()
        active = outputs.frames[: before - self._first + 1, pitch] >= self._settings.frame_threshold
        at = int(np.flatnonzero(active)[-1])
        outputs.onsets[at - 1 : at + 2, pitch] = 0.0, 1.0, 0.0
        self._settled[pitch], self._long[pitch] = self._first + at, note

    def _pitch(self, note: Note) -> int:
        return note.midi_note - self._lowest


class _Buffer:
    """First-in, first-out buffer of model outputs, in arrays that are reused.

    Keeping the blocks themselves would fragment the memory that the network works in, by hundreds of megabytes.
    """

    def __init__(self, capacity: int) -> None:
        self.frames, self._capacity = 0, capacity
        self._parts: list[np.ndarray] = []

    def append(self, block: NoteOutputs) -> None:
        after = self.frames + len(block.frames)
        if not self._parts or after > self._capacity:
            self._capacity = max(2 * after, self._capacity)
            grown = [np.empty((self._capacity, part.shape[1]), np.float32) for part in block]
            for new, old in zip(grown, self._parts, strict=False):
                new[: self.frames] = old[: self.frames]
            self._parts = grown
        for part, more in zip(self._parts, block, strict=True):
            part[self.frames : after] = more
        self.frames = after

    def outputs(self) -> NoteOutputs:
        return NoteOutputs(*(part[: self.frames] for part in self._parts))

    def drop(self, frames: int) -> None:
        for part in self._parts:
            part[: self.frames - frames] = part[frames : self.frames].copy()
        self.frames -= frames
