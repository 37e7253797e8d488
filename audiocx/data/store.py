"""The prepared store: a corpus as one memory-mapped array of samples, with its labels, made once and used again.

A store is a folder named by a hash of all that determines its contents: the recordings (name, size, time of change)
and the parameters. It holds

* ``audio.npy``: int16 [N], the pieces one after the other, with ``MARGIN_SAMPLES`` zeros before each and after the
  last, so that a window around any sample of a piece sees that piece or silence;
* ``events.npy``: int64 [E], samples at which the set of sounding notes changes, ascending;
* ``masks.npy``: bool [E + 1, P], the notes sounding from each event to the next (row 0: before the first);
* ``notes.npy``: float64 [M, 5], rows of piece index, onset_s, offset_s, midi_note, velocity;
* ``index.json``: parameters and pieces.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..audio import read
from ..errors import DataError
from ..notes import Note
from .corpus import Piece, interval_tree, parallel
from .maps import read_labels

__all__ = ["MARGIN_SAMPLES", "Store", "prepare"]

# Half of the longest window in use (4096), read at up to twice its length when it is shifted down in pitch.
MARGIN_SAMPLES = 4096
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Store:
    """A prepared corpus, opened.

    Attributes:
        folder: Where it lies.
        sample_rate: Hz.
        lowest_note: MIDI number of mask column 0.
        names: Pieces.
        starts: Sample of ``audio`` at which each piece begins, int64 [pieces].
        lengths: Samples of each piece, int64 [pieces].
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
        """Samples at which the sounding notes change, int64 [E]."""
        return np.load(self.folder / "events.npy")

    @cached_property
    def masks(self) -> np.ndarray:
        """Sounding notes from event to event, bool [E + 1, P]."""
        return np.load(self.folder / "masks.npy")

    @cached_property
    def _notes(self) -> np.ndarray:
        return np.load(self.folder / "notes.npy")

    def samples(self, piece: int) -> np.ndarray:
        """Gives one piece's samples.

        Args:
            piece: Its index.

        Returns:
            float32 [N], in +-1.
        """
        start = self.starts[piece]
        return self.audio[start : start + self.lengths[piece]].astype(np.float32) / 32768

    def notes(self, piece: int) -> list[Note]:
        """Gives one piece's notes.

        Args:
            piece: Its index.

        Returns:
            Notes, sorted.
        """
        rows = self._notes[self._notes[:, 0] == piece]
        return [Note(on, int(note), off, int(velocity)) for _, on, off, note, velocity in rows.tolist()]

    def sounding(self, piece: int, samples: np.ndarray) -> np.ndarray:
        """Tells which notes sound at given samples of a piece.

        Args:
            piece: Its index.
            samples: Integer [T], counted from the piece's beginning.

        Returns:
            bool [T, P].
        """
        return self.masks[np.searchsorted(self.events, self.starts[piece] + samples, side="right")]


def prepare(
    pieces: list[Piece],
    cache: str | Path,
    sample_rate: int = 11025,
    lowest_note: int = 21,
    outputs: int = 88,
    progress: bool = True,
) -> Store:
    """Makes the store of a corpus, or opens it when it was made before.

    Args:
        pieces: What goes in.
        cache: Folder of stores; made when missing.
        sample_rate: Hz, to which every recording is resampled.
        lowest_note: MIDI number of label 0.
        outputs: Number of labels; notes outside are left out.
        progress: Shows a bar while making.

    Returns:
        The opened store.

    Raises:
        DataError: A file is missing, labels are malformed, or the store cannot be written.
        AudioError: A recording cannot be read.
    """
    parameters = {"format": _FORMAT, "sample_rate": sample_rate, "lowest_note": lowest_note, "outputs": outputs}
    folder = Path(cache) / _key(pieces, parameters)
    if not folder.is_dir():
        try:
            Path(cache).mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=cache))
        except OSError as error:
            raise DataError(f"{cache}: no store can be written ({error.strerror}); name another folder.") from None
        try:
            _make(work, pieces, parameters, progress)
            os.replace(work, folder)
        except OSError as error:
            # Another process may have finished the same store first; theirs is as good.
            if not folder.is_dir():
                raise DataError(f"{folder}: cannot be written ({error.strerror or error}); make room there.") from None
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return _open(folder)


def _key(pieces: list[Piece], parameters: dict[str, Any]) -> str:
    files = [path for piece in pieces for path in (piece.audio, piece.labels)]
    try:
        stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}); list the corpus again.") from None
    return hashlib.sha256(json.dumps([parameters, stamps]).encode()).hexdigest()[:16]


def _make(work: Path, pieces: list[Piece], parameters: dict[str, Any], progress: bool) -> None:
    rate, lowest, outputs = (parameters[name] for name in ("sample_rate", "lowest_note", "outputs"))
    starts, lengths, events, masks = [], [], [], [np.zeros((1, outputs), bool)]
    rows: list[tuple[float, ...]] = []
    position = MARGIN_SAMPLES
    margin = np.zeros(MARGIN_SAMPLES, np.int16)
    raw = work / "audio.raw"
    with open(raw, "wb") as file:
        file.write(margin.tobytes())
        loaded: Iterator[tuple[np.ndarray, list[Note]]] = parallel(
            lambda piece: _load(piece, rate), pieces, os.cpu_count() or 1
        )
        for index, (samples, notes) in enumerate(tqdm(loaded, "preparing", len(pieces), disable=not progress)):
            file.write(samples.tobytes())
            file.write(margin.tobytes())
            rows += [(index, n.onset_s, n.offset_s, n.midi_note, n.velocity) for n in notes]
            times, sets = _events(notes, rate, len(samples), lowest, outputs)
            events.append(times + position)
            masks.append(sets)
            starts.append(position)
            lengths.append(len(samples))
            position += len(samples) + MARGIN_SAMPLES
    # numpy's own header, then the samples: they were never in memory together.
    whole = np.lib.format.open_memmap(work / "audio.npy", mode="w+", dtype=np.int16, shape=(position,))
    whole[:] = np.memmap(raw, np.int16, mode="r")
    whole.flush()
    raw.unlink()
    np.save(work / "events.npy", np.concatenate(events))
    np.save(work / "masks.npy", np.concatenate(masks))
    np.save(work / "notes.npy", np.array(rows, np.float64).reshape(-1, 5))
    index_json = {**parameters, "names": [p.name for p in pieces], "starts": starts, "lengths": lengths}
    (work / "index.json").write_text(json.dumps(index_json))


def _load(piece: Piece, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
    samples, _ = read(piece.audio, sample_rate)
    return np.round(np.clip(samples * 32768, -32768, 32767)).astype(np.int16), read_labels(piece.labels)


def _events(
    notes: list[Note], sample_rate: int, length: int, lowest: int, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gives the samples at which the sounding notes change, and the notes sounding from each on."""
    tree = interval_tree((n for n in notes if lowest <= n.midi_note < lowest + outputs), sample_rate)
    # Labels may run past the recording's end, and must not reach into the next piece.
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
        raise DataError(f"{folder} is no finished store; delete it and run the command again.") from None
    starts, lengths = np.array(index["starts"], np.int64), np.array(index["lengths"], np.int64)
    return Store(folder, index["sample_rate"], index["lowest_note"], index["names"], starts, lengths)
