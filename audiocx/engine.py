"""Training. The only place that imports Lightning.

An experiment is one TOML file, read into :class:`Experiment`. A run is a folder: ``experiment.json``, ``last.ckpt``
and ``best.ckpt`` (highest validation AP), and a TensorBoard log. A run that was cut off goes on from ``last.ckpt``
exactly as if it had not been: weights, averages, optimiser, schedule and the batches still to come.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from torch.utils.data import DataLoader, IterableDataset

from .config import to_dict
from .data.augment import AugmentConfig
from .data.store import Store
from .data.windows import WindowSampler
from .errors import ConfigError
from .metrics import average_precision
from .models import TranscriberConfig, TranscriberNetwork, build
from .models.frames import BATCH_FRAMES

__all__ = ["Experiment", "TrainConfig", "TranscriberTask", "fit", "load_network"]

# The average is updated every few steps with the decay of as many: the same average at a fraction of the memory traffic.
_EMA_EVERY = 4


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        windows: Windows seen in all, a multiple of ``epoch_windows``.
        epoch_windows: Windows between two validations and checkpoints.
        batch_size: Windows a step, over all devices together.
        order: How windows are drawn; see :class:`audiocx.data.windows.WindowSampler`.
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
        """Scores all the frames together."""
        probabilities, labels = (np.concatenate(part) for part in zip(*self._frames, strict=True))
        self._frames.clear()
        self.log("val/ap", average_precision(probabilities, labels), prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW with decay on matrices alone, and the schedule."""
        weights = [p for p in self.network.parameters() if p.ndim > 1 and p.shape[0] > 3]
        rest = [p for p in self.network.parameters() if not (p.ndim > 1 and p.shape[0] > 3)]
        groups = [{"params": weights, "weight_decay": self.settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
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


class _Batches(IterableDataset):
    """The batches of one epoch, numbered through the whole run."""

    def __init__(self, sampler: WindowSampler, task: TranscriberTask, count: int) -> None:
        self.sampler, self.task, self.count = sampler, task, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        first = self.task.global_step
        return (self.sampler(first + index) for index in range(self.count))


class _Frames(IterableDataset):
    """The frames of a store at a fixed hop, in batches of one size; every rank takes every so many.

    What is left over after the last full batch is dropped, for every size of batch is compiled anew.
    """

    def __init__(self, store: Store, window_samples: int, hop_samples: int, rank: int, ranks: int) -> None:
        self.store, self.window_samples, self.hop_samples = store, window_samples, hop_samples
        self.rank, self.ranks = rank, ranks

    def _centres(self) -> np.ndarray:
        store = self.store
        grids = [s + np.arange(0, n, self.hop_samples) for s, n in zip(store.starts, store.lengths, strict=True)]
        return np.concatenate(grids)[self.rank :: self.ranks]

    def __len__(self) -> int:
        frames = len(self._centres())
        return frames // min(BATCH_FRAMES, frames)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        audio, half = self.store.audio, self.window_samples // 2
        centres = self._centres()
        for batch in np.split(centres[: len(self) * min(BATCH_FRAMES, len(centres))], len(self)):
            windows = np.stack([audio[c - half : c + half] for c in batch.tolist()]).astype(np.float32) / 32768
            labels = self.store.masks[np.searchsorted(self.store.events, batch, side="right")]
            yield torch.from_numpy(windows), torch.from_numpy(labels).float()


class _Corpus(Callback):
    """Gives the trainer its data once it knows its device and rank."""

    def __init__(self, experiment: Experiment, train: Store, validation: Store) -> None:
        self.experiment, self.train, self.validation = experiment, train, validation

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, TranscriberTask)
        settings, ranks = self.experiment.train, trainer.world_size
        if settings.batch_size % ranks:
            raise ConfigError(f"batch_size={settings.batch_size} cannot be shared by {ranks} devices; choose a multiple.")
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
        batches = _Batches(sampler, pl_module, settings.epoch_windows // settings.batch_size)
        frames = _Frames(
            self.validation, window_samples, settings.validation_hop_samples, trainer.global_rank, ranks
        )
        pl_module.train_dataloader = lambda: DataLoader(batches, batch_size=None)  # type: ignore[method-assign]
        pl_module.val_dataloader = lambda: DataLoader(frames, batch_size=None)  # type: ignore[method-assign]


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
        ConfigError: The folder belongs to another experiment, or the batch cannot be shared by the devices.
    """
    folder = Path(folder)
    last = folder / "last.ckpt"
    _claim(folder, experiment, resume and last.is_file())
    seed_everything(experiment.train.seed, verbose=False)
    keep_memory()
    task = TranscriberTask(experiment, compile)
    best = ModelCheckpoint(folder, "best", monitor="val/ap", mode="max", save_last=True, enable_version_counter=False)
    callbacks = [_Corpus(experiment, train, validation), best, LearningRateMonitor("step")]
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    if experiment.train.ema_decay:
        decay = experiment.train.ema_decay**_EMA_EVERY
        callbacks.append(EMAWeightAveraging(decay=decay, update_every_n_steps=_EMA_EVERY))
    if experiment.train.patience:
        callbacks.append(EarlyStopping("val/ap", patience=experiment.train.patience, mode="max"))
    trainer = Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        precision=precision,
        max_epochs=experiment.train.epochs,
        callbacks=callbacks,
        logger=TensorBoardLogger(folder, name="", version="log"),
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=20,
    )
    trainer.fit(task, ckpt_path=str(last) if resume and last.is_file() else None, weights_only=True)
    return Path(best.best_model_path)


def _claim(folder: Path, experiment: Experiment, resuming: bool) -> None:
    record = folder / "experiment.json"
    settings = json.loads(json.dumps(to_dict(experiment)))
    if resuming and record.is_file() and json.loads(record.read_text()) != settings:
        raise ConfigError(f"{folder} holds a run with other settings; name another folder, or pass --fresh to start over.")
    folder.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(settings, indent=2))


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

    A training step allocates and frees some hundred megabytes; fetching them anew each time costs a third of the
    step in page faults. Elsewhere than on glibc nothing happens.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_trim_threshold, m_mmap_max = -1, -4
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
