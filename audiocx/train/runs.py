"""Reading of training runs: their experiments, checkpoints and networks; and of shipped checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import checkpoints
from ..errors import ConfigError, DataError
from ..kinds import build, kind_of
from .experiments import experiment_of

__all__ = [
    "DATA_RECORD",
    "Trained",
    "load_network",
    "open_trained",
    "other_kind",
    "read_data",
    "read_experiment",
    "recordings_of",
    "seen",
    "seen_by",
]

DATA_RECORD = "data.json"


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        name: Of its run or checkpoint.
        network: The network, ready for inference, on the CPU.
        parameters: Number of trained values.
        windows: Windows seen in training, of kinds that count them; None where that is not recorded.
        frames: Frames seen in training; likewise.
        recordings: Ids of the recordings that it was trained on, those of the networks that training started from among
            them; None where they are not recorded.
        chosen_by: Ids of the recordings by which the weights were chosen.
    """

    name: str
    network: Any
    parameters: int
    windows: int | None = None
    frames: int | None = None
    recordings: frozenset[str] | None = None
    chosen_by: frozenset[str] = frozenset()


def read_experiment(run: Path, *kinds: type[Any]) -> Any:
    """Read the experiment of a run.

    Args:
        run: Folder of the run.
        kinds: Classes of experiments, one of which it must be; any when left out.

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
    except ConfigError:
        raise
    except ValueError as error:
        raise DataError(f"{record} is damaged ({error}); train anew with --fresh.") from None
    if kinds and not isinstance(experiment, kinds):
        raise DataError(other_kind(run, experiment, kinds))
    return experiment


def other_kind(what: str | Path, has: Any, wanted: Iterable[type[Any]]) -> str:
    """Return an error message: something is of a kind that cannot be used.

    Args:
        what: Path or name.
        has: The experiment or the network there.
        wanted: Classes of experiments or of networks that could be used.

    Returns:
        A sentence.
    """
    kinds = " or ".join(f'"{kind.kind}"' for kind in wanted)
    return f'{what} is of kind "{has.kind}"; name one of kind {kinds}.'


def load_network(checkpoint: str | Path, config: Any) -> Any:
    """Load the (averaged) network of a training checkpoint.

    Args:
        checkpoint: A ``.ckpt`` file of a run.
        config: Configuration of the network, of any kind.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        DataError: The checkpoint is missing or damaged.
    """
    network = build(config)
    network.load_state_dict({k.removeprefix("network."): v for k, v in _load(checkpoint)["state_dict"].items()})
    return network.eval()


def seen(checkpoint: str | Path, experiment: Any) -> int | None:
    """Return how much a network had seen when its training checkpoint was written.

    Args:
        checkpoint: A ``.ckpt`` file of a run.
        experiment: The run's.

    Returns:
        Number of windows or frames, as its kind counts, without padding and without those of the network that training
        started from; None of kinds that do not count.

    Raises:
        DataError: The checkpoint is missing or damaged.
    """
    return seen_by(_load(checkpoint), experiment)


def seen_by(checkpoint: dict[str, Any], experiment: Any) -> int | None:
    """Return the same as :func:`seen` of a checkpoint that is loaded.

    Args:
        checkpoint: Its content.
        experiment: The run's.

    Returns:
        Number of windows or frames; None of kinds that do not count.
    """
    unit = kind_of(experiment).counts
    if unit == "windows":
        # Runs of an earlier version did not count; their steps were of one batch each.
        return int(checkpoint.get("windows_seen", checkpoint["global_step"] * experiment.train.batch_size))
    return int(checkpoint[f"{unit}_seen"]) if unit else None


def open_trained(name_or_path: str, *kinds: type[Any]) -> Trained:
    """Open a run or a checkpoint.

    Args:
        name_or_path: The folder of a run, or a checkpoint's name or folder.
        kinds: Classes of networks, one of which it must hold; any when left out.

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


def _open_run(run: Path) -> Trained:
    experiment = read_experiment(run)
    network = load_network(run / "best.ckpt", experiment.model)
    unit = kind_of(experiment).counts
    counts = {unit: seen(run / "last.ckpt", experiment)} if unit else {}
    return replace(_trained(run.name, network, counts), **_recordings(recordings_of(run)))


def recordings_of(name_or_path: str | Path) -> dict[str, Any] | None:
    """Return which recordings a network was trained on, and which its weights were chosen by.

    Args:
        name_or_path: The folder of a run, or a checkpoint's name or folder.

    Returns:
        Ids as ``train`` and ``validation``, sorted, for JSON; None where they, or those of a network that training
        started from, are not recorded.

    Raises:
        DataError: A record is damaged.
        CheckpointError: There is no such checkpoint.
    """
    run = Path(name_or_path)
    if not (run / "experiment.json").is_file():
        recorded: dict[str, Any] | None = checkpoints.load_checkpoint(name_or_path).card.get("recordings")
        return recorded
    if not (run / DATA_RECORD).is_file():
        return None
    data = read_data(run / DATA_RECORD)
    ids = {part: {name for names in data[part] for name in names} for part in ("train", "validation")}
    if start := read_experiment(run).train.start:
        if (before := recordings_of(start)) is None:
            return None
        ids = {part: ids[part] | set(before[part]) for part in ids}
    return {part: sorted(names) for part, names in ids.items()}


def _recordings(recorded: dict[str, Any] | None) -> dict[str, Any]:
    if recorded is None:
        return {}
    return {"recordings": frozenset(recorded["train"]), "chosen_by": frozenset(recorded["validation"])}


def read_data(path: Path) -> dict[str, Any]:
    """Read the recordings that a run's folder records.

    Args:
        path: Its ``data.json``.

    Returns:
        The corpus, and the ids of both parts, a list for each corpus; ``contents``, if it was recorded.

    Raises:
        DataError: It is damaged.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        optional = {"contents": record["contents"]} if "contents" in record else {}
        return {name: record[name] for name in ("corpus", "train", "validation")} | optional
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); start over with --fresh.") from None


def _open_checkpoint(name_or_path: str) -> Trained:
    opened = checkpoints.load_checkpoint(name_or_path, fold=False)
    counts = {unit: opened.card["figures"].get(unit) for unit in ("windows", "frames")}
    return replace(_trained(opened.name, opened.network, counts), **_recordings(opened.card.get("recordings")))


def _trained(name: str, network: nn.Module, counts: dict[Any, Any]) -> Trained:
    # Folding changes the number of parameters.
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Trained(name, checkpoints.for_inference(network), parameters, **counts)


def _load(checkpoint: str | Path) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader raises whatever the bytes lead it to
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{checkpoint} cannot be read ({reason}); go on training, or start over with --fresh."
        ) from error
    return loaded
