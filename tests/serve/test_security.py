"""Who is refused: wrong hosts, foreign origins, missing tokens; and what binds the browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from served import Server, serving
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import audiocx

TOKEN = "a-token_of-letters"


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path) -> Iterator[Server]:
    with serving(model=str(tiny_checkpoint)) as server:
        yield server


@pytest.fixture(scope="module")
def remote(tiny_checkpoint: Path) -> Iterator[Server]:
    with serving(model=str(tiny_checkpoint), token=TOKEN) as server:
        yield server


def raw(server: Server, *lines: str) -> int:
    """The status of the answer to a request of these header lines."""
    with closing(server.connect()) as connection:
        connection.connect()
        connection.sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = connection.response_class(connection.sock, method="GET")
        answer.begin()
        answer.read()
        return answer.status


def test_only_names_of_this_machine_are_served(server: Server) -> None:
    for host in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        assert server.ask("GET", "/api/models", Host=f"{host}:{server.port}")[0] == 200
    for host in ("evil.com", f"evil.com:{server.port}", "127.0.0.1", "localhost:80", f"localhost.:{server.port}", ""):
        for path in ("/", "/api/models", "/static/app.js", "/nothing"):
            status, _, answer = server.ask("GET", path, Host=host)
            assert status == 421 and "not reached by that name" in answer["error"]
    own = f"Host: 127.0.0.1:{server.port}"
    assert raw(server, "GET /api/models HTTP/1.1", own) == 200
    assert raw(server, "GET /api/models HTTP/1.1", own, "Host: evil.com") in (400, 421)
    assert raw(server, "GET /api/models HTTP/1.0") == 421
    assert raw(server, "GET http://evil.com/api/models HTTP/1.1", own) == 404


def test_other_pages_cannot_change_anything(server: Server) -> None:
    others = ("http://evil.com", "null", "http://localhost", f"http://localhost:{server.port}", "", "file://")
    for origin in others:
        for method, path in (
            ("GET", "/"),
            ("POST", "/api/recordings?name=a.wav"),
            ("DELETE", "/api/recordings/x"),
            ("PUT", "/"),
        ):
            status, _, answer = server.ask(method, path, b"x", Origin=origin)
            assert status == 403 and "other pages" in answer["error"]
        status, _, _ = server.ask("POST", "/api/export/csv", {"notes": []}, Origin=origin)
        assert status == 403
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{server.port}/api/live", origin=origin):
            pass
        assert refused.value.response.status_code == 403
    assert server.ask("GET", "/api/recordings")[2] == {"recordings": []}
    assert server.ask("POST", "/api/export/csv", {"notes": []}, Sec_Fetch_Site="cross-site")[0] == 403
    assert server.ask("POST", "/api/export/csv", {"notes": []}, Origin=server.origin)[0] == 200
    assert server.ask("POST", "/api/export/csv", {"notes": []})[0] == 200  # curl


def test_every_answer_binds_the_browser(server: Server) -> None:
    for method, path in (("GET", "/"), ("GET", "/static/app.js"), ("GET", "/api/models"), ("GET", "/x"), ("PUT", "/")):
        _, headers, _ = server.ask(method, path)
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == policy["object-src"] == "'none'"
        assert not {"script-src", "script-src-elem", "style-src", "connect-src"} & set(policy)  # the default holds
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers and "server" not in headers
    assert server.ask("GET", "/static/app.js")[1]["content-type"].startswith("text/javascript")
    for path in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/static/",
    ):
        assert server.ask("GET", path)[0] == 404


def test_the_page_needs_nothing_from_elsewhere(server: Server) -> None:
    files = [path for path in (Path(audiocx.__file__).parent / "serve" / "static").rglob("*") if path.is_file()]
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace").replace("http://www.w3.org/", "")
        assert "http://" not in text and "https://" not in text, path.name
    _, _, page = server.ask("GET", "/")
    linked = re.findall(r'(?:src|href)="(static/[^"]+)"', page.decode())
    assert linked and all(server.ask("GET", f"/{link}")[0] == 200 for link in linked)


def test_a_remote_server_wants_its_token(remote: Server) -> None:
    named = {"Host": "studio.local:80"}  # by whatever name it is reached
    cookie = f"audiocx-{remote.port}="
    for path in ("/", "/static/app.js", "/api/models", "/api/recordings/x", f"/?token={TOKEN}x", "/?token=%ff"):
        status, headers, answer = remote.ask("GET", path, **named)
        assert status == 401 and "token" in answer["error"] and "set-cookie" not in headers
    assert remote.ask("GET", "/api/models", Cookie=cookie + "wrong", **named)[0] == 401
    assert remote.ask("GET", "/api/models", Cookie="a=b; ;=;;", **named)[0] == 401
    status, headers, _ = remote.ask("GET", f"/?token={TOKEN}", **named)
    assert status == 200 and headers["set-cookie"].startswith(cookie + TOKEN)
    assert "HttpOnly" in headers["set-cookie"] and "SameSite=Strict" in headers["set-cookie"]
    assert remote.ask("GET", "/api/models", Cookie=f"x=y; {cookie}{TOKEN}", **named)[0] == 200
    assert remote.ask("GET", "/api/models", Authorization=f"Bearer {TOKEN}", **named)[0] == 200
    assert remote.ask("GET", "/api/models", Authorization="Bearer", **named)[0] == 401
    assert remote.ask("GET", "/api/models", Cookie=cookie + TOKEN, Host="a b")[0] == 421


def test_a_token_does_not_let_other_pages_in(remote: Server) -> None:
    shown: dict[str, Any] = {"Cookie": f"audiocx-{remote.port}={TOKEN}", "Host": "studio.local"}
    url = "/api/export/csv"
    assert remote.ask("POST", url, {"notes": []}, Origin="http://studio.local", **shown)[0] == 200
    assert remote.ask("POST", url, {"notes": []}, Origin="https://studio.local", **shown)[0] == 200  # behind a proxy
    assert remote.ask("POST", url, {"notes": []}, Origin="http://evil.com", **shown)[0] == 403
    assert remote.ask("POST", url, {"notes": []}, Origin="http://studio.local")[0] == 403
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{remote.port}/api/live"):
        pass
    assert refused.value.response.status_code == 401
    assert "token" in json.loads(refused.value.response.body or b"{}")["error"]
