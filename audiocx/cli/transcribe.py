"""``audiocx transcribe``: recordings in, notes out."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from ..batch.jobs import Done, Job, run_jobs, speed
from ..errors import ConfigError
from . import FORMATS

if TYPE_CHECKING:
    from ..api import Transcriber
    from ..notes import Note


def run(arguments: argparse.Namespace) -> int:
    """Transcribe the files of a command line.

    Args:
        arguments: What the parser made of it.

    Returns:
        0 if every file was transcribed, else 1.

    Raises:
        AudiocxError: Nothing can be done at all: no output folder, no network, no device.
    """
    from ..checkpoints import DEFAULT

    formats = dict.fromkeys([*arguments.format, *(["wav"] if arguments.sonify else [])])
    suffixes = {name: FORMATS[name] for name in formats}
    return run_jobs(arguments, suffixes, _load, _transcribe, DEFAULT)


def read_tuning(text: str) -> float | None:
    """Read a tuning as it is given to ``--tuning``.

    Args:
        text: ``auto`` or a number of cents.

    Returns:
        Cents above A4 = 440 Hz; None to estimate them.

    Raises:
        argparse.ArgumentTypeError: It is neither.

    >>> read_tuning("-31.8")
    -31.8
    """
    from ..music.tuning import MOST_CENTS, checked_cents

    try:
        return None if text == "auto" else checked_cents(float(text))
    except (ValueError, ConfigError):
        span = f"from -{MOST_CENTS:g} to {MOST_CENTS:g}"
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number of cents {span}") from None


def read_divisions(text: str) -> int:
    """Read into how many places ``--quantize`` divides a beat.

    Args:
        text: A whole number.

    Returns:
        The number.

    Raises:
        argparse.ArgumentTypeError: It is none that beats are divided by.

    >>> read_divisions("3")
    3
    """
    from ..music.beats import DIVISIONS

    if text not in map(str, DIVISIONS):
        span = f"from {DIVISIONS[0]} to {DIVISIONS[-1]}"
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {span}; without one, write the files first")
    return int(text)


def _load(arguments: argparse.Namespace) -> Transcriber:
    from ..api import load_transcriber  # only once there is work, for it imports torch

    return load_transcriber(arguments.model, arguments.device, arguments.precision)


def _transcribe(transcriber: Transcriber, job: Job, arguments: argparse.Namespace) -> Done:
    """Transcribe one recording, write its outputs."""
    from ..music.tuning import a4_hz

    began_s = time.perf_counter()
    min_note_s = None if arguments.min_note is None else arguments.min_note / 1000
    result = transcriber.transcribe(
        job.source,
        threshold=arguments.threshold,
        min_note_s=min_note_s,
        tuning=arguments.tuning,
        progress=not arguments.quiet,
    )
    for name, path in job.outputs.items():
        if name == "midi":
            result.to_midi(path, tempo_bpm=arguments.tempo, quantize=arguments.quantize)
        else:
            getattr(result, f"to_{name}")(path)
    took_s = time.perf_counter() - began_s
    written = ", ".join(map(str, job.outputs.values()))
    count = f"{len(result.notes)} note{'' if len(result.notes) == 1 else 's'} in {result.duration_s:.1f} s of sound"
    count += f", A4 at {a4_hz(result.tuning_cents):.0f} Hz" if result.tuning_cents else ""
    line = f"{job.source}: {count} ({speed(took_s, result.duration_s)}) -> {written}"
    figures = {"duration_s": round(result.duration_s, 3), "notes": len(result.notes)}
    return Done(line, figures, _table(result.notes) if arguments.list else "")


def _table(notes: list[Note]) -> str:
    """The notes as lines for people: onset and length in seconds, name, MIDI number, velocity."""
    from ..notes import note_name

    lines = [" onset_s  length_s  note  midi  velocity"]
    for note in notes:
        times_s = f"{note.onset_s:8.3f}  {note.duration_s:8.3f}"
        lines.append(f"{times_s}  {note_name(note.midi_note):>4}  {note.midi_note:4}  {note.velocity:8}")
    return "\n".join(lines)
