"""A single worker in this very process: recordings one after the other, errors with their tracebacks."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

from .pool import Work
from .read_ahead import read_ahead

__all__ = ["SerialEngine"]


class SerialEngine:
    """An engine whose only worker is this process. Whatever a job raises is raised here.

    Args:
        start: Called once, with the first job; returns what to do with each job.
    """

    def __init__(self, start: Callable[[], Work]) -> None:
        self._start = start

    def start(self) -> _Process:
        """Return the worker."""
        return _Process(self._start)

    def wait(self, processes: list[_Process]) -> list[_Process]:
        """Return the worker at once: it computes when its result is asked for."""
        return processes

    def close(self) -> None:
        """Do nothing."""


class _Process:
    def __init__(self, start: Callable[[], Work]) -> None:
        self._start = start
        self._work: Work | None = None
        self._messages: SimpleQueue[tuple[Any, bool]] = SimpleQueue()
        self._inputs: SimpleQueue[Any] = SimpleQueue()

    def send(self, job: Any) -> None:
        self._messages.put((job, True))

    def read_ahead(self, job: Any) -> None:
        self._messages.put((job, False))

    def receive(self) -> Any:
        if self._work is None:
            self._work = self._start()
            messages = iter(self._messages.get, None)
            Thread(target=read_ahead, args=(messages, self._work.read, self._inputs), daemon=True).start()
            return None
        return self._work.work(self._inputs.get())
