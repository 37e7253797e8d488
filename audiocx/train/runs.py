"""What training left behind, opened: runs, with their experiments and checkpoints, beside the checkpoints shipped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import torch
from torch import nn

from .. import checkpoints
from ..errors import DataError
from ..models import (
    AnyConfig,
    AnyNetwork,
    NoteConfig,
    NoteNetwork,
    PredictorConfig,
    PredictorNetwork,
    SequenceConfig,
    SequenceNetwork,
    TranscriberConfig,
    TranscriberNetwork,
    build,
    folded,
)
from .experiments import AnyExperiment, Experiment, SequenceExperiment, TrainConfig, experiment_of

__all__ = [
    "Trained",
    "frames_seen",
    "load_network",
    "open_trained",
    "other_kind",
    "read_experiment",
    "windows_in",
    "windows_seen",
]

N = TypeVar("N", bound=AnyNetwork)
E = TypeVar("E", bound=AnyExperiment)


@dataclass(frozen=True)
class Trained(Generic[N]):
    """A network that was trained.

    Attributes:
        name: Of its run or checkpoint.
        network: In evaluation mode, one that transcribes folded, on the CPU.
        parameters: Numbers that were trained.
        windows: How many a transcriber of single windows has seen; None of others, and where that is not recorded.
        frames: How many a note network or a predictor has seen; likewise.
    """

    name: str
    network: N
    parameters: int
    windows: int | None = None
    frames: int | None = None


@overload
def read_experiment(run: Path, kind: type[E], /) -> E: ...
@overload
def read_experiment(run: Path, *kinds: type[AnyExperiment]) -> AnyExperiment: ...
def read_experiment(run: Path, *kinds: type[Any]) -> Any:
    """Reads what a run was.

    Args:
        run: Its folder.
        kinds: Of the experiment, one of which it must be; any when left out.

    Returns:
        The experiment.

    Raises:
        DataError: There is no run, it is of another kind, or its record is damaged.
        ConfigError: It is of another version.
    """
    record = run / "experiment.json"
    if not record.is_file() or not (run / "best.ckpt").is_file():
        raise DataError(f"{run} holds no run that has ended an epoch; name the folder that train.py wrote.")
    try:
        experiment = experiment_of(json.loads(record.read_text()), str(record))
    except ValueError as error:
        raise DataError(f"{record} is damaged ({error}); train anew with --fresh.") from None
    if kinds and not isinstance(experiment, kinds):
        raise DataError(other_kind(run, experiment, kinds))
    return experiment


def other_kind(what: str | Path, has: Any, wanted: Iterable[type[Any]]) -> str:
    """Says that something is of a kind that cannot be used.

    Args:
        what: Where it lies.
        has: The experiment or the network there.
        wanted: Classes of experiments or of networks that could be used.

    Returns:
        A sentence.
    """
    kinds = " or ".join(f'"{kind.kind}"' for kind in wanted)
    return f'{what} is of kind "{has.kind}"; name one of kind {kinds}.'


@overload
def load_network(checkpoint: str | Path, config: TranscriberConfig) -> TranscriberNetwork: ...
@overload
def load_network(checkpoint: str | Path, config: PredictorConfig) -> PredictorNetwork: ...
@overload
def load_network(checkpoint: str | Path, config: NoteConfig) -> NoteNetwork: ...
@overload
def load_network(checkpoint: str | Path, config: SequenceConfig) -> SequenceNetwork: ...
def load_network(checkpoint: str | Path, config: AnyConfig) -> AnyNetwork:
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
    """Tells how many windows a transcriber of single windows had seen when its training checkpoint was written.

    Args:
        checkpoint: A ``.ckpt`` that :func:`audiocx.train.fit` wrote.
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
    """Tells how many frames a note network or a predictor had seen when its training checkpoint was written.

    Args:
        checkpoint: A ``.ckpt`` that :func:`audiocx.train.fit_notes` or :func:`audiocx.train.fit_predictor` wrote.

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
def open_trained(name_or_path: str, kind: type[N], /) -> Trained[N]: ...
@overload
def open_trained(name_or_path: str, *kinds: type[AnyNetwork]) -> Trained[Any]: ...
def open_trained(name_or_path: str, *kinds: type[Any]) -> Trained[Any]:
    """Opens a run or a checkpoint.

    Args:
        name_or_path: The folder of a run, or a checkpoint's name or folder.
        kinds: Of the network, one of which it must hold; any when left out.

    Returns:
        The network: of a run, that of its best epoch.

    Raises:
        AudiocxError: There is neither, it is damaged, or of another kind.
    """
    run = Path(name_or_path)
    trained = _open_run(run) if (run / "experiment.json").is_file() else _open_checkpoint(name_or_path)
    if kinds and not isinstance(trained.network, kinds):
        raise DataError(other_kind(name_or_path, trained.network, kinds))
    return trained


def _open_run(run: Path) -> Trained[Any]:
    experiment, last = read_experiment(run), run / "last.ckpt"
    network = load_network(run / "best.ckpt", experiment.model)
    light = network if isinstance(network, PredictorNetwork | SequenceNetwork) else folded(network)
    if isinstance(experiment, SequenceExperiment):
        return Trained(run.name, light, _parameters(network))
    if isinstance(experiment, Experiment):
        return Trained(run.name, light, _parameters(network), windows=windows_seen(last, experiment.train))
    return Trained(run.name, light, _parameters(network), frames=frames_seen(last))


def _open_checkpoint(name_or_path: str) -> Trained[Any]:
    opened = checkpoints.load_checkpoint(name_or_path)
    # The network that was opened may be folded, which changes the number.
    parameters = _parameters(checkpoints.load_network(name_or_path))
    seen = {name: opened.card["figures"].get(name) for name in ("windows", "frames")}
    return Trained(opened.name, opened.network, parameters, **seen)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
