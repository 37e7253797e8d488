"""The training loop of all kinds of network: task, data, callbacks, run folder."""

from __future__ import annotations

import errno
import json
import math
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import ChainDataset, DataLoader, IterableDataset
from torchmetrics import Metric

from .. import checkpoints
from ..config import to_dict
from ..data.datasets import EpochBatches
from ..data.store import Store
from ..data.windows import Sampler, StoreSampler, mixed
from ..errors import ConfigError, TrainingError
from ..io.atomic_write import atomic_write, remove_leftovers
from ..kinds import build, kind_of
from ..optim import StiefelAdamW, nearest_unitary_, unitary_parameters
from .distributed import RankInfo, summed
from .experiments import experiment_of
from .machine import check_compiler, denormals_as_zero, keep_memory
from .runs import load_network, read_experiment, seen_by
from .settings import StepTraining, TrainConfig

__all__ = ["Corpora", "RankInfo", "Task", "fit", "run"]

# The weight average is updated every few steps, with the decay of as many: the same at less memory traffic.
_EMA_EVERY = 4
# Lightning's advice that does not apply (one process draws whole batches), and a deprecation within Lightning.
IGNORED_WARNINGS = (
    "Your `IterableDataset` has `__len__` defined",
    "The '.*_dataloader' does not have many workers",
    "The number of training batches .* is smaller than the logging interval",
    "Checkpoint directory .* exists and is not empty",
    "`isinstance.treespec, LeafSpec.` is deprecated",
)


