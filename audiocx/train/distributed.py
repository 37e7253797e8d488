"""Reductions over the processes of distributed training; with a single process they return its value."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, distributed

from ..music.metrics import PooledPrecision

__all__ = ["RankInfo", "averaged", "is_first", "pooled_score", "summed"]


class RankInfo(NamedTuple):
    """Rank and device of a process in distributed training.

    Attributes:
        rank: Number of the process, from 0.
        ranks: Number of processes (the world size).
        device: Device of the process.
    """

    rank: int
    ranks: int
    device: torch.device


def is_first() -> bool:
    """Return whether this is the process of rank 0, which prints and writes for all."""
    return not _is_distributed() or distributed.get_rank() == 0


def summed(value: Tensor) -> Tensor:
    """Sum a tensor over the processes.

    Args:
        value: Tensor of this process, on its device; of the same shape in all.

    Returns:
        The sum, detached if there are several processes.
    """
    if not _is_distributed():
        return value
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total


def averaged(value: Tensor) -> Tensor:
    """Average a tensor over the processes.

    Dividing a process's summed loss by the average count of its terms makes the gradient, once DDP has averaged it over
    the processes, that of the mean over all terms of all processes.

    Args:
        value: Tensor of this process, on its device; of the same shape in all.

    Returns:
        The mean, detached if there are several processes.
    """
    return summed(value) / distributed.get_world_size() if _is_distributed() else value


def pooled_score(precision: PooledPrecision, device: torch.device) -> float:
    """Compute the average precision of all processes' pairs together.

    Args:
        precision: Counts of this process.
        device: Device of this process.

    Returns:
        The average precision, the same in all processes.
    """
    pooled = PooledPrecision()
    pooled.counts = summed(torch.from_numpy(precision.counts).to(device)).cpu().numpy()
    return pooled.score()


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()
