"""The training step of the speech predictors, frames a second: our recurrence against autograd through every step.

python benchmarks/predictor_step.py

The variants take turns in one process; the figure is the best of three rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from audiocx.kinds import build
from audiocx.models import PredictorConfig
from audiocx.models.speech_transform import log_power_db
from audiocx.nn import ComplexConv1d, ConvLSTM
from audiocx.stft import BINS
from audiocx.train.machine import keep_memory

BATCH, FRAMES, ROUNDS = 8, 64, 3
NETWORKS = {
    "complex ConvLSTM": PredictorConfig(),
    "real ConvLSTM": PredictorConfig(complex=False),
    "plain LSTM": PredictorConfig("lstm", complex=False),
}


class FollowedByAutograd(nn.Module):
    """The same layer as the equations say it, with a convolution, its gates and their gradients step by step."""

    def __init__(self, layer: ConvLSTM) -> None:
        super().__init__()
        self.layer = layer
        for conv in (layer.input, layer.recurrent):
            conv.padding = (layer.taps[0] // 2,)

    def forward(self, x: Tensor, _: object) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Runs over time, as :class:`audiocx.nn.ConvLSTM` does."""
        parts = 2 if isinstance(self.layer.input, ComplexConv1d) else 1
        drive = self.layer.input(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        hidden = cell = x.new_zeros(x.shape[0], self.layer.state_channels, x.shape[-1])
        outputs = []
        for time_step in range(x.shape[1]):
            z = (drive[:, time_step] + self.layer.recurrent(hidden)).unflatten(1, (parts, 4, -1))
            admit, keep, emit = (z[:, :, gate].flatten(1, 2).sigmoid() for gate in range(3))
            cell = keep * cell + admit * z[:, :, 3].flatten(1, 2).tanh()
            hidden = emit * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs, 1), (hidden, cell)


def step(config: PredictorConfig, followed: bool) -> Callable[[], None]:
    """Makes a training step."""
    network = build(config)
    if followed:
        layers: Any = network.core.layers
        network.core.layers = nn.ModuleList(FollowedByAutograd(layer) for layer in layers)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, fused=True)
    spectra = torch.randn(BATCH, FRAMES, BINS, dtype=torch.complex64)
    levels = log_power_db(spectra)

    def once() -> None:
        predicted, _ = network(spectra)
        (log_power_db(predicted[:, :-1]) - levels[:, 1:]).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return once


def main() -> None:
    """Measures and prints."""
    keep_memory()
    variants = {name: step(config, False) for name, config in NETWORKS.items()}
    variants |= {
        f"{name}, followed by autograd": step(config, True)
        for name, config in NETWORKS.items()
        if config.architecture == "convlstm"
    }
    best = dict.fromkeys(variants, 0.0)
    for round_ in range(ROUNDS + 1):
        for name, once in variants.items():
            began_s = time.perf_counter()
            once()
            if round_:  # the first warms up
                best[name] = max(best[name], BATCH * FRAMES / (time.perf_counter() - began_s))
    print("| training step | frames/s | ratio |\n|---|---:|---:|")
    slowest = min(best.values())
    for name, rate in best.items():
        print(f"| {name} | {rate:.0f} | {rate / slowest:.2f} |")


if __name__ == "__main__":
    main()
