"""Settings of the server, and their bounds."""

from __future__ import annotations

from dataclasses import dataclass

from ..models.runtime import Precision, Runtime

__all__ = ["MAX_NOTE_S", "MIB", "ServeSettings"]

MIB = 2**20
MAX_NOTE_S = 10.0  # of the shortest note that may be asked for, as on the command line


@dataclass(frozen=True)
class ServeSettings:
    """Settings of :func:`audiocx.serve.app.create_app`.

    Attributes:
        port: Port of the server, by which it is known to the browser.
        host: Its name in URLs, besides those of every machine for itself.
        token: What a browser must show to be served, and by which other machines may be served; None to serve this
            machine alone.
        model: Default network: a name of ``audiocx.available()`` or a checkpoint folder; None for the usual.
        device: Where networks run, as in :func:`audiocx.load`.
        precision: Their arithmetic.
        runtime: What runs them.
        max_upload_bytes: Largest file taken.
        max_recordings: Most recordings kept at a time, those being uploaded included.
        max_duration_s: Longest recording and longest live session, in seconds.
        max_live: Most live sessions at a time.
    """

    port: int
    host: str = "localhost"
    token: str | None = None
    model: str | None = None
    device: str = "auto"
    precision: Precision = "float32"
    runtime: Runtime = "auto"
    max_upload_bytes: int = 512 * MIB
    max_recordings: int = 100
    max_duration_s: float = 2 * 3600.0
    max_live: int = 2
