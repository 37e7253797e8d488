"""Key estimation and pitch spelling of notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..notes import Note

__all__ = ["Key", "Pitch", "estimate_key", "spell"]

# How often pitch classes occur in a key on C, in per cent. Source: H. Bellmann, "About the Determination of Key of a
# Musical Excerpt" (2006), after H. Budge. On the development pieces of benchmarks/score.py the key was right for
# 84 % of them, against 80 % by the profiles of Albrecht and Shanahan and 57 % by Krumhansl's.
MAJOR = (16.8, 0.86, 12.95, 1.41, 13.49, 11.93, 1.25, 20.28, 1.8, 8.04, 0.62, 10.57)
MINOR = (18.16, 0.69, 12.99, 13.34, 1.07, 11.15, 1.38, 21.07, 7.49, 1.53, 0.92, 10.21)
LONGEST_S = 0.3  # a longer note counts no more than this: pedal points and sustain pedals would decide
SHARPS = {0: 0, 7: 1, 2: 2, 9: 3, 4: 4, 11: 5, 6: 6, 1: -5, 8: -4, 3: -3, 10: -2, 5: -1}  # of a major key by its tonic
STEPS = "FCGDAEB"  # the line of fifths; F is -1, C is 0
KEY_WEIGHT = 0.3  # of the key beside the notes around, where pitches are spelled
CONTEXT = 40  # notes before and after
LEADING = 3.0  # fifths that a semitone step to a neighbour outweighs


@dataclass(frozen=True)
class Key:
    """A key signature and its mode.

    Attributes:
        sharps: Number of sharps, negative for flats, -6 to 6.
        mode: "major" or "minor".
    """

    sharps: int = 0
    mode: str = "major"

    @property
    def name(self) -> str:
        """Name of the key.

        >>> Key(-2, "minor").name, Key(3).name
        ('G minor', 'A major')
        """
        return f"{self._tonic()} {self.mode}"

    @property
    def midi_name(self) -> str:
        """Name of the key in MIDI files.

        >>> Key(-2, "minor").midi_name
        'Gm'
        """
        return self._tonic() + ("m" if self.mode == "minor" else "")

    def _tonic(self) -> str:
        return _name(self.sharps + (3 if self.mode == "minor" else 0))


@dataclass(frozen=True)
class Pitch:
    """A written pitch.

    Attributes:
        step: Letter, "A" to "G".
        alter: Semitones by accidentals, -2 (double flat) to 2 (double sharp).
        octave: Octave; middle C is C4.
    """

    step: str
    alter: int
    octave: int


def estimate_key(notes: Sequence[Note]) -> Key:
    """Estimate the key of a piece: the profile that correlates best with the lengths of its pitch classes.

    Args:
        notes: The notes, in any order.

    Returns:
        The key; C major where there are no notes.
    """
    heard = np.zeros(12)
    for note in notes:
        heard[note.midi_note % 12] += min(max(note.duration_s, 0.02), LONGEST_S)
    if not heard.any() or np.ptp(heard) == 0:
        return Key()
    fits = {
        (tonic, mode): float(np.corrcoef(np.roll(profile, tonic), heard)[0, 1])
        for mode, profile in (("major", MAJOR), ("minor", MINOR))
        for tonic in range(12)
    }
    tonic, mode = max(fits, key=lambda key: fits[key])
    return Key(SHARPS[(tonic + 3) % 12 if mode == "minor" else tonic], mode)


def spell(notes: Sequence[Note], key: Key) -> list[Pitch]:
    """Spell notes: near the key and the notes around on the line of fifths, and semitone steps by two letters.

    Args:
        notes: The notes, in order of onset.
        key: The key of the piece.

    Returns:
        The written pitch of each note.
    """
    if not notes:
        return []
    numbers = np.array([note.midi_note for note in notes])
    home = key.sharps + (3.0 if key.mode == "minor" else 2.0)  # the middle of the scale; minor has raised degrees
    fifths = _nearest(numbers, np.full(len(notes), home))
    for _ in range(2):
        center = KEY_WEIGHT * home + (1 - KEY_WEIGHT) * _moving_mean(fifths)
        fifths = _nearest(numbers, center, _leaning(notes))
    return [_pitch(int(number), int(place)) for number, place in zip(numbers, fifths, strict=True)]


def _leaning(notes: Sequence[Note]) -> NDArray[np.float64]:
    """Return by how many fifths each note leans up (a step to the semitone above follows) or down, float [N]."""
    leaning = np.zeros(len(notes))
    for index, note in enumerate(notes):
        after = [other for other in notes[index + 1 : index + 9] if other.onset_s > note.onset_s + 0.04]
        near = [other for other in after if abs(other.midi_note - note.midi_note) <= 2][:1]
        if near and near[0].onset_s - note.offset_s < 0.2 and abs(near[0].midi_note - note.midi_note) == 1:
            leaning[index] = LEADING * (near[0].midi_note - note.midi_note)
    return leaning


def _nearest(
    numbers: NDArray[np.int64], center: NDArray[np.float64], leaning: NDArray[np.float64] | float = 0.0
) -> NDArray[np.int64]:
    """Return the place on the line of fifths of each pitch that is nearest to a center, int [N]."""
    places = (numbers * 7) % 12  # C is 0, G is 1, ...
    return places + 12 * np.rint((center + leaning / 2 - places) / 12).astype(int)


def _moving_mean(values: NDArray[np.int64]) -> NDArray[np.float64]:
    sums = np.concatenate([[0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(0, index - CONTEXT), np.minimum(len(values), index + CONTEXT + 1)
    return (sums[high] - sums[low]) / (high - low)


def _name(place: int) -> str:
    alter, step = divmod(place + 1, 7)
    return STEPS[step] + ("#" * alter if alter > 0 else "b" * -alter)


def _pitch(number: int, place: int) -> Pitch:
    alter, step = divmod(place + 1, 7)
    return Pitch(STEPS[step], alter, (number - alter) // 12 - 1)
