"""Experiments on synthetic problems: problem, network and schedule, registered as the kind "sequence"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from problems import PROBLEMS, Problem
from sequence_network import SequenceConfig, SequenceNetwork

from audiocx.config import check_fields
from audiocx.kinds import Kind, register
from audiocx.train.settings import StepTraining


@dataclass(frozen=True)
class SequenceTraining(StepTraining):
    """Schedule of the training on a synthetic problem.

    Attributes:
        optimizer: "rmsprop" or "adamw"; unitary matrices take Cayley steps, see :mod:`audiocx.optim`.
        smoothing: Decay of RMSprop's running mean of squares.
        solved: Fraction of the baseline's loss below which the validation loss has to fall for the problem to count as
            solved; training then stops. 0 for never.
    """

    optimizer: Literal["rmsprop", "adamw"] = "rmsprop"
    smoothing: float = 0.9
    solved: float = 0.1

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_fields(self, smoothing="[0, 1)", solved="[0, 1)")
        if self.optimizer == "rmsprop" and self.weight_decay:
            raise ValueError("weight_decay belongs to optimizer = 'adamw'; leave it out")


@dataclass(frozen=True)
class ProblemConfig:
    """A synthetic problem.

    Attributes:
        name: "memory" or "adding"; see the module ``problems``.
        length: T: steps over which to remember (memory problem), or length of the sequence (adding problem).
    """

    name: Literal["memory", "adding"]
    length: int

    def __post_init__(self) -> None:
        """Check the name and the range."""
        check_fields(self)
        self.build()

    def build(self) -> Problem:
        """Return the problem."""
        return PROBLEMS[self.name](self.length)


@dataclass(frozen=True)
class SequenceExperiment:
    """A training run of a recurrent network on a synthetic problem."""

    problem: ProblemConfig
    model: SequenceConfig
    train: SequenceTraining
    kind: Literal["sequence"] = "sequence"

    def __post_init__(self) -> None:
        """Check that problem and network fit together."""
        problem = self.problem.build()
        if (self.model.inputs, self.model.outputs) != (problem.inputs, problem.outputs):
            raise ValueError(
                f"the {self.problem.name} problem takes inputs = {problem.inputs} and outputs = {problem.outputs}"
            )


register(
    Kind(
        name="sequence",
        config=SequenceConfig,
        network=SequenceNetwork,
        experiment=SequenceExperiment,
        task="sequence_task:SequenceTask",
        data="sequence_task:SequenceData",
        has_stores=False,
    )
)
