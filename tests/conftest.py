"""What several test files share: sounds made on the spot."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile


@pytest.fixture
def sine_file(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a sine of half the full scale to a file and returns its path."""

    def write(
        name: str = "sine.wav",
        freq_hz: float = 440.0,
        rate: int = 44100,
        duration_s: float = 1.0,
        channels: int = 1,
        **how: Any,
    ) -> Path:
        wave = 0.5 * np.sin(2 * np.pi * freq_hz * np.arange(round(rate * duration_s)) / rate)
        soundfile.write(tmp_path / name, np.repeat(wave[:, None], channels, axis=1), rate, **how)
        return tmp_path / name

    return write


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """A function whose context lets no file grow beyond so many bytes, in this process and those it starts."""
    resource = pytest.importorskip("resource", reason="there are no such limits on this system")

    @contextmanager
    def limit(size_bytes: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose small network hears an A (MIDI 69) in everything, all the time, and nothing else."""
    import torch

    from audiocx import checkpoints
    from audiocx.kinds import build
    from audiocx.models import TranscriberConfig
    from audiocx.music.window_decoding import WindowDecodeSettings

    network = build(TranscriberConfig(sample_rate=8000, window_samples=256)).eval()
    output = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)][-1]
    with torch.no_grad():
        output.weight.zero_()
        output.bias.fill_(-8.0)
        output.bias[69 - network.config.lowest_note] = 5.0
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    by_probability = WindowDecodeSettings(
        snap_s=0.0, least_rise_db=0.0, split_rise_db=1000.0
    )  # not by what the samples show
    return checkpoints.save_checkpoint(
        network,
        folder,
        decode=by_probability,
        hop_samples=80,
        description="hears an A in everything",
        figures={"ap": 0.5},
    )


@pytest.fixture(scope="session")
def tiny_notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small note network that was never trained, and is in no doubt of anything."""
    from tiny_notes import LOOSE, small

    from audiocx import checkpoints

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-notes"
    return checkpoints.save_checkpoint(
        small(time_stride=2), folder, decode=LOOSE, description="guesses notes", figures={"ap": 0.25}, half=False
    )


@pytest.fixture(scope="session")
def exported_notes(tiny_notes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with an ONNX form; the exporter takes seconds, so that all tests share it."""
    pytest.importorskip("onnxscript")
    from audiocx import checkpoints

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-exported"
    shutil.copytree(tiny_notes, folder)
    checkpoints.add_onnx(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_predictor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small predictor that was never trained."""
    import torch

    from audiocx import checkpoints
    from audiocx.kinds import build
    from audiocx.models import PredictorConfig

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(PredictorConfig(hidden=3))
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-predictor"
    return checkpoints.save_checkpoint(network, folder, description="guesses", figures={"mse": 99.0})
