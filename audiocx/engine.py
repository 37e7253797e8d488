"""Training. The only place that imports Lightning.

An experiment is one TOML file, read into :class:`audiocx.experiment.Experiment`. A run is a folder:
``experiment.json``, ``last.ckpt`` and ``best.ckpt`` (highest validation AP), and a TensorBoard log. A run that was cut
off goes on from ``last.ckpt`` exactly as if it had not been: weights, averages, optimiser, schedule and the batches
still to come.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import ChainDataset, DataLoader

from . import pretrained
from .config import from_dict, to_dict
from .data.datasets import EpochBatches, StoreFrames
from .data.store import Store
from .data.windows import mixed
from .errors import ConfigError
from .experiment import Experiment, TrainConfig
from .files import replacing
from .metrics import average_precision
from .models import TranscriberNetwork, build
from .models.frames import BATCH_FRAMES
from .runs import windows_in

__all__ = ["Experiment", "TrainConfig", "TranscriberTask", "fit", "keep_memory"]

# The average is updated every few steps with the decay of as many: the same, at a fraction of the memory traffic.
_EMA_EVERY = 4
# Advice of Lightning's that is wrong here (the data come from a callback, whole batches from one process), and a
# deprecation that it brings about itself.
_BESIDE_THE_POINT = (
    "You defined a `validation_step` but have no `val_dataloader`",
    "Your `IterableDataset` has `__len__` defined",
    "The '.*_dataloader' does not have many workers",
    "The number of training batches .* is smaller than the logging interval",
    "Checkpoint directory .* exists and is not empty",
    "`isinstance.treespec, LeafSpec.` is deprecated",
)


class TranscriberTask(LightningModule):
    """A transcriber, its loss and its optimiser.

    Args:
        experiment: What to train and how.
        compile: Compiles the network's layers, forward and backward, before the first step.
    """

    def __init__(self, experiment: Experiment, compile: bool = False) -> None:
        super().__init__()
        self.settings = experiment.train
        try:
            self.network: TranscriberNetwork = build(experiment.model)
        except ValueError as error:  # settings right one by one that do not fit together
            raise ConfigError(f"{error}.") from None
        if compile:
            # The front end stays outside: the compiler has no complex FFT.
            self.network.body.compile(fullgraph=True, dynamic=False)
        self._frames: list[tuple[np.ndarray, np.ndarray]] = []
        self._windows_seen = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Records how many windows all devices together have seen."""
        checkpoint["windows_seen"] = self._windows_seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on counting the windows."""
        self._windows_seen = windows_in(checkpoint, self.settings)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Gives the binary cross-entropy of a batch of windows."""
        windows, labels = batch
        self._windows_seen += len(windows) * self.trainer.world_size
        loss = F.binary_cross_entropy_with_logits(self.network(windows).float(), labels)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Collects the probabilities of a batch of frames."""
        windows, labels = batch
        logits = self.network(windows).float()
        self.log("val/loss", F.binary_cross_entropy_with_logits(logits, labels), sync_dist=True)
        self._frames.append((logits.sigmoid().cpu().numpy(), labels.bool().cpu().numpy()))

    def on_validation_epoch_end(self) -> None:
        """Scores all the frames together; of several devices, the mean of their scores counts."""
        probabilities, labels = (np.concatenate(part) for part in zip(*self._frames, strict=True))
        self._frames.clear()
        self.log("val/ap", average_precision(probabilities, labels), prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW with decay on matrices alone, and the schedule."""
        # Of two axes, but no matrix: the scale of a whitening batch norm, [3, C].
        weights = [p for p in self.network.parameters() if p.ndim > 1 and p.shape[0] > 3]
        rest = [p for p in self.network.parameters() if not (p.ndim > 1 and p.shape[0] > 3)]
        decay = self.settings.weight_decay
        groups = [{"params": weights, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, self.settings.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        settings = self.settings
        warmup = max(settings.warmup_windows // settings.batch_size, 1)
        rise = min((step + 1) / warmup, 1.0)
        if settings.schedule == "constant":
            return rise
        if settings.schedule == "steps":
            epoch = step // (settings.epoch_windows // settings.batch_size)
            reached = [settings.learning_rate, *(rate for begin, rate in settings.rates if begin <= epoch)]
            return rise * reached[-1] / settings.learning_rate
        return rise * 0.5 * (1 + math.cos(math.pi * min(step / settings.steps, 1.0)))


class _Corpus(Callback):
    """Gives the trainer its data once it knows its device and rank."""

    def __init__(self, experiment: Experiment, train: Sequence[Store], validation: Sequence[Store]) -> None:
        self.experiment, self.train, self.validation = experiment, train, validation

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, TranscriberTask)
        settings, ranks = self.experiment.train, trainer.world_size
        if settings.batch_size % ranks:
            raise ConfigError(f"batch_size={settings.batch_size} cannot be shared by {ranks} devices; take a multiple.")
        window_samples = self.experiment.model.window_samples
        on_device = trainer.strategy.root_device
        sampler = mixed(
            self.train,
            settings.shares,
            settings.batch_size // ranks,
            trainer.global_rank,
            ranks,
            window_samples=window_samples,
            order=settings.order,
            augmentation=self.experiment.augmentation,
            seed=settings.seed,
            device=on_device,
        )
        batches = EpochBatches(sampler, lambda: pl_module.global_step, settings.epoch_windows // settings.batch_size)
        hop = settings.validation_hop_samples
        rank = trainer.global_rank
        frames = ChainDataset(
            # A list, for every epoch goes through it again.
            [StoreFrames(store, window_samples, hop, BATCH_FRAMES, rank, ranks) for store in self.validation]
        )
        pl_module.train_dataloader = lambda: DataLoader(batches, batch_size=None)  # type: ignore[method-assign]
        pl_module.val_dataloader = lambda: DataLoader(frames, batch_size=None)  # type: ignore[method-assign]


class _Patience(EarlyStopping):
    """Early stopping that also holds when a run that it stopped is started again."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


def fit(
    experiment: Experiment,
    train: Store | Sequence[Store],
    validation: Store | Sequence[Store],
    folder: str | Path,
    resume: bool = True,
    accelerator: str = "auto",
    devices: int | str = "auto",
    num_nodes: int = 1,
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true",
    compile: bool = True,
    progress: bool = True,
) -> Path:
    """Trains, or goes on training, a transcriber.

    Args:
        experiment: What to train and how.
        train: Store to learn from, or several, each with its share of ``experiment.train.shares``.
        validation: Store to choose the best weights by, or several, whose frames count together.
        folder: The run; made when missing.
        resume: Goes on from the folder's ``last.ckpt`` when there is one.
        accelerator: "auto", "cpu", "gpu", ...: Lightning's.
        devices: How many; more than one trains data-parallel (DDP).
        num_nodes: Machines.
        precision: Arithmetic: float32, or automatic mixed precision in bfloat16 or float16.
        compile: Compiles the network (needs a C++ compiler on the CPU).
        progress: Shows a progress bar.

    Returns:
        The checkpoint with the highest validation AP.

    Raises:
        ConfigError: The folder belongs to another experiment, the batch cannot be shared by the devices or the
            corpora, the network to start from is another, or there is no C++ compiler to compile with.
        CheckpointError: The network to start from cannot be loaded.
    """
    folder = Path(folder)
    if compile and not any(
        shutil.which(name) for name in (os.environ.get("CXX", "c++"), "c++", "g++", "clang++", "cl")
    ):
        raise ConfigError("Compiling the network needs a C++ compiler; install g++, or pass --no-compile.")
    train, validation = ([part] if isinstance(part, Store) else list(part) for part in (train, validation))
    _claim(folder, experiment, resume)
    seed_everything(experiment.train.seed, verbose=False)
    keep_memory()
    task, begun = TranscriberTask(experiment, compile), folder / "last.ckpt"
    if experiment.train.start and not begun.is_file():
        task.network.load_state_dict(_start(experiment).state_dict())
    trainer = Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        precision=precision,
        max_epochs=experiment.train.epochs,
        callbacks=_callbacks(experiment, train, validation, folder, progress),
        logger=TensorBoardLogger(folder, name="", version="log"),
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=20,
    )
    with warnings.catch_warnings():
        for message in _BESIDE_THE_POINT:
            warnings.filterwarnings("ignore", message)
        trainer.fit(task, ckpt_path=begun if begun.is_file() else None, weights_only=True)
    return folder / "best.ckpt"


def _callbacks(
    experiment: Experiment, train: Sequence[Store], validation: Sequence[Store], folder: Path, progress: bool
) -> list[Callback]:
    """What the trainer does beside training: data, checkpoints, averages, progress."""
    best = ModelCheckpoint(folder, "best", monitor="val/ap", mode="max", enable_version_counter=False)
    # Not save_last=True, which passes over the epochs that are not the best so far. It comes second, to save the best's
    # record with it.
    last = ModelCheckpoint(folder, "last", enable_version_counter=False)
    callbacks: list[Callback] = [_Corpus(experiment, train, validation), best, last, LearningRateMonitor("step")]
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    if experiment.train.ema_decay:
        decay = experiment.train.ema_decay**_EMA_EVERY
        callbacks.append(EMAWeightAveraging(decay=decay, update_every_n_steps=_EMA_EVERY))
    if experiment.train.patience:
        callbacks.append(_Patience("val/ap", patience=experiment.train.patience, mode="max"))
    return callbacks


def _claim(folder: Path, experiment: Experiment, resume: bool) -> None:
    """Makes the folder this experiment's: refuses another's run, or clears it away to start over."""
    record, settings = folder / "experiment.json", to_dict(experiment)
    begun = resume and (folder / "last.ckpt").is_file() and record.is_file()
    # Read as an experiment: a record of an earlier version lacks the settings that came since.
    if begun and from_dict(Experiment, json.loads(record.read_text()), str(record)) != experiment:
        raise ConfigError(f"{folder} holds a run with other settings; name another folder, or start over with --fresh.")
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        # Before the first epoch ends, an older run's would be taken for this one's.
        for name in ("last.ckpt", "best.ckpt"):
            (folder / name).unlink(missing_ok=True)
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(settings, indent=2))


def _start(experiment: Experiment) -> TranscriberNetwork:
    """The network that training begins with."""
    network = pretrained.load_network(experiment.train.start)
    if network.config != experiment.model:
        theirs, ours = to_dict(network.config), to_dict(experiment.model)
        differing = ", ".join(f"{key}={theirs[key]!r}" for key in theirs if theirs[key] != ours[key])
        raise ConfigError(f"start={experiment.train.start!r} is another network, with {differing}; configure the same.")
    return network


def keep_memory() -> None:
    """Asks glibc to keep freed memory instead of giving it back to the system after every step.

    A training step allocates and frees some hundred megabytes; fetching them anew each time costs a good part of it in
    page faults (benchmarks/training_step.py measures how much). Elsewhere than on glibc nothing happens.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_trim_threshold, m_mmap_max = -1, -4
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
