"""The networks, their configurations, and running them in blocks."""

from __future__ import annotations

from .layer_factory import folded, in_bfloat16
from .note_network import NoteConfig, NoteNetwork
from .predictor_network import PredictorConfig, PredictorNetwork
from .window_network import TranscriberConfig, TranscriberNetwork

__all__ = [
    "MusicConfig",
    "MusicNetwork",
    "NoteConfig",
    "NoteNetwork",
    "PredictorConfig",
    "PredictorNetwork",
    "TranscriberConfig",
    "TranscriberNetwork",
    "folded",
    "in_bfloat16",
]

# Of the networks that transcribe.
MusicConfig = TranscriberConfig | NoteConfig
MusicNetwork = TranscriberNetwork | NoteNetwork
