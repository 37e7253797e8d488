"""Jobs: recordings, the files to write from each, and the task that does it."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from ..errors import ConfigError, OutputError, printable
from ..io.inputs import stem
from ..io.paths import as_path, check_writable, file_name, is_glob, is_url
from ..models.runtime import Precision, Runtime

__all__ = [
    "MAX_AUTO_JOBS",
    "MIN_RECORDINGS_PER_JOB",
    "BatchOptions",
    "Done",
    "Job",
    "Task",
    "check_folder",
    "check_output",
    "check_outputs",
    "names_pattern",
    "noted",
    "said",
    "speed",
]

Network = TypeVar("Network")

# Each job more takes a quarter of a gigabyte for songs.
MAX_AUTO_JOBS = 4
# With fewer recordings a job, some jobs would wait long for the last ones, which are then better shared by all cores.
MIN_RECORDINGS_PER_JOB = 4


@dataclass(frozen=True)
class Job:
    """A recording and the files to write from it.

    Attributes:
        source: The recording.
        outputs: The files, by format.
        input: What :meth:`Task.read` returned, for :meth:`Task.work`.
        read_s: Time that reading took, in seconds.
    """

    source: Path
    outputs: dict[str, Path]
    input: Any = None
    read_s: float = 0.0


@dataclass(frozen=True)
class Done:
    """Result of a job.

    Attributes:
        line: Summary, one line.
        figures: Values for the manifest, "duration_s" among them.
        listing: Further output that the user asked for, such as a table of notes.
    """

    line: str
    figures: dict[str, Any]
    listing: str = ""

    def show(self, quiet: bool) -> None:
        """Print the result.

        Args:
            quiet: Print the listing only.
        """
        if self.listing:
            print(self.listing)
        if not quiet:
            print(printable(self.line), flush=True)


@dataclass(frozen=True)
class Task(ABC, Generic[Network]):
    """The processing of one recording after the other. It is sent to worker processes, so it has to be picklable.

    Attributes:
        model: Name or folder of the checkpoint.
        device: Device to compute on, such as "auto" or "cuda".
        runtime: What runs the network: "auto", "onnx" or "torch".
        precision: Arithmetic of the network.
        settings: Plain values that influence the results; if they change, recordings are done again.
        command: Name of the task in the manifest.
    """

    model: str
    device: str
    settings: dict[str, Any]
    runtime: Runtime = field(default="auto", kw_only=True)
    precision: Precision = field(default="float32", kw_only=True)
    command: ClassVar[str]

    @abstractmethod
    def load(self) -> Network:
        """Load the network; called once in each worker.

        Returns:
            The network, for :meth:`work`.

        Raises:
            AudiocxError: The checkpoint or the device cannot be used.
        """

    def read(self, network: Network, job: Job) -> Any:
        """Read one recording, in a thread, while the network may be running on the one before.

        Args:
            network: What :meth:`load` returned; it must not be run.
            job: The recording, on the disk.

        Returns:
            What :meth:`work` finds in ``Job.input``; None if that reads the recording itself.

        Raises:
            AudiocxError: The recording cannot be used.
        """
        return None

    @abstractmethod
    def work(self, network: Network, job: Job, progress: bool) -> Done:
        """Process one recording and write its outputs.

        Args:
            network: What :meth:`load` returned.
            job: The recording with what :meth:`read` returned, and its outputs, all on the disk.
            progress: Show a progress bar.

        Returns:
            The result.

        Raises:
            AudiocxError: The recording cannot be used, or an output cannot be written.
        """


@dataclass(frozen=True)
class BatchOptions:
    """Recordings to work through, where to write, and how to run.

    Attributes:
        sources: Files, folders, globs or URLs.
        suffixes: Suffix of the file to write for each format, such as ``{"midi": ".mid"}``.
        output: Folder or URL to write to; None for the current folder.
        overwrite: Replace outputs that exist.
        jobs: Number of recordings to work on at a time, each in a process of its own; None for :data:`MAX_AUTO_JOBS`
            at most, as many as there are cores, where that is faster: in batches of many recordings on this machine by
            onnxruntime.
        engine: Where these processes run: on this machine, or on a Ray cluster.
        address: Address of the Ray cluster; None for Ray's own choice.
        manifest: Manifest file; None for the default.
        quiet: Print errors only.
        debug: Print the traceback of each error.

    Raises:
        ConfigError: There is an address, but the engine is not Ray.
    """

    sources: tuple[str, ...]
    suffixes: Mapping[str, str] = field(default_factory=dict)
    output: str | None = None
    overwrite: bool = False
    jobs: int | None = None
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    manifest: str | None = None
    quiet: bool = False
    debug: bool = False

    def __post_init__(self) -> None:
        """Refuse an address without Ray."""
        if self.address is not None and self.engine != "ray":
            raise ConfigError("--address names a Ray cluster; add --engine ray, or leave it out.")

    @property
    def folder(self) -> Path:
        """Folder or URL to write to; it need not exist."""
        return as_path("." if self.output is None else self.output)

    @property
    def keeps_manifest(self) -> bool:
        """Whether the run keeps a manifest: for a folder, glob or URL, several jobs, Ray, or if one is named."""
        if (self.jobs or 1) > 1 or self.engine == "ray" or self.manifest is not None:
            return True
        if any(map(is_url, filter(None, [self.output, *self.sources]))):
            return True
        return any(os.path.isdir(name) or names_pattern(name) for name in self.sources)

    def outputs(self, source: Path, folder: Path) -> dict[str, Path]:
        """Return the files to write from a recording.

        Args:
            source: The recording.
            folder: Where they go.

        Returns:
            The files, by format; a stem that is too long for the file system is cut.
        """
        return {name: folder / file_name(stem(source), suffix) for name, suffix in self.suffixes.items()}


def names_pattern(name: str) -> bool:
    """Return whether a name is a glob: it has wildcards, and no file of that very name exists."""
    return is_glob(name) and not os.path.lexists(name)


def speed(took_s: float, duration_s: float) -> str:
    """Format the processing time and its ratio to real time.

    >>> speed(2.0, 60.0)
    '2.0 s, 30 x real time'
    """
    return f"{took_s:.1f} s, {duration_s / took_s:.0f} x real time"


def said(remarks: Sequence[str]) -> str:
    """Format what was done with a recording for its line.

    >>> said(["channel 2 left out (silent)"]), said([])
    ('; channel 2 left out (silent)', '')
    """
    return "".join(f"; {remark}" for remark in remarks)


def noted(remarks: Sequence[str]) -> dict[str, list[str]]:
    """Return what was done with a recording for the manifest; nothing if nothing was."""
    return {"remarks": list(remarks)} if remarks else {}


def check_folder(folder: Path) -> None:
    """Create an output folder and try to write to it, which is more reliable than its permissions.

    Args:
        folder: The folder.

    Raises:
        OutputError: It cannot be created or written to.
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
    """Refuse an output file that exists, or whose folder does not, before any work is done.

    Args:
        path: The file to write.
        overwrite: Whether it may exist.

    Raises:
        OutputError: It is refused.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; replace it with --overwrite, or choose another name.")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: its folder does not exist; make it first.")


def check_outputs(source: Path, outputs: Iterable[Path], taken: Mapping[Path, Path], overwrite: bool) -> None:
    """Refuse to overwrite a recording, the outputs of another recording, or a file that exists.

    Args:
        source: The recording.
        outputs: The files to write from it.
        taken: The recording that each file already written belongs to, by the file's resolved path.
        overwrite: Whether existing files may be replaced.

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
