"""What every corpus gives: pieces, each a recording beside its labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from intervaltree import IntervalTree

from ..notes import Note

__all__ = ["Piece", "interval_tree", "parallel"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Piece:
    """A recording and its labels.

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


def interval_tree(notes: Iterable[Note], sample_rate: float) -> IntervalTree:
    """Lays notes out in a tree to ask which of them sound at a sample.

    Args:
        notes: Notes, times in seconds.
        sample_rate: Hz.

    Returns:
        A tree over samples; ``tree[t]`` gives the intervals sounding at sample t, the note as ``data``. A note shorter
        than one sample is left out.
    """
    tree = IntervalTree()
    for note in notes:
        begin, end = int(note.onset_s * sample_rate), int(note.offset_s * sample_rate)
        if end > begin:
            tree.addi(begin, end, note)
    return tree


def parallel(function: object, items: list[T], workers: int) -> Iterator[R]:
    """Maps a function over items in threads, in order, with no more results waiting than there are workers.

    Args:
        function: Called with one item; must release the interpreter lock to gain anything.
        items: Its arguments.
        workers: Threads.

    Yields:
        The results in the order of the items.
    """
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[R]] = []
        rest = iter(items)
        for item in rest:
            waiting.append(pool.submit(function, item))  # type: ignore[arg-type]
            if len(waiting) > workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
