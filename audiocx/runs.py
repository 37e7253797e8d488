"""What training left behind, opened: runs, with their experiments and checkpoints, beside the checkpoints shipped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from . import pretrained
from .config import from_dict
from .errors import DataError
from .experiment import Experiment, TrainConfig
from .models import TranscriberConfig, TranscriberNetwork, build, folded

__all__ = ["Trained", "load_network", "open_trained", "read_experiment", "windows_in", "windows_seen"]


@dataclass(frozen=True)
class Trained:
    """A network that was trained.

    Attributes:
        name: Of its run or checkpoint.
        network: In evaluation mode, folded, on the CPU.
        parameters: Numbers that were trained.
        windows: How many it has seen; None where that is not recorded.
    """

    name: str
    network: TranscriberNetwork
    parameters: int
    windows: int | None


def read_experiment(run: Path) -> Experiment:
    """Reads what a run was.

    Args:
        run: Its folder.

    Returns:
        The experiment.

    Raises:
        DataError: There is no run, or its record is damaged.
        ConfigError: It is of another version.
    """
    record = run / "experiment.json"
    if not record.is_file() or not (run / "best.ckpt").is_file():
        raise DataError(f"{run} holds no run that has ended an epoch; name the folder that train.py wrote.")
    try:
        return from_dict(Experiment, json.loads(record.read_text()), str(record))
    except ValueError as error:
        raise DataError(f"{record} is damaged ({error}); train anew with --fresh.") from None


def load_network(checkpoint: str | Path, config: TranscriberConfig) -> TranscriberNetwork:
    """Takes the (averaged) network out of a training checkpoint.

    Args:
        checkpoint: A ``.ckpt`` that :func:`audiocx.engine.fit` wrote.
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
    """Tells how many windows a network had seen when its training checkpoint was written.

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


def _load(checkpoint: str | Path) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader raises whatever the bytes lead it to
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{checkpoint} cannot be read ({reason}); go on training, or start over with --fresh."
        ) from error
    return loaded


def open_trained(name_or_path: str) -> Trained:
    """Opens a run or a checkpoint.

    Args:
        name_or_path: The folder of a run, or a checkpoint's name or folder.

    Returns:
        The network: of a run, that of its best epoch.

    Raises:
        AudiocxError: There is neither, or it is damaged.
    """
    run = Path(name_or_path)
    if (run / "experiment.json").is_file():
        experiment = read_experiment(run)
        network = load_network(run / "best.ckpt", experiment.model)
        windows = windows_seen(run / "last.ckpt", experiment.train)
        return Trained(run.name, folded(network), _parameters(network), windows)
    opened = pretrained.load_checkpoint(name_or_path)
    # Its network is folded already, which changes the number.
    parameters = _parameters(pretrained.load_network(name_or_path))
    return Trained(opened.name, opened.network, parameters, opened.card["figures"].get("windows"))


def _parameters(network: TranscriberNetwork) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
