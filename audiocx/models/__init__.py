"""The networks, as plain modules built from their configurations."""

from .transcriber import TranscriberConfig, TranscriberNetwork, build, folded

__all__ = ["TranscriberConfig", "TranscriberNetwork", "build", "folded"]
