"""Who is served: checks of Host, Origin and token, and the headers that bind the browser.

A page of another origin must not reach the server: neither by requests of its own (the Origin is checked), nor by a
name that it lets point to this machine (DNS rebinding: the Host is checked). Where other machines are served, the names
by which they know the server are unknown; there a token takes the place of the list of names.
"""

from __future__ import annotations

import re
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from .recordings import RecordingStore
from .settings import ServeSettings

__all__ = ["Guard", "new_token"]

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(self)",
}
SAFE_METHODS = ("GET", "HEAD")
_HOST = re.compile(r"[\w.-]+(:\d+)?|\[[0-9a-f:.]+\](:\d+)?", re.ASCII | re.IGNORECASE)


def new_token() -> str:
    """Return a random token, of letters that a URL may hold."""
    return secrets.token_urlsafe(32)


class Guard:
    """ASGI middleware that refuses requests from elsewhere, and adds the headers above to every response.

    Args:
        app: The application behind it.
        settings: Port, host and token.

    Attributes:
        store: The application's recordings.
    """

    def __init__(self, app: Starlette, settings: ServeSettings) -> None:
        self._app, self._token, self._port = app, settings.token, settings.port
        self.store: RecordingStore = app.state.store
        names = {"localhost", "127.0.0.1", "[::1]", settings.host.lower()}
        self._hosts = {f"{name}:{settings.port}" for name in names} | (names if settings.port == 80 else set())
        # Cookies do not know of ports: two servers on one machine must not overwrite each other's.
        self._cookie = f"audiocx-{settings.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do so."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers, query = Headers(scope=scope), parse_qs(scope["query_string"].decode("latin-1"))
        given = query.get("token", [""])[-1]

        async def with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                added = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    added[name] = value
                added.setdefault("cache-control", "no-store" if scope["path"].startswith("/api/") else "no-cache")
                if self._token and self._equals(given):
                    added.append(
                        "set-cookie", f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800"
                    )
            await send(message)

        refusal = self._refusal(scope, headers, given)
        if refusal is None:
            await self._app(scope, receive, with_headers)
            return
        status, sentence = refusal
        if scope["type"] == "websocket":
            await receive()  # "websocket.connect"
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008})
                return
        await JSONResponse({"error": sentence}, status)(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: Headers, given: str) -> tuple[int, str] | None:
        """Return status and sentence of a refusal; None to serve."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not (_HOST.fullmatch(host) if self._token else host in self._hosts):
            return 421, f"This server is not reached by that name; open http://localhost:{self._port}/."
        # Browsers state the origin of all requests that change something; programs other than browsers need not.
        own = [urlsplit(origin).netloc.lower() for origin in origins] in ([host], [])
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if not own or (changes and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")):
            return 403, "Requests from other pages are refused; open the page of this server itself."
        if self._token and not any(map(self._equals, (given, self._cookie_of(headers), _bearer(headers)))):
            return 401, "The token is missing or wrong; open the address that audiocx serve printed, with its token."
        return None

    def _equals(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(errors="replace"), (self._token or "").encode())

    def _cookie_of(self, headers: Headers) -> str:
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load("; ".join(headers.getlist("cookie")))
        except CookieError:
            return ""
        return cookies[self._cookie].value if self._cookie in cookies else ""


def _bearer(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
