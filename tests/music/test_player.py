"""The player for notebooks; tests/serve/test_page.py runs it in a browser."""

from __future__ import annotations

import base64
import html
import io
import json
import re

import numpy as np
import pytest
import soundfile

from audiocx.music.transcription import Transcription
from audiocx.notes import Note

PLAYED = Transcription([Note(0.1, 60, 0.6, 100)], np.zeros((0, 1), np.float32), 1.0, 0, 1.0, "</script>&'\".wav")


def content(document: str) -> dict:
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', document, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def test_the_document_holds_the_notes_and_no_more() -> None:
    held = content(PLAYED.player().document)
    assert held == {"name": PLAYED.source, "duration_s": 1.0, "notes": [[0.1, 0.6, 60, 100]]}


def test_the_recording_keeps_its_time() -> None:
    samples = np.zeros(16_000, np.float32)
    samples[4000] = 0.5
    held = content(PLAYED.player(samples, 8000.0).document)
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(held["sound"].partition(",")[2])))
    assert held["duration_s"] == len(sound) / rate == 2.0
    assert np.argmax(np.abs(sound)) / rate == pytest.approx(0.5, abs=0.001)
    peaks = np.frombuffer(base64.b64decode(held["peaks"]), np.int8).reshape(-1, 2)
    assert np.argmax(peaks[:, 1]) == len(peaks) // 4


def test_the_frame_holds_the_whole_document_and_nothing_from_elsewhere() -> None:
    player = PLAYED.player(height_px=300)
    framed = player._repr_html_()
    found = re.fullmatch(r'<iframe srcdoc="([^"]*)" [^<>]*height: 300px[^<>]*></iframe>', framed)
    assert found and html.unescape(found[1]) == player.document
    assert not re.search(r'(src|href)="|https?://|^import |^export ', player.document, re.MULTILINE)
