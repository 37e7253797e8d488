"""The result of transcribing a recording: its notes, in the formats in which they are written, played and drawn."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import printable
from ..io import audio
from ..io.atomic_write import atomic_write
from ..notes import Note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..io.audio import AudioSource
    from .player import Player

__all__ = ["Transcription"]

# A notebook keeps its outputs: a minute of MP3 at this rate takes some 200 kB there.
PREVIEW_S = 60.0
PREVIEW_SAMPLE_RATE = 11_025
PREVIEW_DOTS_PER_INCH = 80


@dataclass(frozen=True, eq=False)
class Transcription:
    """The notes of a recording, and the probabilities they were decoded from.

    Attributes:
        notes: The notes, in order of onset.
        probabilities: Float32 [T, P], the probability that a note sounds; frame t is centred at t / frame_rate.
        frame_rate: Frames a second, in Hz.
        lowest_note: MIDI number of the first of the P pitches.
        duration_s: Length of the recording, in seconds.
        source: Name of the recording.
        onsets: Float32 [T, P], the probability that a note begins; None for networks without an onset output.
        tuning_cents: Tuning of the recording that was compensated: A4 above 440 Hz, in cents.
        remarks: What was done with the recording before, such as which channels were left out.
    """

    notes: list[Note]
    probabilities: NDArray[np.float32]
    frame_rate: float
    lowest_note: int
    duration_s: float
    source: str
    onsets: NDArray[np.float32] | None = None
    tuning_cents: float = 0.0
    remarks: tuple[str, ...] = ()

    def to_midi(self, path: str | Path, tempo_bpm: float | None = None, quantize: int | None = None) -> None:
        """Write a MIDI file; the notes keep their time in seconds at any tempo.

        Args:
            path: File to write.
            tempo_bpm: Tempo that the file states, in quarter notes a minute (None: 120); with ``quantize``, the tempo
                near which beats are searched (None: any).
            quantize: Estimate the beats and move each note to the nearest of this many subdivisions of a beat, 1 to 12
                (4 for sixteenths, 3 for triplets). The file reads as a score: it states metre and key, and its tempo
                changes follow the beats as played.

        Raises:
            ConfigError: ``quantize`` or ``tempo_bpm`` is out of range.
            OutputError: The file cannot be written.
        """
        from ..io.midi import DEFAULT_TEMPO_BPM, write_midi
        from .score import quantized_for_midi

        if quantize is None:
            write_midi(self.notes, path, tempo_bpm=DEFAULT_TEMPO_BPM if tempo_bpm is None else tempo_bpm)
        else:
            notes, beats_s, heading = quantized_for_midi(self.notes, quantize, tempo_bpm)
            write_midi(notes, path, beats_s=beats_s, heading=heading)

    def to_musicxml(self, path: str | Path, tempo_bpm: float | None = None) -> None:
        """Write a score as MusicXML; needs the extra ``score``.

        Args:
            path: File to write.
            tempo_bpm: Tempo near which the beats are searched, in beats a minute; None for any.

        Raises:
            ConfigError: The extra is not installed, or the tempo is out of range.
            OutputError: The file cannot be written.
        """
        self._to_score(path, "musicxml", tempo_bpm)

    def to_svg(self, path: str | Path, tempo_bpm: float | None = None) -> None:
        """Write an engraved score as one SVG picture, its pages one under the other; see :meth:`to_musicxml`."""
        self._to_score(path, "svg", tempo_bpm)

    def to_pdf(self, path: str | Path, tempo_bpm: float | None = None) -> None:
        """Write an engraved score as PDF, on A4 pages; see :meth:`to_musicxml`."""
        self._to_score(path, "pdf", tempo_bpm)

    def _to_score(self, path: str | Path, kind: str, tempo_bpm: float | None) -> None:
        from .engraving import write_score

        write_score(self.notes, path, kind, title=printable(Path(self.source).stem), tempo_bpm=tempo_bpm)

    def to_csv(self, path: str | Path) -> None:
        """Write a CSV file with one line for each note.

        Args:
            path: File to write.

        Raises:
            OutputError: The file cannot be written.
        """
        from ..io.note_tables import write_csv

        write_csv(self.notes, path)

    def to_json(self, path: str | Path) -> None:
        """Write a JSON file: the notes with their confidences; name, length and tuning of the recording.

        Args:
            path: File to write.

        Raises:
            OutputError: The file cannot be written.
        """
        from ..io.note_tables import write_json

        tuning_cents = round(self.tuning_cents, 1)
        metadata = {"source": printable(self.source), "duration_s": self.duration_s, "tuning_cents": tuning_cents}
        write_json(self.notes, path, metadata=metadata)

    def to_npz(self, path: str | Path) -> None:
        """Write the probabilities, their frame rate and lowest note as a NumPy archive.

        Args:
            path: File to write; ``numpy.load`` returns ``probabilities``, ``frame_rate``, ``lowest_note`` and, if the
                network has an onset output, ``onsets``.

        Raises:
            OutputError: The file cannot be written.
        """
        names = ("probabilities", "frame_rate", "lowest_note", *(() if self.onsets is None else ("onsets",)))
        arrays: dict[str, Any] = {name: getattr(self, name) for name in names}
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    def to_wav(self, path: str | Path) -> None:
        """Write the notes as sound, synthesised with decaying harmonic tones.

        Args:
            path: File to write; its suffix names the format.

        Raises:
            OutputError: The file cannot be written.
        """
        from . import sonify

        audio.write(path, sonify.synthesize(self.notes, self.duration_s), sonify.SAMPLE_RATE)

    def to_png(self, path: str | Path) -> None:
        """Write a picture of the piano roll.

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
            A matplotlib figure.
        """
        from ..plots.piano_roll import plot_notes

        return plot_notes(self.notes, self.duration_s, self.source)

    def player(
        self, recording: AudioSource | None = None, sample_rate: float | None = None, height_px: int = 460
    ) -> Player:
        """Make a player for notebooks: a piano roll to zoom, and the notes as sound, beside the recording if given.

        Args:
            recording: The recording, as in :func:`audiocx.transcribe`; it is kept in the notebook, about 1 MB a minute.
                None for the notes alone.
            sample_rate: Rate of the samples, in Hz; only for samples.
            height_px: Height, in pixels.

        Returns:
            What notebooks show for a cell's last line; it needs no server and no connection.

        Raises:
            AudiocxError: The recording cannot be used.
        """
        from .player import make_player

        return make_player(self, recording, sample_rate, height_px)

    def __repr__(self) -> str:
        return f"Transcription({self.source!r}: {len(self.notes)} notes in {self.duration_s:.1f} s)"

    def _repr_html_(self) -> str:
        """Return the piano roll and a player of the notes, which notebooks show for a cell's last line."""
        played = f"the first {PREVIEW_S:.0f} s" if self.duration_s > PREVIEW_S else "the notes"
        return f"<p>{html.escape(repr(self))}</p>{self._picture()}<p>{self._player()} {played}, synthesised</p>"

    def _picture(self) -> str:
        """Return an image element with the piano roll; nothing where matplotlib is not installed."""
        if find_spec("matplotlib") is None:
            return ""
        picture = io.BytesIO()
        self.plot().savefig(picture, format="png", dpi=PREVIEW_DOTS_PER_INCH)
        return f'<img alt="piano roll" style="max-width: 100%" src="{_data_uri("image/png", picture.getvalue())}">'

    def _player(self) -> str:
        """Return an audio element with the notes, as MP3, or as WAV where libsndfile writes none."""
        import soundfile

        from . import sonify

        first = (note for note in self.notes if note.onset_s < PREVIEW_S)
        notes = [replace(note, offset_s=min(note.offset_s, PREVIEW_S)) for note in first]
        samples = sonify.synthesize(notes, min(self.duration_s, PREVIEW_S), PREVIEW_SAMPLE_RATE)
        kind, media_type = ("MP3", "audio/mpeg") if "MP3" in soundfile.available_formats() else ("WAV", "audio/wav")
        sound = io.BytesIO()
        soundfile.write(sound, samples, PREVIEW_SAMPLE_RATE, format=kind)
        return f'<audio controls src="{_data_uri(media_type, sound.getvalue())}"></audio>'


def _data_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
