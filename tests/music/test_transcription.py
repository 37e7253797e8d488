"""Transcription: its repr and its HTML in notebooks."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile

from audiocx import Note
from audiocx.music.transcription import Transcription


def transcription(duration_s: float, source: str = "song.wav") -> Transcription:
    onsets_s = np.arange(0, duration_s, 5.0)
    notes = [Note(onset_s, 60 + index % 12, onset_s + 0.5) for index, onset_s in enumerate(onsets_s)]
    return Transcription(notes, np.zeros((10, 88), np.float32), 86.0, 21, duration_s, source)


def embedded(html: str, medium: str) -> bytes:
    (content,) = re.findall(f'src="data:{medium}/[a-z]+;base64,([^"]*)"', html)
    return base64.b64decode(content)


def test_repr_is_one_line() -> None:
    assert repr(transcription(20.0)) == "Transcription('song.wav': 4 notes in 20.0 s)"


@pytest.mark.parametrize("duration_s", [0.0, 20.0, 100.0])
def test_html_has_a_piano_roll_and_at_most_a_minute_of_sound(duration_s: float) -> None:
    html = transcription(duration_s)._repr_html_()
    assert embedded(html, "image").startswith(b"\x89PNG")
    samples, rate = soundfile.read(io.BytesIO(embedded(html, "audio")))
    assert len(samples) / rate == pytest.approx(min(duration_s, 60.0), abs=0.25)  # encoders pad
    assert samples.any() == (duration_s > 0)
    assert ("the first 60 s" in html) == (duration_s > 60)


def test_html_escapes_the_name() -> None:
    assert "<b>" not in transcription(1.0, "<b>.wav")._repr_html_()
