"""The networks, their configurations, and running them in blocks.

The public names are loaded when they are first used: the configurations need no PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configs import MusicConfig, NoteConfig, PredictorConfig, TranscriberConfig
    from .layer_factory import folded, in_bfloat16
    from .note_network import NoteNetwork
    from .predictor_network import PredictorNetwork
    from .window_network import TranscriberNetwork

_HOMES = {
    "MusicConfig": "configs",
    "NoteConfig": "configs",
    "NoteNetwork": "note_network",
    "PredictorConfig": "configs",
    "PredictorNetwork": "predictor_network",
    "TranscriberConfig": "configs",
    "TranscriberNetwork": "window_network",
    "folded": "layer_factory",
    "in_bfloat16": "layer_factory",
}

__all__ = [
    "MusicConfig",
    "NoteConfig",
    "NoteNetwork",
    "PredictorConfig",
    "PredictorNetwork",
    "TranscriberConfig",
    "TranscriberNetwork",
    "folded",
    "in_bfloat16",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value
