"""Count the arithmetic of the paper's networks: python recipes/musicnet/operations.py [CONFIG ...].

Multiply-adds of convolutions and matrix products, for one window or one 32 x 32 image; a count of operations is twice
that. Front ends (an FFT), normalisation and activations are not counted. Without configurations: the four networks of
Table 3 and residual networks of Table 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from audiocx.cli.scripts import exit_on_errors
from audiocx.errors import ConfigError
from audiocx.kinds import build
from audiocx.models import TranscriberConfig
from audiocx.models.configs import Width
from audiocx.models.residual import residual_network
from audiocx.train.experiments import read_experiment_toml

CONF = Path(__file__).parent / "conf"
PAPER = [CONF / f"paper-{size}-{kind}.toml" for size in ("shallow", "deep") for kind in ("real", "complex")]
# An RGB image of CIFAR-10.
IMAGE, CLASSES = (3, 32, 32), 10


def multiply_adds(network: nn.Module, x: Tensor) -> int:
    """Count the real multiply-adds of convolutions and matrix products.

    Args:
        network: The network; nothing is computed if it is on the device "meta".
        x: Its input, a batch of 1, on the same device.

    Returns:
        Their number; a complex multiply-add is four.
    """
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.eval()(x)
    return int(counter.get_total_flops()) // 2


def window_network(config: TranscriberConfig) -> tuple[nn.Module, Tensor]:
    """Return a window network's layers behind its front end, and what the front end makes of one window."""
    if config.architecture == "cgrnn":
        raise ConfigError("Operations of the cgrnn are not counted, whose layer has kernels of its own; name another.")
    frame, hop = config.framing
    with torch.device("meta"):
        network = build(config).to("meta")
        ends = network.front_end
        x = torch.empty(1, ends.channels, (config.window_samples - frame) // hop + 1, ends.length)
    return network.body, x


def subjects(configs: list[Path], widths: list[Width]) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Yield names, networks and inputs."""
    for path in configs or PAPER:
        yield path.stem, *window_network(read_experiment_toml(path).model)
    for width in widths if not configs else ():
        for kind, complex in (("real", False), ("complex", True)):
            with torch.device("meta"):
                network = residual_network(complex, IMAGE[0], CLASSES, width)
                yield f"residual {width} {kind}, images", network, torch.empty(1, *IMAGE)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", type=Path, nargs="*", help="configurations of window networks")
    parser.add_argument("--widths", nargs="+", choices=get_args(Width), default=["WS"], help="of the residual networks")
    arguments = parser.parse_args()
    print("| network | parameters | multiply-adds, M | operations, M |\n|---|---:|---:|---:|")
    for name, network, x in subjects(arguments.configs, arguments.widths):
        count, size = multiply_adds(network, x), sum(weight.numel() for weight in network.parameters())
        print(f"| {name} | {size:,} | {count / 1e6:.1f} | {2 * count / 1e6:.1f} |")


if __name__ == "__main__":
    with exit_on_errors("operations"):
        main()
