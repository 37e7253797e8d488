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
from torch.utils.data import DataLoader

from .config import to_dict
from .data.datasets import EpochBatches, StoreFrames
from .data.store import Store
from .data.windows import WindowSampler
from .errors import ConfigError
from .experiment import Experiment, TrainConfig
from .files import replacing
from .metrics import average_precision
from .models import TranscriberConfig, TranscriberNetwork, build
from .models.frames import BATCH_FRAMES

__all__ = ["Experiment", "TrainConfig", "TranscriberTask", "fit", "load_network"]

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
        self.network: TranscriberNetwork = build(experiment.model)
        if compile:
            # The front end stays outside: the compiler has no complex FFT.
            self.network.body.compile(fullgraph=True, dynamic=False)
        self._frames: list[tuple[np.ndarray, np.ndarray]] = []

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Gives the binary cross-entropy of a batch of windows."""
        windows, labels = batch
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
        return rise * 0.5 * (1 + math.cos(math.pi * min(step / settings.steps, 1.0)))


class _Corpus(Callback):
    """Gives the trainer its data once it knows its device and rank."""

    def __init__(self, experiment: Experiment, train: Store, validation: Store) -> None:
        self.experiment, self.train, self.validation = experiment, train, validation

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, TranscriberTask)
        settings, ranks = self.experiment.train, trainer.world_size
        if settings.batch_size % ranks:
            raise ConfigError(f"batch_size={settings.batch_size} cannot be shared by {ranks} devices; take a multiple.")
        window_samples = self.experiment.model.window_samples
        on_device = trainer.strategy.root_device
        sampler = WindowSampler(
            self.train,
            window_samples,
            settings.batch_size // ranks,
            settings.order,
            self.experiment.augmentation,
            settings.seed,
            trainer.global_rank,
            on_device,
        )
        batches = EpochBatches(sampler, lambda: pl_module.global_step, settings.epoch_windows // settings.batch_size)
        hop = settings.validation_hop_samples
        frames = StoreFrames(self.validation, window_samples, hop, BATCH_FRAMES, trainer.global_rank, ranks)
        pl_module.train_dataloader = lambda: DataLoader(batches, batch_size=None)  # type: ignore[method-assign]
        pl_module.val_dataloader = lambda: DataLoader(frames, batch_size=None)  # type: ignore[method-assign]


class _Patience(EarlyStopping):
    """Early stopping that also holds when a run that it stopped is started again."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


def fit(
    experiment: Experiment,
    train: Store,
    validation: Store,
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
        train: Store to learn from.
        validation: Store to choose the best weights by.
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
        ConfigError: The folder belongs to another experiment, the batch cannot be shared by the devices, or there is
            no C++ compiler to compile with.
    """
    folder = Path(folder)
    if compile and not any(
        shutil.which(name) for name in (os.environ.get("CXX", "c++"), "c++", "g++", "clang++", "cl")
    ):
        raise ConfigError("Compiling the network needs a C++ compiler; install g++, or pass --no-compile.")
    _claim(folder, experiment, resume)
    seed_everything(experiment.train.seed, verbose=False)
    keep_memory()
    task = TranscriberTask(experiment, compile)
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
        begun = folder / "last.ckpt"
        trainer.fit(task, ckpt_path=begun if begun.is_file() else None, weights_only=True)
    return folder / "best.ckpt"


def _callbacks(experiment: Experiment, train: Store, validation: Store, folder: Path, progress: bool) -> list[Callback]:
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
    if resume and (folder / "last.ckpt").is_file() and record.is_file() and json.loads(record.read_text()) != settings:
        raise ConfigError(f"{folder} holds a run with other settings; name another folder, or start over with --fresh.")
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        # Before the first epoch ends, an older run's would be taken for this one's.
        for name in ("last.ckpt", "best.ckpt"):
            (folder / name).unlink(missing_ok=True)
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(settings, indent=2))


def load_network(checkpoint: str | Path, config: TranscriberConfig) -> TranscriberNetwork:
    """Takes the (averaged) network out of a training checkpoint.

    Args:
        checkpoint: A ``.ckpt`` that :func:`fit` wrote.
        config: The network's.

    Returns:
        The network in evaluation mode, on the CPU.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    network = build(config)
    network.load_state_dict({key.removeprefix("network."): value for key, value in state.items()})
    return network.eval()


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
