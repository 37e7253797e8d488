"""The networks a server offers: the default loaded at once, each other when it is first used."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import checkpoints
from ..errors import AudiocxError, ConfigError
from ..kinds import KINDS

if TYPE_CHECKING:
    from ..music.transcriber import Transcriber
    from .settings import ServeSettings

__all__ = ["Networks"]


class Networks:
    """The transcribers at hand.

    Args:
        settings: Default network, device, precision and runtime.

    Attributes:
        default: Name of the default network.
        listing: ``name`` and ``description`` of each network.

    Raises:
        AudiocxError: The default network is missing, damaged, does not transcribe, or does not run as asked for.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings, self._lock = settings, threading.Lock()
        self._loaded: dict[str, Transcriber] = {}
        self._folders: dict[str, Path | str] = {}
        self.listing: list[dict[str, str]] = []
        for name, folder in checkpoints.available().items():
            self._add(name, folder)
        # The default is loaded at once, by its name or from its folder: what cannot be used is said at the start.
        chosen = settings.model or checkpoints.DEFAULT
        transcriber = self._load(chosen)
        self.default = transcriber.checkpoint.name
        self._folders[self.default], self._loaded[self.default] = chosen, transcriber
        others = [row for row in self.listing if row["name"] != self.default]
        self.listing = [_listed(self.default, transcriber.checkpoint.card), *others]

    def check(self, name: str | None) -> str:
        """Return the name of a network that is offered; the default's for None.

        Raises:
            ConfigError: There is none of that name.
        """
        name = name or self.default
        if name not in self._folders:
            raise ConfigError(f"There is no network of that name; choose one of {', '.join(self._folders)}.")
        return name

    def transcriber(self, name: str) -> Transcriber:
        """Return a network, loaded when it is first asked for.

        Args:
            name: As :meth:`check` returned it.

        Raises:
            AudiocxError: It cannot be loaded.
        """
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._load(self._folders[name])
            return self._loaded[name]

    def _load(self, name_or_path: Path | str) -> Transcriber:
        from ..api import load_transcriber

        settings = self._settings
        return load_transcriber(name_or_path, settings.device, settings.precision, settings.runtime)

    def _add(self, name: str, folder: Path) -> None:
        try:
            card: dict[str, Any] = checkpoints.read_config(folder)
        except AudiocxError:
            return  # audiocx models says what is wrong with it
        kind = KINDS.get(str(card.get("kind")))
        if kind is not None and kind.does == "transcribe":
            self._folders[name] = folder
            self.listing.append(_listed(name, card))


def _listed(name: str, card: dict[str, Any]) -> dict[str, str]:
    return {"name": name, "description": str(card.get("description", ""))}
