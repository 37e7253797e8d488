"""Processes of a Ray cluster, which may be this machine alone."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any

from ..errors import AudiocxError, ConfigError
from .pool import Died

__all__ = ["RayEngine"]

Start = Callable[[], Callable[[Any], Any]]


class RayEngine:
    """Ray actors: each has loaded the network once, on a core of its own (and an accelerator, for ``--device cuda``).

    Args:
        start: Called once in each process, gives what works on a task; it, tasks and results go through pickle.
        address: Of the cluster, such as "auto" or "10.0.0.1:6379"; "local" for a new one on this machine alone; None
            for Ray's own choice: what ``RAY_ADDRESS`` says, else the cluster this machine belongs to, else a new one.
        device: Where to compute, as ``--device`` has it.

    Raises:
        ConfigError: Ray is not installed.
    """

    # Plain actors, not Ray Data: its unit is a block of rows, so that a process that dies takes the results of a whole
    # block along, and is tried again without end or ends the pipeline; and rows are accounted for block by block. Here
    # a process has one file, and the rules of the pool, and so the manifest, are those of one machine.

    def __init__(self, start: Start, address: str | None, device: str) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError(
                "--engine ray needs Ray, which is not installed; run pip install 'audiocx[ray]'."
            ) from error
        self._ray, self._start, self._address = ray, start, address
        self._gpus = 1 if device.startswith("cuda") else 0
        self._connected = False

    def start(self) -> _Process:
        """Begin an actor, which gets ready as soon as the cluster has a place for it.

        Returns:
            The actor.
        """
        if not self._connected:
            self._connect()
        actor = self._ray.remote(num_cpus=1, num_gpus=self._gpus)(_Worker).remote()
        return _Process(self._ray, actor, actor.begin.remote(self._start, os.getcwd()))

    def wait(self, processes: list[_Process]) -> list[_Process]:
        """Wait until something is to be heard from actors.

        Args:
            processes: Some of these.

        Returns:
            Those that have something to say, or have died.
        """
        awaited = [process.answer for process in processes if process.answer is not None]
        ready, _ = self._ray.wait(awaited, num_returns=1)
        heard = set(ready)
        return [process for process in processes if process.answer in heard]

    def close(self) -> None:
        """Leave the cluster, or stop it if it was begun here; either ends the actors."""
        if self._connected:
            self._ray.shutdown()

    def _connect(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to others unless somebody asks for it
        try:
            self._ray.init(self._address, logging_level="ERROR", log_to_driver=False)
        except Exception as error:  # some of what it raises is of no other class
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            where = self._address or os.environ.get("RAY_ADDRESS") or "on this machine"
            raise ConfigError(
                f"Ray {where}: cannot be reached or begun ({reason}); check --address, or begin it with 'ray start'."
            ) from error
        self._connected = True


class _Process:
    """What is known here of an actor: its answer on the way, None if it was asked nothing."""

    def __init__(self, ray: Any, actor: Any, answer: Any) -> None:
        self._ray, self._actor = ray, actor
        self._ready = False
        self.answer = answer

    def send(self, task: Any) -> None:
        self.answer = self._actor.do.remote(task)

    def receive(self) -> Any:
        from ray.exceptions import RayActorError, RayError, RayTaskError

        answer, self.answer = self.answer, None
        try:
            message = self._ray.get(answer)
        except RayError as error:
            raised = isinstance(error, RayTaskError) or (isinstance(error, RayActorError) and error.actor_init_failed)
            if raised and not self._ready:
                what = str(error).strip().splitlines()[-1].strip()
                return AudiocxError(
                    f"A process on the Ray cluster could not begin ({what}); install the same versions of audiocx and "
                    "of what it needs on all machines of the cluster."
                )
            return Died("died")
        self._ready = True
        return message


class _Worker:
    """Runs in an actor."""

    def begin(self, start: Start, folder: str) -> AudiocxError | None:
        """Get ready, in the folder of the main process, so that relative paths mean the same."""
        try:
            os.chdir(folder)
        except OSError as error:
            return ConfigError(
                f"{folder}: cannot be entered on {platform.node()} ({error.strerror}); give the command in a folder "
                "that all machines of the cluster share."
            )
        try:
            self._work = start()
        except AudiocxError as error:
            return error
        return None

    def do(self, task: Any) -> Any:
        return self._work(task)
