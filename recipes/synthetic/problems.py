"""Synthetic problems to compare recurrent networks: the memory problem and the adding problem.

Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; as Arjovsky et al., "Unitary Evolution Recurrent
Neural Networks", 2016, section 5, and Wolter and Yao, "Complex Gated Recurrent Neural Networks", 2018, set them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocx.data.windows import batch_seed

# All runs are validated with the same sequences, whatever their seeds and batch sizes, so that their curves can be
# compared. The seeds of runs are not negative.
VALIDATION_BATCHES, VALIDATION_BATCH_SIZE, VALIDATION_SEED = 4, 128, -1


class Problem(ABC):
    """A problem: random sequences, their targets and the loss.

    Args:
        length: T.

    Attributes:
        inputs: Number of inputs at each step.
        outputs: Number of outputs at each step.
        measure: Name of the loss.
        least: Smallest length.

    Raises:
        ValueError: The sequences are too short.
    """

    inputs: ClassVar[int]
    outputs: ClassVar[int]
    measure: ClassVar[str]
    least: ClassVar[int]

    def __init__(self, length: int) -> None:
        if length < self.least:
            raise ValueError(f"length must be {self.least} or more, not {length}")
        self.length = length

    @property
    @abstractmethod
    def baseline(self) -> float:
        """Loss of the best output without memory of the sequence."""

    @abstractmethod
    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Generate random sequences.

        Args:
            count: B.
            generator: Random generator, on the device of the sequences.

        Returns:
            The sequences, float32 [B, steps, inputs], and their targets.
        """

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            outputs: [B, steps, outputs].
            targets: From :meth:`draw`.

        Returns:
            A scalar, the mean over the sequences.
        """


class MemoryProblem(Problem):
    """Ten symbols out of eight, T - 1 blanks, a delimiter and ten blanks, during which the symbols are to be output.

    Until then the target is the blank. Inputs are one-hot: eight symbols, blank, delimiter; outputs are logits of the
    symbols and the blank, targets int64 [B, T + 20]. The loss is the cross-entropy, the mean over all T + 20 steps; a
    network that outputs symbols at random when they are due has 10 log(8) / (T + 20).

    Source: Arjovsky et al. 2016, section 5.1. In Wolter and Yao's code the delimiter is zeros; here it has an input.
    """

    inputs, outputs, measure, least = 10, 9, "cross-entropy (nats)", 1
    symbols, remembered = 8, 10

    @property
    def baseline(self) -> float:
        """10 log(8) / (T + 20)."""
        return self.remembered * math.log(self.symbols) / (self.length + 2 * self.remembered)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Generate random sequences; see the class."""
        blank, delimiter = self.symbols, self.symbols + 1
        shape = (count, self.remembered)
        symbols = torch.randint(self.symbols, shape, generator=generator, device=generator.device)
        shown = torch.full((count, self.length + 2 * self.remembered), blank, device=generator.device)
        targets = shown.clone()
        shown[:, : self.remembered] = targets[:, -self.remembered :] = symbols
        shown[:, -self.remembered - 1] = delimiter
        return F.one_hot(shown, self.inputs).float(), targets

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the mean cross-entropy, in nats."""
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())


class AddingProblem(Problem):
    """T numbers from 0 to 1, two of them marked, one in either half; the last output is to be the sum of these two.

    Inputs are the number and its mark, 0 or 1; targets are float32 [B]. The loss is the mean squared error of the last
    step's output; a constant output of 1 has 1/6 = 0.167.

    Source: Arjovsky et al. 2016, section 5.2.
    """

    inputs, outputs, measure, least = 2, 1, "mean squared error", 2

    @property
    def baseline(self) -> float:
        """Loss of the constant output 1: the variance of the sum of two uniform numbers, 1/6."""
        return 1 / 6

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Generate random sequences; see the class."""
        device, half = generator.device, self.length // 2
        numbers = torch.rand(count, self.length, generator=generator, device=device)
        first = torch.randint(half, (count, 1), generator=generator, device=device)
        second = torch.randint(half, self.length, (count, 1), generator=generator, device=device)
        marks = torch.zeros_like(numbers).scatter_(1, torch.cat([first, second], 1), 1.0)
        return torch.stack([numbers, marks], 2), (numbers * marks).sum(1)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the mean squared error of the last outputs."""
        return F.mse_loss(outputs[:, -1, 0], targets)


PROBLEMS: dict[str, type[Problem]] = {"memory": MemoryProblem, "adding": AddingProblem}


class ProblemSampler:
    """Generates batches of a problem without end.

    Batch number i depends only on the seed and i, so that a resumed run continues with the same batches. Several
    processes share the batches that one alone would generate.

    Args:
        problem: The problem.
        batch_size: B, of this process.
        seed: Random seed.
        rank: Rank of this process among those that train together.
        ranks: Number of these processes.
        device: Device of the sequences; random numbers differ between kinds of devices.
    """

    def __init__(
        self,
        problem: Problem,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.problem, self.seed, self.device = problem, seed, torch.device(device)
        self._total, self._rank_slice = batch_size * ranks, slice(rank, None, ranks)

    def __call__(self, batch: int) -> tuple[Tensor, Tensor]:
        """Generate a batch.

        Args:
            batch: Its number, from 0.

        Returns:
            This process's sequences and targets, as from :meth:`Problem.draw`.
        """
        generator = torch.Generator(self.device).manual_seed(batch_seed(self.seed, 0, batch))
        sequences, targets = self.problem.draw(self._total, generator)
        return sequences[self._rank_slice], targets[self._rank_slice]


def validation_sampler(problem: Problem) -> ProblemSampler:
    """Return the sampler of the sequences with which every run on a problem is validated.

    Args:
        problem: The problem.

    Returns:
        The sampler; the first four of its batches of 128 are the validation set.
    """
    return ProblemSampler(problem, VALIDATION_BATCH_SIZE, VALIDATION_SEED)
