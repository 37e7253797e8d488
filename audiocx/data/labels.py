"""Labels beside recordings: which files belong together, and the notes in them."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from ..io.midi import read_midi
from ..io.note_tables import read_csv, read_tsv
from ..notes import Note
from .corpora import musicnet_labels

__all__ = ["AUDIO_ENDINGS", "LABEL_ENDINGS", "find_audio", "find_labelled", "find_labels", "read_labels"]

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")
LABEL_ENDINGS = (".tsv", ".txt", ".csv", ".mid", ".midi")


def find_audio(folder: str | Path) -> list[Path]:
    """List the recordings in any folder.

    Args:
        folder: Searched with its subfolders.

    Returns:
        The files whose ending is that of audio, sorted.

    Raises:
        DataError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: is not a folder; name one that holds recordings.")
    found = (path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_ENDINGS)
    # Hidden ones are other programs', or half-written.
    return sorted(path for path in found if not path.name.startswith("."))


def find_labels(audio: Path) -> Path | None:
    """Find the label file that belongs to a recording.

    Args:
        audio: The recording.

    Returns:
        The file of the same stem that ends in .tsv, .txt, .csv, .mid or .midi, in this order, beside it; or, for a
        recording in a folder such as MusicNet's ``test_data``, in ``test_labels``; None without one.
    """
    kind, _, data = audio.parent.name.rpartition("_")
    beside = [audio, audio.parent.with_name(f"{kind}_labels") / audio.name] if data == "data" else [audio]
    candidates = (path.with_suffix(ending) for path in beside for ending in LABEL_ENDINGS)
    return next((path for path in candidates if path.is_file()), None)


def find_labelled(folder: str | Path) -> list[tuple[Path, Path]]:
    """List the recordings of any folder that have labels beside them.

    Args:
        folder: Searched with its subfolders.

    Returns:
        Recordings and their label files, in order of name.

    Raises:
        DataError: The folder is missing or holds no recording with labels.
    """
    pairs = [(recording, labels) for recording in find_audio(folder) if (labels := find_labels(recording))]
    if not pairs:
        raise DataError(
            f"{folder}: holds no recording with a label file of its name beside it; add one, such as song.mid for "
            f"song.wav ({', '.join(LABEL_ENDINGS)})."
        )
    return pairs


def read_labels(path: str | Path) -> list[Note]:
    """Read the notes of a recording.

    Args:
        path: A .tsv or .txt table (times in seconds; headings, which begin with a letter, may stand above it, and
            comments, which begin with #, anywhere), a .csv as audiocx writes it or as MusicNet has it, or a MIDI file.

    Returns:
        The notes, sorted.

    Raises:
        DataError: The file is missing or malformed; names the line.
    """
    path = Path(path)
    if path.suffix.lower() in (".mid", ".midi"):
        return read_midi(path)
    if path.suffix.lower() == ".csv":
        if musicnet_labels.is_table(path):
            return sorted(map(musicnet_labels.to_note, musicnet_labels.read_table(path)))
        return read_csv(path)
    return read_tsv(path)
