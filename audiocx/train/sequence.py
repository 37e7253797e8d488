"""Training of recurrent networks on synthetic problems, which ends once the problem is solved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.datasets import EpochBatches
from ..data.sequences import VALIDATION_BATCHES, ProblemSampler, validation_sampler
from ..data.windows import Sampler
from ..models import SequenceNetwork
from ..optim import StiefelRMSprop
from .distributed import RankInfo, averaged
from .experiments import SequenceExperiment, SequenceTraining
from .loop import Corpora, Task, run

__all__ = ["SequenceTask", "fit_sequences"]


class SequenceTask(Task):
    """A recurrent network, a synthetic problem, its loss and the optimiser.

    It is not compiled: that would unroll its steps over time.

    Args:
        experiment: What to train and how.
    """

    monitor, mode = "val/loss", "min"
    fused = False
    settings: SequenceTraining
    network: SequenceNetwork

    def __init__(self, experiment: SequenceExperiment) -> None:
        super().__init__(experiment)
        self._problem = experiment.problem.build()
        self._losses: list[Tensor] = []
        self._solved = False

    def optimizer(self) -> torch.optim.Optimizer:
        """RMSprop or AdamW, and beside it Cayley steps where matrices are to stay unitary."""
        settings = self.settings
        if settings.optimizer == "adamw":
            return super().optimizer()
        return StiefelRMSprop(self.network, settings.learning_rate, settings.unitary_rate, alpha=settings.smoothing)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Records whether the problem is solved."""
        checkpoint["solved"] = self._solved

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remembers whether it was."""
        self._solved = checkpoint["solved"]

    def on_train_start(self) -> None:
        """Does not go on with what is solved."""
        self.trainer.should_stop = self.trainer.should_stop or self._solved

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Gives the loss of a batch of sequences."""
        sequences, targets = batch
        loss = self._problem.loss(self.network(sequences), targets)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Gathers the loss of a batch of sequences."""
        sequences, targets = batch
        self._losses.append(self._problem.loss(self.network(sequences), targets))

    def on_validation_epoch_end(self) -> None:
        """Scores all batches together, which are of one size, and stops when that is good enough."""
        loss = averaged(torch.stack(self._losses).mean())  # that all processes stop together
        self._losses.clear()
        self.log("val/loss", loss, prog_bar=True, sync_dist=True)
        # Lightning takes it for the log's abscissa, where it would put one step less.
        self.log("step", float(self.global_step), sync_dist=True)
        self._solved = float(loss) < self.settings.solved * self._problem.baseline
        self.trainer.should_stop = self.trainer.should_stop or self._solved


class _Sequences(Corpora):
    experiment: SequenceExperiment

    def sampler(self, batch_size: int, rank_info: RankInfo) -> Sampler:
        return ProblemSampler(self.experiment.problem.build(), batch_size, self.experiment.train.seed, *rank_info)

    def validated(self, rank_info: RankInfo) -> Iterator[EpochBatches]:
        # All of them for every process: they are few.
        yield EpochBatches(validation_sampler(self.experiment.problem.build()), lambda: 0, VALIDATION_BATCHES)


def fit_sequences(experiment: SequenceExperiment, folder: str | Path, resume: bool = True, **machine: Any) -> Path:
    """Trains, or goes on training, a recurrent network on a synthetic problem.

    Args:
        experiment: What to train and how.
        folder: The run; made when missing.
        resume: Goes on from the folder's ``last.ckpt`` when there is one.
        machine: ``accelerator``, ``devices``, ``num_nodes``, ``precision`` and ``progress``, as of
            :func:`audiocx.train.loop.run`.

    Returns:
        The checkpoint with the lowest validation loss.

    Raises:
        ConfigError: The folder belongs to another experiment, the batch cannot be shared by the devices, or the
            network to start from is another.
        CheckpointError: The network to start from cannot be loaded.
    """
    corpora = _Sequences(experiment, (), ())
    return run(SequenceTask, corpora, folder, resume, clip_norm=experiment.train.clip_norm, **machine)
