"""The recordings of a server: their files in a temporary folder, their states, and the thread that transcribes them.

The table of recordings belongs to the event loop, which alone adds and removes. The worker thread takes one recording
after the other from a queue, and only sets attributes of that one; a reader sees the notes grow.
"""

from __future__ import annotations

import queue
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import AudiocxError, OutputError, printable, unexpected
from ..music.note_decoding import NoteDecodeSettings
from ..music.transcriber import ModelOutputs
from ..notes import Note
from . import sound
from .decoding import Redecoder
from .networks import Networks
from .scratch import ScratchFolder
from .settings import ServeSettings

__all__ = ["NotFoundError", "Recording", "RecordingStore", "TooManyError", "as_json", "shown_settings"]

MAX_NAME_CHARACTERS = 200
STOP_S = 10.0  # in which the worker comes to the next block of a network, and stops


class NotFoundError(AudiocxError):
    """A recording that does not exist, or no more."""


class TooManyError(AudiocxError):
    """More recordings or live sessions than the server takes."""


class _StoppedError(Exception):
    """The recording was deleted, or the server is ending."""


@dataclass(eq=False)
class Recording:
    """A recording and what is known of it.

    Attributes:
        id: Random name, by which it is addressed and its folder is called.
        name: The file's name as the user knows it; never a path.
        model: Name of the network.
        folder: Folder of its files.
        state: How far it is.
        error: Why it failed, one sentence.
        duration_s: Its length in seconds, once known.
        tuning_cents: Tuning that was compensated, in cents above A4 = 440 Hz.
        remarks: What a user should know.
        progress: Share that is done, 0 to 1.
        settings: Decoding settings of the notes, once the network is loaded.
        notes: The notes, in order of onset; those found so far while it runs.
        outputs: Outputs of the network, once it is done.
        peaks: Peaks of its waveform, int8 [M, 2], once its sound can be played.
        deleted: Whether to stop.
    """

    id: str
    name: str
    model: str
    folder: Path
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    error: str | None = None
    duration_s: float = 0.0
    tuning_cents: float = 0.0
    remarks: tuple[str, ...] = ()
    progress: float = 0.0
    settings: Any = None
    notes: list[Note] = field(default_factory=list)
    outputs: ModelOutputs | None = None
    peaks: NDArray[np.int8] | None = None
    deleted: bool = False

    @property
    def upload(self) -> Path:
        """The file as it was uploaded; its suffix, by which some formats are known, is the user's if it is harmless."""
        suffix = Path(self.name).suffix
        return self.folder / ("upload" + (suffix if re.fullmatch(r"\.\w{1,8}", suffix, re.ASCII) else ""))

    @property
    def audio(self) -> Path:
        """Its sound as a WAV file."""
        return self.folder / "audio.wav"

    @property
    def ended(self) -> bool:
        """Whether it is done or failed."""
        return self.state in ("done", "failed")

    def summary(self) -> dict[str, Any]:
        """Return what is known of it, without the notes, for JSON."""
        return {
            "id": self.id,
            "name": self.name,
            "model": self.model,
            "state": self.state,
            "error": self.error,
            "duration_s": round(self.duration_s, 6),
            "tuning_cents": round(self.tuning_cents, 1),
            "remarks": list(self.remarks),
            "progress": round(self.progress, 4),
            "settings": shown_settings(self.settings),
        }

    def whole(self) -> dict[str, Any]:
        """Return what is known of it, with the notes, for JSON."""
        return {**self.summary(), "notes": as_json(self.notes)}

    def fail(self, error: Exception) -> None:
        """Record why it failed, in a sentence that calls its file by the user's name."""
        known = error if isinstance(error, AudiocxError) else unexpected(self.name, error)
        text = str(known).replace(str(self.upload), self.name).replace(self.upload.name, self.name)
        self.error, self.state = printable(text), "failed"

    def report(self, progress: float) -> None:
        """Record the share that is done; stop if it is no longer wanted."""
        if self.deleted:
            raise _StoppedError
        self.progress = max(self.progress, progress)


