"""Worker processes on a Ray cluster, which may be this machine alone."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any

from ..errors import AudiocxError, ConfigError
from .pool import Died, Work

__all__ = ["RayEngine"]

Start = Callable[[], Work]


class RayEngine:
    """Ray actors: each loads the network once and has a core of its own (and a GPU, for ``--device cuda``).

    Args:
        start: Called once in each actor; returns what to do with each job. It, the jobs and the results are pickled.
        address: Address of the cluster, such as "auto" or "10.0.0.1:6379"; "local" for a new one on this machine
            alone; None for Ray's own choice: ``RAY_ADDRESS``, else the cluster this machine belongs to, else a new one.
        device: Device to compute on, as for ``--device``.

    Raises:
        ConfigError: Ray is not installed.
    """

    # Plain actors, not Ray Data: its unit is a block of rows, so a process that dies loses the results of a whole
    # block, and is retried forever or ends the pipeline; rows are also accounted for by block. Here an actor has one
    # job at a time, and pool and manifest work as on one machine.

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
        """Start an actor, which runs as soon as the cluster has a core for it."""
        if not self._connected:
            self._connect()
        actor = self._ray.remote(num_cpus=1, num_gpus=self._gpus)(_Worker).remote()
        return _Process(self._ray, actor, actor.start.remote(self._start, os.getcwd()))

    def wait(self, processes: list[_Process]) -> list[_Process]:
        """Wait for messages.

        Args:
            processes: Some of this engine's.

        Returns:
            Those that have sent a message or died.
        """
        awaited = [process.answer for process in processes if process.answer is not None]
        ready, _ = self._ray.wait(awaited, num_returns=1)
        arrived = set(ready)
        return [process for process in processes if process.answer in arrived]

    def close(self) -> None:
        """Leave the cluster, or stop it if it was started here; both end the actors."""
        if self._connected:
            self._ray.shutdown()

    def _connect(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics unless the user asks for them
        try:
            self._ray.init(self._address, logging_level="ERROR", log_to_driver=False)
        except Exception as error:  # Ray raises plain exceptions too
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            where = self._address or os.environ.get("RAY_ADDRESS") or "on this machine"
            raise ConfigError(
                f"Ray {where}: cannot be reached or started ({reason}); check --address, or start it with 'ray start'."
            ) from error
        self._connected = True


class _Process:
    """An actor as seen from the main process: a reference to its pending answer, None while idle."""

    def __init__(self, ray: Any, actor: Any, answer: Any) -> None:
        self._ray, self._actor = ray, actor
        self._ready = False
        self.answer = answer

    def send(self, job: Any) -> None:
        self.answer = self._actor.work.remote(job)

    def read_ahead(self, job: Any) -> None:
        """Do nothing: an actor has one call at a time."""

    def receive(self) -> Any:
        from ray.exceptions import RayActorError, RayError, RayTaskError

        answer, self.answer = self.answer, None
        try:
            message = self._ray.get(answer)
        except RayError as error:
            raised = isinstance(error, RayTaskError) or (isinstance(error, RayActorError) and error.actor_init_failed)
            if raised and not self._ready:
                reason = str(error).strip().splitlines()[-1].strip()
                return AudiocxError(
                    f"A process on the Ray cluster could not start ({reason}); install the same versions of audiocx "
                    "and its dependencies on all machines of the cluster."
                )
            return Died("died")
        self._ready = True
        return message


class _Worker:
    """The actor."""

    def start(self, start: Start, folder: str) -> AudiocxError | None:
        """Load the network, in the folder of the main process, so that relative paths mean the same."""
        try:
            os.chdir(folder)
        except OSError as error:
            return ConfigError(
                f"{folder}: cannot be entered on {platform.node()} ({error.strerror}); run the command in a folder "
                "that all machines of the cluster share."
            )
        try:
            self._work = start()
        except AudiocxError as error:
            return error
        return None

    def work(self, job: Any) -> Any:
        return self._work.work(self._work.read(job))
