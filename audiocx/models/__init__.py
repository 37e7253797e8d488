"""The networks, as plain modules built from their configurations."""

from __future__ import annotations

from typing import overload

from .predictor import PredictorConfig, PredictorNetwork
from .transcriber import TranscriberConfig, TranscriberNetwork, folded

__all__ = [
    "PredictorConfig",
    "PredictorNetwork",
    "TranscriberConfig",
    "TranscriberNetwork",
    "build",
    "folded",
]


@overload
def build(config: TranscriberConfig) -> TranscriberNetwork: ...
@overload
def build(config: PredictorConfig) -> PredictorNetwork: ...
def build(config: TranscriberConfig | PredictorConfig) -> TranscriberNetwork | PredictorNetwork:
    """Builds a network with fresh weights.

    Args:
        config: What to build.

    Returns:
        The network, in training mode, float32 on the CPU.
    """
    return TranscriberNetwork(config) if isinstance(config, TranscriberConfig) else PredictorNetwork(config)
