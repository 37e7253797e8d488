"""What was found in a recording: the notes, and the ways to write, hear and see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..io import audio
from ..io.atomic_write import atomic_write
from ..notes import Note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Transcription"]


@dataclass(frozen=True, eq=False)
class Transcription:
    """The notes of a recording, and the probabilities they were decoded from.

    Attributes:
        notes: The notes, in order of onset.
        probabilities: Float32 [T, P], the probability that a note sounds; frame t is centred at t / frame_rate.
        frame_rate: Frames a second, in Hz.
        lowest_note: MIDI number of the first of the P notes.
        duration_s: Length of the recording, in seconds.
        source: Name of the recording.
        onsets: Float32 [T, P], the probability that a note begins; None of networks that do not tell it.
        tuning_cents: How far above 440 Hz its A4 was taken to be, and made up for, in cents.
    """

    notes: list[Note]
    probabilities: NDArray[np.float32]
    frame_rate: float
    lowest_note: int
    duration_s: float
    source: str
    onsets: NDArray[np.float32] | None = None
    tuning_cents: float = 0.0

    def to_midi(self, path: str | Path, tempo_bpm: float = 120.0, quantize: int | None = None) -> None:
        """Write a MIDI file; the notes keep their time in seconds at any tempo.

        Args:
            path: File to write.
            tempo_bpm: Tempo that the file states, in quarter notes a minute; with ``quantize`` the one expected, near
                which beats are sought.
            quantize: Find the beats and move the notes to the nearest of this many places a beat, 1 to 12 (4 makes
                sixteenths, 3 triplets): a file to read as a score, whose tempos follow the beats as they were played.

        Raises:
            ConfigError: A beat cannot be divided so, or the tempo expected is out of range.
            OutputError: The file cannot be written.
        """
        from ..io.midi import write_midi
        from . import beats

        notes, beats_s = self.notes, None
        if quantize is not None:
            beats_s = beats.estimate_beats(notes, tempo_bpm)
            notes = beats.quantize(notes, beats_s, quantize)
        write_midi(notes, path, tempo_bpm=tempo_bpm, beats_s=beats_s)

    def to_csv(self, path: str | Path) -> None:
        """Write one line a note.

        Args:
            path: File to write.

        Raises:
            OutputError: The file cannot be written.
        """
        from ..io.note_tables import write_csv

        write_csv(self.notes, path)

    def to_json(self, path: str | Path) -> None:
        """Write the notes with their confidences, the recording's name, length and tuning as JSON.

        Args:
            path: File to write.

        Raises:
            OutputError: The file cannot be written.
        """
        from ..io.note_tables import write_json

        tuning_cents = round(self.tuning_cents, 1)
        metadata = {"source": self.source, "duration_s": self.duration_s, "tuning_cents": tuning_cents}
        write_json(self.notes, path, metadata=metadata)

    def to_npz(self, path: str | Path) -> None:
        """Write the probabilities, their frame rate and lowest note as a NumPy archive.

        Args:
            path: File to write; ``numpy.load`` gives ``probabilities``, ``frame_rate``, ``lowest_note`` and, where the
                network tells them, ``onsets``.

        Raises:
            OutputError: The file cannot be written.
        """
        names = ("probabilities", "frame_rate", "lowest_note", *(() if self.onsets is None else ("onsets",)))
        arrays: dict[str, Any] = {name: getattr(self, name) for name in names}
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    def to_wav(self, path: str | Path) -> None:
        """Write the notes played by decaying tones, to hear what was found.

        Args:
            path: File to write; its suffix names the format.

        Raises:
            OutputError: The file cannot be written.
        """
        from . import sonify

        audio.write(path, sonify.synthesize(self.notes, self.duration_s), sonify.SAMPLE_RATE)

    def to_png(self, path: str | Path) -> None:
        """Write a picture of the notes, a piano roll.

        Args:
            path: File to write; its suffix names the format.

        Raises:
            OutputError: The file cannot be written.
        """
        from ..plots.figure import save_figure

        save_figure(self.plot(), path)

    def plot(self) -> Figure:
        """Draw the notes as a piano roll.

        Returns:
            A matplotlib figure, also shown by notebooks.
        """
        from ..plots.piano_roll import plot_notes

        return plot_notes(self.notes, self.duration_s, self.source)
