"""Recordings of speech: what the speech corpora give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import DataError
from ...io.audio import read
from ...notes import Note
from ..corpus import file_stamp
from ..labels import AUDIO_ENDINGS, find_audio

__all__ = ["Split", "Utterance", "find_recordings"]


@dataclass(frozen=True)
class Utterance:
    """A recording of one speaker.

    Attributes:
        name: Unique in the corpus.
        audio: File that soundfile reads.
        speaker: Who speaks; "" where that is not known.
    """

    name: str
    audio: Path
    speaker: str = ""

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        """Read the samples.

        Args:
            sample_rate: Hz, to which the recording is resampled.

        Returns:
            The samples, float32 [N] in about +-1; no notes.

        Raises:
            AudioError: The recording cannot be read.
        """
        return read(self.audio, sample_rate)[0], []

    def stamps(self) -> list[Any]:
        """Return what changes when the recording does: its name in the corpus, and its file's name, size and time.

        Returns:
            What JSON can hold.

        Raises:
            DataError: The file is missing.
        """
        return [self.name, *file_stamp(self.audio)]


class Split(NamedTuple):
    """A corpus of speech, parted by speaker."""

    train: list[Utterance]
    validation: list[Utterance]
    test: list[Utterance]


def find_recordings(folder: str | Path) -> list[Utterance]:
    """List the recordings in any folder, whoever speaks in them.

    Args:
        folder: Searched with its subfolders.

    Returns:
        Utterances named by their path in the folder, sorted by it, without speakers.

    Raises:
        DataError: The folder is missing or holds no recording.
    """
    folder = Path(folder)
    found = [Utterance(path.relative_to(folder).as_posix(), path) for path in find_audio(folder)]
    if not found:
        raise DataError(f"{folder}: holds no recording; name a folder that does ({', '.join(AUDIO_ENDINGS)}).")
    return found
