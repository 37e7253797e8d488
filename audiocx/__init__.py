"""Transcribe music, and predict the spectra of speech, with complex-valued neural networks.

>>> import audiocx
>>> transcription = audiocx.transcribe("song.wav")  # doctest: +SKIP
>>> transcription.to_midi("song.mid")  # doctest: +SKIP
>>> audiocx.predict("speech.wav").to_png("speech.png")  # doctest: +SKIP
>>> samples = audiocx.conceal("call.wav")  # doctest: +SKIP
>>> layer = audiocx.nn.ComplexLinear(8, 4)  # doctest: +SKIP

The public names are loaded when they are first used, so that ``import audiocx`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import conceal, load, load_predictor, load_transcriber, predict, transcribe
    from .checkpoints import available
    from .notes import Note

__version__ = "0.2.0"

__all__ = [
    "Note",
    "__version__",
    "available",
    "conceal",
    "load",
    "load_predictor",
    "load_transcriber",
    "predict",
    "transcribe",
]

_NEED_TORCH = ("nn", "optim")
_HOMES = {"Note": "notes", "available": "checkpoints"}


def __getattr__(name: str) -> Any:
    if name in _NEED_TORCH:
        return import_module(f".{name}", __name__)  # says what to install, should it be missing
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES.get(name, 'api')}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
