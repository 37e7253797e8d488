"""Processes of this machine, each with a pipe of its own."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

from ..errors import AudiocxError
from .pool import Died

__all__ = ["LocalEngine"]

CONTEXT = get_context("spawn")  # torch's threads do not survive a fork
STOP_S = 5.0  # for a process to tidy up when told to stop
TERMINATED = 128 + signal.SIGTERM


class LocalEngine:
    """Processes of this machine, which end with this one.

    Args:
        start: Called once in each process, gives what works on a task; it, tasks and results go through pickle.
        processes: How many there will be at most; each computes with its share of the cores.
    """

    def __init__(self, start: Callable[[], Callable[[Any], Any]], processes: int) -> None:
        self._start = start
        self._threads = max(1, _cores() // processes)
        self._processes: list[_Process] = []

    def start(self) -> _Process:
        """Begin a process.

        Returns:
            The process.
        """
        self._processes.append(_Process(self._start, self._threads))
        return self._processes[-1]

    def wait(self, processes: list[_Process]) -> list[_Process]:
        """Wait until something is to be heard from processes.

        Args:
            processes: Some of these.

        Returns:
            Those that have something to say, or have died.
        """
        heard = wait([process.connection for process in processes])
        return [process for process in processes if process.connection in heard]

    def close(self) -> None:
        """Stop all processes, which remove what is half-written."""
        for process in self._processes:
            process.process.terminate()
        for process in self._processes:
            process.process.join(STOP_S)
            process.process.kill()
            process.connection.close()


class _Process:
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

    def send(self, task: Any) -> None:
        with suppress(OSError):  # of one that has died; that is noticed when it is listened to
            self.connection.send(task)

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
        code = self.process.exitcode or 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return Died(how, hopeless=code == 1)  # 1: an exception, which was printed there


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
