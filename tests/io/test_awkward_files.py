"""Every awkward file is read, or refused in one sentence, soon."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from awkward_files import awkward_file

import audiocx
from audiocx.errors import AudiocxError, AudioError
from audiocx.io import audio

MOST_S = 3.0


@pytest.mark.parametrize("with_av", [True, False])
@pytest.mark.parametrize("first", range(0, 200, 50))
def test_awkward_files_are_read_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, with_av: bool
) -> None:
    if with_av:
        pytest.importorskip("av")
    else:
        monkeypatch.setattr("audiocx.io.opening.find_spec", lambda name: None)
    for seed in range(first, first + 50):
        path = awkward_file(tmp_path, seed)
        for mono in (True, False):
            began_s = time.process_time()
            try:
                recording = audio.load(path, rate_out=11025, mono=mono)
                assert len(recording.samples) and np.isfinite(recording.samples).all(), path.name
                assert np.abs(recording.samples).max() < 100, path.name
            except AudioError as error:
                assert str(error).startswith(str(path)) and str(error).endswith(".") and "\n" not in str(error)
            assert time.process_time() - began_s < MOST_S, path.name


def test_awkward_files_are_transcribed_or_refused(tmp_path: Path, tiny_notes: Path) -> None:
    transcriber = audiocx.load_transcriber(tiny_notes)
    done = 0
    for seed in range(1000, 1040):
        try:
            done += transcriber.transcribe(awkward_file(tmp_path, seed)).duration_s > 0
        except AudiocxError as error:
            assert "\n" not in str(error)
    assert done >= 10
