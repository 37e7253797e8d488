"""What a training run is: the network, how its data vary, how it learns. One TOML file says it all.

At its top stands ``kind = "predictor"`` where it is a predictor's, ``kind = "notes"`` where it is a note network's,
``kind = "sequence"`` where it is a recurrent network's on a synthetic problem; without, it is that of a transcriber of
single windows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..config import from_dict, toml_values
from ..data.augment import AugmentConfig
from ..data.sequences import PROBLEMS, Problem
from ..errors import ConfigError
from ..models import NoteConfig, PredictorConfig, SequenceConfig, TranscriberConfig
from .settings import (
    NoteTraining,
    PredictorTraining,
    SegmentTraining,
    SequenceTraining,
    StepTraining,
    TrainConfig,
)

__all__ = [
    "AnyExperiment",
    "Experiment",
    "NoteExperiment",
    "NoteTraining",
    "PredictorExperiment",
    "PredictorTraining",
    "ProblemConfig",
    "SegmentTraining",
    "SequenceExperiment",
    "SequenceTraining",
    "StepTraining",
    "TrainConfig",
    "experiment_of",
    "read_experiment_toml",
]


@dataclass(frozen=True)
class Experiment:
    """One training run of a transcriber of single windows: network, variations, schedule."""

    model: TranscriberConfig = field(default_factory=TranscriberConfig)
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    kind: Literal["transcriber"] = "transcriber"


@dataclass(frozen=True)
class PredictorExperiment:
    """One training run of a predictor: network, schedule."""

    model: PredictorConfig
    train: PredictorTraining
    kind: Literal["predictor"] = "predictor"


@dataclass(frozen=True)
class NoteExperiment:
    """One training run of a note network: network, variations, schedule."""

    train: NoteTraining
    model: NoteConfig = field(default_factory=NoteConfig)
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    kind: Literal["notes"] = "notes"

    def __post_init__(self) -> None:
        """Checks that both fit together."""
        if self.train.segment_frames % self.model.time_stride:
            raise ValueError(f"segment_frames must be a multiple of time_stride={self.model.time_stride}")


@dataclass(frozen=True)
class ProblemConfig:
    """Which synthetic problem is set.

    Attributes:
        name: "memory" or "adding"; see :mod:`audiocx.data.sequences`.
        length: T: of the memory problem the steps over which to remember, of the adding problem all there are.
    """

    name: Literal["memory", "adding"]
    length: int

    def __post_init__(self) -> None:
        """Checks the name and the range."""
        self.build()

    def build(self) -> Problem:
        """Gives the problem itself."""
        if self.name not in PROBLEMS:
            raise ValueError(f"name is one of {', '.join(map(repr, PROBLEMS))}, not {self.name!r}")
        return PROBLEMS[self.name](self.length)


@dataclass(frozen=True)
class SequenceExperiment:
    """One training run of a recurrent network on a synthetic problem: problem, network, schedule."""

    problem: ProblemConfig
    model: SequenceConfig
    train: SequenceTraining
    kind: Literal["sequence"] = "sequence"

    def __post_init__(self) -> None:
        """Checks that problem and network fit together."""
        problem = self.problem.build()
        if (self.model.inputs, self.model.outputs) != (problem.inputs, problem.outputs):
            raise ValueError(
                f"the {self.problem.name} problem takes inputs = {problem.inputs} and outputs = {problem.outputs}"
            )


AnyExperiment = Experiment | PredictorExperiment | NoteExperiment | SequenceExperiment
_KINDS: dict[str, type[Experiment | PredictorExperiment | NoteExperiment | SequenceExperiment]] = {
    "transcriber": Experiment,
    "predictor": PredictorExperiment,
    "notes": NoteExperiment,
    "sequence": SequenceExperiment,
}


def experiment_of(values: dict[str, Any], where: str) -> AnyExperiment:
    """Builds the experiment that plain values describe.

    Args:
        values: Of the one kind or the other, as their ``kind`` says; of a transcriber without.
        where: How error messages call the source.

    Returns:
        The experiment.

    Raises:
        ConfigError: An unknown kind or key, or a value that does not fit.
    """
    kind = values.get("kind", "transcriber")
    if kind not in list(_KINDS):  # whatever it is: a list, too
        raise ConfigError(f"{where}: kind is one of {', '.join(map(repr, _KINDS))}, not {kind!r}.")
    return from_dict(_KINDS[kind], values, where)


def read_experiment_toml(path: str | Path) -> AnyExperiment:
    """Reads an experiment's file.

    Args:
        path: The .toml file.

    Returns:
        The experiment, of the kind that the file names.

    Raises:
        ConfigError: The file is missing or malformed, or a key in it is unknown.
    """
    return experiment_of(toml_values(path), str(path))
