"""Sample banks: single notes of many instruments, from which music is synthesised on the training device.

A bank is a folder of one sound file for each instrument, its notes one after the other, each normalised to the same
peak, and ``bank.npz``, with the position and gain of each note.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "KINDS",
    "OVERSAMPLING",
    "BankIndex",
    "BankWriter",
    "instruments_of",
    "nearest_samples",
    "read_bank",
    "upsampled",
]

# Kinds of instruments: damped strings, struck or plucked ones, sustained sounds (winds, bowed strings), noises.
KINDS = ("piano", "struck", "plucked", "sustained", "noise")
# Sounds are upsampled before cubic interpolation between their samples: at 2 kHz the error is then -50 dB.
OVERSAMPLING = 2
_PEAK = 0.5
# Silence between the notes of a file, so that lossy coding smears none into the next.
_GAP_SAMPLES = 512
_TAPS = 32


@dataclass(frozen=True)
class BankIndex:
    """Positions of the notes of all instruments in one array of audio, and their properties.

    Attributes:
        names: Names of the I instruments.
        kinds: Kind of each instrument, an index into :data:`KINDS`, int64 [I].
        programs: General MIDI program of each instrument, -1 for noises, int64 [I].
        release_s: Time in which a released note decays by 20 dB, in seconds, float32 [I].
        instruments: Instrument of each of the S notes, ascending, int64 [S].
        starts: First audio sample of each note, int64 [S].
        lengths: Length of each note in audio samples, int64 [S].
        pitches: Pitch of each note as a MIDI number, float32 [S].
        velocities: MIDI velocity of each note, float32 [S].
        gains: Gain that restores the original loudness of each note, float32 [S].
    """

    names: list[str]
    kinds: NDArray[np.int64]
    programs: NDArray[np.int64]
    release_s: NDArray[np.float32]
    instruments: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    pitches: NDArray[np.float32]
    velocities: NDArray[np.float32]
    gains: NDArray[np.float32]

    def of(self, instrument: int) -> NDArray[np.int64]:
        """Return the indices of the notes of an instrument, int64."""
        first, after = np.searchsorted(self.instruments, [instrument, instrument + 1])
        return np.arange(first, after)


class BankWriter:
    """Writer of a sample bank.

    Args:
        folder: Folder of the bank; created if missing.
        encode: Function that writes audio, float32 [N], to a path that ends in ``.ogg``.
    """

    def __init__(self, folder: Path, encode: Callable[[Path, NDArray[np.float32]], object]) -> None:
        self._folder, self._encode = folder, encode
        self._instruments: list[tuple[str, int, int, float]] = []
        self._rows: list[tuple[int, int, int, float, float, float]] = []
        self._parts: list[NDArray[np.float32]] = []
        self._length = 0
        folder.mkdir(parents=True, exist_ok=True)

    def instrument(self, name: str, kind: str, program: int, release_s: float) -> None:
        """Start an instrument; see :class:`BankIndex`."""
        self._finish()
        self._instruments.append((name, KINDS.index(kind), program, release_s))

    def add(self, samples: NDArray[np.float32], pitch: float, velocity: float) -> None:
        """Add a note, float32 [N], to the instrument started last."""
        peak = float(np.abs(samples).max())
        row = (len(self._instruments) - 1, self._length, len(samples), pitch, velocity, peak / _PEAK)
        self._rows.append(row)
        self._parts += [samples * np.float32(_PEAK / peak), np.zeros(_GAP_SAMPLES, np.float32)]
        self._length += len(samples) + _GAP_SAMPLES

    def close(self) -> None:
        """Write the last instrument and the index."""
        self._finish()
        names, kinds, programs, release_s = (np.array(column) for column in zip(*self._instruments, strict=True))
        rows, release_s = np.array(self._rows), release_s.astype(np.float32)
        path = self._folder / "bank.npz"
        np.savez_compressed(path, rows=rows, names=names, kinds=kinds, programs=programs, release_s=release_s)

    def _finish(self) -> None:
        if self._parts:
            path = self._folder / f"{len(self._instruments) - 1:03d}.ogg"
            self._encode(path, np.concatenate(self._parts).astype(np.float32))
        self._parts, self._length = [], 0


def read_bank(folder: Path, read: Callable[[Path], NDArray[np.int16]]) -> tuple[BankIndex, NDArray[np.int16]]:
    """Read a bank.

    Args:
        folder: Folder of the bank.
        read: Function that reads one of its sound files, int16 [N].

    Returns:
        The index, and the audio of all files concatenated, int16 [N].
    """
    with np.load(folder / "bank.npz") as stored:
        rows = stored["rows"]
        names, kinds, programs, release_s = (stored[key] for key in ("names", "kinds", "programs", "release_s"))
    instruments = rows[:, 0].astype(np.int64)
    present = sorted(set(instruments.tolist()))
    parts = [read(folder / f"{instrument:03d}.ogg") for instrument in present]
    first = dict(zip(present, np.cumsum([0, *map(len, parts)]), strict=False))
    starts = rows[:, 1].astype(np.int64) + np.array([first[instrument] for instrument in instruments.tolist()])
    index = BankIndex(
        names.tolist(),
        kinds.astype(np.int64),
        programs.astype(np.int64),
        release_s.astype(np.float32),
        instruments,
        starts,
        rows[:, 2].astype(np.int64),
        *(rows[:, column].astype(np.float32) for column in (3, 4, 5)),
    )
    return index, np.concatenate(parts)


def upsampled(samples: Tensor, block_samples: int = 1 << 22) -> Tensor:
    """Upsample audio by two: original samples stay, a windowed sinc interpolates between them.

    Args:
        samples: int16 [N].
        block_samples: Samples in a block, which bounds the memory.

    Returns:
        int16 [2N] on the same device.
    """
    offsets = torch.arange(_TAPS, dtype=torch.float64) - _TAPS / 2 + 0.5
    taps = torch.sinc(offsets) * torch.kaiser_window(_TAPS, periodic=False, beta=7.0, dtype=torch.float64)
    weights = (taps / taps.sum()).tolist()
    result = torch.empty(2 * len(samples), dtype=torch.int16, device=samples.device)
    result[::2] = samples
    for first in range(0, len(samples), block_samples):
        after = min(first + block_samples, len(samples))
        low, high = first - _TAPS // 2 + 1, after + _TAPS // 2
        block = F.pad(samples[max(low, 0) : high].float(), (max(-low, 0), max(high - len(samples), 0)))
        # Not a library's convolution, which on some devices rounds to ten bits (TF32).
        between = torch.zeros(after - first, device=samples.device)
        for tap, weight in enumerate(weights):
            between.add_(block[tap : tap + after - first], alpha=weight)
        result[2 * first + 1 : 2 * after : 2] = between.round().clamp(-32768, 32767).short()
    return result


def nearest_samples(
    index: BankIndex, instrument: int, pitches: NDArray[Any], velocities: NDArray[Any]
) -> NDArray[np.int64]:
    """Choose the sample of an instrument for each note: by nearest pitch, then by nearest velocity.

    Args:
        index: The bank.
        instrument: Index of the instrument.
        pitches: Pitch of each note as a MIDI number, float [M].
        velocities: MIDI velocity of each note, float [M].

    Returns:
        Indices of samples, int64 [M].
    """
    own = index.of(instrument)
    distances = np.abs(index.pitches[own] - np.asarray(pitches)[:, None]) * 1000.0
    return own[(distances + np.abs(index.velocities[own] - np.asarray(velocities)[:, None])).argmin(1)]


def instruments_of(index: BankIndex, kinds: Sequence[str]) -> NDArray[np.int64]:
    """Return the indices of the instruments of some kinds, int64."""
    return np.flatnonzero(np.isin(index.kinds, [KINDS.index(kind) for kind in kinds]))
