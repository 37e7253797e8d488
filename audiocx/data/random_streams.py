"""Random numbers for batches that distributed processes share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["RandomStreams"]


class RandomStreams:
    """Random numbers for every row of a batch, of which each process keeps its own rows.

    All processes together draw the same numbers as one process alone, and no two of them use the same ones.

    Args:
        generator: Random generator; numbers are drawn on its device.
        rows: Rows of the whole batch, of all processes.
        rank_slice: Rows of this process.

    >>> whole = RandomStreams(torch.Generator().manual_seed(0), 5).uniform()
    >>> torch.equal(RandomStreams(torch.Generator().manual_seed(0), 5, slice(1, None, 2)).uniform(), whole[1::2])
    True
    """

    def __init__(self, generator: torch.Generator, rows: int, rank_slice: slice = slice(None)) -> None:
        self.rows, self.rank_slice = rows, rank_slice
        self._source: dict[str, Any] = {"generator": generator, "device": generator.device}

    def uniform(self, *columns: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw uniform numbers in [0, 1).

        Args:
            columns: Shape of the numbers of a row; left out for one number.
            dtype: Data type of the numbers.

        Returns:
            [rows of this process, *columns].
        """
        return torch.rand(self.rows, *columns, dtype=dtype, **self._source)[self.rank_slice].contiguous()

    def normal(self, *columns: int) -> Tensor:
        """Draw standard normal numbers.

        Args:
            columns: Shape of the numbers of a row; left out for one number.

        Returns:
            float32 [rows of this process, *columns].
        """
        return torch.randn(self.rows, *columns, **self._source)[self.rank_slice].contiguous()

    def integers(self, low: int, high: int) -> Tensor:
        """Draw integers, one for each row.

        Args:
            low: Lowest integer.
            high: Highest integer plus one.

        Returns:
            int64 [rows of this process].
        """
        return torch.randint(low, high, (self.rows,), **self._source)[self.rank_slice].contiguous()
