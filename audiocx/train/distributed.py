"""What processes that train together tell one another; of one alone everything is as it is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, distributed

from ..music.metrics import PooledPrecision

__all__ = ["RankInfo", "averaged", "is_first", "pooled_score", "summed"]


class RankInfo(NamedTuple):
    """Where a process stands among those that train together.

    Attributes:
        rank: Its number.
        ranks: How many there are.
        device: Its own.
    """

    rank: int
    ranks: int
    device: torch.device


def is_first() -> bool:
    """Tells whether this is the process that speaks for all."""
    return not _several() or distributed.get_rank() == 0


def summed(value: Tensor) -> Tensor:
    """Adds up what the processes have.

    Args:
        value: Of this process, on its device; of the same shape in all.

    Returns:
        The sum, without a gradient.
    """
    if not _several():
        return value
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total


def averaged(value: Tensor) -> Tensor:
    """Gives the mean of what the processes have.

    A loss that is a sum over what counts in a batch, divided by such a mean of these counts, has as its gradient, once
    the processes have averaged theirs, that of the mean over all that counts in all their batches.

    Args:
        value: Of this process, on its device; of the same shape in all.

    Returns:
        The mean, without a gradient.
    """
    return summed(value) / distributed.get_world_size() if _several() else value


def pooled_score(precision: PooledPrecision, device: torch.device) -> float:
    """Scores the pairs of all processes together.

    Args:
        precision: Those of this process.
        device: Its own.

    Returns:
        The average precision, the same in all of them.
    """
    everywhere = PooledPrecision()
    everywhere.counts = summed(torch.from_numpy(precision.counts).to(device)).cpu().numpy()
    return everywhere.score()


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
