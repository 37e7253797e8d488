"""A sample bank of two instruments, without files, for the tests of scenes and their synthesis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scenes.sample_bank import BankIndex, BankWriter, read_bank

RATE = 11025


def tone(freq_hz: float, seconds: float) -> np.ndarray:
    return np.sin(2 * np.pi * freq_hz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


def make_bank(folder: Path) -> tuple[BankIndex, np.ndarray]:
    """A piano of three keys and two velocities, and a pipe of one note; not coded."""
    stored: dict[str, np.ndarray] = {}
    writer = BankWriter(folder, lambda path, samples: stored.update({path.name: samples}))
    writer.instrument("piano", "piano", 0, 0.1)
    for pitch in (57, 69, 81):
        for velocity in (40, 100):
            writer.add(velocity / 127 * tone(440 * 2 ** ((pitch - 69) / 12), 1.0), pitch, velocity)
    writer.instrument("pipe", "sustained", 73, 0.1)
    writer.add(0.5 * tone(440.0, 1.0), 69, 80)
    writer.close()
    return read_bank(folder, lambda path: np.rint(stored[path.name] * 32767).astype(np.int16))
