"""A server of audiocx serve in a thread, over real connections, for its tests."""

from __future__ import annotations

import http.client
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from audiocx.cli.serve import listen
from audiocx.serve.server import Server as UvicornServer
from audiocx.serve.settings import ServeSettings


class Server:
    """What a browser sees of it."""

    def __init__(self, port: int, server: UvicornServer, folder: Path) -> None:
        self.port, self.origin, self.folder = port, f"http://127.0.0.1:{port}", folder
        self._server = server

    def stop(self) -> None:
        """Ask it to end."""
        self._server.should_exit = True

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, headers and content (of JSON, the value) of an answer."""
        sent = json.dumps(body) if isinstance(body, (dict, list)) else body
        with closing(self.connect()) as connection:
            connection.request(method, path, sent, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            content = answer.read()
        is_json = (
            answer.headers.get("content-type") == "application/json" and "content-disposition" not in answer.headers
        )
        return answer.status, answer.headers, json.loads(content) if is_json else content

    def upload(self, path: Path, name: str = "song.wav", **query: str) -> str:
        extra = "".join(f"&{key}={value}" for key, value in query.items())
        status, _, made = self.ask("POST", f"/api/recordings?name={name}{extra}", path.read_bytes())
        assert status == 201, made
        return str(made["id"])

    def wait(self, id: str) -> dict[str, Any]:
        """The recording, when it has ended."""
        for _ in range(600):
            _, _, recording = self.ask("GET", f"/api/recordings/{id}")
            if recording["state"] in ("done", "failed"):
                return dict(recording)
            time.sleep(0.05)
        raise AssertionError(f"still {recording['state']}")

    def events(self, id: str) -> list[tuple[str, Any]]:
        """All events of a recording, until it has ended."""
        _, headers, content = self.ask("GET", f"/api/recordings/{id}/events")
        assert headers["content-type"].startswith("text/event-stream")
        parts = [part.split("\n", 1) for part in content.decode().split("\n\n") if part and part[0] != ":"]
        return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]


def folders() -> set[Path]:
    """The temporary folders of all servers on this machine."""
    return set(Path(tempfile.gettempdir()).glob("audiocx-serve-*"))


@contextmanager
def serving(at_port: int = 0, **settings: Any) -> Iterator[Server]:
    """Serve until the block ends."""
    with listen("127.0.0.1", at_port, False) as socket:
        port = socket.getsockname()[1]
        before = folders()
        server = UvicornServer(ServeSettings(port=port, **settings))
        (folder,) = folders() - before
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield Server(port, server, folder)
        finally:
            server.should_exit = True
            thread.join()
