"""Data augmentation that keeps labels valid: gain, transposition, vibrato, room, equalisation and noise.

It runs on batches of windows, on their device.
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

from ..config import check_fields
from .random_streams import RandomStreams
from .rooms import apply_rooms

__all__ = [
    "DEGRADATION",
    "AugmentConfig",
    "augment",
    "degraded",
    "draw_shift",
    "draw_steps",
    "half_window_samples",
    "resample_windows",
]


@dataclass(frozen=True)
class AugmentConfig:
    """Kinds and strengths of augmentation.

    Attributes:
        gain_db: Level change, uniform in +-gain_db.
        shift_semitones: Transposition by resampling, uniform over whole semitones in +-shift_semitones.
        detune_cents: Detuning by the same resampling, uniform in +-detune_cents.
        shift_probability: Fraction of windows that are transposed or detuned.
        vibrato_cents: Largest vibrato depth; the depth is uniform from 0, the rate that of string and wind players.
        vibrato_probability: Fraction of windows with vibrato.
        room_probability: Fraction of windows with a random room; see :mod:`audiocx.data.rooms`.
        room_s: Longest reverberation time (T60), in seconds.
        equalizer_db: Standard deviation of a smooth random frequency response.
        noise_db: Highest noise level relative to full scale; levels are uniform in the 40 dB below. None for no noise.
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
        sizes = ("gain_db", "shift_semitones", "detune_cents", "vibrato_cents", "equalizer_db")
        probabilities = ("shift_probability", "vibrato_probability", "room_probability")
        ranges = dict.fromkeys(sizes, "[0, inf)") | dict.fromkeys(probabilities, "[0, 1]")
        check_fields(self, **ranges, room_s="(0, inf)")

    @property
    def max_semitones(self) -> float:
        """Largest transposition and detuning together."""
        return self.shift_semitones + self.detune_cents / 100

    def echo_samples(self, sample_rate: int) -> int:
        """Return the length of the reverberation that an earlier sound leaves in a window.

        Args:
            sample_rate: Sample rate in Hz.

        Returns:
            Length in samples; 0 without rooms.
        """
        return round(self.room_s * sample_rate) if self.room_probability else 0


# A room, another microphone's response, and noise. Scores on degraded recordings show how far a network depends on the
# rooms and microphones of its training data.
DEGRADATION = AugmentConfig(room_probability=1.0, room_s=1.2, equalizer_db=4.0, noise_db=-60.0)
_NOISE_RANGE_DB = 40.0
# Vibrato rates of string and wind players and of singers.
# Source: Desain & Honing, "Modeling continuous aspects of music performance: vibrato and portamento", 1996.
_VIBRATO_HZ = (4.0, 8.0)
# Six minutes at 11025 Hz, too long for a network to memorize.
_NOISE_SAMPLES = 2**22
# Samples that are resampled at a time: 64 windows of 4096.
_BLOCK_SAMPLES = 2**18
# The random frequency response has one point per octave, from 50 Hz to above the Nyquist frequency of 11025 Hz.
_EQUALIZER_LOWEST_HZ = 50.0
_EQUALIZER_POINTS = 8


def draw_steps(labels: Tensor, config: AugmentConfig, streams: RandomStreams) -> tuple[Tensor, Tensor]:
    """Draw the transposition and detuning of each window.

    Args:
        labels: Notes that must stay within the range of pitches, bool [B, P].
        config: Strengths.
        streams: Random numbers for the B windows, on the device of the labels.

    Returns:
        Whole semitones, int64 [B], and semitones with detuning, float32 [B]. A window whose notes would leave the range
        of pitches is detuned but not transposed.
    """
    pitches, limit = labels.shape[1], config.shift_semitones
    chosen = streams.uniform() < config.shift_probability
    steps = streams.integers(-limit, limit + 1) * chosen
    shifted = torch.arange(pitches, device=labels.device) + steps[:, None]
    out_of_range = (labels & ((shifted < 0) | (shifted >= pitches))).any(1)
    steps = torch.where(out_of_range, 0, steps)
    cents = (2 * streams.uniform() - 1) * config.detune_cents
    return steps, steps + cents / 100 * chosen


