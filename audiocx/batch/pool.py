"""Work spread over processes, where the death of one costs nothing but time.

Each process has one task at a time, so that it is known which task was in the hands of one that died (for want of
memory, say). It is replaced, and its task is tried once more when all others are done, alone. What the processes are,
and on which machines, an engine knows: ``processes`` or ``ray_engine``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from ..errors import AudiocxError

__all__ = ["Died", "Engine", "Process", "run_pool"]

Task = TypeVar("Task")

STILLBORN = 3  # so many processes in a row that are killed before they are ready are no accident


@dataclass(frozen=True)
class Died:
    """A process has died, and the task that it had, if any, has no result.

    Attributes:
        how: Such as "was killed by signal 9".
        hopeless: Whether one in its place would do no better at getting ready.
    """

    how: str
    hopeless: bool = False


class Process(Protocol):
    """A process that gets ready by itself, says so, and from then on answers every task with its result."""

    def send(self, task: Any) -> None:
        """Hand it a task.

        Args:
            task: It goes through pickle.
        """

    def receive(self) -> Any:
        """Listen to one that has something to say.

        Returns:
            At first None, or the ``AudiocxError`` that kept it from getting ready; later the result of its task. At any
            time ``Died``.
        """


class Engine(Protocol):
    """Where processes come from."""

    def start(self) -> Any:
        """Begin a ``Process``; returns at once."""

    def wait(self, processes: list[Any]) -> list[Any]:
        """Wait until something is to be heard from processes.

        Args:
            processes: Some of this engine's.

        Returns:
            Those that have something to say, one or more.
        """

    def close(self) -> None:
        """Stop all processes, whatever they do."""


def run_pool(engine: Engine, tasks: Iterable[Task], processes: int) -> Generator[tuple[Task, Any], None, None]:
    """Work through tasks in several processes.

    Args:
        engine: Gives the processes, which know what to do with a task. What a task may raise is for them to catch: an
            exception that gets out ends the process.
        tasks: Asked for one after the other, whenever a process is free.
        processes: How many at most.

    Yields:
        A task and its result, or ``Died`` if two processes have died of it, in the order in which they end. Closing
        this iterator stops all processes.

    Raises:
        AudiocxError: A process cannot get ready, or processes die before they are.
    """
    pending, again = iter(tasks), deque[Task]()
    with closing(engine):
        pool = _Pool(engine, processes)
        while True:
            for task in islice(pending, processes - pool.busy):
                pool.give(task)
            if again and not pool.busy:
                pool.give(again.popleft(), last_try=True)
            if not pool.busy:
                return
            for task, last_try, result in pool.finished():
                if isinstance(result, Died) and not last_try:
                    again.append(task)
                else:
                    yield task, result


class _Worker:
    """A process and what it was given: a task, and whether this is its last try; None if it waits."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ready = False
        self.given: tuple[Any, bool] | None = None


class _Pool:
    def __init__(self, engine: Engine, processes: int) -> None:
        self.engine, self.processes = engine, processes
        self.workers: list[_Worker] = []
        # Nobody's yet: a process may get ready late, or never where a cluster is full, while others are free.
        self.queue = deque[tuple[Any, bool]]()
        self.stillborn = 0

    @property
    def busy(self) -> int:
        return len(self.queue) + sum(worker.given is not None for worker in self.workers)

    def give(self, task: Any, last_try: bool = False) -> None:
        """Take on a task."""
        self.queue.append((task, last_try))
        self._hand_out()

    def finished(self) -> list[tuple[Any, bool, Any]]:
        """Wait for something to happen, and give the tasks that came to an end by it: task, last try, result."""
        ended = []
        heard = self.engine.wait([worker.process for worker in self.workers])
        for worker in [worker for worker in self.workers if worker.process in heard]:
            message = worker.process.receive()
            if isinstance(message, Died):
                self._strike_off(worker, message)
            elif not worker.ready:
                if message is not None:
                    raise message
                worker.ready, self.stillborn = True, 0
                continue
            if worker.given is not None:
                ended.append((*worker.given, message))
                worker.given = None
        self._hand_out()
        return ended

    def _hand_out(self) -> None:
        """Give tasks to the processes that wait; begin more if those and the ones on their way are too few."""
        for worker in self.workers:
            if self.queue and worker.ready and worker.given is None:
                worker.given = self.queue.popleft()
                worker.process.send(worker.given[0])
        lacking = len(self.queue) - sum(not worker.ready for worker in self.workers)
        for _ in range(min(lacking, self.processes - len(self.workers))):
            self.workers.append(_Worker(self.engine.start()))

    def _strike_off(self, worker: _Worker, died: Died) -> None:
        self.workers.remove(worker)
        if worker.ready:
            return
        self.stillborn += 1
        if died.hopeless or self.stillborn > STILLBORN:
            what = f"A process {died.how} before it could begin"
            raise AudiocxError(f"{what}, perhaps for want of memory; try fewer --jobs.")
