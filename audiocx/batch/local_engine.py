"""Worker processes on this machine, connected by pipes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any

from ..errors import AudiocxError
from ..models.runtime import core_count, thread_count
from .pool import Died, Work
from .read_ahead import read_ahead

__all__ = ["LocalEngine"]

CONTEXT = get_context("spawn")  # torch's threads do not survive a fork
STOP_S = 5.0  # time for a process to clean up after it is told to stop
TERMINATED = 128 + signal.SIGTERM


class LocalEngine:
    """Worker processes on this machine. They end with the main process.

    Args:
        start: Called once in each process; returns what to do with each job. It, the jobs and the results are pickled.
        processes: Maximum number of processes; each computes with its share of the cores, or
            ``OMP_NUM_THREADS`` if that is less.
    """

    def __init__(self, start: Callable[[], Work], processes: int) -> None:
        self._start = start
        self._threads = min(thread_count(), max(1, core_count() // processes))
        self._processes: list[_Process] = []

    def start(self) -> _Process:
        """Start a process."""
        self._processes.append(_Process(self._start, self._threads))
        return self._processes[-1]

    def wait(self, processes: list[_Process]) -> list[_Process]:
        """Wait for messages.

        Args:
            processes: Some of this engine's.

        Returns:
            Those that have sent a message or died.
        """
        waiting = wait([process.connection for process in processes])
        return [process for process in processes if process.connection in waiting]

    def close(self) -> None:
        """Stop all processes, which remove the files they have half-written."""
        for process in self._processes:
            process.process.terminate()
        for process in self._processes:
            process.process.join(STOP_S)
            process.process.kill()
            process.connection.close()


class _Process:
    def __init__(self, start: Callable[[], Work], threads: int) -> None:
        self.connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_serve, args=(theirs, start, threads), daemon=True)
        # Ctrl-C is for the main process. A signal ignored here is ignored by the child from its first instruction.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()

    def send(self, job: Any) -> None:
        self._send(job, True)

    def read_ahead(self, job: Any) -> None:
        self._send(job, False)

    def _send(self, job: Any, now: bool) -> None:
        with suppress(OSError):  # it has died, which receive() reports
            self.connection.send((job, now))

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
        code = self.process.exitcode or 0
        reason = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return Died(reason, permanent=code == 1)  # 1: an exception, which the process has printed


def _serve(connection: Connection, start: Callable[[], Work], threads: int) -> None:
    """Run a worker process: load, report ready, then answer each job with its result."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(TERMINATED)
    )  # an exception, so that half-written files are removed
    threading.Thread(target=_end_with_main_process, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is imported, which is later
    try:
        working = start()
    except AudiocxError as error:
        connection.send(error)
        return
    inputs: SimpleQueue[Any] = SimpleQueue()
    reading = threading.Thread(target=read_ahead, args=(_received(connection), working.read, inputs), daemon=True)
    reading.start()
    with suppress(BrokenPipeError):
        connection.send(None)
        while (read := inputs.get()) is not None:
            connection.send(working.work(read))
            del read  # one recording in memory, beside the one that is read ahead


def _received(connection: Connection) -> Iterator[Any]:
    """Yield the messages of the main process until it ends."""
    with suppress(EOFError, OSError):
        while True:
            yield connection.recv()


def _end_with_main_process() -> None:
    """End this process when the main process ends, even if that is killed."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
