"""Label files: finding those of recordings, and reading their notes."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from ..io.audio import AUDIO_SUFFIXES
from ..io.midi import read_midi
from ..io.note_tables import read_csv, read_tsv
from ..notes import Note
from .corpora import musicnet_labels

__all__ = ["LABEL_SUFFIXES", "find_audio", "find_labelled", "find_labels", "read_labels"]

LABEL_SUFFIXES = (".tsv", ".txt", ".csv", ".mid", ".midi")


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


def find_labels(audio: Path) -> Path | None:
    """Find the label file of a recording.

    Args:
        audio: Audio file.

    Returns:
        The first file of the same stem with the suffix .tsv, .txt, .csv, .mid or .midi (in this order) in the same
        folder or, for a recording in a folder such as MusicNet's ``test_data``, in ``test_labels``; None without one.
    """
    kind, _, data = audio.parent.name.rpartition("_")
    locations = [audio, audio.parent.with_name(f"{kind}_labels") / audio.name] if data == "data" else [audio]
    candidates = (path.with_suffix(suffix) for path in locations for suffix in LABEL_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def find_labelled(folder: str | Path) -> list[tuple[Path, Path]]:
    """List the audio files in a folder that have label files.

    Args:
        folder: Folder, searched with its subfolders.

    Returns:
        Audio files and their label files, sorted.

    Raises:
        DataError: The folder is missing, or holds no recording with labels.
    """
    pairs = [(recording, labels) for recording in find_audio(folder) if (labels := find_labels(recording))]
    if not pairs:
        raise DataError(
            f"{folder}: holds no recording with a label file of the same name; add one, such as song.mid for "
            f"song.wav ({', '.join(LABEL_SUFFIXES)})."
        )
    return pairs


def read_labels(path: str | Path) -> list[Note]:
    """Read the notes of a label file.

    Args:
        path: A .tsv or .txt table (see :func:`audiocx.io.note_tables.read_tsv`), a .csv file as audiocx writes it or as
            MusicNet has it, or a MIDI file.

    Returns:
        The notes, sorted.

    Raises:
        DataError: The file is missing or malformed; the message names the line.
    """
    path = Path(path)
    if path.suffix.lower() in (".mid", ".midi"):
        return read_midi(path)
    if path.suffix.lower() == ".csv":
        if musicnet_labels.is_table(path):
            return sorted(map(musicnet_labels.to_note, musicnet_labels.read_table(path)))
        return read_csv(path)
    return read_tsv(path)
