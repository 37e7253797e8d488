"""Notes decoded while a recording is heard, from what of the evidence they still depend on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from ..notes import LOWEST_PIANO_NOTE, Note
from .note_decoding import NoteDecodeSettings, NoteOutputs, decode_notes

__all__ = ["decode_stream"]

# Frames at a time: decoding few of them costs as much as decoding many.
BLOCK_FRAMES = 4096
# What decides over a note lies within its frames and so many more on either side, beside what the settings say.
_BESIDE_FRAMES = 16


def decode_stream(
    blocks: Iterable[NoteOutputs],
    frame_rate: float,
    settings: NoteDecodeSettings | None = None,
    lowest_note: int = LOWEST_PIANO_NOTE,
    block_frames: int = BLOCK_FRAMES,
) -> Iterator[Note]:
    """Turn evidence that comes block by block into the notes that :func:`decode_notes` finds in the whole.

    Held are the frames from the oldest note on that may still go on; the others are forgotten.

    Args:
        blocks: What the network gave, float32 [*, P] each, one behind the other.
        frame_rate: Frames per second.
        settings: As of :func:`decode_notes`.
        lowest_note: MIDI number of the first pitch.
        block_frames: Frames to gather before they are decoded.

    Yields:
        The notes, sorted by onset, then pitch; their times are the whole's but for rounding.

    Raises:
        ValueError: See :func:`decode_notes`.
    """
    settings = settings or NoteDecodeSettings()
    longest_s = max(settings.min_note_s, settings.bridge_gap_s, settings.min_repeat_s, settings.frame_only_s)
    beside = math.ceil(longest_s * frame_rate) + _BESIDE_FRAMES
    # Of the frames before `settled` all notes that begin there are found; those held begin with `first`.
    held, gathered, first, settled = _Held(block_frames), 0, 0, 0.0
    for block in blocks:
        held.append(block)
        gathered += len(block.frames)
        # Where a note is held for long, the more rarely the more there is: the work stays in proportion to the length.
        if gathered < max(block_frames, held.frames // 2):
            continue
        sure = held.frames - beside
        found = decode_notes(held.evidence(), frame_rate, settings, lowest_note)
        until = first + min(
            [sure, *(note.onset_s * frame_rate for note in found if note.offset_s * frame_rate >= sure)]
        )
        yield from _between(found, first, settled, until, frame_rate)
        dropped = max(0, math.floor(until) - beside - first)
        held.drop(dropped)
        settled, first, gathered = max(settled, until), first + dropped, 0
    if held.frames:
        found = decode_notes(held.evidence(), frame_rate, settings, lowest_note)
        yield from _between(found, first, settled, math.inf, frame_rate)


class _Held:
    """Evidence that grows behind and is dropped in front, in arrays that stay where they are.

    To keep the blocks themselves would break up the memory in which the network works, and cost hundreds of megabytes.
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

    def evidence(self) -> NoteOutputs:
        return NoteOutputs(*(part[: self.frames] for part in self._parts))

    def drop(self, frames: int) -> None:
        for part in self._parts:
            part[: self.frames - frames] = part[frames : self.frames].copy()
        self.frames -= frames


def _between(notes: list[Note], first: int, begin: float, end: float, frame_rate: float) -> Iterator[Note]:
    """The notes that begin from one frame of the recording on and before another, where `notes` count from `first`."""
    for note in notes:
        # Half a thousandth of a frame: the same note's onset differs by rounding from one decoding to the next.
        if begin - 5e-4 <= first + note.onset_s * frame_rate < end - 5e-4:
            shift_s = first / frame_rate
            yield replace(note, onset_s=note.onset_s + shift_s, offset_s=note.offset_s + shift_s) if first else note
