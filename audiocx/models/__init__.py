"""The networks, as plain modules built from their configurations."""

from __future__ import annotations

from typing import overload

from .layer_factory import folded, in_bfloat16
from .note_network import NoteConfig, NoteNetwork
from .predictor_network import PredictorConfig, PredictorNetwork
from .sequence_network import SequenceConfig, SequenceNetwork
from .window_network import TranscriberConfig, TranscriberNetwork

__all__ = [
    "KINDS",
    "AnyConfig",
    "AnyNetwork",
    "AudioNetwork",
    "MusicConfig",
    "MusicNetwork",
    "NoteConfig",
    "NoteNetwork",
    "PredictorConfig",
    "PredictorNetwork",
    "SequenceConfig",
    "SequenceNetwork",
    "TranscriberConfig",
    "TranscriberNetwork",
    "build",
    "folded",
    "in_bfloat16",
]


MusicConfig = TranscriberConfig | NoteConfig
MusicNetwork = TranscriberNetwork | NoteNetwork
AudioNetwork = MusicNetwork | PredictorNetwork
AnyConfig = MusicConfig | PredictorConfig | SequenceConfig
AnyNetwork = AudioNetwork | SequenceNetwork

# What checkpoints call each kind of network, and its configuration; those for synthetic problems are never shipped.
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
@overload
def build(config: SequenceConfig) -> SequenceNetwork: ...
def build(config: AnyConfig) -> AnyNetwork:
    """Builds a network with fresh weights.

    Args:
        config: What to build.

    Returns:
        The network, in training mode, float32 on the CPU.
    """
    if isinstance(config, NoteConfig):
        return NoteNetwork(config)
    if isinstance(config, SequenceConfig):
        return SequenceNetwork(config)
    return TranscriberNetwork(config) if isinstance(config, TranscriberConfig) else PredictorNetwork(config)
