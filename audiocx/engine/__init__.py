"""Training. The only place that imports Lightning.

An experiment is one TOML file, read into :class:`audiocx.experiment.Experiment`, of a note network into
:class:`audiocx.experiment.NoteExperiment`, of a predictor into :class:`audiocx.experiment.PredictorExperiment`. A run
is a folder: ``experiment.json``, ``last.ckpt`` and ``best.ckpt`` (highest validation AP; of a predictor, lowest error),
and a TensorBoard log. A run that was cut off goes on from ``last.ckpt`` exactly as if it had not been: weights,
averages, optimiser, schedule and the batches still to come.
"""

from __future__ import annotations

from ..experiment import (
    Experiment,
    NoteExperiment,
    NoteTraining,
    PredictorExperiment,
    PredictorTraining,
    TrainConfig,
)
from .loop import keep_memory
from .notes import NoteTask, fit_notes
from .predictor import PredictorTask, fit_predictor
from .transcriber import TranscriberTask, fit

__all__ = [
    "Experiment",
    "NoteExperiment",
    "NoteTask",
    "NoteTraining",
    "PredictorExperiment",
    "PredictorTask",
    "PredictorTraining",
    "TrainConfig",
    "TranscriberTask",
    "fit",
    "fit_notes",
    "fit_predictor",
    "keep_memory",
]
