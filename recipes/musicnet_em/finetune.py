"""Train a large note network further: torchrun --nproc-per-node 2 recipes/musicnet_em/finetune.py DATA --out OUT.

With --maps, it is pruned first (pruning.py), and learns from the network that it was beside the labels. With --twin,
it starts from random weights instead, complex or real with as many parameters, with the same teacher. Runs on CPUs.
DATA is what pack_gpu.py wrote. More of the scenes are recordings than in train_gpu.py, and the layers
before the first convolution over notes stay as they are. Each process has one thread and segments of its own; gradients
are averaged. Started again, it continues; the learning rate follows the clock or, with --steps, the steps.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from gpu_training import SEGMENT_S, BatchSource, Learner, Validation, add_folders, relative_rate, scene_sampler, unpack
from pruning import pruned
from torch import Tensor

from audiocx.checkpoints import load_checkpoint, load_network
from audiocx.cli.scripts import exit_on_errors
from audiocx.io.atomic_write import atomic_write
from audiocx.models.note_network import NoteConfig, NoteNetwork
from audiocx.notes import NoteOutputs

# Probabilities of recordings, piano scores, ensemble scores, generated music, and no music.
SHARES = (0.5, 0.18, 0.18, 0.12, 0.02)
NAME = "large"
# Convolution, norm and activation of the three units that work on several bins a semitone, which take half of the time.
FROZEN_LAYERS = 9
LOG_EVERY_STEPS = 20
PRUNING_EXAMPLES = 16


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_folders(parser)
    about = "checkpoint to start from (default: %(default)s)"
    parser.add_argument("--start", default="notes-complex-large", help=about)
    parser.add_argument("--minutes", type=float, default=60.0, help="time to train (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="train this number of steps instead of --minutes")
    about = "segments of a step, for each process (default: %(default)s)"
    parser.add_argument("--batch", type=int, default=4, help=about)
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="the highest one (default: %(default)s)")
    about = "minutes between validations, at which the weights are saved (default: %(default)s)"
    parser.add_argument("--validate-minutes", type=float, default=7.0, help=about)
    parser.add_argument("--maps", type=int, help="prune: complex feature maps inside each residual block")
    about = "start from random weights: a complex or a real network as large as the pruned one"
    parser.add_argument("--twin", choices=["complex", "real"], help=about)
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    # With bfloat16, several threads of one process take ten times as long as one (torch 2.13).
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        dist.init_process_group("gloo", timeout=timedelta(hours=2))
    if _rank() == 0:
        unpack(arguments.data, arguments.cache)
    if dist.is_initialized():
        dist.barrier()
    train(arguments)


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def batches(cache: Path, rows: int, seed: int) -> Iterator[tuple[Tensor, NoteOutputs]]:
    """Yield random batches without end."""
    sampler, source = scene_sampler(cache), BatchSource(cache, torch.device("cpu"), seed)
    sampler.config = replace(sampler.config, shares=SHARES)
    rng = np.random.default_rng([seed, 78])
    while True:
        yield source.batch(sampler.batch(rng, rows), rows)


def twin(config: NoteConfig, is_complex: bool, maps: int | None) -> NoteConfig:
    """Return the configuration of a complex network, or of a real one with as many parameters.

    Args:
        config: Configuration of a complex network.
        is_complex: Whether to keep it complex.
        maps: Complex feature maps inside each residual block; None for the configuration's.
    """
    config = replace(config, block_channels=maps or config.block_channels)
    if is_complex:
        return config
    # A complex weight is two parameters: sqrt(2) times as many real maps on both sides of a convolution.
    names = ("stem_channels", "channels", "block_channels")
    wider: dict[str, Any] = {name: round(math.sqrt(2) * (getattr(config, name) or config.channels)) for name in names}
    return replace(config, complex=False, **wider)


def student(arguments: argparse.Namespace, network: NoteNetwork) -> tuple[NoteConfig, dict[str, Tensor] | None, int]:
    """Return the configuration, initial weights and number of frozen layers of the network to train."""
    if arguments.twin:
        torch.manual_seed(arguments.seed)
        return twin(network.config, arguments.twin == "complex", arguments.maps), None, 0
    if arguments.maps:
        examples, _ = next(batches(arguments.cache, PRUNING_EXAMPLES, 1000 * arguments.seed))
        network = pruned(network, examples, arguments.maps)
    return network.config, network.state_dict(), FROZEN_LAYERS


def train(arguments: argparse.Namespace) -> None:
    """Train until the time is over, or all steps are taken."""
    device, first = torch.device("cpu"), _rank() == 0
    start = load_checkpoint(arguments.start)
    network, seed = load_network(arguments.start).eval(), 1000 * arguments.seed + _rank()
    teacher = network.requires_grad_(False) if arguments.maps or arguments.twin else None
    config, state, frozen_layers = student(arguments, network)
    learner = Learner(
        *(NAME, config, arguments.learning_rate, device, state),
        compiles=False,
        half=True,
        frozen_layers=frozen_layers,
        teacher=teacher,
    )
    resumable = arguments.out / "resume.pt"
    if resumable.exists():
        learner.load_state_dict(torch.load(resumable, weights_only=True))
    path = next((path for folder in arguments.data for path in folder.glob("validation.npz")), None)
    validation = Validation(path, device) if path and first else None
    frames_before, sums = (0 if arguments.twin else start.card.get("figures", {}).get("frames", 0)), torch.zeros(5)
    step_s = arguments.batch * SEGMENT_S * (dist.get_world_size() if dist.is_initialized() else 1)
    begun = saved = time.monotonic()
    # Other segments in every process and after a restart.
    for samples, targets in batches(arguments.cache, arguments.batch, seed + 100 * learner.steps):
        share = (
            learner.steps / arguments.steps if arguments.steps else (time.monotonic() - begun) / 60 / arguments.minutes
        )
        progress = torch.tensor(share)
        if dist.is_initialized():
            dist.broadcast(progress, 0)
        sums += learner.step(samples, targets, relative_rate(float(progress), learner.steps))
        done = bool(progress > 1) or learner.steps == arguments.steps
        if first and learner.steps % LOG_EVERY_STEPS == 0:
            means = ", ".join(f"{value:.4f}" for value in (sums / LOG_EVERY_STEPS).tolist())
            print(f"step {learner.steps}, {100 * progress:.0f} % of the time, losses and gradient {means}", flush=True)
            sums.zero_()
        if first and (done or time.monotonic() - saved > 60 * arguments.validate_minutes):
            learner.save(arguments.out, learner.steps * step_s, frames_before)
            with atomic_write(resumable) as temporary:
                torch.save(learner.state_dict(), temporary)
            if validation is not None:
                with torch.autocast("cpu", torch.bfloat16):
                    scores = validation.score(learner)
                print(f"validation after {learner.steps} steps: {scores}", flush=True)
            saved = time.monotonic()
        if done:
            break


if __name__ == "__main__":
    with exit_on_errors("finetune"):
        main()
