"""Training of transcribers: binary cross-entropy of random windows, average precision of all validation frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.datasets import StoreFrames
from ..data.windows import Sampler, mixed
from ..models import TranscriberNetwork
from ..models.window_blocks import BATCH_FRAMES
from ..music.metrics import PooledPrecision
from .distributed import pooled_score, summed
from .experiments import Experiment
from .loop import Corpora, RankInfo, Task
from .runs import seen_by
from .settings import TrainConfig

__all__ = ["TranscriberTask", "WindowData"]


class TranscriberTask(Task):
    """A transcriber, its loss and its optimiser.

    Args:
        experiment: What to train and how.
        compile: Compiles the network's layers, forward and backward, before the first step.
    """

    monitor, mode = "val/ap", "max"
    settings: TrainConfig
    network: TranscriberNetwork

    def __init__(self, experiment: Experiment, compile: bool = False) -> None:
        super().__init__(experiment)
        if compile:
            # The front end stays outside: the compiler has no complex FFT.
            self.network.body.compile(fullgraph=True, dynamic=False)
        self._precision, self._error = PooledPrecision(), [0.0, 0]
        self._windows_seen = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Records how many windows all devices together have seen."""
        checkpoint["windows_seen"] = self._windows_seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on counting the windows."""
        self._windows_seen = seen_by(checkpoint, self.experiment) or 0

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Gives the binary cross-entropy of a batch of windows."""
        windows, labels = batch
        self._windows_seen += len(windows) * self.trainer.world_size
        loss = F.binary_cross_entropy_with_logits(self.network(windows).float(), labels)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Counts the errors and the probabilities of a batch of frames."""
        windows, labels = batch
        logits = self.network(windows).float()[: len(labels)]
        error = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
        self._error = [self._error[0] + float(error), self._error[1] + labels.numel()]
        self._precision.add(logits.sigmoid().cpu().numpy(), labels.bool().cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        """Scores all the frames of all devices together."""
        error, count = summed(torch.tensor(self._error, device=self.device))
        self.log("val/loss", error / count, sync_dist=True)
        self.log("val/ap", pooled_score(self._precision, self.device), prog_bar=True, sync_dist=True)
        self._precision, self._error = PooledPrecision(), [0.0, 0]


class WindowData(Corpora):
    """Training and validation data of a transcriber of single windows; see :class:`audiocx.train.loop.Corpora`."""

    experiment: Experiment

    def sampler(self, batch_size: int, place: RankInfo) -> Sampler:
        """Return the sampler of training batches; see :meth:`audiocx.train.loop.Corpora.sampler`."""
        settings = self.experiment.train
        return mixed(
            self.train,
            settings.shares,
            batch_size,
            place.rank,
            place.ranks,
            window_samples=self.experiment.model.window_samples,
            order=settings.order,
            augmentation=self.experiment.augmentation,
            seed=settings.seed,
            device=place.device,
        )

    def validated(self, place: RankInfo) -> Iterator[StoreFrames]:
        """Yield the validation data; see :meth:`audiocx.train.loop.Corpora.validated`."""
        window_samples, hop_samples = (
            self.experiment.model.window_samples,
            self.experiment.train.validation_hop_samples,
        )
        for store in self.validation:
            yield StoreFrames(store, window_samples, hop_samples, BATCH_FRAMES, place.rank, place.ranks)
