"""A task without a network for tests of batches: the name of a recording decides what becomes of it.

As a program it is ``audiocx transcribe`` with this task, in a process that can be killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from audiocx.batch.jobs import BatchOptions, Done, Job, Task
from audiocx.batch.runner import run_batch
from audiocx.cli import build_parser
from audiocx.cli.options import batch_options, make_folders
from audiocx.errors import AudiocxError, AudioError, CheckpointError, report
from audiocx.io.atomic_write import atomic_write
from audiocx.models.runtime import thread_count

SUFFIXES = {"midi": ".mid"}


def make_network(folder: Path, sha256: str = "1") -> Path:
    """A checkpoint as far as it is looked at before it is loaded."""
    from audiocx.checkpoints import CONFIG, FORMAT  # not for the processes, of which there are many

    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({"format": FORMAT, "weights": {"sha256": sha256}}))
    return folder


def count(path: Path) -> int:
    """Add to a counter, a file of as many characters, and return it."""
    with path.open("a") as file:
        file.write("+")
    return len(path.read_text())


@dataclass(frozen=True)
class StubTask(Task[str]):
    list_notes: bool = False
    command: ClassVar[str] = "transcribe"

    def load(self) -> str:
        if self.device == "none":
            raise CheckpointError("no such network; take another.")
        if self.device == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        return "network"

    def read(self, network: str, job: Job) -> str:
        count(job.source.with_suffix(".reads"))
        action = job.source.stem.partition("-")[0]
        if action == "unreadable":
            raise AudioError(f"{job.source}: is unreadable; mend it.")
        if action == "readkills":
            os.kill(os.getpid(), signal.SIGKILL)
        return job.source.read_text()

    def work(self, network: str, job: Job, progress: bool) -> Done:
        tries = count(job.source.with_suffix(".tries"))
        action = job.source.stem.partition("-")[0]
        if action == "bad":
            raise AudioError(f"{job.source}: is bad; mend it.")
        if action == "breaks":
            raise ValueError("what nobody thought of")
        while action == "killswhenread" and tries == 1 and not job.source.with_name("next.reads").exists():
            time.sleep(0.01)
        if action == "kills" or (action in ("killsonce", "killswhenread") and tries == 1):
            job.outputs["midi"].with_name(f".{job.source.stem}.0123456789ab.mid").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        while action == "waits" and not job.source.with_suffix(".go").exists():
            time.sleep(0.01)
        make_folders(job)
        for path in job.outputs.values():
            with atomic_write(path) as temporary:
                temporary.write_text(job.input)
        return Done(f"{job.source}: done", {"duration_s": 3600.0, "notes": 7}, "listing" if self.list_notes else "")


class Threads:
    """Answers each job with the number of threads that a network in its process would have."""

    def read(self, job: int) -> int:
        return job

    def work(self, job: int) -> int:
        return thread_count()


def parsed(words: list[str], suffixes: dict[str, str] = SUFFIXES) -> tuple[StubTask, BatchOptions]:
    """Return task and options for arguments of ``audiocx transcribe``."""
    arguments = build_parser().parse_args(["transcribe", *words])
    settings = {"threshold": arguments.threshold, "tempo": arguments.tempo}
    task = StubTask(arguments.model or "none", arguments.device, settings, arguments.list, runtime=arguments.runtime)
    return task, batch_options(arguments, suffixes)


def run(words: list[str], suffixes: dict[str, str] = SUFFIXES) -> int:
    return run_batch(*parsed(words, suffixes))


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except AudiocxError as error:
        report(error, debug=False)
        sys.exit(1)
