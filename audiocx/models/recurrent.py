"""Recurrent transcriber: a complex gated layer over the frames of a window.

Source: Wolter and Yao, "Complex Gated Recurrent Neural Networks", 2018, on music transcription; they name both
directions and analytic signals as future work.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..nn import ComplexGatedRNN

__all__ = ["FrameStates"]


class FrameStates(nn.Module):
    """Final state of a complex gated RNN over the frames of a window.

    A single layer runs over the whole window. Bidirectional, one layer runs from the first frame and one from the last,
    and both end at the centre frame.

    Shape: input [B, 2, T, L], real parts first; output [B, 2H], real parts first, or [B, 4H] if bidirectional.

    Args:
        in_features: L, complex features of a frame.
        hidden_features: H, complex units of each direction.
        bidirectional: Add a layer that runs backwards.
    """

    def __init__(self, in_features: int, hidden_features: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.forwards = ComplexGatedRNN(in_features, hidden_features)
        self.backwards = ComplexGatedRNN(in_features, hidden_features) if bidirectional else None

    def forward(self, x: Tensor) -> Tensor:
        """Run over the frames; see the class for shapes."""
        frames = x.transpose(1, 2).flatten(2)
        if self.backwards is None:
            return self.forwards(frames)[1]
        centre = frames.shape[1] // 2
        before, after = frames[:, : centre + 1], frames[:, centre:].flip(1)
        return torch.cat([self.forwards(before)[1], self.backwards(after)[1]], 1)
