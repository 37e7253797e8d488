"""Many clients at once, slow ones and ones that leave: none does harm to the others."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile
from served import Server, serving


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path) -> Iterator[Server]:
    with serving(model=str(tiny_checkpoint), max_recordings=60) as server:
        yield server


@contextmanager
def begun(server: Server, head: str) -> Iterator[socket.socket]:
    """A connection over which a request was begun."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(f"{head}\r\nHost: 127.0.0.1:{server.port}\r\n".encode())
        yield connection


def kept(server: Server) -> int:
    return len(server.ask("GET", "/api/recordings")[2]["recordings"])


def test_fifty_uploads_at_once_beside_slow_clients(server: Server, sine_file: Any) -> None:
    path = sine_file(duration_s=0.3, rate=8000)
    slow_upload = begun(server, "POST /api/recordings?name=slow.wav HTTP/1.1")
    with slow_upload as slow, begun(server, "GET /api/mod") as never, ThreadPoolExecutor(50) as pool:
        content = path.read_bytes()
        slow.sendall(f"Content-Length: {len(content)}\r\n\r\n".encode() + content[:100])
        never.sendall(b"X: y")
        ids = list(pool.map(lambda number: server.upload(path, f"{number}.wav"), range(50)))
        ended = list(pool.map(server.wait, ids))
        assert len(set(ids)) == 50 and {recording["state"] for recording in ended} == {"done"}
        assert [recording["name"] for recording in ended] == [f"{number}.wav" for number in range(50)]
        slow.sendall(content[100:])  # and it is served as the others are
        assert slow.recv(100).startswith(b"HTTP/1.1 201")
    for recording in server.ask("GET", "/api/recordings")[2]["recordings"]:
        assert server.ask("DELETE", f"/api/recordings/{recording['id']}")[0] == 204


def test_an_upload_that_breaks_off_leaves_nothing(server: Server) -> None:
    with begun(server, "POST /api/recordings?name=half.wav HTTP/1.1") as client:
        client.sendall(b"Content-Length: 100000\r\n\r\n" + bytes(50_000))
        time.sleep(0.2)
        assert len(list(server.folder.iterdir())) == 1
    time.sleep(0.2)
    assert kept(server) == 0 and not list(server.folder.iterdir())


def test_places_of_uploads_that_broke_off_are_free_again(server: Server, sine_file: Any) -> None:
    for _ in range(70):
        with begun(server, "POST /api/recordings?name=half.wav HTTP/1.1") as client:
            client.sendall(b"Content-Length: 100\r\n\r\nx")
    time.sleep(0.3)
    id = server.upload(sine_file(duration_s=0.1))
    assert server.wait(id)["state"] == "done"
    server.ask("DELETE", f"/api/recordings/{id}")


def test_listeners_that_leave_or_do_not_read_hold_nothing(server: Server, sine_file: Any) -> None:
    id = server.upload(sine_file(duration_s=0.5))
    server.wait(id)
    clients = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(60)]
    for number, client in enumerate(clients):
        what = ("events", "audio", "waveform?points=100000")[number % 3]
        request = f"GET /api/recordings/{id}/{what} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
        client.sendall(request.encode())
    began_s = time.monotonic()
    assert server.events(id)[-1][0] == "done"  # more than there are threads do not read, and others are served
    assert server.ask("POST", f"/api/recordings/{id}/decode", {})[0] == 200
    assert time.monotonic() - began_s < 5
    for client in clients:
        client.close()
    assert server.ask("DELETE", f"/api/recordings/{id}")[0] == 204


def test_a_full_disk_is_said_in_words(tiny_checkpoint: Path, sine_file: Any, full_disk: Any) -> None:
    path = sine_file(duration_s=10.0)
    flac = path.with_suffix(".flac")
    soundfile.write(flac, *soundfile.read(path))
    with serving(model=str(tiny_checkpoint)) as server, full_disk(2**18):
        status, _, answer = server.ask("POST", "/api/recordings?name=a.wav", path.read_bytes())
        assert status == 507 and "no room" in answer["error"] and "a.wav" in answer["error"]
        assert kept(server) == 0 and not list(server.folder.iterdir())
        failed = server.wait(server.upload(flac, "b.flac"))
        assert failed["state"] == "failed" and "room" in failed["error"]
