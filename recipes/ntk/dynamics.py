"""Train wide networks beside the prediction of their tangent kernel: python recipes/ntk/dynamics.py.

For each activation, width and seed, trains a multilayer network by gradient descent on two sets of inputs with equal
real and different imaginary products, and compares its outputs, on inputs trained on and others, with those that the
kernel predicts: the kernel of infinite width, and the network's own at the start. Writes dynamics.json as results come
(an interrupted run continues), then dynamics.md and dynamics.png, and prints the table.
"""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from measure import by_width, draw_widths, keys, parser, spread
from running_results import Key, collect
from tangent_kernel import linear_dynamics
from torch import Tensor
from wide_network import INPUT_SEED, KINDS, MODRELU_BIAS, Multilayer, equal_products

from audiocx.cli.scripts import exit_on_errors
from audiocx.errors import ConfigError
from audiocx.io.atomic_write import atomic_write
from audiocx.plots.figure import FAINT, INK, LINE_COLOURS, new_figure, save_figure

TRAINED = 12
# Of the largest rate at which each step of the predicted outputs reduces all errors, twice the kernel's inverse norm.
RATE = 0.25
SETS = ("z exp(it)", "z cos t + q sin t")
BY_LIMIT, BY_START = "of the kernel of infinite width", "of its own kernel at the start"


