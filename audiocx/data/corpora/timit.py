"""TIMIT: read American English of 630 speakers, at 16 kHz.

Source: J. Garofolo et al., "TIMIT acoustic-phonetic continuous speech corpus", LDC93S1, 1993.
Licence: of the Linguistic Data Consortium.
Layout: ``TRAIN|TEST/DR1..8/SPEAKER/SENTENCE.WAV``, upper or lower case, as NIST SPHERE or converted: ``SA1.WAV``,
``sa1.wav``, ``SA1.flac``, ``SA1.WAV.wav``.
Split: 462 training speakers, the 50 of the usual development set, and the 24 of the core test set.
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

# Number of utterances for training, validation and test.
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
# The two sentences that all speakers read would put the same text into training and test.
_SHARED_SENTENCES = ("sa1", "sa2")
_PATH = re.compile(r"(?:train|test)/dr[1-8]/(?P<speaker>[a-z]{4}\d)/s[aix]\d+(?=(?:\.wav)?\.\w+$)")
_PARTS_OF_PATH = 4


def find_utterances(folder: str | Path) -> list[Utterance]:
    """List the recordings of TIMIT, complete or in part.

    Args:
        folder: The folder with TRAIN and TEST, one of these two, or a folder above.

    Returns:
        Utterances sorted by name, such as ``train/dr1/fcjf0/sa1``, each once; of a SPHERE file and its converted form,
        the latter is taken.

    Raises:
        DataError: The folder is missing, or holds no such recording.
    """
    paths: dict[str, list[Path]] = {}
    for path in find_audio(Path(folder).absolute()):
        if match := _PATH.match("/".join(path.parts[-_PARTS_OF_PATH:]).lower()):
            paths.setdefault(match[0], []).append(path)
    if not paths:
        raise DataError(
            f"{folder}: is not TIMIT: it has no recording such as TRAIN/DR1/FCJF0/SA1.WAV; name the "
            "folder into which TIMIT was unpacked."
        )
    return [Utterance(name, _converted(paths[name]), name.split("/")[-2]) for name in sorted(paths)]


def split(utterances: Iterable[Utterance]) -> Split:
    """Split by speakers, without the sentences that all speakers share (SA1 and SA2).

    Args:
        utterances: TIMIT, complete or in part.

    Returns:
        Training: the speakers under TRAIN. Validation: the 50 speakers of the development set. Test: the 24 speakers of
        the core test set. The other speakers under TEST are not used.
    """
    result = Split([], [], [])
    for utterance in utterances:
        side, _, speaker, sentence = utterance.name.split("/")
        if sentence in _SHARED_SENTENCES:
            continue
        if speaker in CORE_TEST_SPEAKERS:
            result.test.append(utterance)
        elif speaker in DEV_SPEAKERS:
            result.validation.append(utterance)
        elif side == "train":
            result.train.append(utterance)
    return result


def completeness(result: Split) -> str:
    """Return a sentence on whether a split is complete.

    Args:
        result: A result of :func:`split`.

    Returns:
        The sentence, with the numbers of utterances.
    """
    if (counts := tuple(map(len, result))) == EXPECTED:
        return "TIMIT is complete: {} utterances for training, {} for validation, {} for test.".format(*counts)
    train, validation, test = (f"{have} of {all_}" for have, all_ in zip(counts, EXPECTED, strict=True))
    return (
        f"TIMIT is not complete: train has {train} utterances, validation {validation}, test {test}; scores on it are "
        "not comparable with published ones."
    )


def _converted(paths: list[Path]) -> Path:
    """Return the converted form of a recording if there is one; the SPHERE file may be compressed."""
    return min(paths, key=_is_sphere) if len(paths) > 1 else paths[0]


def _is_sphere(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return True  # the other form is preferred
