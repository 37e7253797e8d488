"""Learning curves: the error of a run step by step, out of its log."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import DataError
from .spectrograms import Curve

__all__ = ["read_curves"]


def read_curves(run: str | Path, score: str = "mse") -> tuple[Curve, Curve]:
    """Reads how the error of a run fell.

    Args:
        run: Its folder.
        score: What it is called in the log: "mse" of predictors, "loss" of networks for synthetic problems.

    Returns:
        The curve on what it was validated with; that on what it was trained on, a mean over the batches logged since
        the last validation at each.

    Raises:
        DataError: There is no log of such training.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(Path(run) / "log"))
    events.Reload()
    # What training logs: at every validation, and every few steps on the batch at hand.
    validating, learning = f"val/{score}", f"train/{score}"
    if validating not in events.Tags()["scalars"]:
        raise DataError(f"{run} holds no log of training with {validating}; name the folder that train.py wrote.")
    # A run that was cut off and resumed has logged some steps twice: the later value stands.
    logged = {
        tag: dict(sorted((event.step, event.value) for event in sorted(found, key=lambda event: event.wall_time)))
        for tag in (validating, learning)
        if (found := events.Scalars(tag) if tag in events.Tags()["scalars"] else [])
    }
    validation = _curve(logged[validating])
    return validation, _averaged(_curve(logged.get(learning, {})), validation[0])


def _curve(values: dict[int, float]) -> Curve:
    return np.array(list(values), np.int64), np.array(list(values.values()), np.float64)


def _averaged(curve: Curve, steps: np.ndarray) -> Curve:
    """The mean between one of the steps and the next, where there is anything."""
    interval = np.searchsorted(steps, curve[0])
    kept = [index for index in range(len(steps)) if (interval == index).any()]
    return steps[kept], np.array([curve[1][interval == index].mean() for index in kept])
