"""``audiocx predict``: recordings of speech in, how well each frame is foretold by those before it out."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from ..batch.jobs import Done, Job, run_jobs, speed
from . import PREDICTION_FORMATS

if TYPE_CHECKING:
    from ..speech.predictor import Predictor


def run(arguments: argparse.Namespace) -> int:
    """Predict the files of a command line.

    Args:
        arguments: What the parser made of it.

    Returns:
        0 if every file was predicted, else 1.

    Raises:
        AudiocxError: Nothing can be done at all: no output folder, no network, no device.
    """
    from ..checkpoints import DEFAULT_PREDICTOR

    suffixes = {name: PREDICTION_FORMATS[name] for name in arguments.format}
    return run_jobs(arguments, suffixes, _load, _predict, DEFAULT_PREDICTOR)


def _load(arguments: argparse.Namespace) -> Predictor:
    from ..api import load_predictor  # only once there is work, for it imports torch

    return load_predictor(arguments.model, arguments.device)


def _predict(predictor: Predictor, job: Job, arguments: argparse.Namespace) -> Done:
    """Predict one recording, write its outputs."""
    began_s = time.perf_counter()
    result = predictor.predict(job.source, progress=not arguments.quiet)
    for name, path in job.outputs.items():
        getattr(result, f"to_{name}")(path)
    took_s = time.perf_counter() - began_s
    written = " -> " + ", ".join(map(str, job.outputs.values())) if job.outputs else ""
    heard = f"{len(result.frame_mse)} frames, {result.duration_s:.1f} s of sound"
    line = f"{job.source}: MSE {result.mse:.2f} dB^2 over {heard} ({speed(took_s, result.duration_s)}){written}"
    return Done(line, {"duration_s": round(result.duration_s, 3), "mse": round(float(result.mse), 4)})
