"""The deep complex network listening: windows a second, and how much of what the processor can do that is.

python benchmarks/inference_step.py [--threads N] [--rounds 9]

As `audiocx transcribe` runs it, every normalisation folded into the convolution before it, beside the network as it is
trained and beside bfloat16. The limit is a product of large matrices in float32, timed in turns with the rest.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from collections.abc import Callable
from functools import partial

import torch
from steps import flops

from audiocx.kinds import build
from audiocx.models import TranscriberConfig, folded
from audiocx.models.window_blocks import BATCH_FRAMES

BATCHES = (1, 8, BATCH_FRAMES, 256)
MATRIX = 1536


def took_s(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Times calls in turns: the least of each, after one that warms up."""
    least = dict.fromkeys(calls, float("inf"))
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            began_s = time.perf_counter()
            call()
            if round_:
                least[name] = min(least[name], time.perf_counter() - began_s)
    return least


@torch.inference_mode()
def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="of the processor (default: PyTorch's choice)")
    parser.add_argument("--rounds", type=int, default=9, help="(default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    network = build(TranscriberConfig()).eval()
    light = folded(network)
    square = torch.randn(MATRIX, MATRIX)

    def product() -> object:
        return square @ square

    def in_half(windows: torch.Tensor) -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return light(windows)

    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"least of {arguments.rounds} rounds, {datetime.date.today()}.\n"
    )
    columns = [
        "windows at a time",
        "folded, windows/s",
        "GFLOP/s",
        "of the limit",
        "as trained, speed",
        "bfloat16, speed",
    ]
    print(f"| {' | '.join(columns)} |")
    print("|---:|---:|---:|---:|---:|---:|")
    for batch in BATCHES:
        windows = 0.1 * torch.randn(batch, network.config.window_samples)
        calls: dict[str, Callable[[], object]] = {
            "folded": partial(light, windows),
            "trained": partial(network, windows),
            "half": partial(in_half, windows),
            "limit": product,
        }
        took = took_s(calls, arguments.rounds)
        rate = flops(partial(light, windows)) / took["folded"]
        share = rate / (2 * MATRIX**3 / took["limit"])
        trained, in_bfloat16 = took["folded"] / took["trained"], took["folded"] / took["half"]
        figures = f"{batch / took['folded']:.0f} | {rate / 1e9:.0f} | {share:.0%} | {trained:.2f} | {in_bfloat16:.2f}"
        print(f"| {batch} | {figures} |")


if __name__ == "__main__":
    main()
