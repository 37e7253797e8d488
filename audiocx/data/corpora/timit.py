"""TIMIT, read American English of 630 speakers (Garofolo et al. 1993, LDC93S1).

Its recordings lie under ``TRAIN|TEST/DR1..8/SPEAKER/SENTENCE.WAV``, in either letter case, as NIST SPHERE or converted:
``SA1.WAV``, ``sa1.wav``, ``SA1.flac``, ``SA1.WAV.wav``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ...errors import DataError
from ...io.sphere import MAGIC
from ..labels import find_audio
from .speech import Split, Utterance

__all__ = ["CORE_TEST_SPEAKERS", "DEV_SPEAKERS", "EXPECTED", "completeness", "find_utterances", "split"]

# Utterances to train on, to validate with and to test on.
EXPECTED = (3696, 400, 192)
# The development set in common use (Halberstadt 1998), and the core test set of TIMIT's own documentation.
_DEV = """
    faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 fedw0 mgjf0 mglb0 mrtk0
    mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 mdvc0 mers0 fmah0 fdrw0 mrcs0 mrjm4 fcal1 mmwh0
    fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 mteb0 mjfc0 mrjr0 fmml0 mrws1
"""
_CORE_TEST = """
    mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 mgrt0
    mnjm0 fdhc0 mjln0 mpam0 fmld0
"""
DEV_SPEAKERS = frozenset(_DEV.split())
CORE_TEST_SPEAKERS = frozenset(_CORE_TEST.split())
# The two sentences that every speaker reads: what one says in them, the others have said in training.
_SHARED_SENTENCES = ("sa1", "sa2")
_PATH = re.compile(r"(?:train|test)/dr[1-8]/(?P<speaker>[a-z]{4}\d)/s[aix]\d+(?=(?:\.wav)?\.\w+$)")
_PARTS_OF_PATH = 4


def find_utterances(folder: str | Path) -> list[Utterance]:
    """List the recordings of TIMIT, whole or in part.

    Args:
        folder: The one with TRAIN and TEST, one of these two, or any above.

    Returns:
        Utterances sorted by name, such as ``train/dr1/fcjf0/sa1``. Each is there once: where a file lies beside its
        converted form, that form is taken.

    Raises:
        DataError: The folder is missing or holds nothing of the kind.
    """
    found: dict[str, list[Path]] = {}
    for path in find_audio(Path(folder).absolute()):
        if match := _PATH.match("/".join(path.parts[-_PARTS_OF_PATH:]).lower()):
            found.setdefault(match[0], []).append(path)
    if not found:
        raise DataError(
            f"{folder}: is no TIMIT: no recording lies under TRAIN or TEST as in TRAIN/DR1/FCJF0/SA1.WAV; name the "
            "folder into which TIMIT was unpacked."
        )
    return [Utterance(name, _converted(found[name]), name.split("/")[-2]) for name in sorted(found)]


def split(utterances: Iterable[Utterance]) -> Split:
    """Split by the lists of speakers, and leaves out the sentences that all speakers share (SA1 and SA2).

    Args:
        utterances: TIMIT, whole or in part.

    Returns:
        Training: the speakers under TRAIN. Validation: the 50 of the development set. Test: the 24 of the core test
        set. The other speakers under TEST are in none. A side is empty where none of its speakers are there.
    """
    parted = Split([], [], [])
    for utterance in utterances:
        side, _, speaker, sentence = utterance.name.split("/")
        if sentence in _SHARED_SENTENCES:
            continue
        if speaker in CORE_TEST_SPEAKERS:
            parted.test.append(utterance)
        elif speaker in DEV_SPEAKERS:
            parted.validation.append(utterance)
        elif side == "train":
            parted.train.append(utterance)
    return parted


def completeness(parted: Split) -> str:
    """Return whether a split holds all of TIMIT.

    Args:
        parted: What :func:`split` gave.

    Returns:
        A sentence with the counts.
    """
    if (found := tuple(map(len, parted))) == EXPECTED:
        return "TIMIT is complete: {} utterances to train on, {} to validate with, {} to test on.".format(*found)
    train, validation, test = (f"{have} of {all_}" for have, all_ in zip(found, EXPECTED, strict=True))
    return (
        f"TIMIT is not complete: train has {train} utterances, validation {validation}, test {test}; scores on it are "
        "not comparable with published ones."
    )


def _converted(paths: list[Path]) -> Path:
    """Of the forms of one recording, the converted one: the other may be compressed."""
    return min(paths, key=_is_sphere) if len(paths) > 1 else paths[0]


def _is_sphere(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return True  # not the one to take
