"""Notes as a user edited them, written in the formats of the command line."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

import numpy as np

from ..errors import ConfigError, require
from ..music.transcription import Transcription
from .requests import Edited

__all__ = ["FORMATS", "SCORES", "content_disposition", "export"]

# Format -> suffix and media type.
FORMATS = {
    "midi": (".mid", "audio/midi"),
    "musicxml": (".musicxml", "application/vnd.recordare.musicxml+xml"),
    "csv": (".csv", "text/csv; charset=utf-8"),
    "json": (".json", "application/json"),
    "png": (".png", "image/png"),
    "wav": (".wav", "audio/wav"),
    "svg": (".svg", "image/svg+xml"),
    "pdf": (".pdf", "application/pdf"),
}
SCORES = ("musicxml", "svg", "pdf")
MAX_SCORE_NOTES = 10_000  # which take minutes
MAX_STEM_BYTES = 150  # of a file's name, for file systems take 255 bytes and browsers add numbers


def export(edited: Edited, format: str, folder: str) -> Path:
    """Write notes to a file in a new folder, which the caller removes.

    Args:
        edited: The notes.
        format: A key of :data:`FORMATS`.
        folder: Where the new folder is made.

    Returns:
        The file.

    Raises:
        ConfigError: There is no such format, or its extra is not installed.
        OutputError: The file cannot be written.
    """
    if format not in FORMATS:
        raise ConfigError(f"There is no format of that name; choose one of {', '.join(FORMATS)}.")
    if format == "png":
        require("A picture", "plots", "matplotlib")
    if format in SCORES and len(edited.notes) > MAX_SCORE_NOTES:
        raise ConfigError(f"A score may have {MAX_SCORE_NOTES} notes, not {len(edited.notes)}; choose another format.")
    nothing = np.zeros((0, 1), np.float32)
    name, cents = edited.name, edited.tuning_cents
    transcription = Transcription(edited.notes, nothing, 1.0, 0, edited.duration_s, name, None, cents)
    new = Path(tempfile.mkdtemp(dir=folder))
    try:
        path = new / f"notes{FORMATS[format][0]}"
        getattr(transcription, f"to_{format}")(path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return path


def content_disposition(name: str, suffix: str) -> str:
    """Return the header by which a browser saves a file under a name.

    Args:
        name: Name of the recording, any text.
        suffix: Suffix of the file.

    Returns:
        The value, in ASCII.

    >>> content_disposition("Für Elise.mp3", ".mid")
    "attachment; filename=F_r_Elise.mid; filename*=UTF-8''F%C3%BCr%20Elise.mid"
    """
    stem = Path(name.replace("\\", "/").split("/")[-1]).stem
    stem = "".join(character if character.isprintable() else "_" for character in stem).strip(". ") or "recording"
    while len(stem.encode()) > MAX_STEM_BYTES:
        stem = stem[:-1]
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in stem)
    return f"attachment; filename={plain}{suffix}; filename*=UTF-8''{quote(stem + suffix, safe='')}"
