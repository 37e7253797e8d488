"""Training. The only place that imports Lightning.

An experiment is one TOML file, read into :class:`audiocx.experiment.Experiment`, of a note network into
:class:`audiocx.experiment.NoteExperiment`, of a predictor into :class:`audiocx.experiment.PredictorExperiment`, of a
synthetic problem into :class:`audiocx.experiment.SequenceExperiment`. A run is a folder: ``experiment.json``,
``last.ckpt`` and ``best.ckpt`` (highest validation AP; of predictors and synthetic problems, lowest error), and a
TensorBoard log. A run that was cut off goes on from ``last.ckpt`` exactly as if it had not been: weights,
averages, optimiser, schedule and the batches still to come.
"""

from __future__ import annotations

from ..experiment import (
    Experiment,
    NoteExperiment,
    NoteTraining,
    PredictorExperiment,
    PredictorTraining,
    SequenceExperiment,
    SequenceTraining,
    TrainConfig,
)
from .machine import denormals_as_zero, keep_memory
from .notes import NoteTask, fit_notes
from .predictor import PredictorTask, fit_predictor
from .ranks import is_first
from .sequence import SequenceTask, fit_sequences
from .transcriber import TranscriberTask, fit

__all__ = [
    "Experiment",
    "NoteExperiment",
    "NoteTask",
    "NoteTraining",
    "PredictorExperiment",
    "PredictorTask",
    "PredictorTraining",
    "SequenceExperiment",
    "SequenceTask",
    "SequenceTraining",
    "TrainConfig",
    "TranscriberTask",
    "denormals_as_zero",
    "fit",
    "fit_notes",
    "fit_predictor",
    "fit_sequences",
    "is_first",
    "keep_memory",
]
