"""Measure how far wide networks tell inputs of equal real products apart: python recipes/ntk/measure.py.

For each activation, width and seed, draws a multilayer network and computes its tangent kernel, under ordinary
backpropagation, on two sets of inputs with equal real and different imaginary products. Writes kernels.json as results
come (an interrupted run continues), then table.md and kernels.png, and prints the table.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from functools import cache, partial
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from running_results import Key, collect
from tangent_kernel import distance
from torch import Tensor
from wide_network import INPUT_SEED, KINDS, MODRELU_BIAS, Multilayer, equal_products

from audiocx.cli.scripts import exit_on_errors
from audiocx.errors import ConfigError
from audiocx.io.atomic_write import atomic_write
from audiocx.plots.figure import FAINT, LINE_COLOURS, new_figure, save_figure

ANGLES = torch.linspace(0, 1.5, 12, dtype=torch.float64)
# The distances: between the kernels on both sets, and of the kernel on all inputs to that of infinite width.
BETWEEN, TO_LIMIT = "between inputs of equal real products", "to the limit of infinite width"
Distances = dict[Key, dict[str, float]]
spread = partial(np.std, ddof=1)


def between(kernel: Tensor) -> float:
    """Return the distance of a kernel's blocks on both sets of inputs."""
    size = len(kernel) // 2
    return distance(kernel[:size, :size], kernel[size:, size:])


@cache
def limit(name: str, hidden_layers: int) -> Tensor:
    """Compute the kernel of infinite width on both sets of inputs, first one, then the other."""
    return KINDS[name].limit(torch.cat(equal_products(ANGLES)), hidden_layers)


def measure(name: str, width: int, seed: int, hidden_layers: int) -> dict[str, float]:
    """Measure both distances of one network."""
    torch.manual_seed(seed)
    kernel = Multilayer(KINDS[name], width, hidden_layers).tangent_kernel(torch.cat(equal_products(ANGLES))).double()
    return {BETWEEN: between(kernel), TO_LIMIT: distance(kernel, limit(name, hidden_layers))}


def table(distances: Distances, limits: dict[str, float]) -> str:
    """Format means and standard deviations over the seeds as Markdown that also reads as text.

    Args:
        distances: Of each network.
        limits: For each kind, the distance between both sets at infinite width.

    Returns:
        Two tables.
    """
    parts = []
    widths = sorted({width for _, width, _ in distances})
    for title in (BETWEEN, TO_LIMIT):
        columns = [*map(str, widths), "infinite"] if title == BETWEEN else [*map(str, widths)]
        parts += [f"| distance {title} | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
        for name in KINDS:
            drawn = by_width(distances, name, itemgetter(title))
            cells = [f"{np.mean(values):.3f} ± {spread(values):.3f}" for values in drawn.values()]
            cells += [f"{limits[name]:.3f}"] if title == BETWEEN else []
            parts.append(f"| {name} | {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)


def by_width(results: dict[Key, dict], name: str, of: Callable[[dict], float]) -> dict[int, list[float]]:
    """Group a number of each result of a kind by width, seeds together."""
    grouped: dict[int, list[float]] = {}
    for (kind, width, _), found in results.items():
        if kind == name:
            grouped.setdefault(width, []).append(of(found))
    return dict(sorted(grouped.items()))


def draw_widths(axes: Axes, drawn: dict[str, dict[int, list[float]]], title: str) -> None:
    """Draw means against the width, with error bars of one standard deviation."""
    for colour, (name, values) in zip(LINE_COLOURS, drawn.items(), strict=False):
        mean, std = ([summary(part) for part in values.values()] for summary in (np.mean, spread))
        line = "o-" if KINDS[name].complex else "o--"
        axes.errorbar(list(values), mean, std, fmt=line, color=colour, markersize=3, capsize=3, label=name)
    axes.set(xscale="log", yscale="log", xlabel="width", title=title)
    widths = list(next(iter(drawn.values())))
    axes.set_xticks(widths, map(str, widths))
    axes.minorticks_off()
    axes.grid(color=FAINT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def plot(distances: Distances, limits: dict[str, float]) -> Figure:
    """Plot each distance against the width, with those at infinite width as dotted lines."""
    figure = new_figure(9.6, 4.4)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, title in zip(panels, (BETWEEN, TO_LIMIT), strict=True):
        draw_widths(axes, {name: by_width(distances, name, itemgetter(title)) for name in KINDS}, f"distance {title}")
    for colour, value in zip(LINE_COLOURS, limits.values(), strict=False):
        if value > 1e-6:  # the others are 0, which has no place on a logarithmic axis
            panels[0].axhline(value, color=colour, linestyle=":", linewidth=1.2)
    panels[0].set_ylabel("distance of normalised kernels")
    panels[1].legend(frameon=False)
    return figure


def parser(description: str | None, widths: list[int], seeds: int) -> argparse.ArgumentParser:
    """Return a parser of the options that both scripts have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=widths, metavar="N", help="units of a hidden layer")
    parser.add_argument("--seeds", type=int, default=seeds, metavar="N", help="draws of each (default: %(default)s)")
    parser.add_argument("--hidden-layers", type=int, default=2, metavar="N", help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/ntk"), help="folder of results and picture")
    return parser


def keys(arguments: argparse.Namespace) -> list[Key]:
    """Return kind, width and seed of each network, the narrow ones first."""
    if min(*arguments.widths, arguments.hidden_layers, arguments.seeds - 1) < 1:
        raise ConfigError("Widths and hidden layers are positive, and seeds two or more: one has no spread.")
    return [
        (name, width, seed)
        for width, name, seed in itertools.product(sorted(set(arguments.widths)), KINDS, range(arguments.seeds))
    ]


def main() -> None:
    """Measure, and write table and picture."""
    arguments = parser(__doc__, [64 * 2**step for step in range(7)], 10).parse_args()
    layers, output = arguments.hidden_layers, arguments.output
    settings = {"hidden_layers": layers, "modrelu_bias": MODRELU_BIAS, "inputs": len(ANGLES), "input_seed": INPUT_SEED}
    distances = collect(output / "kernels.json", settings, keys(arguments), partial(measure, hidden_layers=layers))
    limits = {name: between(limit(name, layers)) for name in KINDS}
    text = table(distances, limits)
    with atomic_write(output / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    save_figure(plot(distances, limits), output / "kernels.png")
    print(text)


if __name__ == "__main__":
    with exit_on_errors("measure"):
        main()
