"""Training settings: optimiser, schedule and batches, of every kind of network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..config import check_fields

__all__ = [
    "NoteTraining",
    "PredictorTraining",
    "SegmentTraining",
    "StepTraining",
    "TrainConfig",
]

# Ranges of the settings that all kinds have.
_RANGES = {
    "learning_rate": "(0, inf)",
    "unitary_rate": "(0, inf)",
    "weight_decay": "[0, inf)",
    "ema_decay": "[0, 1)",
    "patience": "[0, inf)",
}


@dataclass(frozen=True)
class TrainConfig:
    """Training settings of transcribers of single windows.

    Attributes:
        windows: Total number of windows, rounded down to whole epochs.
        epoch_windows: Windows between two validations and checkpoints, rounded down to whole batches.
        batch_size: Windows of a step, over all devices together.
        order: Sampling of the windows; see :class:`audiocx.data.windows.WindowSampler`. With "pieces" all numbers of
            windows here are per piece: the paper has a ``batch_size`` of 1 and ``epoch_windows`` of 1000.
        learning_rate: Learning rate of AdamW; the highest of the schedule.
        schedule: "cosine" decays to zero over the whole run, "constant" stays, "steps" follows ``rates``.
        rates: Pairs of an epoch, counted from 0, and the learning rate from it on, for "steps".
        warmup_windows: Windows over which the learning rate rises from zero.
        unitary_rate: Learning rate of matrices that stay unitary, whose steps are as long as their gradients, under the
            same schedule; None for ``learning_rate``. See :mod:`audiocx.optim`.
        weight_decay: Weight decay of AdamW, on matrices and kernels only.
        ema_decay: Decay of the moving average of the weights, which is validated and exported; 0 for none.
        validation_hop_samples: Hop of the frames of a validation.
        shares: Fraction of a batch from each of several training corpora; proportional to their lengths if empty.
        start: Checkpoint, by name or path, or run whose weights are fine-tuned; random weights if empty.
        patience: Epochs without a better validation AP after which training stops; 0 for never.
        seed: Seed of the initial weights, the windows and the augmentation.
    """

    windows: int = 2_000_000
    epoch_windows: int = 102_400
    batch_size: int = 256
    order: Literal["time", "pieces"] = "time"
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    rates: list[list[float]] = field(default_factory=list)
    warmup_windows: int = 51_200
    unitary_rate: float | None = None
    weight_decay: float = 0.01
    ema_decay: float = 0.999
    validation_hop_samples: int = 2048
    shares: list[float] = field(default_factory=list)
    start: str = ""
    patience: int = 0
    seed: int = 0
    clip_norm: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_fields(self, **_RANGES, batch_size="[1, inf)", validation_hop_samples="[1, inf)")
        check_fields(self, warmup_windows="[0, inf)")
        if not self.batch_size <= self.epoch_windows <= self.windows:
            raise ValueError("batch_size <= epoch_windows <= windows must hold")
        if any(len(pair) != 2 or pair[1] <= 0 for pair in self.rates) or self.rates != sorted(self.rates):
            raise ValueError("rates are pairs of an epoch, ascending, and a learning rate, such as [[10, 1e-4]]")
        if bool(self.rates) != (self.schedule == "steps"):
            raise ValueError("rates belong to schedule = 'steps', which needs them")
        _check_shares(self.shares)
        if self.shares and self.order == "pieces":
            raise ValueError("shares belong to order = 'time': with order = 'pieces' every piece has as many windows")

    @property
    def epochs(self) -> int:
        """Total number of epochs."""
        return self.windows // self.epoch_windows

    @property
    def epoch_steps(self) -> int:
        """Optimiser steps between two validations."""
        return self.epoch_windows // self.batch_size

    @property
    def warmup_steps(self) -> int:
        """Optimiser steps over which the learning rate rises."""
        return self.warmup_windows // self.batch_size

    @property
    def steps(self) -> int:
        """Total number of optimiser steps."""
        return self.epochs * self.epoch_steps


@dataclass(frozen=True)
class StepTraining:
    """Training settings in optimiser steps, common to all kinds but the transcribers of single windows.

    Attributes:
        steps: Total number of optimiser steps, a whole number of epochs.
        epoch_steps: Steps between two validations and checkpoints.
        batch_size: Utterances, segments or sequences of a step, over all devices together.
        learning_rate: Learning rate of the optimiser; the highest of the schedule.
        schedule: "constant" stays, "cosine" decays to zero over the whole run.
        warmup_steps: Steps over which the learning rate rises from zero.
        unitary_rate: Learning rate of matrices that stay unitary, whose steps are as long as their gradients, under the
            same schedule; None for ``learning_rate``. See :mod:`audiocx.optim`.
        weight_decay: Decoupled weight decay, on matrices and kernels only.
        clip_norm: Largest norm of the gradient of all parameters; 0 for no limit.
        ema_decay: Decay of the moving average of the weights, which is validated and exported; 0 for none.
        patience: Epochs without a better validation score after which training stops; 0 for never.
        start: Checkpoint, by name or path, or run whose weights are fine-tuned; random weights if empty.
        seed: Seed of the initial weights and the batches.
    """

    steps: int
    epoch_steps: int
    batch_size: int
    learning_rate: float = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    unitary_rate: float | None = None
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    patience: int = 0
    start: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_fields(self, **_RANGES, batch_size="[1, inf)", epoch_steps="[1, inf)", steps="[1, inf)")
        check_fields(self, warmup_steps="[0, inf)", clip_norm="[0, inf)", seed="[0, inf)")
        if self.steps % self.epoch_steps:
            raise ValueError(f"steps={self.steps} must be a multiple of epoch_steps={self.epoch_steps}")

    @property
    def epochs(self) -> int:
        """Total number of epochs."""
        return self.steps // self.epoch_steps


@dataclass(frozen=True)
class SegmentTraining(StepTraining):
    """Training settings common to predictors and note networks, which train on recordings or segments of them.

    Attributes:
        segment_frames: Length of random segments; of predictors, 0 for whole utterances, each once per pass.
    """

    segment_frames: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if self.segment_frames != 0 and self.segment_frames < 2:
            raise ValueError("segment_frames is 0 for whole utterances, or 2 and more: one frame predicts another")


@dataclass(frozen=True)
class PredictorTraining(SegmentTraining):
    """Training settings of a predictor.

    Attributes:
        phase_weight: Weight of the phase error, in dB^2: the loss of a phase that is off by 90 degrees in a bin of mean
            magnitude; 0 for the error of levels only, which is the score.
    """

    phase_weight: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_fields(self, phase_weight="[0, inf)")


@dataclass(frozen=True)
class NoteTraining(SegmentTraining):
    """Training settings of a note network.

    Attributes:
        shares: Fraction of a batch from each of several training corpora; proportional to their lengths if empty.
        onset_weight: Weight of the onset loss relative to that of the frames.
        offset_weight: Weight of the offset loss, likewise.
        velocity_weight: Weight of the velocity loss at onsets, likewise.
        validation_s: Seconds of each recording, from its beginning, that validation runs on; 0 for all.
    """

    shares: list[float] = field(default_factory=list)
    onset_weight: float = 3.0
    offset_weight: float = 1.0
    velocity_weight: float = 1.0
    validation_s: float = 60.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if self.segment_frames == 0:
            raise ValueError("segment_frames must be set: whole recordings are too long to train on")
        names = ("onset_weight", "offset_weight", "velocity_weight", "validation_s")
        check_fields(self, **dict.fromkeys(names, "[0, inf)"))
        _check_shares(self.shares)


def _check_shares(shares: list[float]) -> None:
    if shares and (min(shares) < 0 or abs(sum(shares) - 1) > 1e-6):
        raise ValueError(f"shares must add up to 1, not {shares}")
