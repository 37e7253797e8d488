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
        schedule: "cosine" falls to zero over the whole run, "constant" stays, "steps" goes by ``rates``.
        rates: Pairs of an epoch, counted from 0, and the learning rate from it on, for "steps".
        warmup_windows: Windows over which the rate rises from zero.
        weight_decay: Of AdamW, on matrices and kernels alone.
        ema_decay: Of the average of the weights that is validated and shipped; 0 for none.
        validation_hop_samples: Distance of the frames validated while training.
        shares: What part of a batch each training corpus gives, where there are several; as each is long when empty.
        start: Checkpoint whose weights are trained on, by name or path; fresh weights when empty.
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
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay lies in [0, 1), not {self.ema_decay}")
        if self.learning_rate <= 0 or self.validation_hop_samples < 1:
            raise ValueError("learning_rate and validation_hop_samples must be positive")
        if min(self.warmup_windows, self.weight_decay, self.patience) < 0:
            raise ValueError("warmup_windows, weight_decay and patience must be 0 or more")
        if any(len(pair) != 2 or pair[1] <= 0 for pair in self.rates) or self.rates != sorted(self.rates):
            raise ValueError("rates are pairs of an epoch, ascending, and a learning rate, such as [[10, 1e-4]]")
        if bool(self.rates) != (self.schedule == "steps"):
            raise ValueError("rates belong to schedule = 'steps', which needs them")
        if self.shares and (min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6):
            raise ValueError(f"shares are parts of 1, not {self.shares}")
        if self.shares and self.order == "pieces":
            raise ValueError("shares belong to order = 'time': by pieces every piece has its window")

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
