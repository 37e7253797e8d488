"""Reading ahead: a thread reads the next recording while the network runs on the current one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any

__all__ = ["read_ahead"]


def read_ahead(messages: Iterable[tuple[Any, bool]], read: Callable[[Any], Any], inputs: SimpleQueue[Any]) -> None:
    """Read recordings, to be called in a thread of its own; at most one that is not yet wanted is held at a time.

    Args:
        messages: Jobs, each with whether it is to be worked on now; if not, it is only read. A job that was read ahead
            may be followed by another one instead, and is then forgotten.
        read: Reads the recording of a job; it has to catch whatever it may raise.
        inputs: Where to put what was read for each job that is to be worked on; at the end None.
    """
    held: tuple[Any, Any] | None = None  # a job and what was read for it
    try:
        for job, now in messages:
            if held is None or held[0] != job:
                held = None  # before the next recording takes up memory
                held = job, read(job)
            if now:
                inputs.put(held[1])
                held = None
    finally:
        inputs.put(None)
