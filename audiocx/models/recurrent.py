"""The recurrent transcriber: a complex gated layer over the frames of a window.

Source: Wolter and Yao, "Complex Gated Recurrent Neural Networks", 2018, on music transcription; both directions and
analytic signals are what they name as future work.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..nn import ComplexGatedRNN

__all__ = ["FrameStates"]


class FrameStates(nn.Module):
    """What a gated layer holds after the frames of a window: all of them, or of both directions those up to the centre.

    With one direction it runs to the last frame, and has heard the whole window. With two, one runs from the first
    frame and the other from the last, and both end with the frame in the middle, which they have heard most lately.

    Shape: input [B, 2, T, L], real parts first; output [B, 2H], real parts first, of both directions [B, 4H].

    Args:
        in_features: L, complex numbers a frame.
        hidden_features: H, complex.
        bidirectional: Adds a layer that runs backwards.
    """

    def __init__(self, in_features: int, hidden_features: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.forwards = ComplexGatedRNN(in_features, hidden_features)
        self.backwards = ComplexGatedRNN(in_features, hidden_features) if bidirectional else None

    def forward(self, x: Tensor) -> Tensor:
        """Runs over the frames; see the class for shapes."""
        frames = x.transpose(1, 2).flatten(2)
        if self.backwards is None:
            return self.forwards(frames)[1]
        centre = frames.shape[1] // 2
        before, after = frames[:, : centre + 1], frames[:, centre:].flip(1)
        return torch.cat([self.forwards(before)[1], self.backwards(after)[1]], 1)
