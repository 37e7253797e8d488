"""Train note networks on one GPU within minutes: python recipes/musicnet_em/train_gpu.py DATA --out OUT.

DATA is what pack_gpu.py wrote. Training data are synthesised on the GPU, from scenes that other processes draw. The
learning rate follows the clock, so that training ends on time and annealed. A second, smaller network may be trained on
the same batches.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from gpu_training import (
    LARGE,
    SEGMENT_S,
    SMALL,
    BatchSource,
    Learner,
    Validation,
    add_folders,
    draw_batches,
    relative_rate,
    unpack,
)
from safetensors.torch import load_file
from torch import Tensor

from audiocx.cli.scripts import exit_on_errors
from audiocx.errors import DataError
from audiocx.notes import NoteOutputs

BEGUN = time.monotonic()
LOG_EVERY_S, SAVE_EVERY_S = 5.0, 60.0
QUEUED_BATCHES = 24
# Time kept at the end for saving and for the last validation.
RESERVE_S = 6.0


def log(text: str) -> None:
    """Print a line with the time since the start."""
    print(f"[{time.monotonic() - BEGUN:6.1f}] {text}", flush=True)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_folders(parser)
    about = "time from the start of this program to its end (default: %(default)s)"
    parser.add_argument("--minutes", type=float, default=9.0, help=about)
    parser.add_argument("--batch", type=int, default=64, help="segments of a step (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=4e-3, help="the highest one (default: %(default)s)")
    about = "weights.safetensors of notes-complex-small, to train that network further on the same batches"
    parser.add_argument("--small", type=Path, metavar="WEIGHTS", help=about)
    parser.add_argument("--small-batch", type=int, default=32, help="its segments of a step (default: %(default)s)")
    parser.add_argument("--small-learning-rate", type=float, default=1.5e-3, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, help="processes that draw scenes (default: all cores but three)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try it out (default: %(default)s)")
    parser.add_argument("--no-compile", action="store_true", help="do not compile the networks")
    parser.add_argument("--tiny", action="store_true", help="a tiny network and batch, to try it out")
    arguments = parser.parse_args()
    if arguments.tiny:
        arguments.batch, arguments.small_batch = 4, 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    unpack(arguments.data, arguments.cache)
    device = torch.device(arguments.device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
        log(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {os.cpu_count()} cores")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue(QUEUED_BATCHES)
    count = arguments.workers or max(1, (os.cpu_count() or 1) - 3)
    seeds = range(1000 * arguments.seed, 1000 * arguments.seed + count)
    workers = [
        context.Process(target=draw_batches, args=(arguments.cache, arguments.batch, seed, queue), daemon=True)
        for seed in seeds
    ]
    for worker in workers:
        worker.start()
    try:
        train(arguments, device, queue)
    finally:
        for worker in workers:
            worker.kill()


def train(arguments: argparse.Namespace, device: torch.device, queue: Any) -> None:
    """Train until the time is over."""
    torch.manual_seed(arguments.seed)
    source = BatchSource(arguments.cache, device, arguments.seed)
    learners = make_learners(arguments, device)
    path = next((path for folder in arguments.data for path in folder.glob("validation.npz")), None)
    validation = Validation(path, device) if path else None
    end = BEGUN + 60 * arguments.minutes - RESERVE_S
    started: float | None = None
    progress = Progress(arguments.batch)
    saved = time.monotonic()
    while (now := time.monotonic()) < end:
        try:
            samples, targets = source.batch(queue.get(timeout=60), arguments.batch)
        except Empty:
            raise DataError(
                "no scenes were drawn for a minute; see the messages above, or use more --workers."
            ) from None
        rate = relative_rate((now - started) / (end - started) if started else 0.0, progress.steps)
        for learner, rows in zip(learners, (arguments.batch, arguments.small_batch), strict=False):
            part = NoteOutputs(*(target[:rows] for target in targets))
            progress.add(learner.name, learner.step(samples[:rows], part, rate))
        # The first step compiles the networks.
        started = started or time.monotonic()
        progress.step(rate)
        if now - saved > SAVE_EVERY_S:
            save(arguments.out, learners, progress, validation)
            saved = time.monotonic()
    save(arguments.out, learners, progress, validation)
    facts = {"steps": progress.steps, "hours": progress.seen_s / 3600, "arguments": vars(arguments)}
    (arguments.out / "facts.json").write_text(json.dumps(facts, indent=2, default=str) + "\n")
    log(f"saved after {progress.steps} steps, {progress.seen_s / 3600:.1f} hours of sound")


def make_learners(arguments: argparse.Namespace, device: torch.device) -> list[Learner]:
    """Return the networks to train: the large one and, if asked for, the small one."""
    compiles = not arguments.no_compile
    large = replace(LARGE, channels=8, stem_channels=4) if arguments.tiny else LARGE
    learners = [Learner("large", large, arguments.learning_rate, device, compiles=compiles)]
    if arguments.small:
        start = load_file(arguments.small)
        learners.append(Learner("small", SMALL, arguments.small_learning_rate, device, start, compiles))
    sizes = [sum(parameter.numel() for parameter in learner.network.parameters()) for learner in learners]
    log(f"parameters: {', '.join(map(str, sizes))}")
    return learners


def save(out: Path, learners: list[Learner], progress: Progress, validation: Validation | None) -> None:
    """Write the weights and print validation scores."""
    for learner in learners:
        learner.save(out, progress.seen_s)
        if validation is not None:
            scores = validation.score(learner)
            log(f"validation {learner.name}: " + ", ".join(f"{name} AP {ap:.4f}" for name, ap in scores.items()))


class Progress:
    """Steps and seconds seen, and mean losses for the log.

    Args:
        batch: Segments of a step.
    """

    def __init__(self, batch: int) -> None:
        self.steps, self.seen_s = 0, 0.0
        self._batch_s = batch * SEGMENT_S
        self._logged, self._logged_steps = time.monotonic(), 0
        self._sums: dict[str, Tensor] = {}

    def add(self, name: str, losses: Tensor) -> None:
        """Add the losses of a network, which stay on the device until they are printed."""
        self._sums[name] = self._sums.get(name, 0) + losses

    def step(self, rate: float) -> None:
        """Count a step; print a line every few seconds."""
        self.steps, self.seen_s = self.steps + 1, self.seen_s + self._batch_s
        spent = time.monotonic() - self._logged
        if self.steps > 3 and spent < LOG_EVERY_S:
            return
        steps = self.steps - self._logged_steps
        names = ("onsets", "frames", "offsets", "velocities", "gradient")
        means = {network: (total / steps).tolist() for network, total in self._sums.items()}
        parts = [
            " ".join([network, *(f"{name} {mean:.4f}" for name, mean in zip(names, row, strict=True))])
            for network, row in means.items()
        ]
        speed = f"{steps / spent:.2f} steps/s, {steps * self._batch_s / spent:.0f} s of sound/s"
        log(f"step {self.steps}, rate {rate:.4f}, {speed}; {'; '.join(parts)}")
        self._sums, self._logged, self._logged_steps = {}, time.monotonic(), self.steps


if __name__ == "__main__":
    with exit_on_errors("train_gpu"):
        main()
