"""Labels beside recordings: which files belong together, and the notes in them."""

from __future__ import annotations

import math
from pathlib import Path

from ..errors import DataError
from ..io.audio import AUDIO_SUFFIXES
from ..io.midi import read_csv, read_midi
from ..notes import DEFAULT_VELOCITY, Note
from .corpora import musicnet_labels

__all__ = ["LABEL_ENDINGS", "find_audio", "find_labelled", "find_labels", "read_labels"]

LABEL_ENDINGS = (".tsv", ".txt", ".csv", ".mid", ".midi")


def find_audio(folder: str | Path) -> list[Path]:
    """Lists the recordings in any folder.

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
    found = (path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    # Hidden ones are other programs', or half-written.
    return sorted(path for path in found if not path.name.startswith("."))


def find_labels(audio: Path) -> Path | None:
    """Finds the label file that belongs to a recording.

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
    """Lists the recordings of any folder that have labels beside them.

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
    """Reads the notes of a recording.

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
        return sorted(read_midi(path))
    if path.suffix.lower() == ".csv":
        of_musicnet = musicnet_labels.is_table(path)
        return sorted(map(musicnet_labels.to_note, musicnet_labels.read_table(path)) if of_musicnet else read_csv(path))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the labels cannot be read ({error}).") from None
    notes: list[Note] = []
    for number, row in enumerate(map(str.split, lines), 1):
        heading = not notes and row and row[0][0].isalpha()
        if row and row[0][0] != "#" and not heading:
            notes.append(_note(row, path, number))
    return sorted(notes)


def _note(row: list[str], path: Path, number: int) -> Note:
    try:
        onset_s, offset_s, midi_note = float(row[0]), float(row[1]), int(row[2])
        velocity = int(row[3]) if len(row) > 3 else DEFAULT_VELOCITY
    except (ValueError, IndexError):
        raise DataError(f"{path}, line {number}: not 'onset offset note [velocity]', with times in seconds.") from None
    if not 0 <= onset_s <= offset_s < math.inf:
        raise DataError(f"{path}, line {number}: the note must begin at 0 s or later, and end after it begins.")
    if not (0 <= midi_note <= 127 and 0 <= velocity <= 127):
        raise DataError(f"{path}, line {number}: note and velocity must be MIDI numbers, 0 to 127.")
    return Note(onset_s, midi_note, offset_s, velocity)
