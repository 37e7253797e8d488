"""Training on recordings, in a run folder that records them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..data.training_data import TrainingData
from ..errors import ConfigError, OutputError
from ..io.atomic_write import atomic_write
from ..kinds import kind_of
from . import loop
from .runs import DATA_RECORD, read_data

__all__ = ["fit_recordings"]


def fit_recordings(
    experiment: Any,
    data: TrainingData,
    folder: str | Path,
    *,
    cache: str | Path = "prepared",
    resume: bool = True,
    **options: Any,
) -> Path:
    """Train, or continue to train, a network of any kind on recordings.

    Args:
        experiment: Network, variations and schedule.
        data: Recordings to train on and to validate with.
        folder: Folder of the run; made when missing. Its ``data.json`` records the corpus and the recordings' ids.
        cache: Folder of prepared stores.
        resume: Continue from the folder's ``last.ckpt`` if there is one.
        options: ``compile``, ``accelerator``, ``devices``, ``num_nodes``, ``precision`` and ``progress``, as of
            :func:`audiocx.train.loop.fit`.

    Returns:
        The checkpoint with the best validation score.

    Raises:
        ConfigError: The folder holds a run of other settings or on other recordings, or the experiment does not fit the
            data or the machine.
        AudiocxError: The recordings, or the network to start from, cannot be read.
    """
    folder = Path(folder)
    begun = resume and (folder / "last.ckpt").is_file()
    if begun:
        _check_data(folder, data.record())
    stores = data.open(cache, None if kind_of(experiment).does == "predict" else experiment.model)
    record = data.record() | {"contents": [[store.fingerprint for store in part] for part in stores]}
    if begun:
        _check_data(folder, record)
    else:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot hold a run ({error.strerror}); choose another folder.") from None
        with atomic_write(folder / DATA_RECORD) as temporary:
            temporary.write_text(json.dumps(record), encoding="utf-8")
    return loop.fit(experiment, *stores, folder, resume=resume, **options)


def _check_data(folder: Path, record: dict[str, Any]) -> None:
    """Make sure that a run to be continued is on the same recordings; runs of earlier versions record less."""
    path = folder / DATA_RECORD
    if not path.is_file():
        return
    before = read_data(path)
    if any(before[name] != record[name] for name in ("corpus", "train", "validation")):
        raise ConfigError(
            f"{folder} holds a run on other recordings ({_summary(before)}; now {_summary(record)}); train on the "
            "same, name another folder, or start over with --fresh."
        )
    if "contents" in before and "contents" in record and before["contents"] != record["contents"]:
        raise ConfigError(
            f"{folder} holds a run on other recordings of the same names, such as other renders; train on the same, "
            "name another folder, or start over with --fresh."
        )


def _summary(record: dict[str, Any]) -> str:
    train, validation = (sum(map(len, record[part])) for part in ("train", "validation"))
    return f"{record['corpus']}, {train} to train on and {validation} to validate with"
