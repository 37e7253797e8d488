"""Label files: finding those of recordings, and reading their notes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from ..errors import DataError
from ..io.audio import AUDIO_SUFFIXES
from ..io.midi import read_midi
from ..io.note_tables import is_json_of_notes, is_table, read_json, read_table, unreadable
from ..notes import Note
from .corpora import musicnet_labels

__all__ = [
    "LABEL_SUFFIXES",
    "find_audio",
    "find_labelled",
    "find_labels",
    "label_files",
    "label_format",
    "read_labels",
]

# In the order in which they are taken.
LABEL_SUFFIXES = (".tsv", ".txt", ".csv", ".jams", ".mid", ".midi", ".json")
# Names of label files: the recording's, or as Basic Pitch writes them.
STEMS = ("{}", "{}_basic_pitch")
# Columns of a listing, such as maestro-v3.0.0.csv; paths are relative to it.
LISTING = ("audio_filename", "midi_filename")
TABLE = "table"


def find_audio(folder: str | Path) -> list[Path]:
    """List the audio files in a folder.

    Args:
        folder: Folder, searched with its subfolders.

    Returns:
        The files with a suffix of an audio format, sorted; hidden files are left out.

    Raises:
        DataError: The folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: is not a folder; name one that holds recordings.")
    files = (path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    # Hidden files belong to other programs, or are incomplete.
    return sorted(path for path in files if not path.name.startswith("."))


def label_files(audio: Path) -> list[Path]:
    """List the label files of a recording.

    Args:
        audio: Audio file.

    Returns:
        The files of the same stem with a suffix of :data:`LABEL_SUFFIXES`, in this order, in the same folder or, for a
        recording in a folder such as MusicNet's ``test_data``, in ``test_labels``; then Basic Pitch's,
        ``STEM_basic_pitch.csv``.
    """
    kind, _, data = audio.parent.name.rpartition("_")
    folders = [audio.parent, audio.parent.with_name(f"{kind}_labels")] if data == "data" else [audio.parent]
    bases = [folder / stem.format(audio.stem) for stem in STEMS for folder in folders]
    pairs = [(f"{base}{suffix}", f"{base}{suffix.upper()}") for base in bases for suffix in LABEL_SUFFIXES]
    present = [next((path for path in map(Path, pair) if path.is_file()), None) for pair in pairs]
    return [path for path in present if path]


def find_labels(audio: Path) -> Path | None:
    """Find the label file of a recording.

    Args:
        audio: Audio file.

    Returns:
        The first of :func:`label_files` that is no .txt, .csv or .json without notes, such as lyrics; None without one.
    """
    return next(filter(_may_hold_notes, label_files(audio)), None)


def _may_hold_notes(path: Path) -> bool:
    checks = {".txt": is_table, ".csv": is_table, ".json": is_json_of_notes}
    return checks.get(path.suffix.lower(), lambda _: True)(path)


def find_labelled(folder: str | Path, split: str | None = None) -> list[tuple[Path, Path]]:
    """List the audio files in a folder that have label files.

    Args:
        folder: Folder, searched with its subfolders. A listing in it, a .csv file with the columns audio_filename and
            midi_filename such as MAESTRO's, takes precedence over files of the same stem.
        split: Part of the listing, by its column split; None for all recordings.

    Returns:
        Audio files and their label files, sorted.

    Raises:
        DataError: The folder is missing, or holds no recording with labels, or no such part.
    """
    recordings, listed = find_audio(folder), _listing(Path(folder))
    if split is not None:
        recordings = [path for path in recordings if path in listed and listed[path][1] == split]
        if not recordings:
            parts = ", ".join(sorted({part for _, part in listed.values()} - {""})) or "none"
            raise DataError(f"{folder}: has no listing of recordings for {split}; the parts listed are {parts}.")
    pairs = [
        (recording, labels)
        for recording in recordings
        if (labels := listed[recording][0] if recording in listed else find_labels(recording))
    ]
    if not pairs and (Path(folder) / "musicnet.npz").is_file():
        raise DataError(
            f"{folder}: holds MusicNet as musicnet.npz, which a recipe scores: run python recipes/musicnet/evaluate.py "
            "NETWORK FOLDER, or unpack MusicNet's other archive, musicnet.tar.gz, and name its folder."
        )
    if not pairs:
        raise DataError(
            f"{folder}: holds no recording with a label file of the same name; add one, such as song.mid for "
            f"song.wav ({', '.join(LABEL_SUFFIXES)})."
        )
    return pairs


def _listing(folder: Path) -> dict[Path, tuple[Path, str]]:
    """Return the label file and the part of each recording that listings in a folder name."""
    listed = {}
    for table in sorted(folder.glob("*.csv")):
        try:
            with open(table, encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                if set(LISTING) <= set(reader.fieldnames or []):
                    for row in reader:
                        audio, labels = (folder / (row[name] or "") for name in LISTING)
                        if labels.is_file():
                            listed[audio] = labels, row.get("split") or ""
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise unreadable(table, error, "a table") from error
    return listed


def label_format(path: str | Path) -> str:
    """Return what :func:`read_labels` takes a label file for.

    Args:
        path: The file; only a .csv file is opened.

    Returns:
        Such as "MIDI, with the sustain pedal".
    """
    return _reader(Path(path))[0]


def read_labels(path: str | Path) -> list[Note]:
    """Read the notes of a label file.

    Args:
        path: A table (.tsv, .txt or .csv; see :func:`audiocx.io.note_tables.read_table`), a table of MusicNet (.csv,
            times in samples at 44.1 kHz), JAMS (.jams or .json), JSON of audiocx, or a MIDI file, whose notes last as
            long as the sustain pedal holds them.

    Returns:
        The notes, sorted.

    Raises:
        DataError: The file is missing or malformed; the message names the line.
    """
    return _reader(Path(path))[1](path)


def _reader(path: Path) -> tuple[str, Callable[[str | Path], list[Note]]]:
    """Return the name of a file's format and the function that reads it."""
    suffix = path.suffix.lower()
    if suffix in (".mid", ".midi"):
        return "MIDI, with the sustain pedal", read_midi
    if suffix in (".jams", ".json"):
        return suffix[1:].upper(), read_json
    if suffix == ".csv" and musicnet_labels.is_table(path):
        return "table of MusicNet", _read_musicnet
    return TABLE, read_table


def _read_musicnet(path: str | Path) -> list[Note]:
    return sorted(map(musicnet_labels.to_note, musicnet_labels.read_table(path)))
