"""Streaming onset-based decoding: notes from model outputs that come in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from ..notes import LOWEST_PIANO_NOTE, Note
from .note_decoding import NoteDecodeSettings, NoteOutputs, decode_notes

__all__ = ["DECODED_FRAMES", "decode_stream"]

# Frames decoded at a time: decoding a few takes as long as decoding many.
DECODED_FRAMES = 4096
# A note depends on its own frames and on these many on either side, besides the durations in the settings.
_CONTEXT_FRAMES = 16


def decode_stream(
    blocks: Iterable[NoteOutputs],
    frame_rate: float,
    settings: NoteDecodeSettings | None = None,
    lowest_note: int = LOWEST_PIANO_NOTE,
    block_frames: int = DECODED_FRAMES,
) -> Iterator[Note]:
    """Decode blocks of model outputs into the notes that :func:`decode_notes` finds in all of them at once.

    Only the frames from the oldest unfinished note on are kept in memory.

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
    settings = settings or NoteDecodeSettings()
    longest_s = max(settings.min_note_s, settings.bridge_gap_s, settings.min_repeat_s, settings.frame_only_s)
    context = math.ceil(longest_s * frame_rate) + _CONTEXT_FRAMES
    # Notes that begin before frame `settled` are yielded; the buffer begins with frame `first`.
    buffer, added, first, settled = _Buffer(block_frames), 0, 0, 0.0
    for block in blocks:
        buffer.append(block)
        added += len(block.frames)
        # Less often while a long note fills the buffer, so that the work stays proportional to the length.
        if added < max(block_frames, buffer.frames // 2):
            continue
        final = buffer.frames - context
        notes = decode_notes(buffer.outputs(), frame_rate, settings, lowest_note)
        until = first + min(
            [final, *(note.onset_s * frame_rate for note in notes if note.offset_s * frame_rate >= final)]
        )
        yield from _between(notes, first, settled, until, frame_rate)
        dropped = max(0, math.floor(until) - context - first)
        buffer.drop(dropped)
        settled, first, added = max(settled, until), first + dropped, 0
    if buffer.frames:
        notes = decode_notes(buffer.outputs(), frame_rate, settings, lowest_note)
        yield from _between(notes, first, settled, math.inf, frame_rate)


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


def _between(notes: list[Note], first: int, begin: float, end: float, frame_rate: float) -> Iterator[Note]:
    """Yield the notes that begin in [begin, end), in frames of the recording; times in `notes` count from `first`."""
    for note in notes:
        # Half a thousandth of a frame allows for rounding between two decodings of the same note.
        if begin - 5e-4 <= first + note.onset_s * frame_rate < end - 5e-4:
            shift_s = first / frame_rate
            yield replace(note, onset_s=note.onset_s + shift_s, offset_s=note.offset_s + shift_s) if first else note
