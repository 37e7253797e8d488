"""Notes, piano rolls, and the outputs of note networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

LOWEST_PIANO_NOTE = 21
PIANO_PITCHES = 88
DEFAULT_VELOCITY = 80
NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# Onset and offset targets are triangles of this half width, so that each event is visible in two or three frames.
HALF_WIDTH_FRAMES = 1.5


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """A note: one pitch that sounds from an onset to an offset.

    Attributes:
        onset_s: Onset time, in seconds.
        midi_note: Pitch as a MIDI number (60 is middle C, 69 is the A of 440 Hz).
        offset_s: Offset time, in seconds; the note does not sound at this instant any more.
        velocity: MIDI velocity, 1 to 127.
        program: Instrument as a General MIDI program, counted from 0 (grand piano).
        confidence: Probability of the note according to the network that transcribed it, 0 to 1; 1 for notes from
            other sources. It is ignored when notes are compared.
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
    """Outputs of a note network for every frame and pitch, [..., T, P] each.

    Logits and targets are torch tensors, float32 [B, T, P]. Probabilities, from which notes are decoded, are NumPy
    arrays, float32 [T, P], from 0 to 1.

    Attributes:
        onsets: A note begins in this frame. Targets fall from 1 at the onset to 0 within 1.5 frames.
        frames: A note sounds at the centre of this frame.
        offsets: A note ends in this frame; targets are like those of onsets.
        velocities: MIDI velocity / 127 of the note that begins here; meaningless away from onsets.
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
    """Convert notes to a piano roll; a note sounds at time t when onset_s <= t < offset_s.

    Args:
        notes: The notes; those outside the range of pitches are left out.
        frame_times_s: Times of the frames in seconds, ascending, float [T].
        lowest_note: MIDI number of the first pitch.
        pitches: Number of pitches P.

    Returns:
        The piano roll, bool [T, P].

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


def note_name(midi_note: int) -> str:
    """Return the name of a pitch; middle C is C4.

    >>> note_name(60), note_name(21), note_name(70)
    ('C4', 'A0', 'A#4')
    """
    return f"{NOTE_NAMES[midi_note % 12]}{midi_note // 12 - 1}"


def snap_to_grid(notes: Iterable[Note], grid_index: Callable[[float], int]) -> list[tuple[int, int, Note]]:
    """Move notes to the points of a time grid so that no two of the same pitch and program overlap.

    Every note becomes at least one grid step long. Where two notes would overlap, the earlier one ends at the onset of
    the later one; notes with the same onset are merged into one, with the longest duration and the highest velocity.

    Args:
        notes: The notes, in any order.
        grid_index: Maps a time in seconds to the index of the nearest grid point; negative indices count as 0.

    Returns:
        For each remaining note the indices of its onset and its offset, and the note; sorted by onset, then pitch.
    """
    snapped: dict[tuple[int, int], list[tuple[int, int, Note]]] = {}
    for note in sorted(notes):
        start = max(0, grid_index(note.onset_s))
        end = max(start + 1, grid_index(note.offset_s))
        same_pitch = snapped.setdefault((note.program, note.midi_note), [])
        if same_pitch:
            last_start, last_end, last = same_pitch.pop()
            if last_start == start:
                end, note = max(end, last_end), replace(note, velocity=max(note.velocity, last.velocity))
            else:
                same_pitch.append((last_start, min(last_end, start), last))
        same_pitch.append((start, end, note))
    return sorted((row for rows in snapped.values() for row in rows), key=lambda row: (row[0], row[2].midi_note))
