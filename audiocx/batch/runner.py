"""An archive of recordings, worked through by several processes; a manifest keeps account, so that it can go on."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..cli import INTERRUPTED, report
from ..errors import AudiocxError, ConfigError
from ..io.paths import is_url, staged, stamp
from .jobs import Done, Job, check_folder, check_outputs, output_folder
from .manifest import BEGUN, DONE, FAILED, Manifest, fingerprint
from .pool import Died, Engine, run_pool
from .sources import Source, find_sources

__all__ = ["run_archive"]

Network = TypeVar("Network")

MANIFEST = "manifest.jsonl"
# Options that say where and how, not what comes out.
WITHOUT_INFLUENCE = {
    *("command", "module", "files", "model", "device", "output", "overwrite"),
    *("jobs", "engine", "address", "manifest", "list", "quiet", "debug"),
}


@dataclass(frozen=True)
class _Outcome:
    """What a process says of a recording: values for its record, and either what was done or what went wrong."""

    values: dict[str, Any]
    done: Done | None = None
    error: str = ""
    trace: str = ""


def run_archive(
    arguments: argparse.Namespace,
    suffixes: Mapping[str, str],
    load: Callable[[argparse.Namespace], Network],
    work: Callable[[Network, Job, argparse.Namespace], Done],
    default: str,
) -> int:
    """Do what is missing or changed in an archive, whatever becomes of single recordings or processes.

    Args:
        arguments: What the parser made of the command line.
        suffixes: How the names of the files to write end, by format.
        load: Gives the network; called once in each process.
        work: Works on one recording, writes its outputs.
        default: Name of the network that ``load`` takes if the command line names none.

    Returns:
        0 if every recording is done, 1 if one is not, 130 if Ctrl-C was pressed.

    Raises:
        AudiocxError: Nothing can be done at all: no network, no device, a manifest that cannot be written.
    """
    from .. import checkpoints

    sources, errors = find_sources(arguments.files)
    for error in errors:
        report(error, arguments.debug)
    if not sources:
        return 1
    processes = min(arguments.jobs, len(sources))
    start = partial(_start, load, work, argparse.Namespace(**{**vars(arguments), "quiet": True}))
    engine = _engine(arguments, start, processes)
    settings = {name: value for name, value in vars(arguments).items() if name not in WITHOUT_INFLUENCE}
    network = checkpoints.identify(arguments.model or default)
    path = _manifest_path(arguments)
    with Manifest(path, {"command": arguments.command, **network, "settings": settings}) as manifest:
        # What this command made, such as sound to listen to, is no recording to work on.
        run = _Run(arguments, suffixes, manifest, [one for one in sources if manifest.owner(one.path) is None])
        interrupted = run.through(lambda jobs: run_pool(engine, jobs, processes))
    if interrupted:
        print(f"audiocx: interrupted ({run.summary()}); the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    if not arguments.quiet:
        print(f"{run.summary()}: see {path}" if run.failed else f"{run.summary()} -> {path}")
    return 1 if run.failed or errors else 0


def _manifest_path(arguments: argparse.Namespace) -> Path:
    path = arguments.manifest or str(output_folder(arguments) / MANIFEST)
    if is_url(path):
        raise ConfigError(
            f"{path}: a manifest is added to line by line, which object stores cannot do; name a file on the disk with "
            "--manifest FILE.jsonl, and keep it for the run to go on from."
        )
    return Path(path)


def _engine(arguments: argparse.Namespace, start: Callable[[], Any], processes: int) -> Engine:
    if arguments.engine == "ray":
        from .ray_engine import RayEngine

        return RayEngine(start, arguments.address, arguments.device)
    from .local_engine import LocalEngine

    return LocalEngine(start, processes)


def _start(load: Callable[..., Network], work: Callable[..., Done], arguments: argparse.Namespace) -> Any:
    """Load the network in a process of its own, and give what works on a recording there."""
    return partial(_outcome, work, load(arguments), arguments)


def _outcome(work: Callable[..., Done], network: Any, arguments: argparse.Namespace, job: Job) -> _Outcome:
    values: dict[str, Any] = {}
    here, seen = job.source, None
    began_s = time.perf_counter()
    with suppress(OSError):  # of which the work itself will tell more clearly
        seen = stamp(job.source)
    try:
        with staged(job.source, job.outputs) as (here, places):
            with suppress(OSError):
                values = fingerprint(here, seen)
            done = work(network, Job(here, places), arguments)
    except AudiocxError as error:
        # What was fetched goes by the name that it was fetched from.
        return _Outcome(values, error=str(error).replace(str(here), str(job.source)), trace=traceback.format_exc())
    except Exception as error:  # a defect, or no memory: no reason to give up all other recordings
        what = "".join(traceback.format_exception_only(error)).strip()
        sentence = f"{job.source}: failed unexpectedly ({what}); try it alone, with --debug, and report what that says."
        return _Outcome(values, error=sentence, trace=traceback.format_exc())
    return _Outcome({**values, **done.figures, "took_s": round(time.perf_counter() - began_s, 3)}, done)


_Outcomes = Generator[tuple[Job, _Outcome | Died], None, None]  # as they come; closing it stops the work


class _Run:
    """Decides what is to be done, and keeps account of it in the manifest, on the bar and in figures."""

    def __init__(
        self, arguments: argparse.Namespace, suffixes: Mapping[str, str], manifest: Manifest, sources: list[Source]
    ) -> None:
        self.arguments, self.suffixes, self.manifest, self.sources = arguments, suffixes, manifest, sources
        self.done = self.done_before = self.failed = 0
        self.sound_s = 0.0
        self.began_s = time.perf_counter()

    def through(self, engine: Callable[[Iterator[Job]], _Outcomes]) -> bool:
        """Go through the archive with whatever works on jobs; tells whether Ctrl-C was pressed."""
        from tqdm import tqdm  # the processes, which import this file, have no bar

        hidden = True if self.arguments.quiet else None  # None hides it where stderr is no terminal
        with tqdm(total=len(self.sources), unit=" files", leave=False, disable=hidden) as self.bar:
            try:
                with closing(engine(self._due())) as outcomes:
                    for job, outcome in outcomes:
                        self._record(job, outcome)
            except KeyboardInterrupt:
                return True
        return False

    def summary(self) -> str:
        rate = f"{self.sound_s / (time.perf_counter() - self.began_s):.0f} x real time"
        parts = [f"{self.done} done" + (f" ({_length(self.sound_s)} of sound, {rate})" if self.done else "")]
        if self.done_before:
            parts.append(f"{self.done_before} {'was' if self.done_before == 1 else 'were'} done before")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return f"{len(self.sources)} file{'' if len(self.sources) == 1 else 's'}: {', '.join(parts)}"

    def _due(self) -> Iterator[Job]:
        """What is missing or changed, noted as begun when it is handed out."""
        for source in self.sources:
            folder = output_folder(self.arguments).joinpath(*source.place.parts)
            outputs = {name: folder / f"{source.path.stem}{suffix}" for name, suffix in self.suffixes.items()}
            job = Job(source.path, outputs)
            if self.manifest.is_done(job.source, outputs.values()):
                self.done_before += 1
                self.bar.update()
                continue
            try:
                self._check(job)
            except AudiocxError as error:
                self._fail(job, error, {})
                continue
            self.manifest.write(job.source, BEGUN, outputs.values())
            yield job

    def _check(self, job: Job) -> None:
        from ..io import audio

        if not is_url(job.source) and not job.source.is_file():
            audio.info(job.source)  # says what is wrong
        others = [path for path in job.outputs.values() if not self.manifest.owns(job.source, path)]
        owners = {path.resolve(): self.manifest.owner(path) for path in others}
        taken = {path: owner for path, owner in owners.items() if owner is not None and owner.exists()}
        check_outputs(job.source, others, taken, self.arguments.overwrite)
        for folder in {path.parent for path in job.outputs.values()}:
            if not is_url(folder) and not folder.is_dir():
                check_folder(folder)

    def _record(self, job: Job, outcome: _Outcome | Died) -> None:
        if isinstance(outcome, Died):
            remedy = "perhaps for want of memory; try it alone, or with fewer --jobs"
            error = f"{job.source}: the process that worked on it {outcome.how}, and so did a second one, {remedy}."
            outcome = _Outcome({}, error=error)
        if outcome.done is None:
            problem = AudiocxError(outcome.error)
            problem.__cause__ = AudiocxError(f"\n{outcome.trace}") if outcome.trace else None
            self._fail(job, problem, outcome.values)
            return
        self.manifest.write(job.source, DONE, job.outputs.values(), **outcome.values)
        self.done += 1
        self.sound_s += outcome.values["duration_s"]
        if outcome.done.listing:
            with self.bar.external_write_mode(file=sys.stdout):
                outcome.done.show(self.arguments.quiet)
        self._advance()

    def _fail(self, job: Job, error: AudiocxError, values: dict[str, Any]) -> None:
        """Note a failure. Earlier outputs of the recording stay known as its own."""
        with self.bar.external_write_mode(file=sys.stderr):
            report(error, self.arguments.debug)
        own = [path for path in job.outputs.values() if self.manifest.owns(job.source, path) and path.exists()]
        self.manifest.write(job.source, FAILED, own, error=str(error), **values)
        self.failed += 1
        self._advance()

    def _advance(self) -> None:
        rate = self.sound_s / (time.perf_counter() - self.began_s)
        self.bar.set_postfix_str(f"{rate:.0f} x real time" + (f", {self.failed} failed" if self.failed else ""), False)
        self.bar.update()


def _length(duration_s: float) -> str:
    """Say how long sound is, in the unit that suits.

    >>> _length(41.0), _length(600.0), _length(256_680.0)
    ('41.0 s', '10.0 min', '71.3 h')
    """
    for unit_s, unit in ((3600, "h"), (60, "min")):
        if duration_s >= 2 * unit_s:
            return f"{duration_s / unit_s:.1f} {unit}"
    return f"{duration_s:.1f} s"
