"""What every corpus gives: recordings, and of music pieces, each a recording and the notes played in it."""

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
# Labels that lie on a sample come back from seconds a hair off it: by 1e-9 of a sample in an hour of music. Those that
# do not lie on one are further from it than this: the closest, at 44.1 kHz resampled to 11 kHz, are 1/441 apart.
_HAIR_SAMPLES = 1e-6


class Recording(Protocol):
    """What a prepared store is made of: any sound with a name, and the notes played in it, if any are known."""

    @property
    def name(self) -> str:
        """Unique in the corpus."""

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        """Return the samples at that rate, float32 [N] in about +-1, and the notes, sorted."""

    def stamps(self) -> list[Any]:
        """Return, by what JSON can hold, what changes when the files do."""


@dataclass(frozen=True)
class Piece:
    """A recording and its labels, each a file.

    Attributes:
        name: Unique in the corpus.
        audio: File that soundfile reads.
        labels: Label file.
        source: What made the sound: a piano, an ensemble, a soundfont.
        title: The piece of music, the same for all its recordings.
    """

    name: str
    audio: Path
    labels: Path
    source: str
    title: str

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        """Read samples and notes.

        Args:
            sample_rate: Hz, to which the recording is resampled.

        Returns:
            The samples, float32 [N] in about +-1; the notes, sorted.

        Raises:
            AudioError: The recording cannot be read.
            DataError: The labels cannot be read.
        """
        return read(self.audio, sample_rate)[0], read_labels(self.labels)

    def stamps(self) -> list[Any]:
        """Return what changes when the files do: their names, sizes and times of change.

        Returns:
            What JSON can hold.

        Raises:
            DataError: A file is missing.
        """
        return [file_stamp(self.audio), file_stamp(self.labels)]


class Split(NamedTuple):
    """A corpus, parted."""

    train: list[Piece]
    validation: list[Piece]
    test: list[Piece]


def file_stamp(path: Path) -> list[Any]:
    """Return what changes when a file does.

    Args:
        path: The file.

    Returns:
        Its name, size in bytes and time of change in nanoseconds.

    Raises:
        DataError: It is missing.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); list the corpus again.") from None
    return [path.name, status.st_size, status.st_mtime_ns]


def sample_of(time_s: float, sample_rate: float) -> int:
    """Return in which sample a moment lies, exactly for times that are whole samples at the rate of the labels.

    Args:
        time_s: In seconds.
        sample_rate: Hz.

    Returns:
        The number of the sample.

    >>> [sample_of(start / 44100, 11025) for start in (3, 4, 44100 * 49)]
    [0, 1, 540225]
    """
    return math.floor(time_s * sample_rate + _HAIR_SAMPLES)


def interval_tree(notes: Iterable[Note], sample_rate: float) -> IntervalTree:
    """Arrange notes out in a tree to ask which of them sound at a sample.

    Args:
        notes: Notes, times in seconds.
        sample_rate: Hz.

    Returns:
        A tree over samples; ``tree[t]`` gives the intervals sounding at sample t, the note as ``data``. A note shorter
        than one sample is left out.
    """
    tree = IntervalTree()
    for note in notes:
        begin, end = sample_of(note.onset_s, sample_rate), sample_of(note.offset_s, sample_rate)
        if end > begin:
            tree.addi(begin, end, note)
    return tree


def parallel(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Map a function over items in threads, in order, with no more results waiting than there are workers.

    Args:
        function: Called with one item; must release the interpreter lock to gain anything.
        items: Its arguments.
        workers: Threads.

    Yields:
        The results in the order of the items.
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
            # Broken off, by an error or by Ctrl-C: what has not begun need not.
            for future in waiting:
                future.cancel()
