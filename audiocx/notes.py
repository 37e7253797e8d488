"""Notes and piano rolls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

LOWEST_PIANO_NOTE = 21
PIANO_PITCHES = 88
DEFAULT_VELOCITY = 80
# Onset and offset targets are triangles of this half width: with 1.5, two or three frames see each event.
HALF_WIDTH_FRAMES = 1.5


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One note: a pitch that sounds from an onset to an offset.

    Attributes:
        onset_s: When it starts, in seconds.
        midi_note: Its pitch as a MIDI number (60 is middle C, 69 is the A of 440 Hz).
        offset_s: When it ends, in seconds; it does not sound at this instant any more.
        velocity: How hard the key was struck, 1 to 127.
        program: The instrument, as a General MIDI program counted from 0, the grand piano.
        confidence: How probable the network that found it holds it to be, 0 to 1; 1 of a note from elsewhere. Notes
            are compared without it.
    """

    onset_s: float
    midi_note: int
    offset_s: float
    velocity: int = DEFAULT_VELOCITY
    program: int = 0
    confidence: float = field(default=1.0, compare=False)

    @property
    def duration_s(self) -> float:
        """Time from onset to offset, in seconds."""
        return self.offset_s - self.onset_s


class NoteOutputs(NamedTuple):
    """One array for each thing that a note network tells of every frame and pitch, [..., T, P] each.

    Logits and targets are torch tensors, float32 [B, T, P]. Probabilities, from which notes are decoded, are NumPy
    arrays, float32 [T, P], from 0 to 1.

    Attributes:
        onsets: A note begins in this frame. Targets fall from 1 at the onset to 0 within 1.5 frames.
        frames: A note sounds at the frame's centre.
        offsets: A note ends in this frame; targets as of onsets.
        velocities: How hard the note was struck, 0 to 1, where an onset is; without meaning elsewhere.
    """

    onsets: Any
    frames: Any
    offsets: Any
    velocities: Any


def notes_to_roll(
    notes: Iterable[Note],
    frame_times_s: np.ndarray,
    lowest_note: int = LOWEST_PIANO_NOTE,
    pitches: int = PIANO_PITCHES,
) -> np.ndarray:
    """Mark the frames in which each pitch sounds; a note sounds at t when onset_s <= t < offset_s.

    Args:
        notes: The notes; those outside the range of pitches are left out.
        frame_times_s: Times of the frames in seconds, ascending, float [T].
        lowest_note: MIDI number of the first pitch.
        pitches: Number of pitches P.

    Returns:
        The roll, bool [T, P].

    >>> notes_to_roll([Note(0.1, 60, 0.3)], np.array([0.0, 0.1, 0.2, 0.3]), lowest_note=60, pitches=1).ravel().tolist()
    [False, True, True, False]
    """
    inside = [note for note in notes if lowest_note <= note.midi_note < lowest_note + pitches]
    roll = np.zeros((len(frame_times_s), pitches), dtype=bool)
    first = np.searchsorted(frame_times_s, [note.onset_s for note in inside])
    after = np.searchsorted(frame_times_s, [note.offset_s for note in inside])
    for note, start, stop in zip(inside, first, after, strict=True):
        roll[start:stop, note.midi_note - lowest_note] = True
    return roll
