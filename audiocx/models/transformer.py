"""Transformer transcriber: complex self-attention over the frames of a window.

Source: Yang et al., "Complex transformer: a framework for modeling complex-valued sequence", 2020, on MusicNet; sizes
are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..nn import ComplexLinear, ComplexTransformerEncoderLayer
from .layer_factory import Layers

__all__ = ["FrameTransformer"]

# Complex features of the feed-forward networks, as a multiple of those of the frames.
_FEED_FORWARD = 4
# Longest period of the positions, in radians, as for words.
_LONGEST = 10_000.0


class FrameTransformer(nn.Module):
    """Complex transformer encoder over the frames of a window; its output at the centre frame.

    Frames are projected, each position's complex exponentials are added, and layers of self-attention follow, with the
    normalisation before each part.

    Shape: input [B, 2, T, L], real parts first; output [B, 2H], real parts first.

    Args:
        in_features: L, complex features of a frame.
        hidden_features: H, complex features within.
        heads: Heads of the attention, a divisor of H.
        layers: Number of encoder layers.
    """

    def __init__(self, in_features: int, hidden_features: int, heads: int, layers: int) -> None:
        super().__init__()
        self.embedding = ComplexLinear(in_features, hidden_features, criterion="glorot")
        size = (hidden_features, heads, _FEED_FORWARD * hidden_features)
        self.body = Layers(*(ComplexTransformerEncoderLayer(*size, norm_first=True) for _ in range(layers)))
        periods = _LONGEST ** -torch.linspace(0, 1, hidden_features, dtype=torch.float64, device="cpu")
        # On the CPU even if the network is built on "meta" to be loaded later: it is not saved.
        self.register_buffer("rates", periods.float(), persistent=False)

    rates: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Run over the frames; see the class for shapes."""
        frames = self.embedding(x.transpose(1, 2).flatten(2))
        angles = torch.arange(frames.shape[1], device=x.device)[:, None] * self.rates
        positions = torch.cat([angles.cos(), angles.sin()], 1).to(frames.dtype)
        y = self.body(frames + positions)
        return y[:, frames.shape[1] // 2]
