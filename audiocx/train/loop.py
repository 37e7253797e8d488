"""What the training of both kinds of network shares: the folder of a run, its callbacks, the trainer."""

from __future__ import annotations

import json
import math
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
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
from lightning.pytorch.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch.utils.data import ChainDataset, DataLoader, IterableDataset

from .. import checkpoints
from ..config import to_dict
from ..data.datasets import EpochBatches
from ..data.store import Store
from ..data.windows import Sampler
from ..errors import ConfigError, TrainingError
from ..io.atomic_write import atomic_write
from ..kinds import build, kind_of
from ..optim import StiefelAdamW, nearest_unitary_, unitary_parameters
from .distributed import RankInfo, summed
from .experiments import experiment_of
from .machine import check_compiler, denormals_as_zero, keep_memory
from .runs import load_network, read_experiment
from .settings import StepTraining, TrainConfig

__all__ = ["Corpora", "RankInfo", "Task", "fit", "run"]

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


class Task(LightningModule):
    """A network, its optimiser and its schedule; a subclass has the loss and the score.

    Args:
        experiment: What to train and how.

    Attributes:
        monitor: The logged score by which the best weights are chosen.
        mode: Whether they are those of its highest or its lowest value.
        fused: Whether the optimiser updates all weights in one kernel; it then takes no clipped gradients in float16.
    """

    monitor: ClassVar[str]
    mode: ClassVar[Literal["max", "min"]]
    fused: ClassVar[bool] = True
    settings: TrainConfig | StepTraining
    network: Any

    def __init__(self, experiment: Any) -> None:
        super().__init__()
        self.experiment, self.settings = experiment, experiment.train
        try:
            self.network = build(experiment.model)
        except ValueError as error:  # settings right one by one that do not fit together
            raise ConfigError(f"{error}.") from None

    def configure_optimizers(self) -> Any:
        """The optimiser and the schedule."""
        optimizer = self.optimizer()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW, and beside it Cayley steps where matrices are to stay unitary."""
        settings = self.settings
        rates = (settings.learning_rate, settings.unitary_rate)
        return StiefelAdamW(self.network, *rates, weight_decay=settings.weight_decay, fused=self.fused)

    def on_validation_epoch_start(self) -> None:
        """Ends what has diverged; makes averages of unitary matrices unitary again, to be validated and kept."""
        if not all(weight.isfinite().all() for weight in self.network.parameters()):
            raise TrainingError(
                f"Training has diverged: after {self.global_step:,} steps some weights are no numbers. The best "
                "before are in best.ckpt; lower train.learning_rate and start over with --fresh."
            )
        if self.settings.ema_decay:
            for weight in unitary_parameters(self.network):
                nearest_unitary_(weight)

    def _rate(self, step: int) -> float:
        settings = self.settings
        rise = min((step + 1) / max(settings.warmup_steps, 1), 1.0)
        if settings.schedule == "constant":
            return rise
        if settings.schedule == "steps":
            epoch = step // settings.epoch_steps
            reached = [settings.learning_rate, *(rate for begin, rate in settings.rates if begin <= epoch)]
            return rise * reached[-1] / settings.learning_rate
        return rise * 0.5 * (1 + math.cos(math.pi * min(step / settings.steps, 1.0)))


class Corpora(Callback):
    """Gives the trainer its data once it knows its device and rank.

    Args:
        experiment: What to train and how.
        train: To learn from.
        validation: To choose the best weights by.
    """

    def __init__(self, experiment: Any, train: Store | Iterable[Store], validation: Store | Iterable[Store]) -> None:
        self.experiment = experiment
        self.train, self.validation = (
            [part] if isinstance(part, Store) else list(part) for part in (train, validation)
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Opens the data of this process."""
        settings, ranks = self.experiment.train, trainer.world_size
        if settings.batch_size % ranks:
            raise ConfigError(f"batch_size={settings.batch_size} cannot be shared by {ranks} devices; take a multiple.")
        place = RankInfo(trainer.global_rank, ranks, trainer.strategy.root_device)
        # Of processes that do not see the same files, one would begin anew while another goes on.
        going_on = int(summed(torch.tensor(int(trainer.ckpt_path is not None), device=place.device)))
        if going_on not in (0, ranks):
            raise ConfigError("Some machines see the run's last.ckpt, some do not; put the run where all see it.")
        sampler = self.sampler(settings.batch_size // ranks, place)
        batches = EpochBatches(sampler, lambda: pl_module.global_step, settings.epoch_steps)
        # A list, for every epoch goes through it again.
        validated = ChainDataset(list(self.validated(place)))
        pl_module.train_dataloader = lambda: DataLoader(batches, batch_size=None)  # type: ignore[method-assign]
        pl_module.val_dataloader = lambda: DataLoader(validated, batch_size=None)  # type: ignore[method-assign]

    @abstractmethod
    def sampler(self, batch_size: int, place: RankInfo) -> Sampler:
        """Gives what draws this process's batches, of that size."""

    @abstractmethod
    def validated(self, place: RankInfo) -> Iterable[IterableDataset]:
        """Gives this process's share of what is validated with."""


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


class _WholeFiles(TorchCheckpointIO):
    """Checkpoints that are written whole or not at all.

    Lightning writes to the system's temporary folder first; where that is on another disk than the run, the move from
    there is a copy, and a process killed meanwhile leaves half of ``last.ckpt``.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        with atomic_write(path) as temporary:
            torch.save(checkpoint, temporary)


class _Patience(EarlyStopping):
    """Early stopping that also holds when a run that it stopped is started again."""

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
    """Trains, or goes on training, a network.

    Args:
        kind: Makes the task, of the experiment and the options.
        corpora: The experiment and its data.
        folder: The run; made when missing.
        resume: Goes on from the folder's ``last.ckpt`` when there is one.
        accelerator: "auto", "cpu", "gpu", ...: Lightning's.
        devices: How many; more than one trains data-parallel (DDP).
        num_nodes: Machines.
        precision: Arithmetic: float32, or automatic mixed precision in bfloat16 or float16.
        progress: Shows a progress bar.
        clip_norm: Longest gradient; 0 for no limit.
        options: Of the task.

    Returns:
        The checkpoint with the best validation score.

    Raises:
        ConfigError: The folder belongs to another experiment, the batch cannot be shared by the devices or the
            corpora, the network to start from is another, or not as many processes were started as there are devices.
        CheckpointError: The network to start from cannot be loaded.
        OutputError: A checkpoint cannot be written.
        TrainingError: The weights are no numbers any more.
    """
    folder, experiment = Path(folder), corpora.experiment
    _claim(folder, experiment, resume)
    seed_everything(experiment.train.seed, verbose=False)
    keep_memory()
    task, begun = kind(experiment, **options), folder / "last.ckpt"
    if experiment.train.start and not begun.is_file():
        task.network.load_state_dict(_start(experiment).state_dict())
    trainer = Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        precision=precision,
        max_epochs=experiment.train.epochs,
        gradient_clip_val=clip_norm or None,
        callbacks=[corpora, *_callbacks(task, folder, progress)],
        plugins=[_WholeFiles()],
        logger=TensorBoardLogger(folder, name="", version="log"),
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=20,
    )
    _check_processes(trainer.num_devices, trainer.num_nodes)
    with warnings.catch_warnings(), denormals_as_zero():
        for message in _BESIDE_THE_POINT:
            warnings.filterwarnings("ignore", message)
        trainer.fit(task, ckpt_path=begun if begun.is_file() else None, weights_only=True)
    return folder / "best.ckpt"


def _callbacks(task: Task, folder: Path, progress: bool) -> Sequence[Callback]:
    """What the trainer does beside training: checkpoints, averages, progress."""
    settings = task.settings
    best = ModelCheckpoint(folder, "best", monitor=task.monitor, mode=task.mode, enable_version_counter=False)
    # Not save_last=True, which passes over the epochs that are not the best so far. It comes second, to save the best's
    # record with it.
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


def _check_processes(devices: int, num_nodes: int) -> None:
    """Makes sure that a launcher has started a process for each device: else each trains alone, or waits forever."""
    launcher = next((kind() for kind in (TorchElasticEnvironment, SLURMEnvironment) if kind.detect()), None)
    if launcher and launcher.world_size() != devices * num_nodes:
        raise ConfigError(
            f"{launcher.world_size()} processes were started for {devices} devices on each of {num_nodes} machines; "
            "give --devices as many as are started on a machine, --num-nodes as many as there are machines."
        )


def _claim(folder: Path, experiment: Any, resume: bool) -> None:
    """Makes the folder this experiment's: refuses another's run, or clears it away to start over."""
    record, settings = folder / "experiment.json", to_dict(experiment)
    begun = resume and (folder / "last.ckpt").is_file() and record.is_file()
    # Read as an experiment: a record of an earlier version lacks the settings that came since.
    if begun and experiment_of(json.loads(record.read_text()), str(record)) != experiment:
        raise ConfigError(f"{folder} holds a run with other settings; name another folder, or start over with --fresh.")
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        # Before the first epoch ends, an older run's would be taken for this one's.
        for name in ("last.ckpt", "best.ckpt"):
            (folder / name).unlink(missing_ok=True)
    with atomic_write(record) as temporary:
        temporary.write_text(json.dumps(settings, indent=2))


def _start(experiment: Any) -> Any:
    """The network that training begins with."""
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
