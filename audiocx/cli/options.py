"""Options that several commands share, and converters of their values."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, get_args

from ..batch.jobs import MAX_AUTO_JOBS, BatchOptions, Job, Task
from ..errors import require
from ..io.paths import is_url
from ..models.runtime import Precision, Runtime

__all__ = [
    "add_batch",
    "add_files",
    "add_model",
    "add_outputs",
    "add_precision",
    "batch_options",
    "count",
    "make_folders",
    "names_among",
    "number_between",
    "run_batch",
]


def add_files(parser: argparse.ArgumentParser, about: str = "an audio file") -> None:
    """Add the positional arguments FILE, described by ``about``."""
    parser.add_argument("files", nargs="+", metavar="FILE", help=about)


def add_batch(parser: argparse.ArgumentParser) -> None:
    """Add recordings, and the options of a batch."""
    about = (
        "audio files, folders of them (searched with subfolders), globs in quotes, or URLs of these; - for standard "
        "input (outputs: stdin.*); pipes such as <(command) are read, too; at most 4 GiB"
    )
    add_files(parser, about)
    about = (
        "work on N recordings at a time, in processes that share the cores (default: one a core for many recordings, "
        f"up to {MAX_AUTO_JOBS}; 1 for few, by PyTorch, on a GPU or on Ray)"
    )
    parser.add_argument("-j", "--jobs", type=count, metavar="N", help=about)
    about = "where the jobs run: on this machine (local, the default) or a Ray cluster (ray)"
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help=about)
    about = "the Ray cluster: auto, HOST:6379, or local for one of this machine alone (default: Ray's own choice)"
    parser.add_argument("--address", metavar="ADDRESS", help=about)
    about = (
        "record the status of each recording, and process only missing and changed ones (default for folders, globs, "
        "URLs and several jobs: DIR/manifest.jsonl)"
    )
    parser.add_argument("--manifest", metavar="FILE.jsonl", help=about)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the choice of network, device and runtime, and --quiet."""
    parser.add_argument("-m", "--model", metavar="NAME|PATH", help="network: a name of 'audiocx models', or its folder")
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="auto (default), cpu, cuda, cuda:1, mps")
    about = (
        "what runs the network: auto (default) is PyTorch on a GPU or for networks without an ONNX form, else "
        "onnxruntime; the results are the same up to rounding"
    )
    parser.add_argument("--runtime", choices=get_args(Runtime), default="auto", help=about)
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Add the precision of a transcriber."""
    about = "compute in float32 (default), or in bfloat16, which is faster on GPUs and on processors with AMX"
    parser.add_argument("--precision", choices=get_args(Precision), default="float32", help=about)


def add_outputs(parser: argparse.ArgumentParser, formats: Mapping[str, str], default: list[str]) -> None:
    """Add the output folder, the formats to write, and --overwrite.

    Args:
        parser: Parser of a command.
        formats: Suffix of the file to write for each format.
        default: Formats that are written unless others are named.
    """
    parser.add_argument("-o", "--output", metavar="DIR", help="folder or URL to write to (default: this folder)")
    about = f"what to write, with commas: {', '.join(formats)} (default: {', '.join(default) or 'nothing'})"
    parser.add_argument("-f", "--format", type=names_among(formats), default=default, metavar="LIST", help=about)
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist")


def require_formats(formats: Iterable[str]) -> None:
    """Check, before any work is done, that the extras that the formats need are installed; ConfigError if not."""
    formats = set(formats)
    if "png" in formats:
        require("A picture", "plots", "matplotlib")
    if {"musicxml", "svg", "pdf"} & formats:
        require("A score", "score", "music21", "verovio", "typst")


def batch_options(arguments: argparse.Namespace, suffixes: Mapping[str, str]) -> BatchOptions:
    """Return the options of a batch.

    Args:
        arguments: Parsed arguments of :func:`add_batch`, :func:`add_model` and :func:`add_outputs`.
        suffixes: Suffix of the file to write for each format chosen.

    Returns:
        The options, typed.

    Raises:
        ConfigError: Pictures or scores are to be drawn, and the extra ``plots`` or ``score`` is not installed.
    """
    require_formats(suffixes)
    return BatchOptions(
        tuple(arguments.files),
        suffixes,
        arguments.output,
        arguments.overwrite,
        arguments.jobs,
        arguments.engine,
        arguments.address,
        arguments.manifest,
        arguments.quiet,
        arguments.debug,
    )


def run_batch(task: Task[Any], options: BatchOptions) -> int:
    """Run a task over recordings; a folder that the run makes and leaves empty is removed again.

    Args:
        task: The processing of each recording.
        options: The recordings, where to write, and how to run.

    Returns:
        The exit code, see :func:`audiocx.batch.runner.run_batch`.

    Raises:
        AudiocxError: Nothing can be done at all.
    """
    from ..batch import runner

    folder = options.folder
    missing = [] if is_url(folder) else [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        return runner.run_batch(task, options)
    finally:
        for path in missing:
            with suppress(OSError):  # it is not empty
                path.rmdir()


def make_folders(job: Job) -> None:
    """Make the folders of a job's outputs again, should another run have removed them, which found them empty."""
    for path in job.outputs.values():
        with suppress(OSError):  # reported when the file is written
            path.parent.mkdir(parents=True, exist_ok=True)


def count(text: str) -> int:
    """Convert an option to a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def names_among(known: Mapping[str, str]) -> Callable[[str], list[str]]:
    """Return a converter of an option to a list of names, all of them known."""

    def convert(text: str) -> list[str]:
        names = [name.strip().lower() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(
                f"unknown format {', '.join(unknown) or text!r}; choose from {', '.join(known)}"
            )
        return list(dict.fromkeys(names))

    return convert


def number_between(low: float, high: float) -> Callable[[str], float]:
    """Return a converter of an option to a number strictly between two others."""

    def convert(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not low < number < high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number between {low} and {high}")
        return number

    return convert
