"""``audiocx conceal``: recordings with gaps in, recordings whose gaps are filled out."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..batch.jobs import Done, Job, run_jobs, speed
from . import CONCEAL_FORMATS

if TYPE_CHECKING:
    from ..speech.predictor import Predictor

# Encodings that the result keeps; of any other it is 16 bits.
KEPT_SUBTYPES = ("PCM_16", "PCM_24", "FLOAT")
USUAL_SUBTYPE = "PCM_16"
GAP = re.compile(r"\s*(\d*\.?\d+)\s*-\s*(\d*\.?\d+)\s*")


def run(arguments: argparse.Namespace) -> int:
    """Conceal the gaps of the files of a command line.

    Args:
        arguments: What the parser made of it.

    Returns:
        0 if every file was concealed, else 1.

    Raises:
        AudiocxError: Nothing can be done at all: no output folder, no network, no device.
    """
    from ..checkpoints import DEFAULT_PREDICTOR

    suffixes = {name: CONCEAL_FORMATS[name] for name in arguments.format}
    return run_jobs(arguments, suffixes, _load, _conceal, DEFAULT_PREDICTOR)


def read_gaps(text: str) -> list[tuple[float, float]]:
    """Read gaps as they are given to ``--gaps``.

    Args:
        text: Such as ``1.20-1.25,3.0-3.06``, or the name of a file that holds a start and an end in each line, apart
            from comments, which begin with ``#``.

    Returns:
        Start and end of each, in seconds.

    Raises:
        argparse.ArgumentTypeError: It is neither.

    >>> read_gaps("1.20-1.25, 3-3.06")
    [(1.2, 1.25), (3.0, 3.06)]
    """
    found = [GAP.fullmatch(part) for part in text.split(",")]
    if all(found):
        return [(float(match[1]), float(match[2])) for match in found if match]
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


def _load(arguments: argparse.Namespace) -> Predictor:
    from ..speech.predictor import load_predictor  # only once there is work, for it imports torch

    return load_predictor(arguments.model, arguments.device)


def _conceal(predictor: Predictor, job: Job, arguments: argparse.Namespace) -> Done:
    """Conceal one recording, write its outputs."""
    from ..io import audio
    from ..models.running import read_channels
    from ..plots.figure import save_figure
    from ..speech import concealment
    from ..speech.gaps import find_gaps, merge_gaps

    began_s = time.perf_counter()
    samples, rate, _ = read_channels(job.source, None)
    duration_s = len(samples) / rate
    named = arguments.gaps is not None
    gaps = merge_gaps(arguments.gaps, duration_s, str(job.source)) if named else find_gaps(samples, rate)
    concealed = concealment.conceal(samples, gaps, predictor, sample_rate=rate, progress=not arguments.quiet)
    if "wav" in job.outputs:
        own = audio.info(job.source).subtype
        audio.write(job.outputs["wav"], concealed, rate, own if own in KEPT_SUBTYPES else USUAL_SUBTYPE)
    if "png" in job.outputs:
        save_figure(concealment.plot(samples, concealed, rate, gaps, job.source.name), job.outputs["png"])
    took_s = time.perf_counter() - began_s
    lost_ms = 1000 * sum(end_s - start_s for start_s, end_s in gaps)
    told = f"{len(gaps)} gap{'' if len(gaps) == 1 else 's'}, {lost_ms:.0f} ms" if gaps else "no gaps"
    written = ", ".join(map(str, job.outputs.values()))
    line = f"{job.source}: {told} in {duration_s:.1f} s of sound ({speed(took_s, duration_s)}) -> {written}"
    return Done(line, {"duration_s": round(duration_s, 3), "gaps": len(gaps), "lost_ms": round(float(lost_ms), 1)})
