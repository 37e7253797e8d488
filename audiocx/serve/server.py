"""The server: uvicorn around the application."""

from __future__ import annotations

import socket

import uvicorn

from .app import create_app
from .settings import ServeSettings

__all__ = ["Server"]

MAX_CONNECTIONS = 500
MAX_MESSAGE_BYTES = 2**18  # of a live session: a second of sound
GRACE_S = 3  # in which answers that are under way may end


class Server(uvicorn.Server):
    """Serves the application until it is interrupted.

    Args:
        settings: Settings of the application.

    Raises:
        AudiocxError: The default network cannot be used.
        OutputError: There is no folder for temporary files.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._app = create_app(settings)
        config = uvicorn.Config(
            self._app,
            http="h11",
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            lifespan="on",
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_S,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: first the streams of events, which would not end by themselves."""
        self._app.store.stop()
        await super().shutdown(sockets)
