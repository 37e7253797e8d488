"""Training of window networks: binary cross-entropy of random windows, average precision of the validation frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import SumMetric

from ..data.datasets import StoreFrames
from ..data.store import Store
from ..data.windows import Sampler, mixed
from ..models import TranscriberNetwork
from ..models.window_blocks import BATCH_FRAMES
from ..music.metrics import PooledPrecision
from .distributed import pooled_score
from .experiments import Experiment, TrainConfig
from .loop import Corpora, RankInfo, Task, run
from .machine import check_compiler
from .runs import windows_in

__all__ = ["TranscriberTask", "fit"]


class TranscriberTask(Task):
    """Training task of a window network.

    Args:
        experiment: What to train and how.
        compile: Whether to compile the network's layers, forward and backward, before the first step.
    """

    monitor, mode = "val/ap", "max"
    settings: TrainConfig
    network: TranscriberNetwork

    def __init__(self, experiment: Experiment, compile: bool = False) -> None:
        super().__init__(experiment)
        if compile:
            # Without the front end: the compiler has no complex FFT.
            self.network.body.compile(fullgraph=True, dynamic=False)
        self._precision, self._error, self._count = PooledPrecision(), SumMetric(), SumMetric()
        self._windows_seen = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store how many windows all devices together have seen."""
        checkpoint["windows_seen"] = self._windows_seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the number of windows seen."""
        self._windows_seen = windows_in(checkpoint, self.settings)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Return the binary cross-entropy of a batch of windows."""
        windows, labels = batch
        self._windows_seen += len(windows) * self.trainer.world_size
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
        self._precision.add(logits.sigmoid().cpu().numpy(), labels.bool().cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the frames of all devices together."""
        self.log("val/loss", self._error.compute() / self._count.compute(), sync_dist=True)
        self.log("val/ap", pooled_score(self._precision, self.device), prog_bar=True, sync_dist=True)
        self._precision = PooledPrecision()
        self._error.reset()
        self._count.reset()


class _Music(Corpora):
    experiment: Experiment

    def sampler(self, batch_size: int, rank_info: RankInfo) -> Sampler:
        settings = self.experiment.train
        return mixed(
            self.train,
            settings.shares,
            batch_size,
            rank_info.rank,
            rank_info.ranks,
            window_samples=self.experiment.model.window_samples,
            order=settings.order,
            augmentation=self.experiment.augmentation,
            seed=settings.seed,
            device=rank_info.device,
        )

    def validated(self, rank_info: RankInfo) -> Iterator[StoreFrames]:
        window_samples, hop_samples = (
            self.experiment.model.window_samples,
            self.experiment.train.validation_hop_samples,
        )
        for store in self.validation:
            yield StoreFrames(store, window_samples, hop_samples, BATCH_FRAMES, rank_info.rank, rank_info.ranks)


def fit(
    experiment: Experiment,
    train: Store | Sequence[Store],
    validation: Store | Sequence[Store],
    folder: str | Path,
    resume: bool = True,
    compile: bool = True,
    **machine: Any,
) -> Path:
    """Train a window network, or resume its training.

    Args:
        experiment: What to train and how.
        train: Training store, or several, each with its share of ``experiment.train.shares``.
        validation: Store that chooses the best weights, or several, whose frames are pooled.
        folder: Folder of the run; made when missing.
        resume: Whether to resume from the folder's ``last.ckpt`` if there is one.
        compile: Whether to compile the network (needs a C++ compiler on the CPU).
        machine: ``accelerator``, ``devices``, ``num_nodes``, ``precision`` and ``progress``, as of
            :func:`audiocx.train.loop.run`.

    Returns:
        Path of the checkpoint with the highest validation AP.

    Raises:
        ConfigError: The folder belongs to another experiment, the batch cannot be shared by the devices or the
            corpora, the initial network has another config, or there is no C++ compiler to compile with.
        CheckpointError: The initial network cannot be loaded.
    """
    if compile:
        check_compiler()
    return run(TranscriberTask, _Music(experiment, train, validation), folder, resume, compile=compile, **machine)
