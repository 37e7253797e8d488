"""Utterances and splits that the speech corpora share, and recordings in any folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import DataError
from ...io.audio import AUDIO_SUFFIXES, read
from ...notes import Note
from ..corpus import file_stamp
from ..labels import find_audio

__all__ = ["Split", "Utterance", "find_recordings"]


@dataclass(frozen=True)
class Utterance:
    """A recording of one speaker.

    Attributes:
        name: Name, unique in the corpus.
        audio: Audio file.
        speaker: Id of the speaker; "" if unknown.
    """

    name: str
    audio: Path
    speaker: str = ""

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        """Read the samples.

        Args:
            sample_rate: Output sample rate in Hz.

        Returns:
            Samples, float32 [N] in about +-1; and an empty list of notes.

        Raises:
            AudioError: The recording cannot be read.
        """
        return read(self.audio, sample_rate)[0], []

    def stamps(self) -> list[Any]:
        """Return the name in the corpus, and name, size and modification time of the file.

        Returns:
            Values for JSON.

        Raises:
            DataError: The file is missing.
        """
        return [self.name, *file_stamp(self.audio)]


class Split(NamedTuple):
    """A corpus of speech, split by speakers for training, validation and test."""

    train: list[Utterance]
    validation: list[Utterance]
    test: list[Utterance]


def find_recordings(folder: str | Path) -> list[Utterance]:
    """List the recordings in any folder, of unknown speakers.

    Args:
        folder: Folder, searched with its subfolders.

    Returns:
        Utterances named by their path in the folder, sorted by path.

    Raises:
        DataError: The folder is missing or holds no recording.
    """
    folder = Path(folder)
    utterances = [Utterance(path.relative_to(folder).as_posix(), path) for path in find_audio(folder)]
    if not utterances:
        raise DataError(f"{folder}: holds no recording; name another folder ({', '.join(AUDIO_SUFFIXES)}).")
    return utterances
