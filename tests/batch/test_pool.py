from __future__ import annotations

import threading
from typing import Any

import pytest

from audiocx.batch.pool import Died, run_pool
from audiocx.batch.serial_engine import SerialEngine


class Waits:
    """Works on a job only once the next one is read."""

    def __init__(self, jobs: int) -> None:
        self.was_read = [threading.Event() for _ in range(jobs)]

    def read(self, job: int) -> tuple[str, int]:
        self.was_read[job].set()
        return threading.current_thread().name, job

    def work(self, read: tuple[str, int]) -> str:
        thread, job = read
        assert thread != threading.current_thread().name
        assert all(event.wait(20) for event in self.was_read[: job + 2])
        assert not any(event.is_set() for event in self.was_read[job + 2 :])
        return f"did {job}"


@pytest.mark.parametrize("jobs", [0, 1, 5])
def test_this_process_reads_one_job_ahead(jobs: int) -> None:
    outcomes = list(run_pool(SerialEngine(lambda: Waits(jobs)), range(jobs), 1))
    assert outcomes == [(job, f"did {job}") for job in range(jobs)]


class ScriptedEngine:
    """Processes that end their jobs, or die, as a script has it: (number of the process, its message)."""

    def __init__(self, script: list[tuple[int, Any]]) -> None:
        self.script, self.processes = script, list[ScriptedProcess]()

    def start(self) -> ScriptedProcess:
        self.processes.append(ScriptedProcess())
        return self.processes[-1]

    def wait(self, processes: list[ScriptedProcess]) -> list[ScriptedProcess]:
        number, message = self.script.pop(0)
        self.processes[number].message = message
        assert self.processes[number] in processes
        return [self.processes[number]]

    def close(self) -> None:
        assert not self.script


class ScriptedProcess:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.message: Any = None

    def send(self, job: str) -> None:
        self.log.append(f"do {job}")

    def read_ahead(self, job: str) -> None:
        self.log.append(f"read {job}")

    def receive(self) -> Any:
        return self.message


def test_no_job_waits_for_the_process_that_has_read_it() -> None:
    engine = ScriptedEngine([(0, None), (1, None), *[(1, "done")] * 4, (0, "done")])
    assert [job for job, _ in run_pool(engine, "abcde", 2)] == list("cdeba")
    assert [process.log for process in engine.processes] == [
        ["do a", "read b"],
        ["do c", "read d", "do d", "read e", "do e", "do b"],
    ]


def test_what_was_read_by_a_process_that_died_is_done_by_another_and_not_read_ahead_again() -> None:
    engine = ScriptedEngine([(0, None), (0, Died("died")), (1, None), (1, "done"), (1, "done"), (1, "done")])
    assert [job for job, _ in run_pool(engine, "abc", 1)] == ["b", "c", "a"]
    assert [process.log for process in engine.processes] == [
        ["do a", "read b"],
        ["do b", "read c", "do c", "do a"],
    ]
