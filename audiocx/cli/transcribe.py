"""``audiocx transcribe``: every check that costs nothing first, then one recording after the other."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AudiocxError, OutputError
from . import FORMATS, report

if TYPE_CHECKING:
    from ..inference import Transcriber
    from ..notes import Note


@dataclass(frozen=True)
class Job:
    """A recording and the files to write from it, by format."""

    source: Path
    outputs: dict[str, Path]


def run(arguments: argparse.Namespace) -> int:
    """Transcribe the files of a command line.

    Args:
        arguments: What the parser made of it.

    Returns:
        0 if every file was transcribed, else 1.

    Raises:
        AudiocxError: Nothing can be done at all: no output folder, no network, no device.
    """
    from ..inference import load

    _check_folder(Path(arguments.output))
    jobs = list(_jobs(arguments))
    failed = len(arguments.files) - len(jobs)
    transcriber = load(arguments.model, arguments.device) if jobs else None
    for job in jobs:
        assert transcriber is not None
        try:
            _transcribe(transcriber, job, arguments)
        except AudiocxError as error:
            report(error, arguments.debug)
            failed += 1
    return 1 if failed else 0


def _jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Plan the work, reporting and leaving out what cannot be done, before any of the expensive part."""
    from .. import audio

    taken: dict[Path, Path] = {}
    formats = dict.fromkeys([*arguments.format, *(["wav"] if arguments.sonify else [])])
    for source in map(Path, arguments.files):
        outputs = {name: Path(arguments.output) / f"{source.stem}{FORMATS[name]}" for name in formats}
        try:
            audio.info(source)
            _check_outputs(source, outputs.values(), taken, arguments.overwrite)
        except AudiocxError as error:
            report(error, arguments.debug)
            continue
        taken.update((path.resolve(), source) for path in outputs.values())
        yield Job(source, outputs)


def _check_folder(folder: Path) -> None:
    """Make the output folder and try to write there, which no look at permissions can replace."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise OutputError(f"{folder}: cannot be written to ({reason}); choose another folder with -o.") from error


def _check_outputs(source: Path, outputs: Iterable[Path], taken: dict[Path, Path], overwrite: bool) -> None:
    """Refuse to write over a recording, another recording's outputs, or a file that exists."""
    for path in outputs:
        other = taken.get(path.resolve())
        if other is not None:
            raise OutputError(f"{source}: would write {path}, as {other} does; choose another folder with -o.")
        if path.resolve() == source.resolve():
            raise OutputError(f"{source}: would be overwritten by its own output; choose another folder with -o.")
        if path.is_dir():
            raise OutputError(f"{path}: is a folder where {source.name}'s output should go; choose another with -o.")
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists already; replace it with --overwrite, or choose another folder with -o.")


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
        speed = f"{took_s:.1f} s, {result.duration_s / took_s:.0f} x real time"
        count = f"{len(result.notes)} note{'' if len(result.notes) == 1 else 's'}"
        print(f"{job.source}: {count} in {result.duration_s:.1f} s of sound ({speed}) -> {written}", flush=True)


def _table(notes: list[Note]) -> str:
    """The notes as lines for people: onset and length in seconds, name, MIDI number, velocity."""
    from ..plots import note_name

    lines = [" onset_s  length_s  note  midi  velocity"]
    for note in notes:
        times_s = f"{note.onset_s:8.3f}  {note.duration_s:8.3f}"
        lines.append(f"{times_s}  {note_name(note.midi_note):>4}  {note.midi_note:4}  {note.velocity:8}")
    return "\n".join(lines)
