"""Experiments: the complete settings of a training run, read from a TOML file.

The key ``kind`` of the file names the kind of network, one of :mod:`audiocx.kinds`, such as ``kind = "notes"``; the
default is "transcriber", a transcriber of single windows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .. import kinds
from ..config import from_dict, toml_values
from ..data.augment import AugmentConfig
from ..models import NoteConfig, PredictorConfig, TranscriberConfig
from .settings import NoteTraining, PredictorTraining, TrainConfig

__all__ = [
    "AnyExperiment",
    "Experiment",
    "NoteExperiment",
    "PredictorExperiment",
    "experiment_of",
    "read_experiment_toml",
]


@dataclass(frozen=True)
class Experiment:
    """Training run of a transcriber of single windows: network, augmentation, training settings."""

    model: TranscriberConfig = field(default_factory=TranscriberConfig)
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    kind: Literal["transcriber"] = "transcriber"


@dataclass(frozen=True)
class PredictorExperiment:
    """Training run of a predictor: network, training settings."""

    model: PredictorConfig
    train: PredictorTraining
    kind: Literal["predictor"] = "predictor"


@dataclass(frozen=True)
class NoteExperiment:
    """Training run of a note network: network, augmentation, training settings."""

    train: NoteTraining
    model: NoteConfig = field(default_factory=NoteConfig)
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    kind: Literal["notes"] = "notes"

    def __post_init__(self) -> None:
        """Check that the network and the training settings fit together."""
        if self.train.segment_frames % self.model.time_stride:
            raise ValueError(f"segment_frames must be a multiple of time_stride={self.model.time_stride}")
        if self.model.level_dbfs is not None:
            raise ValueError(
                "level_dbfs is for networks of recipes/musicnet_em/train_gpu.py, which trains at that level"
            )


AnyExperiment = Experiment | PredictorExperiment | NoteExperiment


def experiment_of(values: dict[str, Any], where: str, warn: bool = False) -> Any:
    """Build an experiment from plain values.

    Args:
        values: Settings; ``kind`` names the kind, by default "transcriber".
        where: The source's name in error messages.
        warn: Issue a FutureWarning for each old name or value among them.

    Returns:
        The experiment, of that kind.

    Raises:
        ConfigError: An unknown kind or key, or a value that does not fit.
    """
    kind = kinds.find(values.get("kind", "transcriber"), where)
    return from_dict(kind.load("experiment"), values, where, warn)


def read_experiment_toml(path: str | Path) -> Any:
    """Read an experiment's TOML file.

    Args:
        path: The file.

    Returns:
        The experiment, of the kind that the file names.

    Raises:
        ConfigError: The file is missing or malformed, or a key in it is unknown.
    """
    return experiment_of(toml_values(path), str(path), warn=True)
