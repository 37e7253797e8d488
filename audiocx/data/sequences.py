"""Synthetic problems that recurrent networks are compared by: to remember symbols, and to add two numbers far apart.

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

from .windows import batch_seed

__all__ = ["PROBLEMS", "AddingProblem", "MemoryProblem", "Problem", "ProblemSampler", "validation_sampler"]

# What is validated with: the same sequences whatever the seed of a run and the size of its batches, for curves to be
# compared. No run's seed is negative.
VALIDATION_BATCHES, VALIDATION_BATCH_SIZE, VALIDATION_SEED = 4, 128, -1


class Problem(ABC):
    """Sequences, what is to be said of them, and how wrong an answer is.

    Args:
        length: T.

    Attributes:
        inputs: Numbers a step of a sequence.
        outputs: Numbers a step of an answer.
        measure: What the loss is.
        least: The shortest length.

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
        """The loss of the best answer that does not depend on what was to be remembered."""

    @abstractmethod
    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws sequences.

        Args:
            count: B.
            generator: Of the draws; they are made on its device.

        Returns:
            The sequences, float32 [B, steps, inputs], and what is to be said of them.
        """

    @abstractmethod
    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Says how wrong answers are.

        Args:
            answers: [B, steps, outputs].
            targets: What :meth:`draw` gave.

        Returns:
            A scalar, the mean over the sequences.
        """


class MemoryProblem(Problem):
    """Ten symbols of eight are shown, then T - 1 blanks, a delimiter and ten blanks, over which they are to be named.

    Until then the answer is the blank. Inputs are one-hot: eight symbols, blank, delimiter; answers are logits of the
    symbols and the blank, targets int64 [B, T + 20]. The loss is the cross-entropy, the mean over all T + 20 steps; who
    has forgotten the symbols but knows when they are due has 10 log(8) / (T + 20).

    Source: Arjovsky et al. 2016, section 5.1. Wolter and Yao's code shows the delimiter as zeros; here it has an input.
    """

    inputs, outputs, measure, least = 10, 9, "cross-entropy (nats)", 1
    symbols, remembered = 8, 10

    @property
    def baseline(self) -> float:
        """10 log(8) / (T + 20)."""
        return self.remembered * math.log(self.symbols) / (self.length + 2 * self.remembered)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws sequences; see the class."""
        blank, delimiter = self.symbols, self.symbols + 1
        shape = (count, self.remembered)
        drawn = torch.randint(self.symbols, shape, generator=generator, device=generator.device)
        shown = torch.full((count, self.length + 2 * self.remembered), blank, device=generator.device)
        targets = shown.clone()
        shown[:, : self.remembered] = targets[:, -self.remembered :] = drawn
        shown[:, -self.remembered - 1] = delimiter
        return F.one_hot(shown, self.inputs).float(), targets

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Gives the mean cross-entropy, in nats."""
        return F.cross_entropy(answers.flatten(0, 1), targets.flatten())


class AddingProblem(Problem):
    """T numbers from 0 to 1, two of them marked, one in either half; after the last, their sum is to be said.

    Inputs are the number and its mark, 0 or 1; targets are float32 [B]. The loss is the mean squared error of the last
    step's answer; who always says 1 has 1/6 = 0.167.

    Source: Arjovsky et al. 2016, section 5.2.
    """

    inputs, outputs, measure, least = 2, 1, "mean squared error", 2

    @property
    def baseline(self) -> float:
        """The variance of the sum of two such numbers, 1/6."""
        return 1 / 6

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws sequences; see the class."""
        device, half = generator.device, self.length // 2
        numbers = torch.rand(count, self.length, generator=generator, device=device)
        first = torch.randint(half, (count, 1), generator=generator, device=device)
        second = torch.randint(half, self.length, (count, 1), generator=generator, device=device)
        marks = torch.zeros_like(numbers).scatter_(1, torch.cat([first, second], 1), 1.0)
        return torch.stack([numbers, marks], 2), (numbers * marks).sum(1)

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Gives the mean squared error of the last answers."""
        return F.mse_loss(answers[:, -1, 0], targets)


PROBLEMS: dict[str, type[Problem]] = {"memory": MemoryProblem, "adding": AddingProblem}


class ProblemSampler:
    """Draws batches of a problem without an end.

    Batch number i depends on the seed and i alone: a run that is resumed draws what it would have drawn. Several
    processes share the batches that one alone would draw.

    Args:
        problem: What to draw.
        batch_size: B, of this process.
        seed: Of the draws.
        rank: Number of this process among those that train together.
        ranks: How many there are.
        device: Where to draw; on another kind of device the draws are others.
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
        self._whole, self._mine = batch_size * ranks, slice(rank, None, ranks)

    def __call__(self, batch: int) -> tuple[Tensor, Tensor]:
        """Draws a batch.

        Args:
            batch: Its number, from 0.

        Returns:
            What :meth:`Problem.draw` gives, of this process.
        """
        generator = torch.Generator(self.device).manual_seed(batch_seed(self.seed, 0, batch))
        sequences, targets = self.problem.draw(self._whole, generator)
        return sequences[self._mine], targets[self._mine]


def validation_sampler(problem: Problem) -> ProblemSampler:
    """Gives what draws the sequences that every run on a problem is validated with.

    Args:
        problem: What to draw.

    Returns:
        The sampler; the first four of its batches of 128 are the validation set.
    """
    return ProblemSampler(problem, VALIDATION_BATCH_SIZE, VALIDATION_SEED)
