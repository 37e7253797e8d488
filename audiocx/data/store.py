"""Prepared stores: a corpus as one memory-mapped array of samples, with its labels.

A store is a folder named by a hash of everything that determines its contents: the recordings (name, size, modification
time) and the parameters. Its pieces are first written to a temporary folder, so that an interrupted preparation resumes
where it stopped; one process at a time prepares a store, others wait. It holds

* ``audio.npy``: int16 [N], the pieces one after the other, with ``MARGIN_SAMPLES`` zeros before each and after the
  last, so that a window around any sample of a piece contains this piece and silence only;
* ``events.npy``: int64 [E], samples at which the set of sounding notes changes, ascending;
* ``masks.npy``: bool [E + 1, P], the notes sounding from each event to the next (row 0: before the first);
* ``notes.npy``: float64 [M, 6], rows of piece index, onset_s, offset_s, midi_note, velocity, program;
* ``index.json``: parameters and pieces.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from ..errors import AudiocxError, DataError
from ..io.atomic_write import atomic_write
from ..notes import Note
from .corpus import Recording, interval_tree, parallel

__all__ = ["MARGIN_SAMPLES", "Store", "prepare"]

# Half the usual window (4096 samples), at up to twice its length for transposition. Longer windows are clipped to their
# piece by :func:`audiocx.data.windows.cut_windows`.
MARGIN_SAMPLES = 4096
_FORMAT = 2
_MAX_REPORTED = 5


@dataclass(frozen=True, eq=False)
class Store:
    """A prepared corpus.

    Attributes:
        folder: Folder of the store.
        sample_rate: Sample rate in Hz.
        lowest_note: MIDI number of the first column of ``masks``.
        names: Names of the pieces.
        starts: First sample of each piece in ``audio``, int64 [pieces].
        lengths: Length of each piece in samples, int64 [pieces].
    """

    folder: Path
    sample_rate: int
    lowest_note: int
    names: list[str]
    starts: np.ndarray
    lengths: np.ndarray

    @cached_property
    def audio(self) -> np.ndarray:
        """Samples, int16 [N], memory-mapped."""
        return np.load(self.folder / "audio.npy", mmap_mode="c")

    @cached_property
    def events(self) -> np.ndarray:
        """Sample indices at which the set of sounding notes changes, int64 [E]."""
        return np.load(self.folder / "events.npy")

    @cached_property
    def masks(self) -> np.ndarray:
        """Sounding notes from each event to the next, bool [E + 1, P]."""
        return np.load(self.folder / "masks.npy")

    @cached_property
    def note_rows(self) -> np.ndarray:
        """All notes of all pieces: piece, onset_s, offset_s, midi_note, velocity and program, float64 [M, 6]."""
        return np.load(self.folder / "notes.npy")

    @property
    def fingerprint(self) -> str:
        """What tells recordings of the same names apart: hash of their lengths and notes; not of where they are."""
        parts = json.dumps([self.sample_rate, self.lengths.tolist()]).encode(), self.note_rows.tobytes()
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]

    def samples(self, piece: int) -> np.ndarray:
        """Return the samples of a piece.

        Args:
            piece: Index of the piece.

        Returns:
            float32 [N], in +-1.
        """
        start = self.starts[piece]
        return self.audio[start : start + self.lengths[piece]].astype(np.float32) / 32768

    def notes(self, piece: int) -> list[Note]:
        """Return the notes of a piece.

        Args:
            piece: Index of the piece.

        Returns:
            The notes, sorted.
        """
        rows = self.note_rows[self.note_rows[:, 0] == piece]
        return [
            Note(on, int(note), off, int(velocity), int(program))
            for _, on, off, note, velocity, program in rows.tolist()
        ]

    def sounding(self, piece: int, samples: np.ndarray) -> np.ndarray:
        """Return the notes that sound at given samples of a piece.

        Args:
            piece: Index of the piece.
            samples: Sample indices from the beginning of the piece, integer [T].

        Returns:
            bool [T, P].
        """
        return self.masks[np.searchsorted(self.events, self.starts[piece] + samples, side="right")]

    def sounding_by_program(self, piece: int, samples: np.ndarray) -> dict[int, np.ndarray]:
        """Return the notes of each instrument that sound at given samples of a piece.

        Args:
            piece: Index of the piece.
            samples: Sample indices from the beginning of the piece, integer [T].

        Returns:
            bool [T, P] for each General MIDI program, counted from 0, ascending.
        """
        notes, length, outputs = self.notes(piece), int(self.lengths[piece]), self.masks.shape[1]
        rolls = {}
        for program in sorted({note.program for note in notes}):
            played = [note for note in notes if note.program == program]
            times, sets = _events(played, self.sample_rate, length, self.lowest_note, outputs)
            rows = np.searchsorted(times, samples, side="right")
            rolls[program] = np.concatenate([np.zeros((1, outputs), bool), sets])[rows]
        return rolls


def prepare(
    pieces: Sequence[Recording],
    cache: str | Path,
    sample_rate: int = 11025,
    lowest_note: int = 21,
    outputs: int = 88,
    progress: bool = True,
) -> Store:
    """Prepare the store of a corpus, or open it if it exists.

    Args:
        pieces: The recordings.
        cache: Folder of stores; created if missing.
        sample_rate: Output sample rate in Hz.
        lowest_note: MIDI number of the first label.
        outputs: Number of labels P; notes outside of this range are left out. 0 for speech.
        progress: Show a progress bar.

    Returns:
        The store.

    Raises:
        DataError: Recordings or labels cannot be used (all are tried, and the first few failures reported), or the
            store cannot be written.
    """
    parameters = {"format": _FORMAT, "sample_rate": sample_rate, "lowest_note": lowest_note, "outputs": outputs}
    folder = Path(cache) / _key(pieces, parameters)
    if folder.is_dir():
        return _open(folder)
    work = folder.with_name(f".unfinished-{folder.name}")
    try:
        work.mkdir(parents=True, exist_ok=True)
        with _lock(folder):
            # Another process may have prepared it meanwhile.
            if not folder.is_dir():
                work.mkdir(exist_ok=True)
                _load_all(pieces, work, sample_rate, progress)
                join_parts(work, pieces, parameters)
                os.replace(work / "store", folder)
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        where, why = error.filename or folder, error.strerror or error
        raise DataError(f"{where}: cannot be written ({why}); free some space, or choose another folder.") from None
    return _open(folder)


def _key(pieces: Sequence[Recording], parameters: dict[str, Any]) -> str:
    stamps = [stamp for piece in pieces for stamp in piece.stamps()]
    return hashlib.sha256(json.dumps([parameters, stamps]).encode()).hexdigest()[:16]


def _lock(folder: Path) -> FileLock:
    """Acquire the lock on the preparation of a store, which the system releases when the process ends."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{folder}: another process is preparing this store; waiting for it.", file=sys.stderr)
        lock.acquire()
    return lock


