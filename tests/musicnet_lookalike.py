"""MusicNet in small, made on the spot in both published forms: for its own tests and those of recipes."""

from __future__ import annotations

import csv
import io
import pickle
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from intervaltree import Interval, IntervalTree

from audiocx.data.corpora import musicnet
from audiocx.data.corpora.musicnet_labels import LABEL_RATE, Label, write_table
from audiocx.data.corpus import Piece
from audiocx.errors import DataError

# Piano, violin, viola, cello, clarinet, flute, as MusicNet counts them.
INSTRUMENTS = (1, 41, 42, 43, 72, 74)
VALUES = {0.25: "Sixteenth", 0.5: "Eighth", 1.0: "Quarter", 1.5: "Dotted Quarter"}
COLUMNS = ("id", "composer", "composition", "movement", "ensemble", "source", "transcriber", "catalog_name", "seconds")


def labels_of(number: int, seconds: float = 2.0) -> list[Label]:
    """Eight notes, the same for an id whenever asked, sorted; they end before the recording does."""
    rng = np.random.default_rng(number)
    starts = np.sort(rng.integers(0, int((seconds - 0.5) * LABEL_RATE), 8)).tolist()
    lengths = rng.integers(2_000, LABEL_RATE // 2, 8).tolist()
    beats = rng.choice(list(VALUES), 8).tolist()
    rows = zip(
        starts, lengths, rng.choice(INSTRUMENTS, 8).tolist(), rng.integers(40, 90, 8).tolist(), beats, strict=True
    )
    return sorted(Label(s, s + n, i, pitch, 4.0 + k, b, VALUES[b]) for k, (s, n, i, pitch, b) in enumerate(rows))


def samples_of(labels: Iterable[Label], seconds: float = 2.0, rate: int = LABEL_RATE) -> np.ndarray:
    """Sines that sound for as long as their labels, float32 [N] in +-1."""
    time = np.arange(round(seconds * rate)) * (LABEL_RATE / rate)
    mix = np.zeros(len(time))
    for label in labels:
        sounding = (label.start_time <= time) & (time < label.end_time)
        mix += 0.1 * sounding * np.sin(2 * np.pi * 440 * 2 ** ((label.note - 69) / 12) * time / LABEL_RATE)
    return mix.astype(np.float32)


def write_metadata(path: Path, ids: Iterable[int]) -> None:
    """Write musicnet_metadata.csv, with the line ends of the published one."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in ids:
            title = ("Dvořák", f"Quartet No {number}", "2. Lento, ma non troppo")
            writer.writerow((number, *title, "String Quartet", "Museopen", "someone", "OP96", 2))


def write_folder(folder: Path, ids: Iterable[int], seconds: float = 2.0, rate: int = LABEL_RATE) -> Path:
    """Write the layout of 2021: 16-bit WAV and CSV, the ten ids of its test folder there, and the metadata."""
    ids = list(ids)
    folder.mkdir(parents=True, exist_ok=True)
    for side in ("train", "test"):
        for kind in ("data", "labels"):
            (folder / f"{side}_{kind}").mkdir(exist_ok=True)
    for number in ids:
        side, labels = "test" if number in musicnet.EXTENDED_TEST_IDS else "train", labels_of(number, seconds)
        soundfile.write(folder / f"{side}_data" / f"{number}.wav", samples_of(labels, seconds, rate), rate)
        write_table(labels, folder / f"{side}_labels" / f"{number}.csv")
    write_metadata(folder / "musicnet_metadata.csv", ids)
    return folder


def write_npz(path: Path, ids: Iterable[int], seconds: float = 2.0, python2: bool = False) -> Path:
    """Write the older form: an array of samples and an IntervalTree a recording, pickled as numpy does it today.

    With ``python2``, byte for byte as Python 2 did: 8-bit strings, numpy's modules under their former names, and the
    labels' numbers as numpy's own.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for number in ids:
            labels = labels_of(number, seconds)
            pair = np.empty(2, object)
            pair[:] = [samples_of(labels, seconds), tree_of(labels, np.int64 if python2 else int)]
            archive.writestr(f"{number}.npy", npy_of(pair, python2))
    return path


def piece_of(path: Path, name: str = "1727") -> Piece:
    """The piece of an id."""
    return next(piece for piece in musicnet.find_pieces(path) if piece.name == name)


def refused(path: Path, pattern: str) -> None:
    """Check that nothing is found there, and that the message says why."""
    with pytest.raises(DataError, match=pattern):
        musicnet.find_pieces(path)


def tree_of(labels: Iterable[Label], number: type = int) -> IntervalTree:
    """Arrange labels out as musicnet.npz has them: (instrument, note, measure, beat in the measure, value)."""
    return IntervalTree(
        Interval(
            number(row.start_time),
            number(row.end_time),
            (number(row.instrument), number(row.note), row.start_beat // 4, row.start_beat % 4 / 4, row.note_value),
        )
        for row in labels
    )


def npy_of(content: object, python2: bool = False) -> bytes:
    """A .npy file of an object array of two, with any content behind its heading."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (2,)})
    if not python2:
        pickle.dump(content, file, protocol=4)
        return file.getvalue()
    written = io.BytesIO()
    _Python2Pickler(written, protocol=2).dump(content)
    # Names stand in lines of text in protocol 2, so that their lengths may change.
    return file.getvalue() + written.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


class _Python2Pickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Python 2 wrote str, which held text and bytes alike, as BINSTRING."""

    dispatch = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_string(self, text: str | bytes) -> None:
        raw = text.encode("latin1") if isinstance(text, str) else text
        self.write(b"T" + struct.pack("<i", len(raw)) + raw)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_string
