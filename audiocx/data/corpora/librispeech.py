"""LibriSpeech, read English audiobooks (Panayotov et al. 2015), and folders laid out as it is.

Its recordings lie under ``SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac``, or directly under ``SPEAKER``; names decide.
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
# No more than every tenth speaker is held out, however few there are: 25 of the 251 of train-clean-100.
_HELD_OUT_SHARE = 10


def find_utterances(folder: str | Path) -> list[Utterance]:
    """List the recordings of LibriSpeech, whole or in part.

    Args:
        folder: A split such as train-clean-100, or any above; all that lies in it is taken.

    Returns:
        Utterances sorted by name, such as ``103-1240-0000``, each once.

    Raises:
        DataError: The folder is missing or holds nothing of the kind.
    """
    # Backwards, so that of several files of one name the first stays.
    found = {path.stem: path for path in reversed(find_audio(folder)) if _speaker(path)}
    if not found:
        raise DataError(
            f"{folder}: holds no recording named as in LibriSpeech, 103/1240/103-1240-0000.flac; name the folder of a "
            "split, such as train-clean-100."
        )
    return [Utterance(name, found[name], _speaker(found[name])) for name in sorted(found)]


def split(utterances: Iterable[Utterance], held_out: int = 25) -> Split:
    """Hold speakers out for validation: always the same, chosen by their ids, whatever the order of the files.

    Args:
        utterances: LibriSpeech, whole or in part.
        held_out: Speakers to hold out; of fewer than ten times as many, every tenth, and at least one.

    Returns:
        Training: all other speakers. Validation: those held out. Test: none; LibriSpeech has splits for that.

    Raises:
        DataError: There are not two speakers.
    """
    utterances = list(utterances)
    speakers = {utterance.speaker for utterance in utterances}
    if len(speakers) < 2:
        raise DataError(
            f"Holding out speakers for validation takes two or more, and there are recordings of {len(speakers)}; add "
            "another speaker's folder."
        )
    count = max(1, min(held_out, len(speakers) // _HELD_OUT_SHARE))
    # By hash: in no relation to anything, and a speaker more or less hardly changes who else is held out.
    chosen = set(sorted(speakers, key=lambda speaker: hashlib.sha256(speaker.encode()).hexdigest())[:count])
    return Split(
        [utterance for utterance in utterances if utterance.speaker not in chosen],
        [utterance for utterance in utterances if utterance.speaker in chosen],
        [],
    )


def check_apart(extra: Iterable[Utterance], validation: Iterable[Utterance]) -> None:
    """Check that recordings to train on are of no speaker held out, as far as file names tell.

    Args:
        extra: Recordings of any source.
        validation: Those held out.

    Raises:
        DataError: One is of a speaker held out.
    """
    held_out = {utterance.speaker for utterance in validation}
    for utterance in extra:
        if _speaker(utterance.audio) in held_out:
            raise DataError(
                f"{utterance.audio}: is of a speaker held out for validation; add a folder without LibriSpeech in it."
            )


def _speaker(path: Path) -> str:
    """The speaker's id; "" of a file that is not named as in LibriSpeech."""
    match = _NAME.fullmatch(path.stem)
    return match["speaker"] if match else ""
