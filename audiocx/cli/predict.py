"""``audiocx predict``: the spectra of speech, each frame predicted from those before it."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..batch.jobs import Done, Job, Task, noted, said, speed
from . import help_text
from .options import add_batch, add_model, add_outputs, batch_options, make_folders, run_batch

if TYPE_CHECKING:
    from ..speech.predictor import Predictor

FORMATS = {name: f".prediction.{name}" for name in ("json", "npz", "png", "wav")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = help_text.PREDICT_EXAMPLES
    add_batch(parser)
    add_model(parser)
    add_outputs(parser, FORMATS, [])


def run(arguments: argparse.Namespace) -> int:
    """Predict recordings.

    Args:
        arguments: Parsed arguments.

    Returns:
        0 if every recording was predicted, else 1.

    Raises:
        AudiocxError: Nothing can be done at all: no output folder, no network, no device.
    """
    from ..checkpoints import DEFAULT_PREDICTOR

    task = PredictTask(
        arguments.model or DEFAULT_PREDICTOR, arguments.device, {"format": arguments.format}, runtime=arguments.runtime
    )
    return run_batch(task, batch_options(arguments, {name: FORMATS[name] for name in arguments.format}))


@dataclass(frozen=True)
class PredictTask(Task["Predictor"]):
    """Predicts speech."""

    command: ClassVar[str] = "predict"

    def load(self) -> Predictor:
        """Load the predictor."""
        from ..api import load_predictor

        return load_predictor(self.model, self.device, self.runtime)

    def work(self, network: Predictor, job: Job, progress: bool) -> Done:
        """Predict one recording and write the outputs."""
        began_s = time.perf_counter()
        prediction = network.predict(job.source, progress=progress)
        make_folders(job)
        for name, path in job.outputs.items():
            getattr(prediction, f"to_{name}")(path)
        took_s = time.perf_counter() - began_s
        written = " -> " + ", ".join(map(str, job.outputs.values())) if job.outputs else ""
        length = f"{len(prediction.frame_mse)} frames, {prediction.duration_s:.1f} s of sound{said(prediction.remarks)}"
        score = f"MSE {prediction.mse:.2f} dB^2 over {length}"
        return Done(
            f"{job.source}: {score} ({speed(took_s, prediction.duration_s)}){written}",
            {
                **noted(prediction.remarks),
                "duration_s": round(prediction.duration_s, 3),
                "mse": round(float(prediction.mse), 4),
            },
        )
