"""Random numbers for a batch that several processes share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["RandomStreams"]


class RandomStreams:
    """RandomStreams for every row of a batch, and gives those of its own.

    So all processes together draw what one alone would, and no two of them draw the same.

    Args:
        generator: Source of randomness; the draws are made on its device.
        rows: In the whole batch.
        mine: Those that are this process's.

    >>> whole = RandomStreams(torch.Generator().manual_seed(0), 5).uniform()
    >>> torch.equal(RandomStreams(torch.Generator().manual_seed(0), 5, slice(1, None, 2)).uniform(), whole[1::2])
    True
    """

    def __init__(self, generator: torch.Generator, rows: int, mine: slice = slice(None)) -> None:
        self.rows, self.mine = rows, mine
        self._source: dict[str, Any] = {"generator": generator, "device": generator.device}

    def uniform(self, *columns: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """RandomStreams numbers from 0 to 1.

        Args:
            columns: Shape of what is drawn for a row; one number when left out.
            dtype: Of the numbers.

        Returns:
            [own rows, *columns].
        """
        return torch.rand(self.rows, *columns, dtype=dtype, **self._source)[self.mine].contiguous()

    def normal(self, *columns: int) -> Tensor:
        """RandomStreams normal numbers of standard deviation 1.

        Args:
            columns: Shape of what is drawn for a row; one number when left out.

        Returns:
            float32 [own rows, *columns].
        """
        return torch.randn(self.rows, *columns, **self._source)[self.mine].contiguous()

    def integers(self, low: int, high: int) -> Tensor:
        """RandomStreams whole numbers.

        Args:
            low: The lowest.
            high: One more than the highest.

        Returns:
            int64 [own rows].
        """
        return torch.randint(low, high, (self.rows,), **self._source)[self.mine].contiguous()
