"""Learning curves: the error of a run step by step, out of its log."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .errors import DataError
from .spectrograms import Curve

__all__ = ["read_curves"]

# What training logs: at every validation, and every few steps on the batch at hand.
VALIDATION_TAG, TRAINING_TAG = "val/mse", "train/mse"


def read_curves(run: str | Path) -> tuple[Curve, Curve]:
    """Reads how the error of a run fell.

    Args:
        run: Its folder.

    Returns:
        The curve on what it was validated with; that on what it was trained on, a mean over the batches logged since
        the last validation at each.

    Raises:
        DataError: There is no log of a predictor's training.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(Path(run) / "log"))
    events.Reload()
    if VALIDATION_TAG not in events.Tags()["scalars"]:
        raise DataError(f"{run} holds no log of a predictor's training; name the folder that train.py wrote.")
    # A run that was cut off and resumed has logged some steps twice: the later value stands.
    logged = {
        tag: dict(sorted((event.step, event.value) for event in sorted(found, key=lambda event: event.wall_time)))
        for tag in (VALIDATION_TAG, TRAINING_TAG)
        if (found := events.Scalars(tag) if tag in events.Tags()["scalars"] else [])
    }
    validation = _curve(logged[VALIDATION_TAG])
    return validation, _averaged(_curve(logged.get(TRAINING_TAG, {})), validation[0])


def _curve(values: dict[int, float]) -> Curve:
    return np.array(list(values), np.int64), np.array(list(values.values()), np.float64)


def _averaged(curve: Curve, steps: np.ndarray) -> Curve:
    """The mean between one of the steps and the next, where there is anything."""
    interval = np.searchsorted(steps, curve[0])
    kept = [index for index in range(len(steps)) if (interval == index).any()]
    return steps[kept], np.array([curve[1][interval == index].mean() for index in kept])
