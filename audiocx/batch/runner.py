"""Runs a task over recordings: a few of them in this process, or a batch in worker processes with a manifest."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import EXIT_INTERRUPTED, AudiocxError, ConfigError, OutputError, printable, report, unexpected
from ..io.atomic_write import remove_leftovers
from ..io.inputs import STDIN, is_pipe
from ..io.paths import is_url, staged, stamp
from ..models.runtime import thread_count
from .jobs import (
    MAX_AUTO_JOBS,
    MIN_RECORDINGS_PER_JOB,
    BatchOptions,
    Done,
    Job,
    Task,
    check_folder,
    check_outputs,
    said,
)
from .manifest import BEGUN, DONE, FAILED, Manifest, fingerprint
from .pool import Died, Engine, run_pool

if TYPE_CHECKING:
    from .sources import Source

__all__ = ["run_batch"]

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class _Outcome:
    """Outcome of a job: its result or the error, and values for the manifest."""

    done: Done | None = None
    error: AudiocxError | None = None
    trace: str = ""  # of the error, which loses its own on the way from another process
    values: dict[str, Any] = field(default_factory=dict)


class _Run(Protocol):
    """Chooses the jobs and records their outcomes."""

    def jobs(self) -> Iterable[Job]: ...

    def record(self, job: Job, outcome: _Outcome | Died) -> None: ...

    def remove_leftovers(self, job: Job) -> None: ...


def run_batch(task: Task[Any], options: BatchOptions) -> int:
    """Run a task over recordings and print the results.

    A few files are processed in order by this process, which prints a line for each. For anything larger
    (``BatchOptions.keeps_manifest``) there is a manifest: only missing or changed recordings are processed,
    in worker processes, and killed processes do not affect other recordings. Whatever a recording raises, a defect, a
    full disk or a lack of memory included, is one sentence, and the others go on.

    Args:
        task: The processing of each recording.
        options: The recordings, where to write, and how to run.

    Returns:
        0 if every recording was done, 1 if one was not, 130 if a run with a manifest was interrupted by Ctrl-C.

    Raises:
        AudiocxError: Nothing can be done at all: no output folder, no network, no device, a manifest that cannot be
            written.
    """
    if options.suffixes:
        check_folder(options.folder)
    elif options.output is not None:
        raise OutputError(
            f"{options.output}: nothing is to be written there; name what to write with --format, or leave out -o."
        )
    return _run_with_manifest(task, options) if options.keeps_manifest else _run_serially(task, options)


def _run_serially(task: Task[Any], options: BatchOptions) -> int:
    from .serial_engine import SerialEngine

    run = _SerialRun(options)
    _work_through(SerialEngine(partial(_WorkHere, task, not options.quiet)), run, 1)
    return 1 if run.failed else 0


def _run_with_manifest(task: Task[Any], options: BatchOptions) -> int:
    from ..checkpoints import identify
    from .sources import find_sources

    sources, errors = find_sources(options.sources)
    for error in errors:
        report(error, options.debug)
    if not sources:
        return 1
    processes = min(options.jobs or _auto_jobs(task, options, len(sources)), len(sources))
    engine = _engine(options, task, processes)
    path = _manifest_path(options)
    made_by = {"command": task.command, **identify(task.model), "settings": task.settings}
    interrupted = False
    with Manifest(path, made_by) as manifest:
        # Outputs of this command, such as synthesized notes, are not recordings to work on.
        run = _ManifestRun(options, manifest, [one for one in sources if manifest.owner(one.path) is None])
        try:
            with run.progress_bar():
                _work_through(engine, run, processes)
        except KeyboardInterrupt:
            interrupted = True
        run.report_lost()
    if interrupted:
        print(f"audiocx: interrupted ({run.summary()}); the same command goes on from there", file=sys.stderr)
        return EXIT_INTERRUPTED
    if not options.quiet:
        print(printable(f"{run.summary()}{': see' if run.failed else ' ->'} {path}"))
    return 1 if run.failed or errors else 0


def _auto_jobs(task: Task[Any], options: BatchOptions, recordings: int) -> int:
    """Return how many jobs are the fastest: several share the cores better than the threads of one network."""
    from ..checkpoints import chosen_runtime

    if options.engine != "local" or chosen_runtime(task.model, task.runtime, task.device, task.precision) != "onnx":
        return 1
    return max(1, min(thread_count(), MAX_AUTO_JOBS, recordings // MIN_RECORDINGS_PER_JOB))


def _work_through(engine: Engine, run: _Run, processes: int) -> None:
    with closing(run_pool(engine, run.jobs(), processes, run.remove_leftovers)) as outcomes:
        for job, outcome in outcomes:
            run.record(job, outcome)


def _engine(options: BatchOptions, task: Task[Any], processes: int) -> Engine:
    start = partial(_WorkInProcess, task)
    if options.engine == "ray":
        from .ray_engine import RayEngine

        return RayEngine(start, options.address, task.device)
    from .local_engine import LocalEngine

    return LocalEngine(start, processes)


def _manifest_path(options: BatchOptions) -> Path:
    path = options.manifest or str(options.folder / MANIFEST)
    if is_url(path):
        raise ConfigError(
            f"{path}: a manifest is added to line by line, which object stores cannot do; name a file on the disk with "
            "--manifest FILE.jsonl, and keep it for the run to go on from."
        )
    return Path(path)


class _WorkHere:
    """Work in this process."""

    def __init__(self, task: Task[Any], progress: bool) -> None:
        self._task, self._network, self._progress = task, task.load(), progress

    def read(self, job: Job) -> Job:
        began_s = time.perf_counter()
        try:
            read = self._task.read(self._network, job)
        except Exception as error:  # raised by work(), for this runs in a thread
            read = error
        return replace(job, input=read, read_s=time.perf_counter() - began_s)

    def work(self, read: Job) -> _Outcome:
        try:
            if isinstance(read.input, Exception):
                raise read.input
            return _Outcome(self._task.work(self._network, read, self._progress))
        except AudiocxError as error:
            return _Outcome(error=error)
        except Exception as error:
            return _Outcome(error=unexpected(read.source, error))


@dataclass
class _Read:
    """A recording that was fetched and read, or the error.

    Attributes:
        job: The job.
        local: The same with all files on the disk.
        values: Values for the manifest.
        files: Sends the outputs and removes the copies when it is closed; if it is only dropped, nothing is sent.
        error: What went wrong.
    """

    job: Job
    local: Job
    values: dict[str, Any] = field(default_factory=dict)
    files: ExitStack = field(default_factory=ExitStack)
    error: Exception | None = None


class _WorkInProcess:
    """Work in a worker process: fetch and read a recording, process it, send its outputs; no error leaves it."""

    def __init__(self, task: Task[Any]) -> None:
        self._task, self._network = task, task.load()

    def read(self, job: Job) -> _Read:
        read, seen = _Read(job, job), None
        began_s = time.perf_counter()
        with suppress(OSError):  # the task reports it in better words
            seen = stamp(job.source)
        try:
            read.local = Job(*read.files.enter_context(staged(job.source, job.outputs)))
            with suppress(OSError):
                read.values = fingerprint(read.local.source, seen)
            samples = self._task.read(self._network, read.local)
            read.local = replace(read.local, input=samples, read_s=time.perf_counter() - began_s)
        except Exception as error:
            read.error = error
        return read

    def work(self, read: _Read) -> _Outcome:
        source, values = read.job.source, read.values
        began_s = time.perf_counter()
        try:
            with read.files:
                if read.error is not None:
                    raise read.error
                done = self._task.work(self._network, read.local, False)
        except AudiocxError as error:
            # A fetched recording goes by its URL.
            message = str(error).replace(str(read.local.source), str(source))
            return _Outcome(error=AudiocxError(message), trace=traceback.format_exc(), values=values)
        except Exception as error:  # a defect, or out of memory: no reason to give up all other recordings
            message = str(unexpected(source, error))
            return _Outcome(error=AudiocxError(message), trace=traceback.format_exc(), values=values)
        took_s = round(read.local.read_s + time.perf_counter() - began_s, 3)
        return _Outcome(done, values={**values, **done.figures, "took_s": took_s})


class _SerialRun:
    """A few files: all checked before the network is loaded, and a line printed for each."""

    def __init__(self, options: BatchOptions) -> None:
        self.options = options
        self.failed = 0

    def jobs(self) -> list[Job]:
        from ..io import audio

        jobs: list[Job] = []
        taken: dict[Path, Path] = {}
        for source in (Path(STDIN if name == "-" else name) for name in self.options.sources):
            outputs = self.options.outputs(source, self.options.folder)
            try:
                if not is_pipe(source):  # which can be read only once
                    audio.info(source)
                check_outputs(source, outputs.values(), taken, self.options.overwrite)
            except AudiocxError as error:
                self._fail(error)
                continue
            except Exception as error:
                self._fail(unexpected(source, error))
                continue
            taken.update((path.resolve(), source) for path in outputs.values())
            jobs.append(Job(source, outputs))
        return jobs

    def record(self, job: Job, outcome: _Outcome | Died) -> None:
        assert isinstance(outcome, _Outcome)  # this very process cannot have died
        if outcome.error is not None:
            self._fail(outcome.error)
        elif outcome.done is not None:
            outcome.done.show(self.options.quiet)

    def remove_leftovers(self, job: Job) -> None:
        """Do nothing: no process has died."""

    def _fail(self, error: AudiocxError) -> None:
        report(error, self.options.debug)
        self.failed += 1


class _ManifestRun:
    """A batch: only missing or changed recordings are processed, with a manifest and a progress bar."""

    def __init__(self, options: BatchOptions, manifest: Manifest, sources: list[Source]) -> None:
        self.options, self.manifest, self.sources = options, manifest, sources
        self.done = self.done_before = self.failed = 0
        self.sound_s = 0.0
        self.began_s = time.perf_counter()

    def progress_bar(self) -> Any:
        """Return the bar as a context; it is needed by the other methods."""
        from tqdm import tqdm  # worker processes import this file and need no bar

        hidden = True if self.options.quiet else None  # None hides it where stderr is no terminal
        self.bar = tqdm(total=len(self.sources), unit=" files", leave=False, disable=hidden)
        return self.bar

    def summary(self) -> str:
        parts = [f"{self.done} done" + (f" ({_length(self.sound_s)} of sound, {self._rate()})" if self.done else "")]
        if self.done_before:
            parts.append(f"{self.done_before} {'was' if self.done_before == 1 else 'were'} done before")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return f"{len(self.sources)} file{'' if len(self.sources) == 1 else 's'}: {', '.join(parts)}"

    def jobs(self) -> Iterator[Job]:
        """Yield the missing and changed recordings, recorded as begun."""
        for source in self.sources:
            folder = self.options.folder.joinpath(*source.subfolder.parts)
            job = Job(source.path, self.options.outputs(source.path, folder))
            try:
                if self.manifest.is_done(job.source, job.outputs.values()):
                    self.done_before += 1
                    self.bar.update()
                    continue
                self._check(job)
                # Before the work: outputs of which no record tells whose they are would not be replaced by a later run.
                self.manifest.write(job.source, BEGUN, job.outputs.values())
            except AudiocxError as error:
                self._fail(job, error, {})
            except Exception as error:
                self._fail(job, unexpected(job.source, error), {})
            else:
                yield job

    def record(self, job: Job, outcome: _Outcome | Died) -> None:
        if isinstance(outcome, Died):
            remedy = "perhaps out of memory; try it alone, or with fewer --jobs"
            message = (
                f"{job.source}: the process that worked on it {outcome.reason}, and so did a second one, {remedy}."
            )
            outcome = _Outcome(error=AudiocxError(message))
        if outcome.error is not None:
            outcome.error.__cause__ = AudiocxError(f"\n{outcome.trace}") if outcome.trace else None
            self._fail(job, outcome.error, outcome.values)
            return
        try:
            self.manifest.write(job.source, DONE, job.outputs.values(), **outcome.values)
        except OutputError as error:  # it is done again by the next run
            self._fail(job, AudiocxError(f"{job.source}: is done, but cannot be recorded: {error}"), outcome.values)
            return
        self.done += 1
        self.sound_s += outcome.values["duration_s"]
        if (remarks := outcome.values.get("remarks")) and not self.options.quiet:
            with self.bar.external_write_mode(file=sys.stderr):
                print(f"audiocx: note: {job.source}{said(remarks)}", file=sys.stderr)
        if outcome.done and outcome.done.listing:
            with self.bar.external_write_mode(file=sys.stdout):
                outcome.done.show(self.options.quiet)
        self._update_bar()

    def _check(self, job: Job) -> None:
        from ..io import audio

        if not is_url(job.source) and not job.source.is_file():
            audio.info(job.source)  # raises an error that names the reason
        others = [path for path in job.outputs.values() if not self.manifest.owns(job.source, path)]
        owners = {path.resolve(): self.manifest.owner(path) for path in others}
        taken = {path: owner for path, owner in owners.items() if owner is not None and owner.exists()}
        check_outputs(job.source, others, taken, self.options.overwrite)
        if self.manifest.was_begun(job.source):
            self.remove_leftovers(job)
        for folder in {path.parent for path in job.outputs.values()}:
            if not is_url(folder) and not folder.is_dir():
                check_folder(folder)

    def remove_leftovers(self, job: Job) -> None:
        """Remove what killed processes have left half-written."""
        for path in job.outputs.values():
            if not is_url(path):
                remove_leftovers(path)

    def _fail(self, job: Job, error: AudiocxError, values: dict[str, Any]) -> None:
        """Report and record a failure. Earlier outputs of the recording remain recorded as its own."""
        with self.bar.external_write_mode(file=sys.stderr):
            report(error, self.options.debug)
        with suppress(OSError, OutputError):  # without it, the recording counts as begun
            own = [path for path in job.outputs.values() if self.manifest.owns(job.source, path) and path.exists()]
            self.manifest.write(job.source, FAILED, own, error=str(error), **values)
        self.failed += 1
        self._update_bar()

    def report_lost(self) -> None:
        """Report the recordings whose outputs were removed during the run, with their folder."""
        lost = self.manifest.lost()
        if lost:
            names = f"{lost[0]}{f' and {len(lost) - 1} more' if len(lost) > 1 else ''}"
            message = f"{self.options.folder}: was removed during the run, with what was made from {names}"
            report(OutputError(f"{message}; run the same command again."), self.options.debug)
            self.failed += len(lost)
            now = min(self.done, len(lost))
            self.done, self.done_before = self.done - now, self.done_before - (len(lost) - now)

    def _rate(self) -> str:
        return f"{self.sound_s / (time.perf_counter() - self.began_s):.0f} x real time"

    def _update_bar(self) -> None:
        self.bar.set_postfix_str(self._rate() + (f", {self.failed} failed" if self.failed else ""), False)
        self.bar.update()


def _length(duration_s: float) -> str:
    """Format a duration in a suitable unit.

    >>> _length(41.0), _length(600.0), _length(256_680.0)
    ('41.0 s', '10.0 min', '71.3 h')
    """
    for unit_s, unit in ((3600, "h"), (60, "min")):
        if duration_s >= 2 * unit_s:
            return f"{duration_s / unit_s:.1f} {unit}"
    return f"{duration_s:.1f} s"
