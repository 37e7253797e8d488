"""A pool of worker processes that survives the death of any of them.

Each process has one job at a time, so it is known which job a process was working on when it died (out of memory, for
example). The process is replaced, and its job is tried once more, alone, after all others. Meanwhile a process may read
the recording of one further job; any process may still be given that job. An engine starts the processes:
``serial_engine``, ``local_engine`` or ``ray_engine``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from ..errors import AudiocxError

__all__ = ["Died", "Engine", "Process", "Work", "run_pool"]

Job = TypeVar("Job")

MAX_FAILED_STARTS = 3  # more processes in a row that are killed while they start are no accident


@dataclass(frozen=True)
class Died:
    """Report of a process that has died, in place of the result of its job.

    Attributes:
        reason: Such as "was killed by signal 9".
        permanent: Whether a new process would fail to start in the same way.
    """

    reason: str
    permanent: bool = False


class Work(Protocol):
    """What a process does with each job; neither step may raise anything that is to be recorded for the job."""

    def read(self, job: Any) -> Any:
        """Read what a job needs, in a thread, while :meth:`work` may run for the job before.

        Args:
            job: The job.

        Returns:
            For :meth:`work`, never None; it is not pickled.
        """

    def work(self, read: Any) -> Any:
        """Do a job.

        Args:
            read: What :meth:`read` returned.

        Returns:
            The result.
        """


class Process(Protocol):
    """A process that starts by itself, reports when it is ready, and then answers each job with its result."""

    def send(self, job: Any) -> None:
        """Send a job.

        Args:
            job: Any picklable object.
        """

    def read_ahead(self, job: Any) -> None:
        """Suggest to prepare, beside the current job, for the one that will probably be next.

        Args:
            job: The job; it replaces one that was suggested before.
        """

    def receive(self) -> Any:
        """Receive the next message, once ``Engine.wait`` has returned the process.

        Returns:
            First None, or the ``AudiocxError`` that kept the process from starting; then the result of its job. At any
            time ``Died``.
        """


class Engine(Protocol):
    """Starts processes and waits for them."""

    def start(self) -> Any:
        """Start a ``Process``; returns at once."""

    def wait(self, processes: list[Any]) -> list[Any]:
        """Wait for messages.

        Args:
            processes: Some of this engine's.

        Returns:
            Those that have sent a message or died, one or more.
        """

    def close(self) -> None:
        """Stop all processes, whatever they are doing."""


def run_pool(
    engine: Engine, jobs: Iterable[Job], processes: int, on_death: Callable[[Job], None] = lambda _: None
) -> Generator[tuple[Job, Any], None, None]:
    """Run jobs in several processes.

    Args:
        engine: Starts the processes. They have to catch whatever a job may raise: an exception that is not caught
            ends the process.
        jobs: Taken one at a time, so that for each process one is in progress and one waits.
        processes: Maximum number of processes.
        on_death: Called with each job of which a process has died, to remove what that has left half-done.

    Yields:
        A job and its result, or ``Died`` if two processes have died of it, in the order of completion. Closing this
        generator stops all processes.

    Raises:
        AudiocxError: A process cannot start, or processes die while they start.
    """
    pending, retries = iter(jobs), deque[Job]()
    with closing(engine):
        pool = _Pool(engine, processes)
        while True:
            for job in islice(pending, 2 * processes - pool.busy):
                pool.submit(job)
            if retries and not pool.busy:
                pool.submit(retries.popleft(), last_try=True)
            if not pool.busy:
                return
            for job, last_try, result in pool.finished():
                if isinstance(result, Died):
                    on_death(job)
                if isinstance(result, Died) and not last_try:
                    retries.append(job)
                else:
                    yield job, result


@dataclass(eq=False)
class _Entry:
    """A job in the queue.

    Attributes:
        job: The job.
        last_try: Whether a process has died of it before.
        reader: The worker that reads its recording ahead.
        suspect: A worker died meanwhile, perhaps of reading; it is not read ahead again.
    """

    job: Any
    last_try: bool
    reader: _Worker | None = None
    suspect: bool = False


class _Worker:
    """A process, its current job (None while idle) and the one it reads ahead."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ready = False
        self.current: _Entry | None = None
        self.ahead: _Entry | None = None


class _Pool:
    def __init__(self, engine: Engine, processes: int) -> None:
        self.engine, self.processes = engine, processes
        self.workers: list[_Worker] = []
        # Not bound to a worker yet: one may start late, or never on a full cluster, while others are free.
        self.queue: list[_Entry] = []
        self.failed_starts = 0

    @property
    def busy(self) -> int:
        return len(self.queue) + sum(worker.current is not None for worker in self.workers)

    def submit(self, job: Any, last_try: bool = False) -> None:
        """Queue a job."""
        self.queue.append(_Entry(job, last_try))
        self._dispatch()

    def finished(self) -> list[tuple[Any, bool, Any]]:
        """Wait for messages and return the jobs that have ended: job, last try, result."""
        ended = []
        waiting = self.engine.wait([worker.process for worker in self.workers])
        for worker in [worker for worker in self.workers if worker.process in waiting]:
            message = worker.process.receive()
            if isinstance(message, Died):
                self._remove(worker, message)
            elif not worker.ready:
                if message is not None:
                    raise message
                worker.ready, self.failed_starts = True, 0
                continue
            if worker.current is not None:
                ended.append((worker.current.job, worker.current.last_try, message))
                worker.current = None
        self._dispatch()
        return ended

    def _dispatch(self) -> None:
        """Send jobs to idle processes; start more if those and the ones being started are too few; read ahead."""
        for worker in self.workers:
            if self.queue and worker.ready and worker.current is None:
                self._send(worker)
        lacking = len(self.queue) - sum(not worker.ready for worker in self.workers)
        for _ in range(min(lacking, self.processes - len(self.workers))):
            self.workers.append(_Worker(self.engine.start()))
        unread = (entry for entry in self.queue if entry.reader is None and not entry.suspect)
        readers = (worker for worker in self.workers if worker.current is not None and worker.ahead is None)
        for worker, entry in zip(readers, unread, strict=False):
            worker.ahead, entry.reader = entry, worker
            worker.process.read_ahead(entry.job)

    def _send(self, worker: _Worker) -> None:
        """Send a worker the job it has read ahead, else one that nobody reads, else one that another worker reads."""
        entry = worker.ahead or min(self.queue, key=lambda entry: entry.reader is not None)
        if entry.reader is not None:
            entry.reader.ahead = None
        self.queue.remove(entry)
        worker.current = entry
        worker.process.send(entry.job)

    def _remove(self, worker: _Worker, died: Died) -> None:
        self.workers.remove(worker)
        if worker.ahead is not None:
            worker.ahead.reader, worker.ahead.suspect = None, True
        if worker.ready:
            return
        self.failed_starts += 1
        if died.permanent or self.failed_starts > MAX_FAILED_STARTS:
            raise AudiocxError(
                f"A process {died.reason} before it could start working, perhaps out of memory; try fewer --jobs."
            )
