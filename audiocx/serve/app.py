"""The application: routes, static files, errors in words, and the guard in front of all."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from traceback import format_exception_only

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..errors import AudiocxError, OutputError, printable
from .live import LIVE_ROUTE
from .networks import Networks
from .recordings import NotFoundError, RecordingStore, TooManyError
from .routes import ROUTES
from .security import Guard
from .settings import ServeSettings

__all__ = ["create_app"]

STATIC = Path(__file__).parent / "static"


def create_app(settings: ServeSettings) -> Guard:
    """Build the application.

    Args:
        settings: Its settings.

    Returns:
        An ASGI application; its lifespan starts the worker, and removes all files at the end.

    Raises:
        AudiocxError: The default network cannot be used.
        OutputError: There is no folder for temporary files.
    """
    # A system's own table may say otherwise, and browsers run nothing else.
    mimetypes.add_type("text/javascript", ".js")
    store = RecordingStore(settings, Networks(settings))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        store.start()
        try:
            yield
        finally:
            await run_in_threadpool(store.close)

    app = Starlette(
        routes=[
            Route("/", _page),
            *ROUTES,
            LIVE_ROUTE,
            Mount("/static", StaticFiles(directory=STATIC, check_dir=False)),
        ],
        exception_handlers={
            AudiocxError: _known,
            HTTPException: _refused,
            ClientDisconnect: _gone,
            Exception: _defect,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.settings, app.state.store = settings, store
    app.state.turns = {kind: asyncio.Lock() for kind in ("decoding", "exporting", "engraving")}
    return Guard(app, settings)  # outside of all, so that the answer to a defect has its headers, too


async def _page(_: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _known(_: Request, error: Exception) -> Response:
    statuses = {NotFoundError: 404, TooManyError: 429, OutputError: 507}
    status = next((status for kind, status in statuses.items() if isinstance(error, kind)), 400)
    return JSONResponse({"error": printable(error)}, status)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = {404: "There is nothing at this address.", 405: "This address is not for such requests."}
    known = sentence.get(error.status_code) if error.detail == HTTPException(error.status_code).detail else None
    return JSONResponse({"error": known or error.detail}, error.status_code, error.headers)


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _defect(_: Request, error: Exception) -> Response:
    reason = " ".join("".join(format_exception_only(error)).split())
    return JSONResponse({"error": printable(f"The server failed unexpectedly ({reason}); please report this.")}, 500)
