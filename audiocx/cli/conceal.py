"""``audiocx conceal``: recordings of speech whose gaps are filled."""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ..batch.jobs import Done, Job, Task, noted, said, speed
from . import help_text
from .options import add_batch, add_model, add_outputs, batch_options, make_folders, number_between, run_batch

if TYPE_CHECKING:
    from ..speech.predictor import Predictor

FORMATS = {name: f".concealed.{name}" for name in ("wav", "png")}
# Encodings that the result keeps; of any other it is 16 bits.
KEPT_SUBTYPES = ("PCM_16", "PCM_24", "FLOAT")
USUAL_SUBTYPE = "PCM_16"
# A shallower gap could not be told from the troughs between pitch pulses; no format is deeper.
LEVELS_DB = (10, 100)
GAP = re.compile(r"\s*(\d*\.?\d+)\s*-\s*(\d*\.?\d+)\s*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = help_text.CONCEAL_EXAMPLES
    add_batch(parser)
    about = "where sound is missing, in seconds, or a file of gaps; the same for every FILE (default: found in each)"
    parser.add_argument("--gaps", type=read_gaps, metavar="START-END,...|FILE.txt", help=about)
    about = "find gaps that are DB below their surroundings (default: 25); less finds more, and more that are none"
    parser.add_argument("--gap-level", type=number_between(*LEVELS_DB), metavar="DB", help=about)
    add_model(parser)
    add_outputs(parser, FORMATS, ["wav"])


def run(arguments: argparse.Namespace) -> int:
    """Conceal the gaps of recordings.

    Args:
        arguments: Parsed arguments.

    Returns:
        0 if every recording was concealed, else 1.

    Raises:
        AudiocxError: Nothing can be done at all: no output folder, no network, no device.
    """
    from ..checkpoints import DEFAULT_PREDICTOR

    settings = {"gaps": arguments.gaps, "gap_level": arguments.gap_level, "format": arguments.format}
    task = ConcealTask(
        arguments.model or DEFAULT_PREDICTOR,
        arguments.device,
        settings,
        arguments.gaps,
        arguments.gap_level,
        runtime=arguments.runtime,
    )
    return run_batch(task, batch_options(arguments, {name: FORMATS[name] for name in arguments.format}))


def read_gaps(text: str) -> list[tuple[float, float]]:
    """Read the value of ``--gaps``.

    Args:
        text: Such as ``1.20-1.25,3.0-3.06``, or the name of a file with a start and an end in each line and comments
            that begin with ``#``.

    Returns:
        Start and end of each, in seconds.

    Raises:
        argparse.ArgumentTypeError: It is neither.

    >>> read_gaps("1.20-1.25, 3-3.06")
    [(1.2, 1.25), (3.0, 3.06)]
    """
    matches = [GAP.fullmatch(part) for part in text.split(",")]
    if all(matches):
        return [(float(match[1]), float(match[2])) for match in matches if match]
    try:
        lines = Path(text).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither gaps in seconds, such as 1.20-1.25,3.0-3.06, nor a text file that can be read"
        ) from None
    gaps = []
    for number, line in enumerate(lines, 1):
        if not (words := line.partition("#")[0].split()):
            continue
        try:
            start_s, end_s = map(float, words)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text}, line {number}: is not the start and the end of a gap in seconds, such as 1.20 1.25"
            ) from None
        gaps.append((start_s, end_s))
    return gaps


@dataclass(frozen=True)
class ConcealTask(Task["Predictor"]):
    """Conceals gaps.

    Attributes:
        gaps: Start and end of each gap, in seconds; None to find them in each recording.
        gap_level_db: How far they are below their surroundings; None for the default.
    """

    gaps: list[tuple[float, float]] | None
    gap_level_db: float | None
    command: ClassVar[str] = "conceal"

    def load(self) -> Predictor:
        """Load the predictor."""
        from ..api import load_predictor

        return load_predictor(self.model, self.device, self.runtime)

    def work(self, network: Predictor, job: Job, progress: bool) -> Done:
        """Conceal the gaps of one recording and write the outputs."""
        from ..io import audio
        from ..models.running import read_channels
        from ..speech import concealment
        from ..speech.gaps import gaps_by_channel, merge_gaps

        began_s = time.perf_counter()
        recording = read_channels(job.source, None)
        samples, rate = recording.samples, round(recording.sample_rate)
        duration_s = len(samples) / rate
        spans = gaps_by_channel(samples, rate, self.gaps, self.gap_level_db, str(job.source))
        gaps = merge_gaps((gap for own in spans for gap in own), duration_s, str(job.source))
        forecast = concealment.network_forecast(network.network)
        concealed = concealment.fill_channels(samples, rate, spans, forecast, progress=progress)
        make_folders(job)
        if "wav" in job.outputs:
            subtype = recording.subtype if recording.subtype in KEPT_SUBTYPES else USUAL_SUBTYPE
            audio.write(job.outputs["wav"], concealed, rate, subtype)
        if "png" in job.outputs:
            from ..plots.figure import save_figure

            save_figure(concealment.plot(samples, concealed, rate, gaps, job.source.name), job.outputs["png"])
        took_s = time.perf_counter() - began_s
        gaps_ms = 1000 * sum(end_s - start_s for start_s, end_s in gaps)
        counted = f"{len(gaps)} gap{'' if len(gaps) == 1 else 's'}, {gaps_ms:.0f} ms" if gaps else "no gaps"
        if any(own != spans[0] for own in spans):
            counted += f" ({', '.join(f'channel {number}: {len(own)}' for number, own in enumerate(spans, 1))})"
        counted += f" in {duration_s:.1f} s of sound{said(recording.remarks)}"
        figures = {"duration_s": round(duration_s, 3), "gaps": len(gaps), "lost_ms": round(float(gaps_ms), 1)}
        written = ", ".join(map(str, job.outputs.values()))
        return Done(
            f"{job.source}: {counted} ({speed(took_s, duration_s)}) -> {written}",
            {**noted(recording.remarks), **figures},
        )
