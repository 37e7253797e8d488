"""Measure the distance of complex networks' tangent kernels to a real one's: python recipes/ntk/measure.py.

For each activation, width and seed, draws a multilayer network and computes its empirical tangent kernel on a few
inputs by ordinary backpropagation. Writes kernels.json (every distance), table.md and kernels.png, and prints the
table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from tangent_kernel import Moments, distance, limit_kernel, relu_moments, tangent_kernel, tanh_moments
from torch import Tensor, nn
from tqdm import tqdm

from audiocx.cli.scripts import exit_on_errors
from audiocx.errors import ConfigError
from audiocx.io.atomic_write import atomic_write
from audiocx.models.runtime import choose_device
from audiocx.nn import ComplexLinear
from audiocx.nn.functional import crelu, modrelu, zrelu
from audiocx.plots.figure import FAINT, LINE_COLOURS, new_figure, save_figure

# Twelve inputs of eight complex numbers, real and imaginary parts normal: the same for all networks.
INPUTS, FEATURES, INPUT_SEED = 12, 8, 0
# He's: ReLU then keeps the scale of its inputs.
GAIN = math.sqrt(2)
# With a bias of 0, the usual initial value, modReLU is the identity. The magnitudes before it are about 2.
MODRELU_BIAS = -1.0


class Kind(NamedTuple):
    """A network: complex or not, its activation, and the moments of the real limit that it is compared with."""

    complex: bool
    activation: Callable[[Tensor], Tensor]
    limit: Moments


KINDS = {
    "CReLU": Kind(True, crelu, relu_moments),
    "zReLU": Kind(True, zrelu, relu_moments),
    "modReLU": Kind(True, lambda x: modrelu(x, x.new_full((1,), MODRELU_BIAS)), relu_moments),
    "split tanh": Kind(True, torch.tanh, tanh_moments),
    "real ReLU": Kind(False, torch.relu, relu_moments),
    "real tanh": Kind(False, torch.tanh, tanh_moments),
}
# The distances: to the real limit, and between the kernels of the inputs and of the same inputs rotated.
TO_LIMIT, TO_TURNED = "to the real limit", "to itself, inputs turned"
spread = partial(np.std, ddof=1)
Distances = dict[str, dict[str, dict[int, list[float]]]]


class Multilayer(nn.Module):
    """A multilayer network in the tangent kernel's parametrisation, without biases.

    Weights, and the real and imaginary parts of complex ones, are of variance 1; a layer multiplies by them and by
    gain / sqrt(n), n being how many real numbers go in: pre-activations of real and complex networks have the same
    variance, and as many real inputs.

    Shape: input [N, 2 FEATURES], real parts first; output [N, 1], of the complex network the real part.

    Args:
        kind: Which.
        width: Units of a hidden layer.
        hidden_layers: Number of hidden layers.
    """

    def __init__(self, kind: Kind, width: int, hidden_layers: int) -> None:
        super().__init__()
        self.activation = kind.activation
        sizes = [FEATURES if kind.complex else 2 * FEATURES, *[width] * hidden_layers, 1]
        layer = ComplexLinear if kind.complex else nn.Linear
        with torch.device("meta"):  # their own initialisation is not needed, and slow
            self.layers = nn.ModuleList(layer(*pair, bias=False) for pair in itertools.pairwise(sizes))
        self.to_empty(device="cpu")
        for parameter in self.parameters():
            nn.init.normal_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        for index, layer in enumerate(self.layers):
            x = self.activation(x) if index else x
            x = layer(x) * (GAIN / math.sqrt(x.shape[1]))
        return x[:, :1]


def draw_inputs() -> tuple[Tensor, Tensor]:
    """Draw inputs, and rotate them: this keeps the real products between them, but not the imaginary ones."""
    rng = np.random.default_rng(INPUT_SEED)
    inputs = rng.standard_normal((INPUTS, 2 * FEATURES))
    rotation, _ = np.linalg.qr(rng.standard_normal((2 * FEATURES, 2 * FEATURES)))
    return torch.from_numpy(inputs).float(), torch.from_numpy(inputs @ rotation).float()


def measure(widths: list[int], seeds: int, hidden_layers: int, device: torch.device) -> Distances:
    """Measure every network.

    Args:
        widths: Widths of the hidden layers.
        seeds: Number of draws of each network.
        hidden_layers: Number of hidden layers.
        device: Device to run on.

    Returns:
        For each distance, network and width, a number for each seed.
    """
    inputs, rotated = draw_inputs()
    limits = {name: limit_kernel(inputs, kind.limit, hidden_layers, GAIN) for name, kind in KINDS.items()}
    titles = (TO_LIMIT, TO_TURNED)
    distances: Distances = {title: {name: {w: [] for w in widths} for name in KINDS} for title in titles}
    every = list(itertools.product(widths, KINDS, range(seeds)))
    for width, name, seed in tqdm(every, unit=" networks", leave=False, disable=None):
        torch.manual_seed(seed)
        network = Multilayer(KINDS[name], width, hidden_layers).to(device)
        kernel, other = (tangent_kernel(network, x.to(device)).cpu().double() for x in (inputs, rotated))
        distances[TO_LIMIT][name][width].append(distance(kernel, limits[name]))
        distances[TO_TURNED][name][width].append(distance(kernel, other))
    return distances


def table(distances: Distances) -> str:
    """Format means and standard deviations over the seeds as Markdown that also reads as text."""
    parts = []
    for title, networks in distances.items():
        widths = list(next(iter(networks.values())))
        parts += [f"| distance {title} | {' | '.join(map(str, widths))} |", "|---|" + "---:|" * len(widths)]
        for name, drawn in networks.items():
            cells = (f"{np.mean(values):.4f} +- {spread(values):.4f}" for values in drawn.values())
            parts.append(f"| {name} | {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)


def plot(distances: Distances) -> Figure:
    """Plot each distance against the width, with error bars of one standard deviation."""
    figure = new_figure(9.6, 4.4)
    panels = figure.subplots(1, len(distances), sharex=True, sharey=True)
    for axes, (title, networks) in zip(panels, distances.items(), strict=True):
        for colour, (name, drawn) in zip(LINE_COLOURS, networks.items(), strict=False):
            mean, std = ([summary(values) for values in drawn.values()] for summary in (np.mean, spread))
            style = {"linestyle": "-" if KINDS[name].complex else "--", "marker": "o", "markersize": 3, "capsize": 3}
            axes.errorbar(list(drawn), mean, std, color=colour, linewidth=1.6, label=name, **style)
        axes.set(xscale="log", yscale="log", xlabel="width", title=f"distance {title}")
        axes.set_xticks(list(drawn), map(str, drawn))
        axes.minorticks_off()
        axes.grid(color=FAINT, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    return figure


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[64 * 2**step for step in range(7)], metavar="N")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="draws of each (default: %(default)s)")
    parser.add_argument("--hidden-layers", type=int, default=2, metavar="N", help="default: %(default)s")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ... (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/ntk"), help="folder of table and picture")
    arguments = parser.parse_args()
    if min(*arguments.widths, arguments.hidden_layers, arguments.seeds - 1) < 1:
        raise ConfigError("Widths and hidden layers are positive, and seeds two or more: one has no spread.")
    return arguments


def main() -> None:
    """Measure, and write table and picture."""
    arguments = parse()
    widths = sorted(set(arguments.widths))
    distances = measure(widths, arguments.seeds, arguments.hidden_layers, choose_device(arguments.device))
    with suppress(OSError):  # atomic_write reports the reason
        arguments.output.mkdir(parents=True, exist_ok=True)
    settings = {"hidden_layers": arguments.hidden_layers, "modrelu_bias": MODRELU_BIAS, "inputs": INPUTS}
    with atomic_write(arguments.output / "kernels.json") as temporary:
        temporary.write_text(json.dumps({**settings, "distances": distances}, indent=1), encoding="utf-8")
    with atomic_write(arguments.output / "table.md") as temporary:
        temporary.write_text(table(distances), encoding="utf-8")
    save_figure(plot(distances), arguments.output / "kernels.png")
    print(table(distances))


if __name__ == "__main__":
    with exit_on_errors("measure"):
        main()