class Task(LightningModule):
    """A network, its optimiser and its schedule; a subclass adds the loss and the validation score.

    Args:
        experiment: Network and training settings.
        compile: Whether to compile the network's layers (its ``body``), forward and backward, before the first step.

    Attributes:
        seen: How much all devices together have seen, in the unit that the kind counts; kept in checkpoints.
        monitor: Name of the logged score that chooses the best weights.
        mode: Whether the highest or the lowest score is the best.
        fused: Whether the optimiser updates all weights in one kernel, which excludes gradient clipping in float16.
    """

    monitor: ClassVar[str]
    mode: ClassVar[Literal["max", "min"]]
    fused: ClassVar[bool] = True
    settings: TrainConfig | StepTraining
    network: Any

    def __init__(self, experiment: Any, compile: bool = False) -> None:
        super().__init__()
        self.experiment, self.settings = experiment, experiment.train
        self.seen = 0
        try:
            self.network = build(experiment.model)
        except ValueError as error:  # each setting is valid, their combination is not
            raise ConfigError(f"{error}.") from None
        if compile:
            # Without the front end: the compiler has no complex FFT.
            self.network.body.compile(fullgraph=True, dynamic=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store how much has been seen."""
        if unit := kind_of(self.experiment).counts:
            checkpoint[f"{unit}_seen"] = self.seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore how much has been seen."""
        self.seen = seen_by(checkpoint, self.experiment) or 0

    def setup(self, stage: str) -> None:
        """Accumulate metrics in float64 where the device supports it."""
        if self.trainer.strategy.root_device.type != "mps":
            for metric in self.children():
                if isinstance(metric, Metric):
                    metric.set_dtype(torch.float64)

    def configure_optimizers(self) -> Any:
        """Return the optimiser and the learning-rate schedule."""
        optimizer = self.optimizer()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW, with Cayley steps for the matrices that stay unitary."""
        settings = self.settings
        rates = (settings.learning_rate, settings.unitary_rate)
        return StiefelAdamW(self.network, *rates, weight_decay=settings.weight_decay, fused=self.fused)

    def on_validation_epoch_start(self) -> None:
        """Stop a diverged training; project averages of unitary matrices back onto unitary ones."""
        if not all(weight.isfinite().all() for weight in self.network.parameters()):
            raise TrainingError(
                f"Training has diverged: after {self.global_step:,} steps some weights are not finite. The best "
                "weights so far are in best.ckpt; lower train.learning_rate and start over with --fresh."
            )
        if self.settings.ema_decay:
            for weight in unitary_parameters(self.network):
                nearest_unitary_(weight)

    def rate_factor(self, step: int) -> float:
        """Return the learning rate of a step, as a factor of ``learning_rate``.

        Args:
            step: Optimiser step, from 0 on.
        """
        settings = self.settings
        warmup = min((step + 1) / max(settings.warmup_steps, 1), 1.0)
        if settings.schedule == "constant":
            return warmup
        if settings.schedule == "steps":
            epoch = step // settings.epoch_steps
            rates = [settings.learning_rate, *(rate for begin, rate in settings.rates if begin <= epoch)]
            return warmup * rates[-1] / settings.learning_rate
        return warmup * 0.5 * (1 + math.cos(math.pi * min(step / settings.steps, 1.0)))


class Corpora(LightningDataModule):
    """Training and validation data of one process; a subclass draws the batches.

    Args:
        experiment: Network and training settings.
        train: Training stores.
        validation: Stores that choose the best weights.
    """

    def __init__(self, experiment: Any, train: Store | Iterable[Store], validation: Store | Iterable[Store]) -> None:
        super().__init__()
        self.experiment = experiment
        self.train, self.validation = (
            [part] if isinstance(part, Store) else list(part) for part in (train, validation)
        )

    def setup(self, stage: str) -> None:
        """Open the data of this process.

        Raises:
            ConfigError: The devices cannot share the batch, or not all machines see the run's checkpoint.
        """
        trainer = cast(Trainer, self.trainer)
        settings, ranks = self.experiment.train, trainer.world_size
        if settings.batch_size % ranks:
            raise ConfigError(f"batch_size={settings.batch_size} cannot be shared by {ranks} devices; take a multiple.")
        rank_info = RankInfo(trainer.global_rank, ranks, trainer.strategy.root_device)
        # A process that does not see the checkpoint would start over while the others resume.
        resuming = int(summed(torch.tensor(int(trainer.ckpt_path is not None), device=rank_info.device)))
        if resuming not in (0, ranks):
            raise ConfigError("Some machines see the run's last.ckpt, some do not; put the run where all see it.")
        sampler = self.sampler(settings.batch_size // ranks, rank_info)
        self._batches = EpochBatches(sampler, lambda: trainer.global_step, settings.epoch_steps)
        # A list, because every epoch iterates over it again.
        self._validation_batches = ChainDataset(list(self.validated(rank_info)))

    def train_dataloader(self) -> DataLoader:
        """Return the loader of an epoch's training batches."""
        return DataLoader(self._batches, batch_size=None)

    def val_dataloader(self) -> DataLoader:
        """Return the loader of the validation batches."""
        return DataLoader(self._validation_batches, batch_size=None)

    def mixed(self, kind: type[StoreSampler], batch_size: int, rank_info: RankInfo, **options: Any) -> Sampler:
        """Return a sampler of all corpora of music, augmented, with the shares and the seed of the settings.

        Args:
            kind: Class of the sampler of each corpus.
            batch_size: Batch size of this process.
            rank_info: This process among all.
            options: Further arguments of these samplers.
        """
        settings, (rank, ranks, device) = self.experiment.train, rank_info
        options.update(augmentation=self.experiment.augmentation, seed=settings.seed, device=device)
        return mixed(self.train, settings.shares, batch_size, rank, ranks, kind, **options)

    @abstractmethod
    def sampler(self, batch_size: int, rank_info: RankInfo) -> Sampler:
        """Return the sampler of this process's training batches."""

    @abstractmethod
    def validated(self, rank_info: RankInfo) -> Iterable[IterableDataset]:
        """Return this process's slice of the validation data."""


def fit(
    experiment: Any,
    train: Store | Sequence[Store],
    validation: Store | Sequence[Store],
    folder: str | Path,
    *,
    compile: bool = True,
    **options: Any,
) -> Path:
    """Train, or continue to train, a network of any kind.

    Args:
        experiment: Network, variations and schedule.
        train: Store to train on, or several, each with its share of ``experiment.train.shares``; of predictors, drawn
            from in proportion to their lengths. Empty for kinds that need none.
        validation: Store to choose the best weights by, or several, whose frames count together.
        folder: Folder of the run; made when missing.
        compile: Compile the network, if its kind can be (needs a C++ compiler on the CPU).
        options: ``resume``, ``accelerator``, ``devices``, ``num_nodes``, ``precision`` and ``progress``, as of
            :func:`run`.

    Returns:
        The checkpoint with the best validation score.

    Raises:
        ConfigError: The folder belongs to another experiment, the batch cannot be shared by the devices or the
            corpora, the network to start from is another, or there is no C++ compiler to compile with.
        CheckpointError: The network to start from cannot be loaded.
        DataError: A store has another sample rate, or nothing in it.
    """
    kind = kind_of(experiment)
    if kind.compiles:
        options["compile"] = compile
        if compile:
            check_compiler()
    data = kind.load("data")(experiment, train, validation)
    return run(kind.load("task"), data, folder, clip_norm=experiment.train.clip_norm, **options)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint writing that never leaves a partial file.

    Lightning writes to the system's temporary folder first. Where that is on another disk than the run, moving the file
    copies it, and a process killed during the copy leaves half of ``last.ckpt``.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint; see the base class."""
        with atomic_write(path) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # PyTorch's own, where Python has an OSError
                raise OSError(errno.ENOSPC, "it could be written in part only") from error


class _Patience(EarlyStopping):
    """Early stopping that stays in effect when a stopped run is started again."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


def run(
    kind: type[Task],
    corpora: Corpora,
    folder: str | Path,
    resume: bool = True,
    accelerator: str = "auto",
    devices: int | str = "auto",
    num_nodes: int = 1,
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true",
    progress: bool = True,
    clip_norm: float = 0.0,
    **options: Any,
) -> Path:
    """Train a network, or resume its training.

    Args:
        kind: Class of the task, called with the experiment and the options.
        corpora: The experiment and its data.
        folder: Folder of the run; made when missing.
        resume: Whether to resume from the folder's ``last.ckpt`` if there is one.
        accelerator: Lightning's accelerator: "auto", "cpu", "gpu", ...
        devices: Number of devices a machine; more than one trains data-parallel (DDP).
        num_nodes: Number of machines.
        precision: Arithmetic: float32, or automatic mixed precision in bfloat16 or float16.
        progress: Whether to show a progress bar.
        clip_norm: Largest norm of the gradient; 0 for no limit.
        options: Options of the task.

    Returns:
        Path of the checkpoint with the best validation score.

    Raises:
        ConfigError: The folder belongs to another experiment, the batch cannot be shared by the devices or the
            corpora, the initial network has another config, there are no such devices, they have no such precision, or
            the number of processes is not that of devices.
        CheckpointError: The initial network cannot be loaded.
        OutputError: A checkpoint cannot be written.
        TrainingError: The weights are no longer finite.
    """
    folder, experiment = Path(folder), corpora.experiment
    _prepare_folder(folder, experiment, resume)
    seed_everything(experiment.train.seed, verbose=False)
    keep_memory()
    task, last = kind(experiment, **options), folder / "last.ckpt"
    if experiment.train.start and not last.is_file():
        task.network.load_state_dict(_initial_network(experiment).state_dict())
    machine: dict[str, Any] = {"accelerator": accelerator, "devices": devices, "num_nodes": num_nodes}
    trainer = _trainer(task, folder, progress, clip_norm, precision=precision, **machine)
    check_processes(trainer.num_devices, trainer.num_nodes)
    with warnings.catch_warnings(), denormals_as_zero():
        for message in IGNORED_WARNINGS:
            warnings.filterwarnings("ignore", message)
        trainer.fit(task, datamodule=corpora, ckpt_path=last if last.is_file() else None, weights_only=True)
    return folder / "best.ckpt"


def _trainer(task: Task, folder: Path, progress: bool, clip_norm: float, **options: Any) -> Trainer:
    """Return Lightning's trainer, with the callbacks and the logger of a run."""
    logger, callbacks = TensorBoardLogger(folder, name="", version="log"), _callbacks(task, folder, progress)
    asked = ", ".join(f"{name} {value}" for name, value in options.items())
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*AMP with fp16 is not supported")  # refused below
            trainer = Trainer(
                max_epochs=task.settings.epochs,
                gradient_clip_val=clip_norm or None,
                callbacks=callbacks,
                plugins=[AtomicCheckpointIO()],
                logger=logger,
                enable_progress_bar=progress,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                log_every_n_steps=20,
                **options,
            )
    except (MisconfigurationException, TypeError, ValueError) as error:  # Lightning raises all three
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ConfigError(f"Training cannot run here with {asked} ({reason}); leave these options out.") from error
    if trainer.precision != options["precision"]:
        raise ConfigError(f"Training cannot run here with {asked}: choose the precision {trainer.precision}.")
    return trainer


def _callbacks(task: Task, folder: Path, progress: bool) -> list[Callback]:
    """Return the callbacks: checkpoints, weight average, learning rate, progress, early stopping."""
    settings = task.settings
    best = ModelCheckpoint(folder, "best", monitor=task.monitor, mode=task.mode, enable_version_counter=False)
    # Not save_last=True, which skips epochs that are not the best so far. It comes second, so that last.ckpt holds the
    # best score.
    last = ModelCheckpoint(folder, "last", enable_version_counter=False)
    callbacks: list[Callback] = [best, last, LearningRateMonitor("step")]
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    if settings.ema_decay:
        decay = settings.ema_decay**_EMA_EVERY
        callbacks.append(EMAWeightAveraging(decay=decay, update_every_n_steps=_EMA_EVERY))
    if settings.patience:
        callbacks.append(_Patience(task.monitor, patience=settings.patience, mode=task.mode))
    return callbacks


def check_processes(devices: int, num_nodes: int) -> None:
    """Check that the launcher started one process per device: otherwise each trains alone, or waits forever.

    Args:
        devices: Devices of each machine.
        num_nodes: Number of machines.

    Raises:
        ConfigError: Another number of processes was started.
    """
    launcher = next((kind() for kind in (TorchElasticEnvironment, SLURMEnvironment) if kind.detect()), None)
    if launcher and launcher.world_size() != devices * num_nodes:
        raise ConfigError(
            f"{launcher.world_size()} processes were started for {devices} devices on each of {num_nodes} machines; "
            "give --devices as many as are started on a machine, --num-nodes as many as there are machines."
        )


def _prepare_folder(folder: Path, experiment: Any, resume: bool) -> None:
    """Record the experiment in its run folder: refuse another experiment's run, or remove it to start over."""
    record, settings = folder / "experiment.json", to_dict(experiment)
    resumed = resume and (folder / "last.ckpt").is_file() and record.is_file()
    # Parsed, not compared as JSON: a record of an earlier version lacks newer settings.
    if resumed and experiment_of(json.loads(record.read_text()), str(record)) != experiment:
        raise ConfigError(f"{folder} holds a run with other settings; name another folder, or start over with --fresh.")
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        # Until the first epoch ends, those of the older run would be taken for this one's.
        for name in ("last.ckpt", "best.ckpt"):
            (folder / name).unlink(missing_ok=True)
    for name in ("last.ckpt", "best.ckpt"):
        remove_leftovers(folder / name)
    with atomic_write(record) as temporary:
        temporary.write_text(json.dumps(settings, indent=2))


def _initial_network(experiment: Any) -> Any:
    """Load the network that training starts from."""
    start = Path(experiment.train.start)
    if (start / "experiment.json").is_file():
        network = load_network(start / "best.ckpt", read_experiment(start).model)
    else:
        network = checkpoints.load_network(experiment.train.start)
    if network.config != experiment.model:
        theirs, ours = to_dict(network.config), to_dict(experiment.model)
        differing = ", ".join(f"{key}={theirs[key]!r}" for key in theirs if theirs[key] != ours.get(key))
        raise ConfigError(f"start={experiment.train.start!r} is another network, with {differing}; configure the same.")
    return network
