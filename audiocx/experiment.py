"""What a training run is: the network, how its data vary, how it learns. One TOML file says it all.

At its top stands ``kind = "predictor"`` where it is a predictor's, ``kind = "notes"`` where it is a note network's;
without, it is that of a transcriber of single windows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .config import from_dict, toml_values
from .data.augment import AugmentConfig
from .errors import ConfigError
from .models import NoteConfig, PredictorConfig, TranscriberConfig

__all__ = [
    "AnyExperiment",
    "Experiment",
    "NoteExperiment",
    "NoteTraining",
    "PredictorExperiment",
    "PredictorTraining",
    "StepTraining",
    "TrainConfig",
    "experiment_of",
    "read_experiment_toml",
]


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        windows: Windows seen in all, rounded down to whole epochs.
        epoch_windows: Windows between two validations and checkpoints, rounded down to whole batches.
        batch_size: Windows a step, over all devices together.
        order: How windows are drawn; see :class:`audiocx.data.windows.WindowSampler`. With "pieces" all counts of
            windows here are of each piece: the paper has a ``batch_size`` of 1 and ``epoch_windows`` of 1000.
        learning_rate: Of AdamW; the highest of the schedule.
        schedule: "cosine" falls to zero over the whole run, "constant" stays, "steps" goes by ``rates``.
        rates: Pairs of an epoch, counted from 0, and the learning rate from it on, for "steps".
        warmup_windows: Windows over which the rate rises from zero.
        weight_decay: Of AdamW, on matrices and kernels alone.
        ema_decay: Of the average of the weights that is validated and shipped; 0 for none.
        validation_hop_samples: Distance of the frames validated while training.
        shares: What part of a batch each training corpus gives, where there are several; as each is long when empty.
        start: Checkpoint, by name or path, or run whose weights are trained on; fresh weights when empty.
        patience: Epochs without a better validation AP after which training stops; 0 for never.
        seed: Of weights, windows and variations.
    """

    windows: int = 2_000_000
    epoch_windows: int = 102_400
    batch_size: int = 256
    order: Literal["time", "pieces"] = "time"
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    rates: list[list[float]] = field(default_factory=list)
    warmup_windows: int = 51_200
    weight_decay: float = 0.01
    ema_decay: float = 0.999
    validation_hop_samples: int = 2048
    shares: list[float] = field(default_factory=list)
    start: str = ""
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 0 < self.batch_size <= self.epoch_windows <= self.windows:
            raise ValueError("batch_size <= epoch_windows <= windows must hold, all positive")
        _check_learning(self)
        if self.validation_hop_samples < 1 or self.warmup_windows < 0:
            raise ValueError("validation_hop_samples must be positive, warmup_windows 0 or more")
        if any(len(pair) != 2 or pair[1] <= 0 for pair in self.rates) or self.rates != sorted(self.rates):
            raise ValueError("rates are pairs of an epoch, ascending, and a learning rate, such as [[10, 1e-4]]")
        if bool(self.rates) != (self.schedule == "steps"):
            raise ValueError("rates belong to schedule = 'steps', which needs them")
        _check_shares(self.shares)
        if self.shares and self.order == "pieces":
            raise ValueError("shares belong to order = 'time': by pieces every piece has its window")

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.windows // self.epoch_windows

    @property
    def epoch_steps(self) -> int:
        """Optimiser steps between two validations."""
        return self.epoch_windows // self.batch_size

    @property
    def warmup_steps(self) -> int:
        """Optimiser steps over which the rate rises."""
        return self.warmup_windows // self.batch_size

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return self.epochs * self.epoch_steps


