"""Work spread over processes, where the death of one costs nothing but time.

Each process has a pipe of its own and one task at a time, so that it is known which task was in the hands of one that
died (for want of memory, say). It is replaced, and its task is tried once more when all others are done, alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from ..errors import AudiocxError

__all__ = ["Died", "run_pool"]

Task = TypeVar("Task")
Result = TypeVar("Result")

CONTEXT = get_context("spawn")  # torch's threads do not survive a fork
STILLBORN = 3  # so many processes in a row that are killed before they are ready are no accident
STOP_S = 5.0  # for a process to tidy up when told to stop
TERMINATED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Died:
    """The process that had the task has died, twice.

    Attributes:
        how: Such as "was killed by signal 9".
    """

    how: str


def run_pool(
    start: Callable[[], Callable[[Task], Result]], tasks: Iterable[Task], processes: int
) -> Generator[tuple[Task, Result | Died], None, None]:
    """Work through tasks in several processes.

    Args:
        start: Called once in each process, gives what works on a task; it, tasks and results go through pickle. What a
            task may raise is for it to catch: an exception that gets out ends the process.
        tasks: Asked for one after the other, whenever a process is free.
        processes: How many at most; each computes with its share of the cores.

    Yields:
        A task and what came of it, in the order in which they end. Closing this iterator stops all processes.

    Raises:
        AudiocxError: ``start`` raised it, or processes die before they are ready.
    """
    pending, again = iter(tasks), deque[Task]()
    with closing(_Pool(start, processes)) as pool:
        while True:
            for task in islice(pending, processes - pool.busy):
                pool.give(task)
            if again and not pool.busy:
                pool.give(again.popleft(), last_try=True)
            if not pool.busy:
                return
            for task, result, last_try in pool.finished():
                if isinstance(result, Died) and not last_try:
                    again.append(task)
                else:
                    yield task, result


class _Worker:
    """A process and its task, None if it waits for one."""

    def __init__(self, start: Callable[[], Callable[[Any], Any]], threads: int) -> None:
        self.connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_serve, args=(theirs, start, threads), daemon=True)
        # Ctrl-C is meant for the main process. What is ignored here and now is ignored there from the beginning.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()
        self.ready = False
        self.task: Any = None
        self.last_try = False

    def give(self, task: Any, last_try: bool) -> None:
        self.task, self.last_try = task, last_try
        with suppress(OSError):  # of one that has died; that is noticed when it is listened to
            self.connection.send(task)


class _Pool:
    def __init__(self, start: Callable[[], Callable[[Any], Any]], processes: int) -> None:
        self.start = start
        self.threads = max(1, _cores() // processes)
        self.workers: list[_Worker] = []
        self.stillborn = 0

    @property
    def busy(self) -> int:
        return sum(worker.task is not None for worker in self.workers)

    def give(self, task: Any, last_try: bool = False) -> None:
        """Hand a task to a process that waits, or to a new one."""
        worker = next((worker for worker in self.workers if worker.task is None), None)
        if worker is None:
            worker = _Worker(self.start, self.threads)
            self.workers.append(worker)
        worker.give(task, last_try)

    def finished(self) -> list[tuple[Any, Any, bool]]:
        """Wait for something to happen, and give the tasks that came to an end by it: task, result, last try."""
        ended = []
        heard = wait([worker.connection for worker in self.workers])
        for worker in [worker for worker in self.workers if worker.connection in heard]:
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                ended += self._replace(worker)
                continue
            if worker.ready:
                ended.append((worker.task, message, worker.last_try))
                worker.task = None
            elif isinstance(message, AudiocxError):
                raise message
            else:
                worker.ready, self.stillborn = True, 0
        return ended

    def _replace(self, worker: _Worker) -> list[tuple[Any, Any, bool]]:
        """Strike off a process that has died, with its task; one that never began hands its task on."""
        self.workers.remove(worker)
        worker.connection.close()
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if worker.ready:
            return [] if worker.task is None else [(worker.task, Died(how), worker.last_try)]
        self.stillborn += 1
        if code == 1 or self.stillborn > STILLBORN:  # 1: an exception, which was printed there
            raise AudiocxError(f"A process {how} before it could begin, perhaps for want of memory; try fewer --jobs.")
        self.give(worker.task, worker.last_try)
        return []

    def close(self) -> None:
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join(STOP_S)
            worker.process.kill()
            worker.connection.close()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serve(connection: Connection, start: Callable[[], Callable[[Any], Any]], threads: int) -> None:
    """What a process does: get ready, say so, then answer every task with its result."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # an exception: what is half-written is removed
    threading.Thread(target=_follow_main_process, daemon=True).start()
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # read when torch is imported, which it is not yet
    try:
        work = start()
    except AudiocxError as error:
        connection.send(error)
        return
    with suppress(EOFError, BrokenPipeError):
        connection.send(None)
        while True:
            connection.send(work(connection.recv()))


def _follow_main_process() -> None:
    """End with the main process, even if that was killed."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
