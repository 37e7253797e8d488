"""A single worker in this very process: recordings one after the other, errors with their tracebacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["SerialEngine"]


class SerialEngine:
    """An engine whose only worker is this process. Whatever a job raises is raised here.

    Args:
        start: Called once, with the first job; returns the function to call with each job.
    """

    def __init__(self, start: Callable[[], Callable[[Any], Any]]) -> None:
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
    def __init__(self, start: Callable[[], Callable[[Any], Any]]) -> None:
        self._start = start
        self._work: Callable[[Any], Any] | None = None
        self._job: Any = None

    def send(self, job: Any) -> None:
        self._job = job

    def receive(self) -> Any:
        if self._work is None:
            self._work = self._start()
            return None
        return self._work(self._job)
