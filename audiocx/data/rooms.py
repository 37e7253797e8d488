"""Room simulation: convolution with random impulse responses.

An impulse response is the direct sound followed by reflections that become denser with time and decay exponentially,
faster at high frequencies. Reverberation time, microphone distance and all reflections are random; nothing is measured
in real rooms.

Source: exponentially decaying noise as a model, Moorer, "About this reverberation business", 1979; reflection density
that grows with the square of time, Kuttruff, "Room acoustics", section 4.2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .random_streams import RandomStreams

__all__ = ["apply_rooms", "room_responses"]

# Shortest reverberation time.
_SHORTEST_S = 0.15
# Level of the direct sound relative to all reflections: far away in a hall, and close to the instrument.
_FARTHEST_DB, _NEAREST_DB = -6.0, 18.0
# Range of the delay of the first reflection.
_FIRST_S = (0.002, 0.02)
# From this time on, reflections are noise without gaps.
_DENSE_S = 0.08
_MIN_DENSITY = 0.01
# Above this frequency, the reverberation time is a fraction of that below, at least the smallest one.
_CROSSOVER_HZ = 1500.0
_MIN_HIGH_FRACTION = 0.3


def room_responses(streams: RandomStreams, length: int, sample_rate: int, longest_s: float) -> Tensor:
    """Draw random room impulse responses.

    Args:
        streams: Random numbers for B rooms.
        length: Length of each response in samples.
        sample_rate: Sample rate in Hz.
        longest_s: Longest reverberation time (T60), in seconds.

    Returns:
        float32 [B, length] with energy 1; the direct sound is sample 0, and positive.
    """
    first, decay, high, distance = streams.uniform(4).T[..., None]
    noise = streams.normal(2, length)
    time_s = torch.arange(length, device=noise.device) / sample_rate
    decay_s = _SHORTEST_S + (max(longest_s, _SHORTEST_S) - _SHORTEST_S) * decay
    density = (time_s / _DENSE_S).square().clamp(_MIN_DENSITY, 1)
    first_s = _FIRST_S[0] + (_FIRST_S[1] - _FIRST_S[0]) * first
    # Sparser reflections are stronger: the energy depends on the decay alone.
    reflections = (streams.uniform(length) < density) * (time_s >= first_s) / density.sqrt()
    high_s = decay_s * (_MIN_HIGH_FRACTION + (1 - _MIN_HIGH_FRACTION) * high)
    below, above = (
        noise[:, band] * reflections * 10 ** (-3 * time_s / t60_s) for band, t60_s in ((0, decay_s), (1, high_s))
    )
    freq_hz = torch.fft.rfftfreq(length, 1 / sample_rate, device=noise.device)
    low = 1 / (1 + (freq_hz / _CROSSOVER_HZ) ** 4)
    response = torch.fft.irfft(torch.fft.rfft(below) * low + torch.fft.rfft(above) * (1 - low), length)
    response[:, 0] = 0
    direct_db = _FARTHEST_DB + (_NEAREST_DB - _FARTHEST_DB) * distance
    response = response / response.square().sum(1, keepdim=True).sqrt().clamp_min(1e-9) * 10 ** (-direct_db / 20)
    response[:, 0] = 1
    return response / response.square().sum(1, keepdim=True).sqrt()


def apply_rooms(windows: Tensor, chosen: Tensor, sample_rate: int, longest_s: float, streams: RandomStreams) -> Tensor:
    """Convolve windows with random room impulse responses.

    Args:
        windows: float32 [B, N]; taken as silent before their first sample.
        chosen: Windows to convolve, bool [B]; the others stay unchanged.
        sample_rate: Sample rate in Hz.
        longest_s: Longest reverberation time (T60), and length of the responses, in seconds.
        streams: Random numbers for the B windows, on their device.

    Returns:
        float32 [B, N]; the direct sound is not delayed.
    """
    responses = room_responses(streams, round(longest_s * sample_rate), sample_rate, longest_s)
    length = windows.shape[1]
    # A power of two is a fast length for the FFT; with padding, the convolution does not wrap around.
    size = 1 << (length + responses.shape[1] - 1).bit_length()
    wet = torch.fft.irfft(torch.fft.rfft(windows, size) * torch.fft.rfft(responses, size), size)[:, :length]
    return torch.where(chosen[:, None], wet, windows)
