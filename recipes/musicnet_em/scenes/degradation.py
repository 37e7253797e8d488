"""Random degradation of recordings, in batches on the training device.

Wow and flutter, reverberation, frequency responses, limited bandwidth, noise, hum, crackle, saturation, lossy coding
and quantisation, random for each row; times shift by 2 ms at most. The output has the level to which recordings are
normalised before inference (:mod:`audiocx.models.level`), less a random amount, as a soft passage has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocx.data.random_streams import RandomStreams
from audiocx.data.rooms import apply_rooms

__all__ = ["DegradationConfig", "degrade", "loudness"]

_LOUDNESS_SAMPLES = 1024
_SILENT = 1e-6
_OCTAVES = 8
_LOWEST_HZ = 50.0
_HUM_PARTIALS = 10
_CODEC_SIZE = 1024


@dataclass(frozen=True)
class DegradationConfig:
    """Probabilities and strengths of the degradations.

    Attributes:
        flutter: Probability that the speed varies: slowly by up to half a percent, or fast by up to ``flutter_cents``.
        flutter_cents: Largest fast variation of speed, in cents.
        room: Probability of reverberation.
        room_s: Longest reverberation time, in seconds.
        response_db: Standard deviation of a smooth random frequency response, in dB.
        high_pass: Probability of a high-pass filter.
        low_pass: Probability of a low-pass filter.
        noise: Probability of noise.
        noise_db: Range of the noise level, in dB relative to the loudest music.
        hum: Probability of mains hum.
        crackle: Probability of crackle.
        saturation: Probability of saturation or clipping.
        codec: Probability of lossy coding.
        few_bits: Probability of 8 to 13 bits; otherwise 16 bits at a level down to ``lowest_dbfs``.
        lowest_dbfs: Lowest level before quantisation to 16 bits, in dBFS.
        softness_db: Mean of the exponential distribution of a passage's level below the loudest, in dB.
    """

    flutter: float = 0.25
    flutter_cents: float = 40.0
    room: float = 0.6
    room_s: float = 1.3
    response_db: float = 4.5
    high_pass: float = 0.2
    low_pass: float = 0.25
    noise: float = 0.8
    noise_db: tuple[float, float] = (-75.0, -22.0)
    hum: float = 0.12
    crackle: float = 0.05
    saturation: float = 0.12
    codec: float = 0.2
    few_bits: float = 0.08
    lowest_dbfs: float = -66.0
    softness_db: float = 7.0


def loudness(samples: Tensor) -> Tensor:
    """Return the RMS of the loudest 93 ms (at 11025 Hz), [B, 1], of samples [B, N]."""
    power = F.avg_pool1d(samples.square()[:, None], _LOUDNESS_SAMPLES, _LOUDNESS_SAMPLES // 2)
    return power.amax(2).sqrt()


def degrade(
    samples: Tensor,
    sample_rate: int,
    config: DegradationConfig,
    generator: torch.Generator,
    before: int,
    level_dbfs: float,
) -> Tensor:
    """Degrade a batch of recordings.

    Args:
        samples: float32 [B, N].
        sample_rate: Sample rate in Hz.
        config: Probabilities and strengths.
        generator: Random generator on the samples' device.
        before: Length of the lead-in in samples, which contributes to reverberation only and is cut off.
        level_dbfs: Level of the output, in dBFS.

    Returns:
        float32 [B, N - before].
    """
    streams = RandomStreams(generator, len(samples))
    x = _fluttering(samples, sample_rate, config, streams)
    x = apply_rooms(x, streams.uniform() < config.room, sample_rate, config.room_s, streams)
    x = _filtered(x, sample_rate, config, streams)[:, before:]
    level = loudness(x)
    x = torch.where(level > _SILENT, x / level.clamp_min(_SILENT), x)
    x = x + _noise(x, sample_rate, config, streams)
    x = _saturated(x, config, streams)
    coded = _coded(x, streams)
    x = torch.where(streams.uniform(1) < config.codec, coded, x)
    x = _quantised(x, config, streams)
    soft_db = -config.softness_db * streams.uniform(1).clamp_min(1e-6).log()
    gain_db = level_dbfs - soft_db.clamp_max(38.0) + 2.5 * streams.normal(1)
    return x * 10 ** (gain_db / 20)


def _fluttering(x: Tensor, sample_rate: int, config: DegradationConfig, streams: RandomStreams) -> Tensor:
    """Vary the speed of some rows."""
    chosen, slow, depth, rate, phase = streams.uniform(5).T[..., None]
    slow = slow < 0.5
    rate_hz = torch.where(slow, 0.5 + 2.5 * rate, 4 + 4 * rate)
    swing = depth * torch.where(slow, 0.004, 2 ** (config.flutter_cents / 1200) - 1)
    turn = 2 * math.pi * rate_hz / sample_rate
    times = torch.arange(x.shape[1], device=x.device)
    shift = swing / turn * torch.sin(turn * times + 2 * math.pi * phase)
    left = shift.floor()
    t = shift - left
    first = (times + left.long() - 1).clamp(0, x.shape[1] - 4)
    a, b, c, d = (x.gather(1, first + tap) for tap in range(4))
    read = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return torch.where(chosen < config.flutter, read, x)


def _filtered(x: Tensor, sample_rate: int, config: DegradationConfig, streams: RandomStreams) -> Tensor:
    """Filter each row with a random smooth response; some have a high-pass or low-pass filter too."""
    size = 1 << (x.shape[1] + 2048).bit_length()
    freq_hz = torch.fft.rfftfreq(size, 1 / sample_rate, device=x.device).clamp_min(1.0)
    octave = torch.log2((freq_hz / _LOWEST_HZ).clamp_min(1)).clamp_max(_OCTAVES - 1)
    weights = (1 - (octave - torch.arange(_OCTAVES, device=x.device)[:, None]).abs()).clamp_min(0)
    response_db = streams.normal(_OCTAVES) * (config.response_db * streams.uniform(1) * 1.7) @ weights
    chosen_low, low, chosen_high, high, steep = streams.uniform(5).T[..., None]
    high_pass_hz = torch.where(chosen_low < config.high_pass, 25 * 14**low, 0.01)
    low_pass_hz = torch.where(chosen_high < config.low_pass, 1500 * 3.4**high, 1e6)
    order = 2 + 10 * steep
    response_db = response_db - 10 * torch.log10(1 + (high_pass_hz / freq_hz) ** order)
    response_db = response_db - 10 * torch.log10(1 + (freq_hz / low_pass_hz) ** order)
    response = 10 ** (response_db.clamp_min(-80) / 20)
    return torch.fft.irfft(torch.fft.rfft(x, size) * response, size)[:, : x.shape[1]]


def _noise(x: Tensor, sample_rate: int, config: DegradationConfig, streams: RandomStreams) -> Tensor:
    """Return noise of random colour, hum and crackle, for music of loudness 1."""
    length = x.shape[1]
    size = 1 << (length - 1).bit_length()
    chosen, level, colour, hums, mains, crackles, dense = streams.uniform(7).T[..., None]
    freq_hz = torch.fft.rfftfreq(size, 1 / sample_rate, device=x.device).clamp_min(20.0)
    spectrum = torch.fft.rfft(streams.normal(length), size) * freq_hz ** (-1.2 * colour * (colour > 0.3))
    noise = torch.fft.irfft(spectrum, size)[:, :length]
    noise = noise / noise.square().mean(1, keepdim=True).sqrt().clamp_min(1e-9)
    low_db, high_db = config.noise_db
    noise = noise * (10 ** ((low_db + (high_db - low_db) * level) / 20) * (chosen < config.noise))
    times = torch.arange(length, device=x.device) / sample_rate
    mains_hz = torch.where(mains < 0.5, 50.0, 60.0)
    strength = 10 ** ((-28 - 35 * streams.uniform(_HUM_PARTIALS)) / 20) * (hums < config.hum)
    phase = 2 * math.pi * streams.uniform(_HUM_PARTIALS)
    for partial in range(_HUM_PARTIALS):
        turn = 2 * math.pi * mains_hz * (partial + 1) * times + phase[:, partial, None]
        noise = noise + strength[:, partial, None] * torch.sin(turn)
    clicks = (streams.uniform(length) < 10 ** (-4 + 1.5 * dense)) * streams.normal(length)
    return noise + 0.4 * clicks * (crackles < config.crackle)


def _saturated(x: Tensor, config: DegradationConfig, streams: RandomStreams) -> Tensor:
    chosen, kind, drive = streams.uniform(3).T[..., None]
    peak = x.abs().amax(1, keepdim=True).clamp_min(1e-6)
    limit = peak * 10 ** (-14 * drive / 20)
    soft = limit * torch.tanh(x / limit)
    shaped = torch.where(kind < 0.6, soft, x.clamp(-limit, limit))
    return torch.where(chosen < config.saturation, shaped, x)


def _coded(x: Tensor, streams: RandomStreams) -> Tensor:
    """Imitate a codec at a low bit rate: drop masked spectral lines, quantise the others, limit the bandwidth."""
    window = torch.hann_window(_CODEC_SIZE, device=x.device)
    spectra = torch.stft(x, _CODEC_SIZE, _CODEC_SIZE // 2, window=window, return_complex=True)
    size = spectra.abs()
    masking = F.max_pool2d(size[:, None], (25, 1), 1, (12, 0))[:, 0]
    depth, step, top = streams.uniform(3).T[..., None, None]
    kept = size > masking * 10 ** (-(14 + 26 * depth) / 20)
    coarse = masking * 10 ** (-(12 + 26 * step) / 20)
    shaped = (size / coarse.clamp_min(1e-9)).round() * coarse
    lines = torch.arange(size.shape[1], device=x.device)[:, None]
    kept = kept & (lines < size.shape[1] * (0.4 + 0.6 * top))
    spectra = spectra * (shaped / size.clamp_min(1e-9) * kept)
    return torch.istft(spectra, _CODEC_SIZE, _CODEC_SIZE // 2, window=window, length=x.shape[1])


def _quantised(x: Tensor, config: DegradationConfig, streams: RandomStreams) -> Tensor:
    few, bits, level = streams.uniform(3).T[..., None]
    few = few < config.few_bits
    bits = torch.where(few, (8 + 6 * bits).floor(), 16.0)
    level_dbfs = torch.where(few, -12 - 10 * level, -10 + (config.lowest_dbfs + 10) * level.square())
    step = torch.exp2(1 - bits) / 10 ** (level_dbfs / 20)
    return (x / step).round() * step