def problem() -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return the inputs of both sets, those to train on before as many between them, and the targets of the former."""
    angles = 2 * math.pi / TRAINED * torch.arange(TRAINED, dtype=torch.float64)
    return equal_products(torch.cat([angles, angles + math.pi / TRAINED])), angles.cos() + (3 * angles).cos()


@cache
def limits(name: str, hidden_layers: int) -> list[Tensor]:
    """Compute the kernels of infinite width on both sets."""
    return [KINDS[name].limit(x, hidden_layers) for x in problem()[0]]


def train(network: Multilayer, x: Tensor, targets: Tensor, rate: float, steps: int) -> Tensor:
    """Train by gradient descent on half the sum of squared errors.

    Args:
        network: Trained in place.
        x: Inputs [M, 2 FEATURES].
        targets: Of the first N inputs, shape [N]; the others are not trained on.
        rate: Learning rate.
        steps: Number of steps.

    Returns:
        Outputs before training and after each step, float64 [steps + 1, M].
    """
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    outputs = []
    for _ in range(steps):
        y = network(x)[:, 0]
        outputs.append(y.detach().double())
        optimizer.zero_grad()
        ((y[: len(targets)] - targets) ** 2).sum().div(2).backward()
        optimizer.step()
    with torch.no_grad():
        return torch.stack([*outputs, network(x)[:, 0].double()])


def measure(name: str, width: int, seed: int, hidden_layers: int, steps: int) -> dict[str, Any]:
    """Train one network on both sets, each from the same weights.

    Returns:
        For each set the root mean square errors of both predictions over steps and outputs, relative to the targets,
        and the losses (mean squared errors on inputs trained on), of the network and as predicted by infinite width.
    """
    both, targets = problem()
    found = {}
    for label, x, limit in zip(SETS, both, limits(name, hidden_layers), strict=True):
        torch.manual_seed(seed)
        network = Multilayer(KINDS[name], width, hidden_layers)
        start = network.tangent_kernel(x).double()
        rate = 2 * RATE / float(torch.linalg.matrix_norm(limit[:TRAINED, :TRAINED], 2))
        outputs = train(network, x, targets.float(), rate, steps)
        by_limit, by_start = (linear_dynamics(kernel, outputs[0], targets, rate, steps) for kernel in (limit, start))
        size = targets.square().mean().sqrt()
        error_limit, error_start = (float((outputs - by).square().mean().sqrt() / size) for by in (by_limit, by_start))
        losses = [(part[:, :TRAINED] - targets).square().mean(1).tolist() for part in (outputs, by_limit)]
        found[label] = {BY_LIMIT: error_limit, BY_START: error_start, "losses": losses}
    return found


def errors(results: dict[Key, dict], name: str, of: str) -> dict[int, list[float]]:
    """Group errors of a kind by width, seeds together: the mean over both sets."""
    return by_width(results, name, lambda found: float(np.mean([found[label][of] for label in SETS])))


def table(results: dict[Key, dict]) -> str:
    """Format errors by width, then losses after training at the greatest width, as Markdown."""
    widths = sorted({width for _, width, _ in results})
    parts = []
    for title in (BY_LIMIT, BY_START):
        parts += [f"| error {title} | {' | '.join(map(str, widths))} |", "|---|" + "---:|" * len(widths)]
        for name in KINDS:
            cells = [f"{np.mean(part):.3f} ± {spread(part):.3f}" for part in errors(results, name, title).values()]
            parts.append(f"| {name} | {' | '.join(cells)} |")
        parts.append("")
    parts += [
        f"| loss after training, width {widths[-1]} | {' | predicted | '.join(SETS)} | predicted |",
        "|---|" + "---:|" * 4,
    ]
    for name in KINDS:
        pairs = [
            [found[label]["losses"] for key, found in results.items() if key[:2] == (name, widths[-1])]
            for label in SETS
        ]
        cells = [f"{np.mean([one[index][-1] for one in drawn]):.3f}" for drawn in pairs for index in range(2)]
        parts.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*parts, ""])


def plot(results: dict[Key, dict]) -> Figure:
    """Plot the losses of the widest networks of seed 0 above, errors against the width below."""
    figure = new_figure(11, 6.2)
    rows = figure.add_gridspec(2, 1, height_ratios=(1, 1.35))
    upper, lower = (figure.add_subfigure(rows[index]) for index in range(2))
    width = max(width for _, width, _ in results)
    panels = upper.subplots(1, len(KINDS), sharex=True, sharey=True)
    for axes, name in zip(panels, KINDS, strict=True):
        for label, colour in zip(SETS, LINE_COLOURS, strict=False):
            network, predicted = results[name, width, 0][label]["losses"]
            axes.plot(predicted, color=colour, linewidth=1.2)
            axes.plot(range(0, len(network), 4), network[::4], "o", color=colour, markersize=3, label=label)
        axes.set(yscale="log", ylim=(3e-4, 3), title=name, xlabel="step")
        axes.grid(color=FAINT, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].plot([], [], color=INK, linewidth=1.2, label="predicted")
    panels[0].set_ylabel(f"loss, width {width}")
    panels[0].legend(frameon=False, fontsize="small")
    panels = lower.subplots(1, 2, sharex=True, sharey=True)
    for axes, title in zip(panels, (BY_LIMIT, BY_START), strict=True):
        draw_widths(axes, {name: errors(results, name, title) for name in KINDS}, f"error {title}")
    panels[0].legend(frameon=False)
    panels[0].set_ylabel("error of outputs / targets")
    return figure


def main() -> None:
    """Train, and write table and picture."""
    options = parser(__doc__, [64 * 2**step for step in range(5)], 3)
    options.add_argument(
        "--steps", type=int, default=100, metavar="N", help="of gradient descent (default: %(default)s)"
    )
    arguments = options.parse_args()
    if arguments.steps < 1:
        raise ConfigError("--steps is 1 or more.")
    layers, output = arguments.hidden_layers, arguments.output
    settings = {
        "hidden_layers": layers,
        "modrelu_bias": MODRELU_BIAS,
        "input_seed": INPUT_SEED,
        "rate": RATE,
        "steps": arguments.steps,
    }
    results = collect(
        output / "dynamics.json",
        settings,
        keys(arguments),
        partial(measure, hidden_layers=layers, steps=arguments.steps),
    )
    text = table(results)
    with atomic_write(output / "dynamics.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    save_figure(plot(results), output / "dynamics.png")
    print(text)


if __name__ == "__main__":
    with exit_on_errors("dynamics"):
        main()
