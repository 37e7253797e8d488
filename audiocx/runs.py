"""What training left behind, opened: runs, with their experiments and checkpoints, beside the checkpoints shipped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import torch
from torch import nn

from . import pretrained
from .errors import DataError
from .experiment import AnyExperiment, PredictorExperiment, TrainConfig, experiment_of
from .models import PredictorConfig, PredictorNetwork, TranscriberConfig, TranscriberNetwork, build, folded

__all__ = ["Trained", "frames_seen", "load_network", "open_trained", "read_experiment", "windows_in", "windows_seen"]

N = TypeVar("N", TranscriberNetwork, PredictorNetwork)
E = TypeVar("E", bound=AnyExperiment)


@dataclass(frozen=True)
class Trained(Generic[N]):
    """A network that was trained.

    Attributes:
        name: Of its run or checkpoint.
        network: In evaluation mode, a transcriber folded, on the CPU.
        parameters: Numbers that were trained.
        windows: How many it has seen; None of a predictor, and where that is not recorded.
        frames: How many a predictor has seen; likewise.
    """

    name: str
    network: N
    parameters: int
    windows: int | None = None
    frames: int | None = None


@overload
def read_experiment(run: Path) -> AnyExperiment: ...
@overload
def read_experiment(run: Path, kind: type[E]) -> E: ...
def read_experiment(run: Path, kind: type[Any] | None = None) -> Any:
    """Reads what a run was.

    Args:
        run: Its folder.
        kind: Of the experiment that it must be; None for either.

    Returns:
        The experiment.

    Raises:
        DataError: There is no run, it is of the other kind, or its record is damaged.
        ConfigError: It is of another version.
    """
    record = run / "experiment.json"
    if not record.is_file() or not (run / "best.ckpt").is_file():
        raise DataError(f"{run} holds no run that has ended an epoch; name the folder that train.py wrote.")
    try:
        experiment = experiment_of(json.loads(record.read_text()), str(record))
    except ValueError as error:
        raise DataError(f"{record} is damaged ({error}); train anew with --fresh.") from None
    if kind and not isinstance(experiment, kind):
        raise DataError(f"{run} is the run of a {experiment.kind}; name one of a {kind.kind}.")
    return experiment


@overload
def load_network(checkpoint: str | Path, config: TranscriberConfig) -> TranscriberNetwork: ...
@overload
def load_network(checkpoint: str | Path, config: PredictorConfig) -> PredictorNetwork: ...
def load_network(
    checkpoint: str | Path, config: TranscriberConfig | PredictorConfig
) -> TranscriberNetwork | PredictorNetwork:
    """Takes the (averaged) network out of a training checkpoint.

    Args:
        checkpoint: A ``.ckpt`` that training wrote.
        config: The network's.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        DataError: The checkpoint is missing or damaged.
    """
    network = build(config)
    network.load_state_dict({k.removeprefix("network."): v for k, v in _load(checkpoint)["state_dict"].items()})
    return network.eval()


def windows_seen(checkpoint: str | Path, settings: TrainConfig) -> int:
    """Tells how many windows a transcriber had seen when its training checkpoint was written.

    Args:
        checkpoint: A ``.ckpt`` that :func:`audiocx.engine.fit` wrote.
        settings: Those of the run.

    Returns:
        Their number, without those of the network that it started from.

    Raises:
        DataError: The checkpoint is missing or damaged.
    """
    return windows_in(_load(checkpoint), settings)


def windows_in(checkpoint: dict[str, Any], settings: TrainConfig) -> int:
    """Tells the same of a checkpoint that is open.

    Args:
        checkpoint: What is in it.
        settings: Those of the run.

    Returns:
        The number of windows.
    """
    # Runs of an earlier version did not count; their steps were of one batch each.
    return int(checkpoint.get("windows_seen", checkpoint["global_step"] * settings.batch_size))


def frames_seen(checkpoint: str | Path) -> int:
    """Tells how many frames a predictor had seen when its training checkpoint was written.

    Args:
        checkpoint: A ``.ckpt`` that :func:`audiocx.engine.fit_predictor` wrote.

    Returns:
        Their number, without padding and without those of the network that it started from.

    Raises:
        DataError: The checkpoint is missing or damaged.
    """
    return int(_load(checkpoint)["frames_seen"])


def _load(checkpoint: str | Path) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader raises whatever the bytes lead it to
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{checkpoint} cannot be read ({reason}); go on training, or start over with --fresh."
        ) from error
    return loaded


@overload
def open_trained(name_or_path: str) -> Trained[Any]: ...
@overload
def open_trained(name_or_path: str, kind: type[N]) -> Trained[N]: ...
def open_trained(name_or_path: str, kind: type[Any] = nn.Module) -> Trained[Any]:
    """Opens a run or a checkpoint.

    Args:
        name_or_path: The folder of a run, or a checkpoint's name or folder.
        kind: Of the network that it must hold; either when left out.

    Returns:
        The network: of a run, that of its best epoch.

    Raises:
        AudiocxError: There is neither, it is damaged, or of the other kind.
    """
    run = Path(name_or_path)
    trained = _open_run(run) if (run / "experiment.json").is_file() else _open_checkpoint(name_or_path)
    if not isinstance(trained.network, kind):
        transcribes = isinstance(trained.network, TranscriberNetwork)
        has, wanted = ("transcriber", "predictor") if transcribes else ("predictor", "transcriber")
        raise DataError(f"{name_or_path} is a {has}; name a {wanted}.")
    return trained


def _open_run(run: Path) -> Trained[Any]:
    experiment, last = read_experiment(run), run / "last.ckpt"
    if isinstance(experiment, PredictorExperiment):
        predictor = load_network(run / "best.ckpt", experiment.model)
        return Trained(run.name, predictor, _parameters(predictor), frames=frames_seen(last))
    transcriber, windows = load_network(run / "best.ckpt", experiment.model), windows_seen(last, experiment.train)
    return Trained(run.name, folded(transcriber), _parameters(transcriber), windows=windows)


def _open_checkpoint(name_or_path: str) -> Trained[Any]:
    opened = pretrained.load_checkpoint(name_or_path)
    # The network that was opened may be folded, which changes the number.
    parameters = _parameters(pretrained.load_network(name_or_path))
    seen = {name: opened.card["figures"].get(name) for name in ("windows", "frames")}
    return Trained(opened.name, opened.network, parameters, **seen)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
