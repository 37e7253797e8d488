"""Frame-by-frame evaluation of transcription networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from musicnet_lookalike import write_folder

from audiocx.data.corpora import musicnet
from audiocx.data.store import prepare
from audiocx.errors import ConfigError
from audiocx.kinds import build
from audiocx.models import NoteConfig
from audiocx.music.frame_evaluation import infer_store


def test_frames_that_do_not_fit_the_hop_are_refused(tmp_path: Path) -> None:
    corpus = write_folder(tmp_path / "musicnet", musicnet.TEST_IDS[:1], 2.0)
    store = prepare(musicnet.split(musicnet.find_pieces(corpus)).test, tmp_path / "cache", progress=False)
    config = NoteConfig(stem_channels=2, channels=2, dilations=[1], octave=3, hop_samples=96, windows=[512])
    with pytest.raises(ConfigError, match="a frame every 96 samples, and the frames 'paper' lie otherwise; .*'whole'"):
        infer_store(build(config).eval(), store, progress=False)
