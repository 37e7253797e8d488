"""Normalises batches as one of two processes: norm_ranks_worker.py FOLDER RANK."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from audiocx.nn import ComplexBatchNorm, ComplexSyncBatchNorm

# Examples of rank 0, of 40; the others are of rank 1.
SPLITS = (25, 0)
VARIANTS = ("whitening", "naive")


def batches() -> dict[str, Tensor]:
    """Batches [40, 6, 5] of 3 complex channels: usual ones, and such as float32 cannot whiten."""
    generator = torch.Generator().manual_seed(0)
    part, noise = torch.randn(2, 40, 3, 5, dtype=torch.float64, generator=generator)
    shift = torch.linspace(-2, 2, 40, dtype=torch.float64)[:, None, None]  # the ranks have different means
    return {
        "usual": torch.cat([1 + part + shift, 3 * (0.6 * part + 0.5 * noise) - 2], 1),
        "proportional": (1e5 * torch.cat([part + 1, part + 1 + 1e-4 * noise], 1)).float(),
    }


def step(norm: ComplexBatchNorm, x: Tensor, rows: slice) -> dict[str, Tensor]:
    """Trains on the rows of a batch; returns all that comes out."""
    with torch.no_grad():
        for number, part in enumerate(norm.parameters()):
            part += torch.linspace(-0.2, 0.3 + number, part.numel(), dtype=part.dtype).view_as(part)
    own = x[rows].clone().requires_grad_()
    weights = torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)[rows]
    y = norm(own)
    (y * weights + y.square() * weights).sum().backward()
    grads = {f"{name}.grad": part.grad for name, part in norm.named_parameters()}
    return {"y": y.detach(), "x.grad": own.grad, **grads, **norm.state_dict()}  # type: ignore[dict-item]


def run_all(kind: type[ComplexBatchNorm], rows: Any) -> dict[tuple[Any, ...], dict[str, Tensor]]:
    """Returns what comes out of every case; ``rows`` gives the own part for a split."""
    results = {}
    for name, x in batches().items():
        for split in SPLITS:
            for variant, momentum in zip(VARIANTS, (0.1, None), strict=True):
                norm = kind(3, variant=variant, momentum=momentum).to(x.dtype)  # type: ignore[arg-type]
                results[name, split, variant] = step(norm, x, rows(split))
    return results


if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=(folder / "store").as_uri(), rank=rank, world_size=2)
    results = run_all(ComplexSyncBatchNorm, lambda split: slice(split) if rank == 0 else slice(split, None))
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()