def _load_all(pieces: Sequence[Recording], work: Path, sample_rate: int, progress: bool) -> None:
    """Write every piece to a file of its own, unless it exists."""

    def load(index: int) -> AudiocxError | None:
        path = _part(work, index)
        if not path.is_file():
            try:
                samples, notes = pieces[index].load(sample_rate)
            except AudiocxError as error:
                return error
            quantized = np.round(np.clip(samples * 32768, -32768, 32767)).astype(np.int16)
            rows = [(n.onset_s, n.offset_s, n.midi_note, n.velocity, n.program) for n in notes]
            with atomic_write(path) as temporary:
                np.savez(temporary, samples=quantized, notes=np.array(rows, np.float64).reshape(-1, 5))
        return None

    results = parallel(load, range(len(pieces)), os.cpu_count() or 1)
    failures = [error for error in tqdm(results, "preparing", len(pieces), disable=None if progress else True) if error]
    if failures:
        sentences = " ".join(map(str, failures[:_MAX_REPORTED]))
        more = f" (and {len(failures) - _MAX_REPORTED} more)" if len(failures) > _MAX_REPORTED else ""
        raise DataError(sentences + more) from failures[0]


def _part(work: Path, index: int) -> Path:
    return work / f"{index}.npz"


def join_parts(work: Path, pieces: Sequence[Recording], parameters: dict[str, Any]) -> None:
    """Join the pieces to a store, in ``work / "store"``."""
    rate, lowest, outputs = (parameters[name] for name in ("sample_rate", "lowest_note", "outputs"))
    store = work / "store"
    store.mkdir(exist_ok=True)
    lengths = np.array([len(_samples_and_notes(work, index)[0]) for index in range(len(pieces))], np.int64)
    starts = MARGIN_SAMPLES + np.cumsum(lengths + MARGIN_SAMPLES) - (lengths + MARGIN_SAMPLES)
    size = int(MARGIN_SAMPLES + np.sum(lengths + MARGIN_SAMPLES))
    # A new file reads as zeros, which are the margins. Pieces are copied one by one to bound the memory.
    audio = np.lib.format.open_memmap(store / "audio.npy", mode="w+", dtype=np.int16, shape=(size,))
    events, masks, rows = [np.zeros(0, np.int64)], [np.zeros((1, outputs), bool)], [np.zeros((0, 6))]
    for index, start in enumerate(starts.tolist()):
        samples, notes = _samples_and_notes(work, index)
        audio[start : start + len(samples)] = samples
        rows.append(np.insert(notes, 0, index, axis=1))
        sounding = [Note(on, int(note), off) for on, off, note, *_ in notes.tolist()]
        times, sets = _events(sounding, rate, len(samples), lowest, outputs)
        events.append(times + start)
        masks.append(sets)
    audio.flush()
    np.save(store / "events.npy", np.concatenate(events))
    np.save(store / "masks.npy", np.concatenate(masks))
    np.save(store / "notes.npy", np.concatenate(rows))
    names = [piece.name for piece in pieces]
    index_json = {**parameters, "names": names, "starts": starts.tolist(), "lengths": lengths.tolist()}
    (store / "index.json").write_text(json.dumps(index_json))


def _samples_and_notes(work: Path, index: int) -> tuple[np.ndarray, np.ndarray]:
    with np.load(_part(work, index)) as part:
        return part["samples"], part["notes"]


def _events(
    notes: list[Note], sample_rate: int, length: int, lowest: int, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples at which the set of sounding notes changes, and the notes that sound from each on."""
    tree = interval_tree((n for n in notes if lowest <= n.midi_note < lowest + outputs), sample_rate)
    # Labels may extend past the end of the recording, but not into the next piece.
    tree.chop(length, max(tree.end(), length) + 1)
    times = sorted(tree.boundary_table) or [0]
    masks = np.zeros((len(times), outputs), bool)
    for row, time in zip(masks, times, strict=True):
        row[[interval.data.midi_note - lowest for interval in tree[time]]] = True
    return np.array(times, np.int64), masks


def _open(folder: Path) -> Store:
    try:
        index = json.loads((folder / "index.json").read_text())
    except (OSError, ValueError):
        raise DataError(f"{folder}: is not a complete store; delete it and run the command again.") from None
    starts, lengths = np.array(index["starts"], np.int64), np.array(index["lengths"], np.int64)
    return Store(folder, index["sample_rate"], index["lowest_note"], index["names"], starts, lengths)
