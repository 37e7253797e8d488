"""The life of recordings on the server: upload, events, sound, decoding, deletion."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from served import Server, serving
from tiny_notes import RATE, recording

import audiocx
from audiocx.io import audio
from audiocx.music.note_transcriber import NoteTranscriber
from audiocx.music.tuning import retuned
from audiocx.notes import Note

KEYS = ("onset_s", "offset_s", "midi_note", "velocity", "confidence")


@pytest.fixture(scope="module")
def network(tiny_notes: Path) -> NoteTranscriber:
    transcriber = audiocx.load_transcriber(tiny_notes)
    assert isinstance(transcriber, NoteTranscriber)
    return transcriber


@pytest.fixture(scope="module")
def server(tiny_notes: Path) -> Iterator[Server]:
    with serving(model=str(tiny_notes)) as server:
        yield server


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute, three blocks of the network and more, in two channels of another rate."""
    samples = recording(30 * RATE)
    path = tmp_path_factory.mktemp("song") / "song.wav"
    audio.write(path, np.stack([samples, 0.5 * samples], 1), 2 * RATE)
    return path


@pytest.fixture(scope="module")
def done(server: Server, song: Path) -> dict[str, Any]:
    return server.wait(server.upload(song))


def rows(notes: list[audiocx.Note]) -> list[list[float]]:
    return [[getattr(note, key) for key in KEYS] for note in notes]


def test_the_notes_are_those_of_the_library(done: dict[str, Any], network: NoteTranscriber, song: Path) -> None:
    expected = network.transcribe(song)
    assert len(expected.notes) > 20
    np.testing.assert_allclose([[row[key] for key in KEYS] for row in done["notes"]], rows(expected.notes), atol=6e-5)
    assert done["state"] == "done" and done["error"] is None and done["progress"] == 1.0
    assert done["duration_s"] == 15.0 and done["remarks"] == list(expected.remarks)
    assert (done["name"], done["model"]) == ("song.wav", "tiny-notes")


def test_notes_come_while_it_runs_and_end_as_the_full_list(
    server: Server, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_speed = NoteTranscriber.infer_and_decode

    def with_a_pause(*arguments: Any, on_note: Callable[[Note], None], **options: Any) -> Any:
        found: list[Note] = []

        def pausing(note: Note) -> None:  # ten times as long as the server waits until it looks again
            on_note(note)
            found.append(note)
            if len(found) == 1:
                time.sleep(1.0)

        return whole_speed(*arguments, on_note=pausing, **options)

    monkeypatch.setattr(NoteTranscriber, "infer_and_decode", with_a_pause)
    id = server.upload(song)
    early = server.events(id)
    kinds = [kind for kind, _ in early]
    assert kinds.count("notes") >= 2 and kinds.index("notes") < len(kinds) - 2 and kinds[-1] == "done"
    assert [note for kind, data in early if kind == "notes" for note in data["notes"]] == early[-1][1]["notes"]
    shares = [data["progress"] for kind, data in early if kind == "progress"]
    assert shares == sorted(shares) and shares[-1] == 1.0 and any(0 < share < 1 for share in shares)
    late = server.events(id)  # who comes late gets all from the beginning
    assert [kind for kind, _ in late] == ["progress", "notes", "done"]
    assert late[1][1]["notes"] == early[-1][1]["notes"] and late[2] == early[-1]


def test_another_decoding_equals_the_librarys(
    server: Server, done: dict[str, Any], network: NoteTranscriber, song: Path
) -> None:
    settings = network.checkpoint.decode
    samples, _, time_scale = retuned(network.samples(song).samples, network.config.sample_rate)
    outputs = network.infer(samples, time_scale=time_scale)
    chosen = {"onset_threshold": 0.7, "frame_threshold": 0.6, "min_note_s": 0.05}
    url = f"/api/recordings/{done['id']}"
    status, _, answer = server.ask("POST", f"{url}/decode", chosen)
    expected = outputs.decode(replace(settings, **chosen))
    assert status == 200 and answer["settings"] == chosen and len(expected) != len(done["notes"])
    np.testing.assert_allclose([[row[key] for key in KEYS] for row in answer["notes"]], rows(expected), atol=6e-5)
    kept = server.ask("GET", url)[2]  # and is kept
    assert kept["settings"] == chosen and kept["notes"] == answer["notes"]
    again = server.ask("POST", f"{url}/decode", done["settings"])[2]
    assert again == {"notes": done["notes"], "settings": done["settings"]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"onset_threshold": 0}, "greater than 0"),
        ({"onset_threshold": 2}, "from 0 to 1"),
        ({"frame_threshold": True}, "a number"),
        ({"min_note_s": 1e300}, "from 0 to 10"),
        ({"min_note_s": "0.1"}, "not '0.1'"),
        ({"hop": 3}, "Only"),
        ('{"min_note_s": NaN}', "NaN is no number"),
        ("[1]", "object"),
        ("{", "not JSON"),
        ("[" * 100_000, "nested"),
    ],
)
def test_wrong_settings_are_refused_in_words(server: Server, done: dict[str, Any], body: Any, said: str) -> None:
    status, _, answer = server.ask("POST", f"/api/recordings/{done['id']}/decode", body)
    assert status == 400 and said in answer["error"]


