"""The live route: sound in blocks over a WebSocket, notes back, and the recording that remains."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from served import Server, serving
from tiny_notes import RATE, recording
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import audiocx

BLOCK = RATE // 5


@pytest.fixture(scope="module")
def server(tiny_notes: Path) -> Iterator[Server]:
    with serving(model=str(tiny_notes), max_duration_s=12.0, max_recordings=8, max_live=2) as server:
        yield server


def dial(server: Server, rate: Any = RATE, **query: str) -> ClientConnection:
    more = "".join(f"&{key}={quote(value)}" for key, value in query.items())
    url = f"ws://127.0.0.1:{server.port}/api/live?rate={rate}{more}"
    return connect(url, origin=server.origin, max_size=None, compression=None)  # type: ignore[arg-type]


def play(socket: ClientConnection, samples: np.ndarray) -> None:
    for first in range(0, len(samples), BLOCK):
        socket.send(samples[first : first + BLOCK].astype("<f4").tobytes())


def rest(socket: ClientConnection) -> list[dict[str, Any]]:
    """All messages until the server closes."""
    messages = []
    try:
        while True:
            messages.append(json.loads(socket.recv(timeout=60)))
    except ConnectionClosed:
        return messages


def test_live_notes_are_those_of_the_recording_that_remains(server: Server, tiny_notes: Path) -> None:
    samples = recording(10 * RATE)
    with dial(server, name="Probe 1") as socket:
        play(socket, samples)
        socket.send('{"end": true}')
        *updates, last = rest(socket)
    notes = [note for update in updates for note in update["notes"]]
    times_s = [update["time_s"] for update in updates]
    assert times_s == sorted(times_s) and times_s[-1] == 10.0 and updates[-1]["sounding"] == []
    assert any(update["sounding"] for update in updates)
    done = last["done"]
    assert done["notes"] == sorted(notes, key=lambda note: (note["onset_s"], note["midi_note"]))
    assert (done["name"], done["state"], done["duration_s"]) == ("Probe 1", "done", 10.0)
    expected = audiocx.load_transcriber(tiny_notes).transcribe(samples, RATE, tuning=0.0).notes
    np.testing.assert_allclose(
        [[note["onset_s"], note["offset_s"], note["midi_note"]] for note in done["notes"]],
        [[note.onset_s, note.offset_s, note.midi_note] for note in expected],
        atol=1e-4,
    )
    url = f"/api/recordings/{done['id']}"
    assert server.ask("POST", f"{url}/decode", {"min_note_s": 10.0})[2]["notes"] == []
    assert server.ask("POST", f"{url}/decode", done["settings"])[2]["notes"] == done["notes"]
    assert len(server.ask("GET", f"{url}/audio")[2]) == 44 + 2 * len(samples)
    assert max(server.ask("GET", f"{url}/waveform?points=9")[2]) > 0
    assert server.ask("DELETE", url)[0] == 204


def test_what_was_played_remains_when_the_browser_leaves(server: Server) -> None:
    with dial(server, rate=44_100) as socket:
        play(socket, recording(3 * RATE))
    for _ in range(200):
        if recordings := server.ask("GET", "/api/recordings")[2]["recordings"]:
            break
        time.sleep(0.05)
    assert [row["state"] for row in recordings] == ["done"] and recordings[0]["name"] == "microphone"
    assert recordings[0]["duration_s"] == pytest.approx(3 * RATE / 44_100, abs=1e-5)
    server.ask("DELETE", f"/api/recordings/{recordings[0]['id']}")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"rate": "x"}, "rate must be"),
        ({"rate": 100}, "from 8000 to 192000"),
        ({"model": "none"}, "no network of that name"),
        ({"model": "maps-deep-complex"}, "needs whole recordings"),
    ],
)
def test_wrong_wishes_are_refused_in_words(server: Server, query: dict[str, Any], said: str) -> None:
    with dial(server, **query) as socket:
        (message,) = rest(socket)
    assert said in message["error"]
    assert server.ask("GET", "/api/recordings")[2] == {"recordings": []}


def test_a_session_is_bounded_and_keeps_what_there_is(server: Server) -> None:
    with dial(server) as socket:
        play(socket, recording(15 * RATE))
        messages = rest(socket)
    assert any("as long as" in message.get("error", "") for message in messages)
    done = messages[-1]["done"]
    assert done["duration_s"] == 12.0
    server.ask("DELETE", f"/api/recordings/{done['id']}")


def test_sessions_are_few_and_wrong_sound_is_refused(server: Server) -> None:
    with dial(server) as first, dial(server) as second:
        play(first, recording(RATE))
        first.recv(timeout=60)
        second.send(bytes(4))
        second.recv(timeout=60)
        with dial(server) as third:
            assert "the most at a time" in rest(third)[0]["error"]
        second.send(bytes(7))
        assert "32-bit floats" in rest(second)[-1]["error"]
    with dial(server) as socket:
        socket.send('{"end": true}')
        assert "No sound" in rest(socket)[-1]["error"]
    with dial(server) as socket:
        socket.send(np.full(RATE, np.nan, "<f4").tobytes())
        socket.send('{"end": true}')
        assert rest(socket)[-1]["done"]["duration_s"] == 1.0


def test_a_deaf_browser_holds_nobody(server: Server, sine_file: Any) -> None:
    with dial(server) as deaf:  # it sends, and reads nothing
        play(deaf, recording(8 * RATE))
        began_s = time.monotonic()
        assert server.ask("GET", "/api/models")[0] == 200
        assert time.monotonic() - began_s < 1.0
