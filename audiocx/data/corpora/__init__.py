"""Corpora of music (MAPS, MusicNet) and speech (TIMIT, LibriSpeech): finding their files, and their splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError

if TYPE_CHECKING:
    from ..corpus import Piece
    from .speech import Utterance

__all__ = ["CORPORA", "Corpus"]


@dataclass(frozen=True)
class Corpus:
    """A corpus that is known by its layout.

    Its module is imported when first used. It has ``find_pieces(folder)`` or, of speech, ``find_utterances(folder)``,
    which raise :class:`audiocx.errors.DataError` where the corpus is not, and ``split``, which returns the parts,
    training and validation first; and ``recognise(folder)`` if a folder of the corpus may be incomplete.

    Attributes:
        title: Its name.
        module: Name of its module.
        speech: Whether it is of speech; of music else.
    """

    title: str
    module: str
    speech: bool = False

    def recognise(self, folder: Path) -> bool:
        """Return whether a folder holds the corpus."""
        own = getattr(self._load(), "recognise", None)
        if own is not None:
            return bool(own(folder))
        try:
            self._find(folder)
        except DataError:
            return False
        return True

    def split(self, folder: Path) -> Sequence[Sequence[Piece] | Sequence[Utterance]]:
        """Return the parts of a folder, training and validation first.

        Raises:
            DataError: The folder does not hold the corpus, or cannot be split.
        """
        parts: Sequence[Sequence[Piece] | Sequence[Utterance]] = self._load().split(self._find(folder))
        return parts

    def _find(self, folder: Path) -> Any:
        module = self._load()
        return module.find_utterances(folder) if self.speech else module.find_pieces(folder)

    def _load(self) -> Any:
        return import_module(f".{self.module}", __name__)


# By their names on the command line, in the order in which a folder is tried.
CORPORA = {
    "maps": Corpus("MAPS", "maps"),
    "musicnet": Corpus("MusicNet", "musicnet"),
    "timit": Corpus("TIMIT", "timit", speech=True),
    "librispeech": Corpus("LibriSpeech", "librispeech", speech=True),
}
