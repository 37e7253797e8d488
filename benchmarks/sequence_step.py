"""Training step of the recurrent layers on a synthetic problem, beside a torch.nn.GRU of about as many weights.

python benchmarks/sequence_step.py [--problem adding] [--length 250] [--batch 128] [--rounds 3] [--denormals]

Sequences and steps are those of the recipe. The variants alternate in one process; the figure is the best
round.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

from audiocx.optim import StiefelRMSprop
from audiocx.train.machine import denormals_as_zero, keep_memory

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "synthetic"))
from problems import PROBLEMS, Problem, ProblemSampler  # noqa: E402
from sequence_network import LayerName, SequenceConfig, SequenceNetwork  # noqa: E402

LAYERS: dict[str, LayerName] = {"torch.nn.GRU": "gru", "uRNN": "urnn", "cgRNN": "cgrnn"}


def step(network: SequenceNetwork, problem: Problem, batch_size: int) -> Callable[[], None]:
    """Return a function that takes a training step."""
    optimizer, sampler = StiefelRMSprop(network, alpha=0.9), ProblemSampler(problem, batch_size)

    def once() -> None:
        sequences, targets = sampler(0)
        problem.loss(network(sequences), targets).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return once


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=sorted(PROBLEMS), default="memory")
    parser.add_argument("--length", type=int, default=250, help="T (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="sequences a step (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--denormals", action="store_true", help="keep denormals, which training flushes to zero")
    arguments = parser.parse_args()
    keep_memory()
    problem = PROBLEMS[arguments.problem](arguments.length)
    sizes = problem.inputs, problem.outputs
    networks = {name: SequenceNetwork(SequenceConfig(layer, *sizes)) for name, layer in LAYERS.items()}
    variants = {name: step(network, problem, arguments.batch) for name, network in networks.items()}
    best = dict.fromkeys(variants, 0.0)
    with nullcontext() if arguments.denormals else denormals_as_zero():
        for round_ in range(arguments.rounds + 1):
            for name, once in variants.items():
                began_s = time.perf_counter()
                once()
                if round_:  # the first warms up
                    best[name] = max(best[name], 1 / (time.perf_counter() - began_s))
    print("| layer | units | weights | steps/s | ratio |\n|---|---:|---:|---:|---:|")
    for name, network in networks.items():
        weights = sum(parameter.numel() for parameter in network.parameters())
        ratio = best[name] / best["torch.nn.GRU"]
        print(f"| {name} | {network.config.units} | {weights:,} | {best[name]:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