def test_the_sound_is_the_recordings_own_and_comes_in_ranges(server: Server, done: dict[str, Any], song: Path) -> None:
    url = f"/api/recordings/{done['id']}/audio"
    status, headers, content = server.ask("GET", url)
    assert status == 200 and headers["content-type"] == "audio/wav" and headers["accept-ranges"] == "bytes"
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        samples, rate = soundfile.read(file)
    np.testing.assert_allclose(samples, soundfile.read(song)[0], atol=1 / 32768)
    assert rate == soundfile.info(song).samplerate
    status, headers, part = server.ask("GET", url, Range="bytes=100-199")
    assert status == 206 and part == content[100:200] and headers["content-range"] == f"bytes 100-199/{len(content)}"
    assert server.ask("GET", url, Range=f"bytes={len(content)}-")[0] == 416


def test_the_waveform_covers_the_whole(server: Server, done: dict[str, Any], song: Path) -> None:
    samples = soundfile.read(song)[0]
    url = f"/api/recordings/{done['id']}/waveform?points="
    for points in (1, 7, 300, 20_000):
        content = server.ask("GET", url + str(points))[2]
        shape = np.frombuffer(content, np.int8).reshape(points, 2)
        assert shape[:, 1].max() == round(127 * samples.max()) and shape[:, 0].min() == round(127 * samples.min())
        assert (shape[:, 0] <= shape[:, 1]).all()
    for wrong in ("0", "-1", "1e9", "x", "1000000000", ""):
        assert server.ask("GET", url + wrong)[0] == 400


def test_a_damaged_file_fails_in_the_readers_words(server: Server, song: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    for content in (b"", b"no sound" * 100, song.read_bytes()[:5000]):
        broken.write_bytes(content)
        with pytest.raises(audiocx.errors.AudioError) as raised:
            audiocx.transcribe(broken)
        failed = server.wait(server.upload(broken, "My%20song.wav"))
        assert failed["state"] == "failed"
        assert failed["error"] == str(raised.value).replace(str(broken), "My song.wav")
        events = server.events(failed["id"])
        assert events[-1] == ("failed", {"error": failed["error"]})
        assert server.ask("POST", f"/api/recordings/{failed['id']}/decode", {})[0] == 409
        assert server.ask("DELETE", f"/api/recordings/{failed['id']}")[0] == 204


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd.wav", "passwd.wav"),
        ("C:\\music\\song.wav", "song.wav"),
        ("%00%0a%1b[31mred.wav", "[31mred.wav"),
        ("%2e%2e", ".."),
        ("", "recording"),
        ("F%C3%BCr%20Elise%20%E2%80%AE.wav", "Für Elise .wav"),
        ("x" * 5000 + ".wav", "x" * 196 + ".wav"),
    ],
)
def test_names_are_never_paths(server: Server, sine_file: Any, given: str, kept: str) -> None:
    id = server.upload(sine_file(duration_s=0.1), given)
    recording = server.wait(id)
    assert (recording["name"], recording["state"]) == (kept, "done")
    assert server.ask("DELETE", f"/api/recordings/{id}")[0] == 204


def test_what_is_deleted_is_gone_with_its_files(server: Server, song: Path) -> None:
    done, running, waiting = (server.upload(song) for _ in range(3))
    server.wait(done)
    assert all((server.folder / id).is_dir() for id in (done, running, waiting))
    for id in (waiting, running, done):
        assert server.ask("DELETE", f"/api/recordings/{id}")[::2] == (204, b"")
        for path in ("", "/events", "/audio", "/waveform"):
            status, _, answer = server.ask("GET", f"/api/recordings/{id}{path}")
            assert status == 404 and "no such recording" in answer["error"]
        assert server.ask("POST", f"/api/recordings/{id}/decode", {})[0] == 404
        assert server.ask("DELETE", f"/api/recordings/{id}")[0] == 404
    last = server.upload(song)  # the worker goes on
    assert server.wait(last)["state"] == "done"
    assert not any((server.folder / id).exists() for id in (done, running, waiting))
    assert not {done, running, waiting} & {row["id"] for row in server.ask("GET", "/api/recordings")[2]["recordings"]}