def draw_shift(labels: Tensor, config: AugmentConfig, streams: RandomStreams) -> tuple[Tensor | None, Tensor]:
    """Draw the transposition of each window, and transpose its labels.

    Args:
        labels: bool [B, P].
        config: Strengths.
        streams: Random numbers for the B windows, on the device of the labels.

    Returns:
        Semitones, float32 [B] (None without transposition and detuning), and the transposed labels, bool [B, P]; see
        :func:`draw_steps`.
    """
    if not config.max_semitones:
        return None, labels
    steps, semitones = draw_steps(labels, config, streams)
    pitches = labels.shape[1]
    source = torch.arange(pitches, device=labels.device) - steps[:, None]
    return semitones, labels.gather(1, source.clamp(0, pitches - 1)) & (source >= 0) & (source < pitches)


def half_window_samples(window_samples: int, ratio: float) -> int:
    """Return the samples needed on either side of the centre of a window to transpose it.

    Args:
        window_samples: N.
        ratio: Largest frequency ratio in the batch; ratios below 1 count as 1.

    Returns:
        Half a window, stretched by the ratio, plus the neighbours that the cubic interpolation needs.
    """
    return int(window_samples * max(ratio, 1.0)) // 2 + 4


def resample_windows(
    cut: Callable[[Tensor, int], Tensor], centres: Tensor, window_samples: int, semitones: Tensor
) -> Tensor:
    """Cut windows and transpose them by resampling with cubic interpolation.

    Args:
        cut: Cuts windows [B, length] around given centres, which then lie at length // 2.
        centres: Sample indices, int64 [B].
        window_samples: N.
        semitones: Transposition upwards, float32 [B].

    Returns:
        float32 [B, N], on the scale of the samples; the centre lies at N // 2.

    Source: Catmull & Rom 1974, the cubic through four neighbours. At 11025 Hz its error for a partial at 1 kHz is
    -51 dB, at 2 kHz -31 dB; one at 3 kHz is damped by 0.8 dB, at 4 kHz by 2.1 dB, at 5 kHz by 4.5 dB.
    """
    windows = cut(centres, window_samples).float()
    ratio = torch.exp2(semitones / 12)
    shifted = semitones.nonzero().squeeze(1)
    # Intermediate results of a block fit into the CPU cache, which is a fifth faster than all windows at once.
    size = max(_BLOCK_SAMPLES // window_samples, 1)
    for first in range(0, len(shifted), size):
        block = shifted[first : first + size]
        windows[block] = _read_at(ratio[block], cut, centres[block], window_samples)
    return windows


def _read_at(ratio: Tensor, cut: Callable[[Tensor, int], Tensor], centres: Tensor, window_samples: int) -> Tensor:
    half = half_window_samples(window_samples, float(ratio.max()))
    wide = cut(centres, 2 * half).float()
    offset = torch.arange(window_samples, device=wide.device) - window_samples // 2
    return _interpolate(wide, offset * ratio[:, None], half)


def _interpolate(samples: Tensor, positions: Tensor, origin: int = 0) -> Tensor:
    """Interpolate [B, L] at ``origin`` + positions [B, N] in [1, L - 3], by a cubic through four neighbours."""
    left = positions.floor()
    t = positions - left
    # The origin, which depends on the other windows of a block, must not take part in the rounding of positions.
    first = left.long() + (origin - 1)
    a, b, c, d = (samples.gather(1, first + tap) for tap in range(4))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def _apply_vibrato(windows: Tensor, sample_rate: int, config: AugmentConfig, streams: RandomStreams) -> Tensor:
    """Add vibrato to some windows by periodic resampling, which displaces no sample by more than 2 ms."""
    chosen, depth, rate, phase = streams.uniform(4).T[..., None]
    length = windows.shape[1]
    cents = config.vibrato_cents * depth * (chosen < config.vibrato_probability)
    phase_increment = 2 * torch.pi * (_VIBRATO_HZ[0] + (_VIBRATO_HZ[1] - _VIBRATO_HZ[0]) * rate) / sample_rate
    # The local frequency ratio is 1 + swing * cos(...), whose maximum is the vibrato depth.
    swing = torch.exp2(cents / 1200) - 1
    times = torch.arange(length, device=windows.device)
    positions = times + swing / phase_increment * torch.sin(phase_increment * times + 2 * torch.pi * phase)
    return torch.where(cents > 0, _interpolate(windows, positions.clamp(1, length - 3)), windows)


def augment(windows: Tensor, sample_rate: int, config: AugmentConfig, streams: RandomStreams) -> Tensor:
    """Apply vibrato, rooms, equalisation, gain and noise.

    Args:
        windows: float32 [B, N]; with rooms, preceded by ``config.echo_samples`` more samples.
        sample_rate: Sample rate in Hz.
        config: Strengths.
        streams: Random numbers for the B windows, on their device.

    Returns:
        float32 [B, N].
    """
    if config.vibrato_cents:
        windows = _apply_vibrato(windows, sample_rate, config, streams)
    if config.room_probability:
        echo = config.echo_samples(sample_rate)
        chosen = streams.uniform() < config.room_probability
        windows = apply_rooms(windows, chosen, sample_rate, config.room_s, streams)[:, echo:]
    length, device = windows.shape[1], windows.device
    if config.equalizer_db:
        points = streams.normal(_EQUALIZER_POINTS) * config.equalizer_db
        response = torch.exp2(points @ _octave_interpolation(length, sample_rate, device) / (20 * math.log10(2)))
        windows = torch.fft.irfft(torch.fft.rfft(windows) * response, length)
    if config.gain_db:
        gain_db = (2 * streams.uniform(1) - 1) * config.gain_db
        windows = windows * 10 ** (gain_db / 20)
    if config.noise_db is not None:
        level_db = config.noise_db - _NOISE_RANGE_DB * streams.uniform(1)
        table = _white_noise(device)
        starts = streams.integers(0, max(len(table) - length, 0) + 1)
        # In windows longer than the table, the noise repeats.
        indices = starts[:, None] + torch.arange(length, device=device)
        noise = table.unfold(0, length, 1)[starts] if length <= len(table) else table[indices % len(table)]
        windows = torch.addcmul(windows, noise, 10 ** (level_db / 20))
    return windows


def degraded(samples: NDArray[np.floating], sample_rate: int, config: AugmentConfig, name: str) -> NDArray[np.float32]:
    """Degrade a whole recording by rooms, equalisation, gain and noise; its pitch is kept.

    Args:
        samples: float [N].
        sample_rate: Sample rate in Hz.
        config: Strengths.
        name: Name of the recording, which seeds the random numbers.

    Returns:
        float32 [N].
    """
    streams = RandomStreams(torch.Generator().manual_seed(zlib.crc32(name.encode())), 1)
    silence = np.zeros(config.echo_samples(sample_rate))
    window = torch.from_numpy(np.concatenate([silence, samples]).astype(np.float32))
    return augment(window[None], sample_rate, config, streams)[0].numpy()


@lru_cache
def _white_noise(device: torch.device) -> Tensor:
    """Return a table of white noise to cut from, which takes a tenth of the time of drawing new noise."""
    return torch.randn(_NOISE_SAMPLES, generator=torch.Generator().manual_seed(0)).to(device)


@lru_cache
def _octave_interpolation(length: int, sample_rate: int, device: torch.device) -> Tensor:
    """Return weights [points, bins] that interpolate linearly in log frequency between points an octave apart."""
    freq_hz = torch.fft.rfftfreq(length, 1 / sample_rate, device=device)
    octave = torch.log2(freq_hz.clamp(min=_EQUALIZER_LOWEST_HZ) / _EQUALIZER_LOWEST_HZ)
    distance = octave.clamp(max=_EQUALIZER_POINTS - 1) - torch.arange(_EQUALIZER_POINTS, device=device)[:, None]
    return (1 - distance.abs()).clamp(min=0)
