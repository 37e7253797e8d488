"""What a training run is: the network, how its windows vary, how it learns. One TOML file says it all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .data.augment import AugmentConfig
from .models import TranscriberConfig

__all__ = ["Experiment", "TrainConfig"]


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
        schedule: "cosine" falls to zero over the whole run, "constant" stays.
        warmup_windows: Windows over which the rate rises from zero.
        weight_decay: Of AdamW, on matrices and kernels alone.
        ema_decay: Of the average of the weights that is validated and shipped; 0 for none.
        validation_hop_samples: Distance of the frames validated while training.
        patience: Epochs without a better validation AP after which training stops; 0 for never.
        seed: Of weights, windows and variations.
    """

    windows: int = 2_000_000
    epoch_windows: int = 102_400
    batch_size: int = 256
    order: Literal["time", "pieces"] = "time"
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_windows: int = 51_200
    weight_decay: float = 0.01
    ema_decay: float = 0.999
    validation_hop_samples: int = 2048
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 0 < self.batch_size <= self.epoch_windows <= self.windows:
            raise ValueError("batch_size <= epoch_windows <= windows must hold, all positive")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay lies in [0, 1), not {self.ema_decay}")
        if self.learning_rate <= 0 or self.validation_hop_samples < 1:
            raise ValueError("learning_rate and validation_hop_samples must be positive")
        if min(self.warmup_windows, self.weight_decay, self.patience) < 0:
            raise ValueError("warmup_windows, weight_decay and patience must be 0 or more")

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.windows // self.epoch_windows

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return self.epochs * (self.epoch_windows // self.batch_size)


@dataclass(frozen=True)
class Experiment:
    """One training run: network, variations, schedule."""

    model: TranscriberConfig = field(default_factory=TranscriberConfig)
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
