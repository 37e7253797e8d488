"""``audiocx transcribe``: recordings in, notes out."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from . import FORMATS
from .jobs import Job, run_jobs, speed

if TYPE_CHECKING:
    from ..inference import Transcriber
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
    from ..inference import load_transcriber

    formats = dict.fromkeys([*arguments.format, *(["wav"] if arguments.sonify else [])])
    suffixes = {name: FORMATS[name] for name in formats}
    return run_jobs(arguments, suffixes, lambda: load_transcriber(arguments.model, arguments.device), _transcribe)


def _transcribe(transcriber: Transcriber, job: Job, arguments: argparse.Namespace) -> None:
    """Transcribe one recording, write its outputs, print its line."""
    began_s = time.perf_counter()
    min_note_s = None if arguments.min_note is None else arguments.min_note / 1000
    result = transcriber.transcribe(
        job.source, threshold=arguments.threshold, min_note_s=min_note_s, progress=not arguments.quiet
    )
    for name, path in job.outputs.items():
        if name == "midi":
            result.to_midi(path, tempo_bpm=arguments.tempo)
        else:
            getattr(result, f"to_{name}")(path)
    took_s = time.perf_counter() - began_s
    if arguments.list:
        print(_table(result.notes))
    if not arguments.quiet:
        written = ", ".join(map(str, job.outputs.values()))
        count = f"{len(result.notes)} note{'' if len(result.notes) == 1 else 's'} in {result.duration_s:.1f} s of sound"
        print(f"{job.source}: {count} ({speed(took_s, result.duration_s)}) -> {written}", flush=True)


def _table(notes: list[Note]) -> str:
    """The notes as lines for people: onset and length in seconds, name, MIDI number, velocity."""
    from ..plots import note_name

    lines = [" onset_s  length_s  note  midi  velocity"]
    for note in notes:
        times_s = f"{note.onset_s:8.3f}  {note.duration_s:8.3f}"
        lines.append(f"{times_s}  {note_name(note.midi_note):>4}  {note.midi_note:4}  {note.velocity:8}")
    return "\n".join(lines)
