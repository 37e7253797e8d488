"""Recordings of a corpus, pieces of music with their notes, and helpers that all corpora share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from intervaltree import IntervalTree

from ..errors import DataError
from ..io.audio import read
from ..notes import Note
from .labels import read_labels

__all__ = ["Piece", "Recording", "Split", "file_stamp", "interval_tree", "parallel", "sample_of"]

T = TypeVar("T")
R = TypeVar("R")
# Tolerance of rounding. Times that are whole samples come back from seconds with an error of up to 1e-9 of a sample in
# an hour of music. Others are further from a sample than this: at least 1/441, for 44.1 kHz resampled to 11 kHz.
_TOLERANCE_SAMPLES = 1e-6


class Recording(Protocol):
    """A named recording, with the notes played in it if they are known; prepared stores are made of these."""

    @property
    def name(self) -> str:
        """Name, unique in the corpus."""

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        """Return the samples at a sample rate, float32 [N] in about +-1, and the notes, sorted."""

    def stamps(self) -> list[Any]:
        """Return values for JSON that change when the files change."""


@dataclass(frozen=True)
class Piece:
    """A recorded piece of music: an audio file and a label file.

    Attributes:
        name: Name, unique in the corpus.
        audio: Audio file.
        labels: Label file.
        source: Source of the sound: a piano, an ensemble, a soundfont.
        title: Title of the piece of music, the same for all its recordings.
    """

    name: str
    audio: Path
    labels: Path
    source: str
    title: str

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        """Read samples and notes.

        Args:
            sample_rate: Output sample rate in Hz.

        Returns:
            Samples, float32 [N] in about +-1; and the notes, sorted.

        Raises:
            AudioError: The recording cannot be read.
            DataError: The labels cannot be read.
        """
        return read(self.audio, sample_rate)[0], read_labels(self.labels)

    def stamps(self) -> list[Any]:
        """Return names, sizes and modification times of the files.

        Returns:
            Values for JSON.

        Raises:
            DataError: A file is missing.
        """
        return [file_stamp(self.audio), file_stamp(self.labels)]


class Split(NamedTuple):
    """A corpus of music, split for training, validation and test."""

    train: list[Piece]
    validation: list[Piece]
    test: list[Piece]


def file_stamp(path: Path) -> list[Any]:
    """Return values that change when a file changes.

    Args:
        path: The file.

    Returns:
        Name, size in bytes and modification time in nanoseconds.

    Raises:
        DataError: The file is missing.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); list the corpus again.") from None
    return [path.name, status.st_size, status.st_mtime_ns]


def sample_of(time_s: float, sample_rate: float) -> int:
    """Return the sample index of a time, free of rounding errors for times that are whole samples.

    Args:
        time_s: Time in seconds.
        sample_rate: Sample rate in Hz.

    Returns:
        Index of the sample.

    >>> [sample_of(start / 44100, 11025) for start in (3, 4, 44100 * 49)]
    [0, 1, 540225]
    """
    return math.floor(time_s * sample_rate + _TOLERANCE_SAMPLES)


def interval_tree(notes: Iterable[Note], sample_rate: float) -> IntervalTree:
    """Return an interval tree of notes, to find those that sound at a sample.

    Args:
        notes: The notes.
        sample_rate: Sample rate in Hz.

    Returns:
        Tree over sample indices; ``tree[t]`` returns the intervals sounding at sample t, with the note as ``data``.
        Notes shorter than one sample are left out.
    """
    tree = IntervalTree()
    for note in notes:
        begin, end = sample_of(note.onset_s, sample_rate), sample_of(note.offset_s, sample_rate)
        if end > begin:
            tree.addi(begin, end, note)
    return tree


def parallel(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Map a function over items in threads, in order, with a bounded number of pending results.

    Args:
        function: Called with one item; threads help only if it releases the interpreter lock.
        items: The items.
        workers: Number of threads, and of pending results at most.

    Yields:
        The results, in the order of the items.
    """
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[R]] = []
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            # After an error or Ctrl-C, cancel what has not begun.
            for future in waiting:
                future.cancel()
