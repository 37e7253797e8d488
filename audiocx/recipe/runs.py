"""Runs and checkpoints, opened: what the commands that score and export begin with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .. import pretrained
from ..config import from_dict
from ..errors import DataError
from ..experiment import Experiment
from ..models import TranscriberNetwork, folded

__all__ = ["Trained", "open_trained", "read_experiment"]


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
        from ..engine import load_network, windows_seen

        best, experiment = run / "best.ckpt", read_experiment(run)
        network, windows = load_network(best, experiment.model), windows_seen(best, experiment.train)
        return Trained(run.name, folded(network), _parameters(network), windows)
    opened = pretrained.load_checkpoint(name_or_path)
    # Its network is folded already, which changes the number.
    parameters = _parameters(pretrained.load_network(name_or_path))
    return Trained(opened.name, opened.network, parameters, opened.card["figures"].get("windows"))


def _parameters(network: TranscriberNetwork) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