@dataclass(frozen=True)
class StepTraining:
    """How to train on segments: what predictors and note networks have in common.

    Attributes:
        steps: Optimiser steps in all, a whole number of epochs.
        epoch_steps: Steps between two validations and checkpoints.
        batch_size: Utterances or segments a step, over all devices together.
        segment_frames: Length of random segments; of utterances, 0 for whole ones, each once before any comes again.
        learning_rate: Of AdamW; the highest of the schedule.
        schedule: "constant" stays, "cosine" falls to zero over the whole run.
        warmup_steps: Steps over which the rate rises from zero.
        weight_decay: Decoupled, on matrices and kernels alone.
        clip_norm: Longest gradient, over all parameters together; 0 for no limit.
        ema_decay: Of the average of the weights that is validated and shipped; 0 for none.
        patience: Epochs without a better validation score after which training stops; 0 for never.
        start: Checkpoint, by name or path, or run whose weights are trained on; fresh weights when empty.
        seed: Of weights and draws.
    """

    steps: int
    epoch_steps: int
    batch_size: int
    segment_frames: int = 0
    learning_rate: float = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    patience: int = 0
    start: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if min(self.batch_size, self.epoch_steps) < 1 or self.steps < 1 or self.steps % self.epoch_steps:
            raise ValueError("batch_size, epoch_steps and steps must be positive, steps a multiple of epoch_steps")
        _check_learning(self)
        if self.segment_frames != 0 and self.segment_frames < 2:
            raise ValueError("segment_frames is 0 for whole utterances, or 2 and more: one frame predicts another")
        if min(self.warmup_steps, self.clip_norm, self.seed) < 0:
            raise ValueError("warmup_steps, clip_norm and seed must be 0 or more")

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.steps // self.epoch_steps


@dataclass(frozen=True)
class PredictorTraining(StepTraining):
    """How to train a predictor.

    Attributes:
        phase_weight: How much a phase counts that is off by a quarter turn, in dB^2, where it is as loud as the mean;
            0 for levels alone, as the score has it.
    """

    phase_weight: float = 0.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        super().__post_init__()
        if self.phase_weight < 0:
            raise ValueError("phase_weight must be 0 or more")


@dataclass(frozen=True)
class NoteTraining(StepTraining):
    """How to train a note network.

    Attributes:
        shares: What part of a batch each training corpus gives, where there are several; as each is long when empty.
        onset_weight: How much the error of the onsets counts against that of the frames.
        offset_weight: Likewise of the offsets.
        velocity_weight: Likewise of the velocities, where notes begin.
        validation_s: Seconds of each recording, from its beginning, that are validated while training; 0 for all.
    """

    shares: list[float] = field(default_factory=list)
    onset_weight: float = 3.0
    offset_weight: float = 1.0
    velocity_weight: float = 1.0
    validation_s: float = 60.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        super().__post_init__()
        if self.segment_frames == 0:
            raise ValueError("segment_frames must be set: recordings are too long to be learnt from whole")
        if min(self.onset_weight, self.offset_weight, self.velocity_weight, self.validation_s) < 0:
            raise ValueError("onset_weight, offset_weight, velocity_weight and validation_s must be 0 or more")
        _check_shares(self.shares)


def _check_shares(shares: list[float]) -> None:
    if shares and (min(shares) < 0 or abs(sum(shares) - 1) > 1e-6):
        raise ValueError(f"shares are parts of 1, not {shares}")


def _check_learning(settings: TrainConfig | StepTraining) -> None:
    """Checks the ranges of what both kinds of training have."""
    if not 0 <= settings.ema_decay < 1:
        raise ValueError(f"ema_decay lies in [0, 1), not {settings.ema_decay}")
    if settings.learning_rate <= 0:
        raise ValueError(f"learning_rate must be positive, not {settings.learning_rate}")
    if min(settings.weight_decay, settings.patience) < 0:
        raise ValueError("weight_decay and patience must be 0 or more")


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


AnyExperiment = Experiment | PredictorExperiment | NoteExperiment
_KINDS: dict[str, type[Experiment | PredictorExperiment | NoteExperiment]] = {
    "transcriber": Experiment,
    "predictor": PredictorExperiment,
    "notes": NoteExperiment,
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
