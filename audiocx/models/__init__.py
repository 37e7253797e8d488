"""The networks, as plain modules built from their configurations."""

from __future__ import annotations

from typing import overload

from .note_network import NoteConfig, NoteNetwork
from .predictor import PredictorConfig, PredictorNetwork
from .transcriber import TranscriberConfig, TranscriberNetwork
from .twin import folded

__all__ = [
    "KINDS",
    "AnyConfig",
    "AnyNetwork",
    "MusicConfig",
    "MusicNetwork",
    "NoteConfig",
    "NoteNetwork",
    "PredictorConfig",
    "PredictorNetwork",
    "TranscriberConfig",
    "TranscriberNetwork",
    "build",
    "folded",
]


MusicConfig = TranscriberConfig | NoteConfig
MusicNetwork = TranscriberNetwork | NoteNetwork
AnyConfig = MusicConfig | PredictorConfig
AnyNetwork = MusicNetwork | PredictorNetwork

# What checkpoints and experiments call each kind of network, and its configuration.
KINDS: dict[str, type[TranscriberConfig | PredictorConfig | NoteConfig]] = {
    TranscriberNetwork.kind: TranscriberConfig,
    PredictorNetwork.kind: PredictorConfig,
    NoteNetwork.kind: NoteConfig,
}


@overload
def build(config: TranscriberConfig) -> TranscriberNetwork: ...
@overload
def build(config: PredictorConfig) -> PredictorNetwork: ...
@overload
def build(config: NoteConfig) -> NoteNetwork: ...
def build(config: AnyConfig) -> AnyNetwork:
    """Builds a network with fresh weights.

    Args:
        config: What to build.

    Returns:
        The network, in training mode, float32 on the CPU.
    """
    if isinstance(config, NoteConfig):
        return NoteNetwork(config)
    return TranscriberNetwork(config) if isinstance(config, TranscriberConfig) else PredictorNetwork(config)
