"""LibriSpeech: 1000 hours of read English audiobooks at 16 kHz.

Source: V. Panayotov et al., "LibriSpeech: an ASR corpus based on public domain audio books", ICASSP 2015;
https://www.openslr.org/12.
Licence: CC BY 4.0.
Layout: ``SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac``, or directly under ``SPEAKER``; only the file names count.
Split: validation on held-out speakers, chosen by a hash of their ids; LibriSpeech has test sets of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from ...errors import DataError
from ..labels import find_audio
from .speech import Split, Utterance

__all__ = ["check_apart", "find_utterances", "split"]

_NAME = re.compile(r"(?P<speaker>\d+)-\d+-\d+")
# At most every tenth speaker is held out: 25 of the 251 of train-clean-100.
_SPEAKERS_PER_HELD_OUT = 10


def find_utterances(folder: str | Path) -> list[Utterance]:
    """List the recordings of LibriSpeech, complete or in part.

    Args:
        folder: A set such as train-clean-100, or a folder above; searched with its subfolders.

    Returns:
        Utterances sorted by name, such as ``103-1240-0000``, each once.

    Raises:
        DataError: The folder is missing, or holds no such recording.
    """
    # Reversed, so that of several files of one name the first is kept.
    paths = {path.stem: path for path in reversed(find_audio(folder)) if _speaker(path)}
    if not paths:
        raise DataError(
            f"{folder}: holds no recording named as in LibriSpeech, 103/1240/103-1240-0000.flac; name the folder of a "
            "split, such as train-clean-100."
        )
    return [Utterance(name, paths[name], _speaker(paths[name])) for name in sorted(paths)]


def split(utterances: Iterable[Utterance], held_out: int = 25) -> Split:
    """Hold out speakers for validation, chosen by a hash of their ids.

    Args:
        utterances: LibriSpeech, complete or in part.
        held_out: Number of speakers to hold out; at most every tenth, and at least one.

    Returns:
        Training: all other speakers. Validation: the held-out speakers. Test: empty; LibriSpeech has test sets.

    Raises:
        DataError: There are fewer than two speakers.
    """
    utterances = list(utterances)
    speakers = {utterance.speaker for utterance in utterances}
    if len(speakers) < 2:
        raise DataError(
            f"Holding out speakers for validation takes two or more, and there are recordings of {len(speakers)}; add "
            "the folder of another speaker."
        )
    count = max(1, min(held_out, len(speakers) // _SPEAKERS_PER_HELD_OUT))
    # A hash is unrelated to voices and chapters, and is hardly affected by adding or removing a speaker.
    chosen = set(sorted(speakers, key=lambda speaker: hashlib.sha256(speaker.encode()).hexdigest())[:count])
    return Split(
        [utterance for utterance in utterances if utterance.speaker not in chosen],
        [utterance for utterance in utterances if utterance.speaker in chosen],
        [],
    )


def check_apart(extra: Iterable[Utterance], validation: Iterable[Utterance]) -> None:
    """Check by file names that additional training recordings are not of held-out speakers.

    Args:
        extra: Recordings from any source.
        validation: The held-out recordings.

    Raises:
        DataError: A recording is of a held-out speaker.
    """
    held_out = {utterance.speaker for utterance in validation}
    for utterance in extra:
        if _speaker(utterance.audio) in held_out:
            raise DataError(
                f"{utterance.audio}: is of a speaker held out for validation; add a folder without LibriSpeech in it."
            )


def _speaker(path: Path) -> str:
    """Return the id of the speaker; "" for a file that is not named as in LibriSpeech."""
    match = _NAME.fullmatch(path.stem)
    return match["speaker"] if match else ""
