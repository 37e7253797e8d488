"""What several test files share: sounds made on the spot."""

from __future__ import annotations

from collections.abc import Callable
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
