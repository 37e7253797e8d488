"""Training task of recurrent networks on synthetic problems; training ends when the problem is solved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from problems import VALIDATION_BATCHES, ProblemSampler, validation_sampler
from sequence_experiment import SequenceExperiment, SequenceTraining
from sequence_network import SequenceNetwork
from torch import Tensor

from audiocx.data.datasets import EpochBatches
from audiocx.data.windows import Sampler
from audiocx.optim import StiefelRMSprop
from audiocx.train.distributed import RankInfo, averaged
from audiocx.train.loop import Corpora, Task


class SequenceTask(Task):
    """A recurrent network, a synthetic problem, its loss and the optimiser.

    The network is not compiled, since that would unroll its steps over time.

    Args:
        experiment: Problem, network and schedule.
    """

    monitor, mode = "val/loss", "min"
    fused = False
    settings: SequenceTraining
    network: SequenceNetwork

    def __init__(self, experiment: SequenceExperiment) -> None:
        super().__init__(experiment)
        self._problem = experiment.problem.build()
        self.losses: list[Tensor] = []
        self._solved = False

    def optimizer(self) -> torch.optim.Optimizer:
        """Return RMSprop or AdamW, with Cayley steps for matrices that stay unitary."""
        settings = self.settings
        if settings.optimizer == "adamw":
            return super().optimizer()
        return StiefelRMSprop(self.network, settings.learning_rate, settings.unitary_rate, alpha=settings.smoothing)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record whether the problem is solved."""
        checkpoint["solved"] = self._solved

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore whether the problem is solved."""
        self._solved = checkpoint["solved"]

    def on_train_start(self) -> None:
        """Stop at once if the problem is solved already."""
        self.trainer.should_stop = self.trainer.should_stop or self._solved

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Return the loss of a batch of sequences."""
        sequences, targets = batch
        loss = self._problem.loss(self.network(sequences), targets)
        self.log("train/loss", loss, prog_bar=True)
        return loss + self.network.penalty()

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Collect the loss of a batch of sequences."""
        sequences, targets = batch
        self.losses.append(self._problem.loss(self.network(sequences), targets))

    def on_validation_epoch_end(self) -> None:
        """Log the mean loss of all batches, which are of one size, and stop if the problem is solved."""
        loss = averaged(torch.stack(self.losses).mean())  # so that all processes stop together
        self.losses.clear()
        self.log("val/loss", loss, prog_bar=True, sync_dist=True)
        # Lightning plots against it, and its own count is one step behind.
        self.log("step", float(self.global_step), sync_dist=True)
        self._solved = float(loss) < self.settings.solved * self._problem.baseline
        self.trainer.should_stop = self.trainer.should_stop or self._solved


class SequenceData(Corpora):
    """Training and validation data of a synthetic problem; see :class:`audiocx.train.loop.Corpora`."""

    experiment: SequenceExperiment

    def sampler(self, batch_size: int, rank_info: RankInfo) -> Sampler:
        """Return the sampler of training batches; see :meth:`audiocx.train.loop.Corpora.sampler`."""
        return ProblemSampler(self.experiment.problem.build(), batch_size, self.experiment.train.seed, *rank_info)

    def validated(self, rank_info: RankInfo) -> Iterator[EpochBatches]:
        """Yield the validation data; see :meth:`audiocx.train.loop.Corpora.validated`."""
        # Every process has all of them, since they are few.
        yield EpochBatches(validation_sampler(self.experiment.problem.build()), lambda: 0, VALIDATION_BATCHES)
