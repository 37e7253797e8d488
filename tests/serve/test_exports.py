"""Export of edited notes, and what is refused of a request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import soundfile
from served import Server, serving

from audiocx.io.midi import read_midi
from audiocx.io.note_tables import read_json
from audiocx.notes import Note

NOTE = {"onset_s": 0.5, "offset_s": 1.25, "midi_note": 60, "velocity": 90, "confidence": 0.5}


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path) -> Iterator[Server]:
    with serving(model=str(tiny_checkpoint)) as server:
        yield server


def body(notes: Any = (NOTE,), **others: Any) -> dict[str, Any]:
    return {"name": "Song.mp3", "duration_s": 2.0, "tuning_cents": 10.0, "notes": notes, **others}


def test_each_format_reads_back(server: Server, tmp_path: Path) -> None:
    for name, suffix in (("midi", "mid"), ("csv", "csv"), ("json", "json"), ("png", "png"), ("wav", "wav")):
        status, headers, content = server.ask("POST", f"/api/export/{name}", body())
        assert status == 200 and f"filename=Song.{suffix};" in headers["content-disposition"]
        (tmp_path / f"Song.{suffix}").write_bytes(content)
    note = Note(0.5, 60, 1.25, 90)
    assert read_midi(tmp_path / "Song.mid") == [note] == read_json(tmp_path / "Song.json")
    assert json.loads((tmp_path / "Song.json").read_text())["metadata"]["tuning_cents"] == 10.0
    assert "0.5" in (tmp_path / "Song.csv").read_text()
    assert (tmp_path / "Song.png").read_bytes().startswith(b"\x89PNG")
    assert soundfile.info(tmp_path / "Song.wav").duration == pytest.approx(2.0, abs=0.01)


def test_many_notes_are_taken_and_sorted(server: Server) -> None:
    notes = [{**NOTE, "onset_s": i / 10, "offset_s": i / 10 + 0.05} for i in reversed(range(20_000))]
    status, _, content = server.ask("POST", "/api/export/csv", body(notes))
    onsets_s = [float(line.split(",")[0]) for line in content.decode().splitlines()[1:]]
    assert status == 200 and len(onsets_s) == 20_000 and onsets_s == sorted(onsets_s)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ('a"b;c\r\nSet-Cookie: x=y.mp3', 'a"b;c__Set-Cookie: x=y'),
        ("/etc/../passwd", "passwd"),
        ("C:\\x\\y.wav", "y"),
        ("…", "…"),
        ("", "recording"),
        ("😀" * 200, "😀" * 37),
        ("\ud800", "_"),
        (".hidden.wav", "hidden"),
    ],
)
def test_any_name_gives_a_harmless_file_name(server: Server, name: str, stem: str) -> None:
    status, headers, _ = server.ask("POST", "/api/export/csv", body(name=name))
    assert status == 200 and "set-cookie" not in headers
    plain, _, extended = headers["content-disposition"].removeprefix("attachment; filename=").partition("; filename*=")
    assert set(plain) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert unquote(extended.removeprefix("UTF-8''")) == f"{stem}.csv"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"notes": None}, "a list"),
        ({"notes": [[0.5, 1, 60]]}, "notes[0] must be an object"),
        ({"notes": [NOTE, {}]}, "notes[1].onset_s must be a number"),
        ({"notes": [{**NOTE, "onset_s": -1}]}, "notes[0].onset_s"),
        ({"notes": [{**NOTE, "onset_s": "0"}]}, "notes[0].onset_s"),
        ({"notes": [{**NOTE, "offset_s": 0.5}]}, "end after it begins"),
        ({"notes": [{**NOTE, "offset_s": 1e12}]}, "from 0 to"),
        ({"notes": [{**NOTE, "offset_s": 10**400}]}, "from 0 to"),
        ({"notes": [{**NOTE, "midi_note": 128}]}, "from 0 to 127"),
        ({"notes": [{**NOTE, "midi_note": 60.5}]}, "whole number"),
        ({"notes": [{**NOTE, "velocity": 0}]}, "from 1 to 127"),
        ({"notes": [{**NOTE, "confidence": True}]}, "confidence"),
        ({"notes": [None] * 200_001}, "at most 200000"),
        ({"name": ["x"]}, "name must be a text"),
        ({"duration_s": 1e9}, "duration_s"),
        ({"tuning_cents": 101}, "tuning_cents"),
    ],
)
def test_wrong_notes_are_refused_in_words(server: Server, wrong: dict[str, Any], said: str) -> None:
    status, _, answer = server.ask("POST", "/api/export/midi", body(**wrong))
    assert status == 400 and said in answer["error"] and len(answer["error"]) < 200


def test_what_is_no_json_or_no_format_is_refused(server: Server) -> None:
    for content in (b"\xff\xfe", b'{"notes": [Infinity]}', b"null", b"{" * 5000, b'{"notes": [1' + b"0" * 5000 + b"]}"):
        assert server.ask("POST", "/api/export/midi", content)[0] == 400
    status, _, answer = server.ask("POST", "/api/export/exe", body())
    assert status == 400 and "choose one of midi" in answer["error"]
    assert server.ask("POST", "/api/export/midi", b" " * (2**25 + 1))[0] == 413
    assert server.ask("POST", "/api/export/midi", b"", Content_Length="-1")[0] == 400


def test_a_score_is_engraved_up_to_a_length(server: Server) -> None:
    for module in ("music21", "typst", "verovio"):
        pytest.importorskip(module)
    for name, begins in (("musicxml", b"<?xml"), ("svg", b"<svg"), ("pdf", b"%PDF")):
        status, _, content = server.ask("POST", f"/api/export/{name}", body())
        assert status == 200 and content.startswith(begins)
        status, _, answer = server.ask("POST", f"/api/export/{name}", body([NOTE] * 10_001))
        assert status == 400 and "10000 notes" in answer["error"]


def test_a_note_of_minutes_is_soon_synthesised(server: Server) -> None:
    status, _, content = server.ask("POST", "/api/export/wav", body([{**NOTE, "offset_s": 600.0}]))
    assert status == 200 and len(content) == pytest.approx(600 * 22050 * 2, rel=0.01)


def test_a_picture_takes_any_title(server: Server) -> None:
    assert server.ask("POST", "/api/export/png", body(name="$x_ \u4e00\ud800 \U0001f600 \\frac{.mp3"))[0] == 200
