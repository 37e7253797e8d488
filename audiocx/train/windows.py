"""Training of window networks: binary cross-entropy of random windows, average precision of the validation frames."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import SumMetric

from ..data.datasets import StoreFrames
from ..data.windows import Sampler, WindowSampler
from ..models import TranscriberNetwork
from ..models.window_blocks import BATCH_FRAMES
from ..music.metrics import PooledPrecision
from .distributed import pooled_score
from .experiments import Experiment
from .loop import Corpora, RankInfo, Task
from .settings import TrainConfig

__all__ = ["TranscriberTask", "WindowData"]


class TranscriberTask(Task):
    """Training task of a window network.

    Args:
        experiment: Network and training settings.
        compile: Whether to compile the network's layers, forward and backward, before the first step.
    """

    monitor, mode = "val/ap", "max"
    settings: TrainConfig
    network: TranscriberNetwork

    def __init__(self, experiment: Experiment, compile: bool = False) -> None:
        super().__init__(experiment, compile)
        self._precision, self._error, self._count = PooledPrecision(), SumMetric(), SumMetric()

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Return the binary cross-entropy of a batch of windows."""
        windows, labels = batch
        self.seen += len(windows) * self.trainer.world_size
        loss = F.binary_cross_entropy_with_logits(self.network(windows).float(), labels)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Accumulate the errors and the probabilities of a batch of frames."""
        windows, labels = batch
        logits = self.network(windows).float()[: len(labels)]
        error = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
        self._error.update(error)
        self._count.update(labels.numel())
        self._precision.add(logits.sigmoid().float().cpu().numpy(), labels.bool().cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the frames of all devices together."""
        self.log("val/loss", self._error.compute() / self._count.compute(), sync_dist=True)
        self.log("val/ap", pooled_score(self._precision, self.device), prog_bar=True, sync_dist=True)
        self._precision = PooledPrecision()
        self._error.reset()
        self._count.reset()


class WindowData(Corpora):
    """Training and validation data of a transcriber of single windows; see :class:`audiocx.train.loop.Corpora`."""

    experiment: Experiment

    def sampler(self, batch_size: int, rank_info: RankInfo) -> Sampler:
        """Return the sampler of training batches; see :meth:`audiocx.train.loop.Corpora.sampler`."""
        model, order = self.experiment.model, self.experiment.train.order
        return self.mixed(WindowSampler, batch_size, rank_info, window_samples=model.window_samples, order=order)

    def validated(self, rank_info: RankInfo) -> Iterator[StoreFrames]:
        """Yield the validation data; see :meth:`audiocx.train.loop.Corpora.validated`."""
        window_samples, hop_samples = (
            self.experiment.model.window_samples,
            self.experiment.train.validation_hop_samples,
        )
        for store in self.validation:
            yield StoreFrames(store, window_samples, hop_samples, BATCH_FRAMES, rank_info.rank, rank_info.ranks)
