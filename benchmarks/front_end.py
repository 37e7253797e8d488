"""The filterbank of the note networks applied in bands, beside one dense product: inference and training.

python benchmarks/front_end.py [--repeats 9]

The variants run in turns in one process; figures are medians. What is printed is a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from audiocx.checkpoints import load_network
from audiocx.models.filtered_spectrum import FilteredSpectrum
from audiocx.models.note_network import NoteNetwork

BATCH, FRAMES = 2, 384


class DenseSpectrum(FilteredSpectrum):
    """The same with every line in every filter."""

    def forward(self, samples: Tensor) -> Tensor:
        """Compute the spectra."""
        frames = samples.unfold(1, self.size, self.hop_samples) * self.hann
        lines = torch.view_as_real(torch.fft.rfft(frames)).mT
        return (lines @ self.filters).transpose(1, 2)


def dense_copy() -> NoteNetwork:
    """Load the default network with the dense filterbank."""
    network: NoteNetwork = load_network("notes-complex-small")
    spectra = spectra_of(network)
    network.front_end.spectra = torch.nn.ModuleList(DenseSpectrum(each.filters, each.hop_samples) for each in spectra)
    return network


def spectra_of(network: NoteNetwork) -> list[FilteredSpectrum]:
    """Return the front end's spectra, one for each window."""
    return [cast(FilteredSpectrum, each) for each in network.front_end.spectra]


def training_step(network: NoteNetwork, samples: Tensor) -> Callable[[], None]:
    """Return a step of training on an arbitrary loss."""
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)

    def step() -> None:
        loss = torch.stack([part.square().mean() for part in network(samples)]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def front_end_only(network: NoteNetwork, samples: Tensor) -> Callable[[], None]:
    """Return a run of the front end without gradients."""

    def run() -> None:
        with torch.inference_mode():
            network.front_end(samples)

    return run


def medians_s(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Time the runs in turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            began_s = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began_s)
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    bands: NoteNetwork = load_network("notes-complex-small")
    networks = {"dense": dense_copy(), "bands": bands}
    spectra = spectra_of(bands)
    multiplications = {
        "dense": sum(each.filters.numel() for each in spectra),
        "bands": sum(band.numel() for each in spectra for _, band in each.bands()),
    }
    config = bands.config
    samples = 0.1 * torch.randn(BATCH, FRAMES * config.hop_samples + config.window_samples)
    sound_s = BATCH * FRAMES * config.hop_samples / config.sample_rate
    front = medians_s({name: front_end_only(network, samples) for name, network in networks.items()}, repeats)
    steps = medians_s({name: training_step(network, samples) for name, network in networks.items()}, repeats)
    print("| filterbank | multiplications a frame and part | front end, ms/s of sound | training, s of sound/s |")
    print("|---|---:|---:|---:|")
    for name in networks:
        figures = f"{1e3 * front[name] / sound_s:.1f} | {sound_s / steps[name]:.1f}"
        print(f"| {name} | {multiplications[name]:,} | {figures} |")


if __name__ == "__main__":
    main()
