"""Recordings in, files out: what the commands that work through a list of recordings have in common."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..cli import report
from ..errors import AudiocxError, OutputError
from ..io.paths import as_path, check_writable, is_url
from .sources import is_archive

__all__ = ["Done", "Job", "check_folder", "check_output", "check_outputs", "output_folder", "run_jobs", "speed"]

Network = TypeVar("Network")


@dataclass(frozen=True)
class Job:
    """A recording and the files to write from it, by format."""

    source: Path
    outputs: dict[str, Path]


@dataclass(frozen=True)
class Done:
    """What came of a recording.

    Attributes:
        line: The line to print of it.
        figures: What a manifest tells of it, "duration_s" among them, as plain values.
        listing: What else was asked to be printed.
    """

    line: str
    figures: dict[str, Any]
    listing: str = ""

    def show(self, quiet: bool) -> None:
        """Print it.

        Args:
            quiet: Leave out the line.
        """
        if self.listing:
            print(self.listing)
        if not quiet:
            print(self.line, flush=True)


def run_jobs(
    arguments: argparse.Namespace,
    suffixes: Mapping[str, str],
    load: Callable[[argparse.Namespace], Network],
    work: Callable[[Network, Job, argparse.Namespace], Done],
    default: str,
) -> int:
    """Do every check that costs nothing, load the network, then go through one recording after the other.

    Args:
        arguments: What the parser made of the command line.
        suffixes: How the names of the files to write end, by format.
        load: Gives the network; only called if there is anything to do. It and ``work`` are called in other processes
            if the command line is about an archive.
        work: Works on one recording, writes its outputs.
        default: Name of the network that ``load`` takes if the command line names none.

    Returns:
        0 if every recording was done, else 1.

    Raises:
        AudiocxError: Nothing can be done at all: no output folder, no network, no device.
    """
    if suffixes:
        check_folder(output_folder(arguments))
    elif arguments.output is not None:
        raise OutputError(
            f"{arguments.output}: nothing is to be written there; say what with --format, or leave out -o."
        )
    if is_archive(arguments):
        from .runner import run_archive

        return run_archive(arguments, suffixes, load, work, default)
    jobs = list(_jobs(arguments, suffixes))
    failed = len(arguments.files) - len(jobs)
    if jobs:
        network = load(arguments)
        for job in jobs:
            try:
                work(network, job, arguments).show(arguments.quiet)
            except AudiocxError as error:
                report(error, arguments.debug)
                failed += 1
    return 1 if failed else 0


def speed(took_s: float, duration_s: float) -> str:
    """Say how fast a recording was worked through.

    >>> speed(2.0, 60.0)
    '2.0 s, 30 x real time'
    """
    return f"{took_s:.1f} s, {duration_s / took_s:.0f} x real time"


def output_folder(arguments: argparse.Namespace) -> Path:
    """Give the folder to write to, which may not be there yet.

    Args:
        arguments: What the parser made of the command line.

    Returns:
        The folder.
    """
    return as_path("." if arguments.output is None else arguments.output)


def _jobs(arguments: argparse.Namespace, suffixes: Mapping[str, str]) -> Iterator[Job]:
    """Plan the work, reporting and leaving out what cannot be done, before any of the expensive part."""
    from ..io import audio

    taken: dict[Path, Path] = {}
    for source in map(Path, arguments.files):
        outputs = {name: output_folder(arguments) / f"{source.stem}{suffix}" for name, suffix in suffixes.items()}
        try:
            audio.info(source)
            check_outputs(source, outputs.values(), taken, arguments.overwrite)
        except AudiocxError as error:
            report(error, arguments.debug)
            continue
        taken.update((path.resolve(), source) for path in outputs.values())
        yield Job(source, outputs)


def check_folder(folder: Path) -> None:
    """Make a folder for outputs and try to write there, which no look at permissions can replace.

    Args:
        folder: The folder.

    Raises:
        OutputError: It cannot be made or written to.
    """
    if is_url(folder):
        check_writable(folder)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise OutputError(f"{folder}: cannot be written to ({reason}); choose another folder with -o.") from error


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse a file that exists, or that has no folder to lie in, before any work.

    Args:
        path: What would be written.
        overwrite: Whether it may exist.

    Raises:
        OutputError: It is refused.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; replace it with --overwrite, or choose another name.")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: its folder does not exist; make it first.")


def check_outputs(source: Path, outputs: Iterable[Path], taken: Mapping[Path, Path], overwrite: bool) -> None:
    """Refuse to write over a recording, another recording's outputs, or a file that exists.

    Args:
        source: The recording.
        outputs: The files to write from it.
        taken: The recordings whose outputs other files are, by the resolved paths of these.
        overwrite: Whether files that exist may be replaced.

    Raises:
        OutputError: Something would be lost.
    """
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