def test_events_of_a_recording_end_when_it_is_deleted(server: Server, song: Path) -> None:
    first, second = server.upload(song), server.upload(song)
    connection = server.connect()
    connection.request("GET", f"/api/recordings/{second}/events")
    stream = connection.getresponse()
    assert b"progress" in stream.readline()
    server.ask("DELETE", f"/api/recordings/{second}")
    assert b"was deleted" in stream.read()
    connection.close()
    server.wait(first)


def test_a_window_network_serves_without_partial_notes(tiny_checkpoint: Path, sine_file: Any) -> None:
    with serving(model=str(tiny_checkpoint)) as server:
        models = server.ask("GET", "/api/models")[2]
        assert models["default"] == models["models"][0]["name"] == "tiny"
        assert {"name": "tiny", "description": "hears an A in everything"} in models["models"]
        assert not any("librispeech" in model["name"] for model in models["models"])
        id = server.upload(sine_file(duration_s=1.0))
        events = server.events(id)
        assert [kind for kind, _ in events[-2:]] == ["notes", "done"]
        assert [note["midi_note"] for note in events[-2][1]["notes"]] == [69]
        assert events[-1][1]["settings"] == {"onset_threshold": 0.5, "frame_threshold": None, "min_note_s": 0.05}
        url = f"/api/recordings/{id}/decode"
        assert server.ask("POST", url, {"min_note_s": 5.0})[2]["notes"] == []
        assert len(server.ask("POST", url, {"frame_threshold": None, "min_note_s": 0.0})[2]["notes"]) == 1
        assert server.ask("POST", url, {"frame_threshold": 0.5})[0] == 400
        status, _, answer = server.ask("POST", "/api/recordings?name=a.wav&model=../pretrained", b"x")
        assert status == 400 and "no network" in answer["error"]


def test_bounds_of_size_number_and_length(tiny_checkpoint: Path, sine_file: Any, tmp_path: Path) -> None:
    bounds = {"max_upload_bytes": 2**20, "max_recordings": 2, "max_duration_s": 2.0}
    with serving(model=str(tiny_checkpoint), **bounds) as server:
        status, _, answer = server.ask("POST", "/api/recordings?name=a.wav", bytes(2**20 + 1))
        assert status == 413 and "larger than 1 MB" in answer["error"]
        with closing(server.connect()) as connection:  # without a length, it is noticed as it comes
            chunks = (bytes(2**18) for _ in range(5))
            connection.request("POST", "/api/recordings?name=a.wav", chunks, encode_chunked=True)
            assert connection.getresponse().status == 413
        long = tmp_path / "long.flac"
        soundfile.write(long, np.zeros(8000 * 3), 8000)
        failed = server.wait(server.upload(long))
        assert failed["state"] == "failed" and "cut it into pieces" in failed["error"]
        assert not list((server.folder / failed["id"]).iterdir())  # a small file may unpack to a large one
        server.upload(sine_file())
        status, _, answer = server.ask("POST", "/api/recordings?name=a.wav", b"")
        assert status == 429 and "delete some first" in answer["error"]
        assert server.ask("DELETE", f"/api/recordings/{failed['id']}")[0] == 204
        server.upload(sine_file())


def test_nothing_remains_of_a_server_that_ended(tiny_notes: Path, tmp_path: Path) -> None:
    song = tmp_path / "long.flac"
    audio.write(song, np.tile(recording(60 * RATE), 10), RATE)
    with serving(model=str(tiny_notes)) as server, closing(server.connect()) as connection:
        ids = [server.upload(song) for _ in range(3)]
        connection.request("GET", f"/api/recordings/{ids[0]}/events")
        stream = connection.getresponse()
        assert stream.readline() and server.folder.is_dir()
        server.stop()  # while it runs
        assert b"The server has ended" in stream.read()
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 2.5
    assert not server.folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked there")
def test_what_a_killed_server_left_is_removed_by_the_next(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, new, elsewhere = (tmp_path / f"audiocx-serve-{name}" for name in ("left", "new", "link"))
    for folder in (left, new, tmp_path / "precious"):
        folder.mkdir()
        (folder / "audio.wav").touch()
    elsewhere.symlink_to(tmp_path / "precious")
    with serving(model=str(tiny_checkpoint)) as living:
        for folder in (left, elsewhere, living.folder):
            os.utime(folder, (0, 0), follow_symlinks=False)
        with serving(model=str(tiny_checkpoint)):
            assert not left.exists() and living.folder.exists()
            assert (new / "audio.wav").exists()  # its server may be about to lock it
            assert (elsewhere / "audio.wav").exists()
