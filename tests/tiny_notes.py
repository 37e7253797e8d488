"""An untrained note network of the smallest size, and something for it to hear, for the tests of all around it."""

from __future__ import annotations

import numpy as np
import torch

from audiocx.models import NoteConfig, NoteNetwork
from audiocx.music.note_decoding import NoteDecodeSettings

RATE = 8000
HOP = 64
# Some of the network's guesses, untrained as it is, must make notes.
LOOSE = NoteDecodeSettings(0.5, 0.5, 0.5, bridge_gap_s=0.0, min_note_s=0.0)


def small(complex: bool = True, time_stride: int = 1, dilations: tuple[int, ...] = (1, 4)) -> NoteNetwork:
    """An untrained network that looks 9 strides to either side, or more, and is in no doubt of anything."""
    sizes = {
        "stem_channels": 2,
        "channels": 3,
        "dilations": list(dilations),
        "octave": 3,
        "harmonics": [1.0, 2.0],
        "norm": "whitening",
    }
    grid = {"sample_rate": RATE, "hop_samples": HOP, "windows": [512, 128], "time_stride": time_stride}
    config = NoteConfig(complex, outputs=12, lowest_note=60, **sizes, **grid)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = NoteNetwork(config).eval()
    heads = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)][-1]
    assert heads.out_channels == 4 * time_stride and heads.bias is not None
    with torch.no_grad():
        heads.bias.zero_()
        heads.weight.mul_(8)
    return network


def recording(samples: int) -> np.ndarray:
    """Decaying tones in a little noise, loud up to the last sample."""
    rng = np.random.default_rng(0)
    t = np.arange(samples) / RATE
    tones = [np.sin(2 * np.pi * hz * t) * np.exp(-4 * (t % period)) for hz, period in ((262, 0.31), (440, 0.47))]
    return (0.2 * sum(tones) + 0.05 * rng.normal(size=samples)).astype(np.float32)