class RecordingStore:
    """The recordings of a server.

    Args:
        settings: Bounds.
        networks: What transcribes them.

    Raises:
        OutputError: There is no folder for temporary files.
    """

    def __init__(self, settings: ServeSettings, networks: Networks) -> None:
        self._settings, self.networks = settings, networks
        self._recordings: dict[str, Recording] = {}
        self._reserved, self._live, self.redecoder = 0, 0, Redecoder()
        self._queue: queue.SimpleQueue[Recording | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._work, name="transcribe", daemon=True)
        self.closed = False
        self._folder = ScratchFolder()

    @property
    def folder(self) -> str:
        """The temporary folder, removed at the end."""
        return self._folder.path

    def start(self) -> None:
        """Start the worker."""
        self._worker.start()

    def stop(self) -> None:
        """Let the worker and the streams of events end; nothing is taken any more."""
        self.closed = True
        for recording in self._recordings.values():
            recording.deleted = True
        self._queue.put(None)

    def close(self) -> None:
        """Stop, and remove all files."""
        self.stop()
        if self._worker.ident is not None:
            self._worker.join(STOP_S)
        self._recordings.clear()
        self._folder.remove()

    def all(self) -> list[Recording]:
        """Return the recordings, the oldest first."""
        return list(self._recordings.values())

    def get(self, id: str) -> Recording:
        """Return a recording.

        Raises:
            NotFoundError: There is none, or it was deleted.
        """
        try:
            return self._recordings[id]
        except KeyError:
            raise NotFoundError("There is no such recording; it may have been deleted.") from None

    @contextmanager
    def new(self, name: str, model: str | None) -> Iterator[Recording]:
        """Make room for a recording, whose file is then written; if that fails, nothing remains.

        Args:
            name: The file's name, of which only the last part is kept.
            model: Name of the network; None for the default.

        Raises:
            ConfigError: There is no such network.
            TooManyError: There are as many recordings as are taken.
            OutputError: The disk is full.
        """
        model = self.networks.check(model)
        if len(self._recordings) + self._reserved >= self._settings.max_recordings:
            raise TooManyError(
                f"There are {self._settings.max_recordings} recordings, the most that are kept; delete some first."
            )
        id = uuid.uuid4().hex
        recording = Recording(id, _plain_name(name), model, Path(self._folder.path, id))
        self._reserved += 1
        try:
            recording.folder.mkdir()
            yield recording
            if self.closed:
                raise OutputError("The server is ending; start it again.")
        except BaseException as error:
            shutil.rmtree(recording.folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise OutputError(
                    f"{recording.name}: there is no room for it on the server's disk ({error.strerror}); delete "
                    "recordings or free some space."
                ) from error
            raise
        finally:
            self._reserved -= 1
        self._recordings[id] = recording

    @contextmanager
    def live_session(self) -> Iterator[None]:
        """Count a live session while it lasts.

        Raises:
            TooManyError: There are as many as are taken.
        """
        if self._live >= self._settings.max_live:
            raise TooManyError(f"There are {self._live} live transcriptions, the most at a time; end one first.")
        self._live += 1
        try:
            yield
        finally:
            self._live -= 1

    def transcribe(self, recording: Recording) -> None:
        """Queue a recording."""
        self._queue.put(recording)

    def delete(self, id: str) -> Recording:
        """Remove a recording from the table; its files are then removed by :meth:`Recording.remove_files`.

        Raises:
            NotFoundError: There is none.
        """
        recording = self.get(id)
        del self._recordings[id]
        recording.deleted = True
        return recording

    def _work(self) -> None:
        while (recording := self._queue.get()) is not None:
            try:
                self._transcribe(recording)
            except _StoppedError:  # after its files were removed, which it may have written anew since
                shutil.rmtree(recording.folder, ignore_errors=True)
            except Exception as error:
                if recording.peaks is None:  # what was unpacked up to there may be large, and nothing plays it
                    recording.audio.unlink(missing_ok=True)
                recording.upload.unlink(missing_ok=True)
                recording.fail(error)

    def _transcribe(self, recording: Recording) -> None:
        """Convert the sound, run the network, decode."""
        from ..music.tuning import retuned

        recording.report(0.0)
        recording.state = "running"
        duration_s, peaks = sound.convert(
            recording.upload, recording.name, recording.audio, self._settings.max_duration_s, recording.report
        )
        recording.duration_s, recording.peaks = duration_s, peaks
        transcriber = self.networks.transcriber(recording.model)
        recording.settings = transcriber.checkpoint.decode
        read = transcriber.samples(recording.upload)
        recording.remarks = read.remarks
        recording.report(0.0)
        samples, recording.tuning_cents, time_scale = retuned(read.samples, transcriber.config.sample_rate)
        recording.notes, recording.outputs = transcriber.infer_and_decode(
            samples,
            recording.settings,
            progress=recording.report,
            time_scale=time_scale,
            on_note=recording.notes.append,
        )
        recording.upload.unlink(missing_ok=True)
        recording.progress, recording.state = 1.0, "done"


def shown_settings(settings: Any) -> dict[str, float | None] | None:
    """Return the settings that a user may change; networks of single windows have no threshold of frames."""
    if settings is None:
        return None
    notes = isinstance(settings, NoteDecodeSettings)
    return {
        "onset_threshold": settings.onset_threshold if notes else settings.threshold,
        "frame_threshold": settings.frame_threshold if notes else None,
        "min_note_s": settings.min_note_s,
    }


def as_json(notes: list[Note]) -> list[dict[str, Any]]:
    """Return notes for JSON, to the microsecond."""
    return [
        {
            "onset_s": round(float(note.onset_s), 6),
            "offset_s": round(float(note.offset_s), 6),
            "midi_note": int(note.midi_note),
            "velocity": int(note.velocity),
            "confidence": round(float(note.confidence), 4),
        }
        for note in notes
    ]


def _plain_name(name: str) -> str:
    """Return the last part of a name, which no terminal, header or file system takes for anything else."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(character for character in last if character.isprintable()).strip()
    return plain[-MAX_NAME_CHARACTERS:] or "recording"
