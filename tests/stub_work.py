"""Work on recordings without a network, for the processes of an archive: the name of a file says what becomes of it.

As a program it is ``audiocx transcribe`` with this work: to be killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from argparse import Namespace
from pathlib import Path

from audiocx.batch.jobs import Done, Job, run_jobs
from audiocx.cli import _parser, report
from audiocx.errors import AudiocxError, AudioError, CheckpointError


def make_network(folder: Path, sha256: str = "1") -> Path:
    """A checkpoint as far as it is looked at before it is loaded."""
    from audiocx.checkpoints import CONFIG, FORMAT  # not for the processes, of which there are many

    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({"format": FORMAT, "weights": {"sha256": sha256}}))
    return folder


def load(arguments: Namespace) -> str:
    if arguments.device == "none":
        raise CheckpointError("no such network; take another.")
    if arguments.device == "kills":
        os.kill(os.getpid(), signal.SIGKILL)
    return "network"


def work(network: str, job: Job, arguments: Namespace) -> Done:
    (trace := job.source.with_suffix(".tries")).write_text(trace.read_text() + "+" if trace.exists() else "+")
    how = job.source.stem.partition("-")[0]
    if how == "bad":
        raise AudioError(f"{job.source}: is bad; mend it.")
    if how == "breaks":
        raise ValueError("what nobody thought of")
    if how == "kills" or (how == "killsonce" and trace.read_text() == "+"):
        os.kill(os.getpid(), signal.SIGKILL)
    while how == "waits" and not job.source.with_suffix(".go").exists():
        time.sleep(0.01)
    for path in job.outputs.values():
        path.write_text(job.source.read_text())
    return Done(f"{job.source}: done", {"duration_s": 3600.0, "notes": 7}, "listing" if arguments.list else "")


def run(words: list[str]) -> int:
    return run_jobs(_parser().parse_args(["transcribe", *words]), {"midi": ".mid"}, load, work, "none")


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except AudiocxError as error:
        report(error, debug=False)
        sys.exit(1)
