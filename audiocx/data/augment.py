"""Variations of a window that leave its notes right: gain, pitch, vibrato, room, equalisation, noise.

All of it runs in batches on the device of the windows.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .random_streams import RandomStreams
from .rooms import in_rooms

__all__ = ["AugmentConfig", "augment", "degraded", "draw_shift", "draw_steps", "reach_samples", "resample_windows"]


@dataclass(frozen=True)
class AugmentConfig:
    """How far to vary.

    Attributes:
        gain_db: Level, uniform in +-gain_db.
        shift_semitones: Transposition by resampling, uniform over whole semitones in +-shift_semitones.
        detune_cents: Tuning, uniform in +-detune_cents, with the same resampling.
        shift_probability: Share of the windows that are shifted or detuned.
        vibrato_cents: Deepest vibrato; its depth is uniform from 0, its rate what players of strings and winds have.
        vibrato_probability: Share of the windows that have one.
        room_probability: Share of the windows that are heard in a random room; see :mod:`audiocx.data.rooms`.
        room_s: The longest reverberation time of these, in seconds.
        equalizer_db: Standard deviation of a smooth random frequency response.
        noise_db: Loudest noise against full scale; its level is uniform in the 40 dB below. None for no noise.
    """

    gain_db: float = 0.0
    shift_semitones: int = 0
    detune_cents: float = 0.0
    shift_probability: float = 1.0
    vibrato_cents: float = 0.0
    vibrato_probability: float = 1.0
    room_probability: float = 0.0
    room_s: float = 1.0
    equalizer_db: float = 0.0
    noise_db: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("gain_db", "shift_semitones", "detune_cents", "vibrato_cents", "equalizer_db"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")
        for name in ("shift_probability", "vibrato_probability", "room_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies in [0, 1], not {getattr(self, name)}")
        if self.room_s <= 0:
            raise ValueError(f"room_s must be positive, not {self.room_s}")

    @property
    def most_semitones(self) -> float:
        """How far a window may be shifted and detuned at most, together."""
        return self.shift_semitones + self.detune_cents / 100

    def echo_samples(self, sample_rate: int) -> int:
        """Return how much of what came before a window still sounds in it.

        Args:
            sample_rate: Hz.

        Returns:
            Samples; 0 where there are no rooms.
        """
        return round(self.room_s * sample_rate) if self.room_probability else 0


_NOISE_RANGE_DB = 40.0
# Rates at which players of strings and winds, and singers, let a note waver.
# Source: Desain & Honing, "Modeling continuous aspects of music performance: vibrato and portamento", 1996.
_VIBRATO_HZ = (4.0, 8.0)
# Six minutes at 11025 Hz: no network will learn them by heart.
_NOISE_SAMPLES = 2**22
# Of windows that are resampled at a time: 64 of 4096 samples.
_BLOCK_SAMPLES = 2**18
# The random frequency response bends once an octave, from 50 Hz up to the Nyquist frequency of 11025 Hz and beyond.
_EQUALIZER_LOWEST_HZ = 50.0
_EQUALIZER_POINTS = 8


def draw_steps(labels: Tensor, config: AugmentConfig, draws: RandomStreams) -> tuple[Tensor, Tensor]:
    """Draw by how much each window is transposed and detuned.

    Args:
        labels: The notes that must stay in range, bool [B, P].
        config: How far.
        draws: Source of randomness for the B windows, on the labels' device.

    Returns:
        Whole semitones, int64 [B], and the same with the detuning, float32 [B]. A window whose notes would leave the
        range is detuned but not transposed.
    """
    pitches, most = labels.shape[1], config.shift_semitones
    chosen = draws.uniform() < config.shift_probability
    steps = draws.integers(-most, most + 1) * chosen
    moved = torch.arange(pitches, device=labels.device) + steps[:, None]
    lost = (labels & ((moved < 0) | (moved >= pitches))).any(1)
    steps = torch.where(lost, 0, steps)
    cents = (2 * draws.uniform() - 1) * config.detune_cents
    return steps, steps + cents / 100 * chosen


def draw_shift(labels: Tensor, config: AugmentConfig, draws: RandomStreams) -> tuple[Tensor | None, Tensor]:
    """Draw by how much each window is transposed, and transposes its labels.

    Args:
        labels: bool [B, P].
        config: How far.
        draws: Source of randomness for the B windows, on the labels' device.

    Returns:
        Semitones, float32 [B] (None when nothing is to be shifted), and the labels moved with them, bool [B, P]; see
        :func:`draw_steps`.
    """
    if not config.most_semitones:
        return None, labels
    steps, semitones = draw_steps(labels, config, draws)
    pitches = labels.shape[1]
    source = torch.arange(pitches, device=labels.device) - steps[:, None]
    return semitones, labels.gather(1, source.clamp(0, pitches - 1)) & (source >= 0) & (source < pitches)


def reach_samples(window_samples: int, ratio: float) -> int:
    """Return how far from its centre a window is read when it is transposed.

    Args:
        window_samples: N.
        ratio: The largest ratio of frequencies in the batch.

    Returns:
        Samples before the centre, and as many from it on: half a window, longer by the ratio (one transposed down
        needs less, which is not made use of), and the neighbours of the cubic interpolation.
    """
    return int(window_samples * max(ratio, 1.0)) // 2 + 4


def resample_windows(
    cut: Callable[[Tensor, int], Tensor], centres: Tensor, window_samples: int, semitones: Tensor
) -> Tensor:
    """Cut windows and transposes them by reading them faster or slower, with cubic interpolation.

    Args:
        cut: Cuts [B, length] around given centres, which then lie at length // 2.
        centres: Sample numbers, int64 [B].
        window_samples: N.
        semitones: Up or down, float32 [B].

    Returns:
        float32 [B, N], on the scale of the samples; the centre stays at N // 2.

    Source: Catmull & Rom 1974, the cubic through four neighbours. At 11025 Hz its error for a partial at 1 kHz is
    -51 dB, at 2 kHz -31 dB; one at 3 kHz is damped by 0.8 dB, at 4 kHz by 2.1 dB, at 5 kHz by 4.5 dB.
    """
    windows = cut(centres, window_samples).float()
    ratio = torch.exp2(semitones / 12)
    shifted = semitones.nonzero().squeeze(1)
    # A block's intermediate results stay in the processor's cache: a fifth faster than all at once.
    size = max(_BLOCK_SAMPLES // window_samples, 1)
    for first in range(0, len(shifted), size):
        block = shifted[first : first + size]
        windows[block] = _read_at(ratio[block], cut, centres[block], window_samples)
    return windows


def _read_at(ratio: Tensor, cut: Callable[[Tensor, int], Tensor], centres: Tensor, window_samples: int) -> Tensor:
    reach = reach_samples(window_samples, float(ratio.max()))
    wide = cut(centres, 2 * reach).float()
    offset = torch.arange(window_samples, device=wide.device) - window_samples // 2
    return _between_samples(wide, offset * ratio[:, None] + reach)


def _between_samples(samples: Tensor, places: Tensor) -> Tensor:
    """Read [B, L] at places [B, N], from 1 to L - 3, by a cubic through four neighbours."""
    left = places.floor()
    t = places - left
    first = left.long() - 1
    a, b, c, d = (samples.gather(1, first + tap) for tap in range(4))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def _wavering(windows: Tensor, sample_rate: int, config: AugmentConfig, draws: RandomStreams) -> Tensor:
    """Return some windows a vibrato, by reading them now faster, now slower: no moment is 2 ms from where it was."""
    chosen, depth, rate, phase = draws.uniform(4).T[..., None]
    length = windows.shape[1]
    cents = config.vibrato_cents * depth * (chosen < config.vibrato_probability)
    turn = 2 * torch.pi * (_VIBRATO_HZ[0] + (_VIBRATO_HZ[1] - _VIBRATO_HZ[0]) * rate) / sample_rate
    # The speed of reading is 1 + swing * cos(...): by so many cents at its fastest.
    swing = torch.exp2(cents / 1200) - 1
    times = torch.arange(length, device=windows.device)
    places = times + swing / turn * torch.sin(turn * times + 2 * torch.pi * phase)
    return torch.where(cents > 0, _between_samples(windows, places.clamp(1, length - 3)), windows)


def augment(windows: Tensor, sample_rate: int, config: AugmentConfig, draws: RandomStreams) -> Tensor:
    """Vary vibrato, room, level, frequency response and noise.

    Args:
        windows: float32 [B, N]; where there are rooms, with ``config.echo_samples`` more in front.
        sample_rate: Hz.
        config: How far.
        draws: Source of randomness for the B windows, on their device.

    Returns:
        float32 [B, N].
    """
    if config.vibrato_cents:
        windows = _wavering(windows, sample_rate, config, draws)
    if config.room_probability:
        echo = config.echo_samples(sample_rate)
        chosen = draws.uniform() < config.room_probability
        windows = in_rooms(windows, chosen, sample_rate, config.room_s, draws)[:, echo:]
    length, device = windows.shape[1], windows.device
    if config.equalizer_db:
        points = draws.normal(_EQUALIZER_POINTS) * config.equalizer_db
        response = torch.exp2(points @ _octave_interpolation(length, sample_rate, device) / (20 * math.log10(2)))
        windows = torch.fft.irfft(torch.fft.rfft(windows) * response, length)
    if config.gain_db:
        gain_db = (2 * draws.uniform(1) - 1) * config.gain_db
        windows = windows * 10 ** (gain_db / 20)
    if config.noise_db is not None:
        level_db = config.noise_db - _NOISE_RANGE_DB * draws.uniform(1)
        table = _white_noise(device)
        starts = draws.integers(0, max(len(table) - length, 0) + 1)
        # Of a recording longer than the table the noise comes again.
        places = starts[:, None] + torch.arange(length, device=device)
        noise = table.unfold(0, length, 1)[starts] if length <= len(table) else table[places % len(table)]
        windows = torch.addcmul(windows, noise, 10 ** (level_db / 20))
    return windows


def degraded(samples: NDArray[np.floating], sample_rate: int, config: AugmentConfig, name: str) -> NDArray[np.float32]:
    """Vary a whole recording; pitch stays, for the notes to stay where they are.

    Args:
        samples: float [N].
        sample_rate: Hz.
        config: How far.
        name: Of the recording: the same name is varied in the same way.

    Returns:
        float32 [N].
    """
    draws = RandomStreams(torch.Generator().manual_seed(zlib.crc32(name.encode())), 1)
    silence = np.zeros(config.echo_samples(sample_rate))
    window = torch.from_numpy(np.concatenate([silence, samples]).astype(np.float32))
    return augment(window[None], sample_rate, config, draws)[0].numpy()


@lru_cache
def _white_noise(device: torch.device) -> Tensor:
    """Return noise to cut pieces from, which costs a tenth of drawing it afresh."""
    return torch.randn(_NOISE_SAMPLES, generator=torch.Generator().manual_seed(0)).to(device)


@lru_cache
def _octave_interpolation(length: int, sample_rate: int, device: torch.device) -> Tensor:
    """Return [points, bins]: a value at each bin, linear in log frequency between points an octave apart."""
    freq_hz = torch.fft.rfftfreq(length, 1 / sample_rate, device=device)
    octave = torch.log2(freq_hz.clamp(min=_EQUALIZER_LOWEST_HZ) / _EQUALIZER_LOWEST_HZ)
    distance = octave.clamp(max=_EQUALIZER_POINTS - 1) - torch.arange(_EQUALIZER_POINTS, device=device)[:, None]
    return (1 - distance.abs()).clamp(min=0)
