"""Random rooms, for recordings to sound as if made in other places.

A room's response is the direct sound, then reflections that come denser and denser and die away, the high ones sooner.
What is drawn is how long it rings, how far off the microphone is, and every reflection; nothing is measured in a real
room.

Source: the model, noise under an exponential decay, is that of Moorer, "About this reverberation business", 1979; that
the density of the reflections grows with the square of time, Kuttruff, "Room acoustics", section 4.2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .random_streams import RandomStreams

__all__ = ["in_rooms", "room_responses"]

# The dullest and driest of rooms rings for so long.
_SHORTEST_S = 0.15
# Level of the direct sound against all reflections: far off in a hall, and close to the strings.
_FARTHEST_DB, _NEAREST_DB = -6.0, 18.0
# When the first reflection arrives.
_FIRST_S = (0.002, 0.02)
# From so late on reflections are noise without gaps.
_DENSE_S = 0.08
_SPARSEST = 0.01
# Above it a room rings for a part of the time that it rings below.
_CROSSOVER_HZ = 1500.0
_LEAST_HIGH_PART = 0.3


def room_responses(draws: RandomStreams, length: int, sample_rate: int, longest_s: float) -> Tensor:
    """Draw the impulse responses of rooms.

    Args:
        draws: Source of randomness for B rooms.
        length: Samples of each response.
        sample_rate: Hz.
        longest_s: The longest reverberation time (in which a sound falls by 60 dB), in seconds.

    Returns:
        float32 [B, length] of energy 1; the direct sound is sample 0, and positive.
    """
    first, ringing, high, distance = draws.uniform(4).T[..., None]
    noise = draws.normal(2, length)
    time_s = torch.arange(length, device=noise.device) / sample_rate
    ringing_s = _SHORTEST_S + (max(longest_s, _SHORTEST_S) - _SHORTEST_S) * ringing
    density = (time_s / _DENSE_S).square().clamp(_SPARSEST, 1)
    first_s = _FIRST_S[0] + (_FIRST_S[1] - _FIRST_S[0]) * first
    # Fewer reflections are stronger ones: their energy goes with the decay alone.
    there = (draws.uniform(length) < density) * (time_s >= first_s) / density.sqrt()
    high_s = ringing_s * (_LEAST_HIGH_PART + (1 - _LEAST_HIGH_PART) * high)
    below, above = (
        noise[:, band] * there * 10 ** (-3 * time_s / lasts) for band, lasts in ((0, ringing_s), (1, high_s))
    )
    freq_hz = torch.fft.rfftfreq(length, 1 / sample_rate, device=noise.device)
    low = 1 / (1 + (freq_hz / _CROSSOVER_HZ) ** 4)
    response = torch.fft.irfft(torch.fft.rfft(below) * low + torch.fft.rfft(above) * (1 - low), length)
    response[:, 0] = 0
    direct_db = _FARTHEST_DB + (_NEAREST_DB - _FARTHEST_DB) * distance
    response = response / response.square().sum(1, keepdim=True).sqrt().clamp_min(1e-9) * 10 ** (-direct_db / 20)
    response[:, 0] = 1
    return response / response.square().sum(1, keepdim=True).sqrt()


def in_rooms(windows: Tensor, chosen: Tensor, sample_rate: int, longest_s: float, draws: RandomStreams) -> Tensor:
    """Let windows sound in rooms.

    Args:
        windows: float32 [B, N]; silence before them.
        chosen: Those that are to, bool [B]; the others stay as they are.
        sample_rate: Hz.
        longest_s: The longest reverberation time, and how long the echo of any sound lasts at most, in seconds.
        draws: Source of randomness for the B windows, on their device.

    Returns:
        float32 [B, N], the direct sound where it was.
    """
    responses = room_responses(draws, round(longest_s * sample_rate), sample_rate, longest_s)
    length = windows.shape[1]
    # To a length that transforms fast, and with room for the echo.
    size = 1 << (length + responses.shape[1] - 1).bit_length()
    wet = torch.fft.irfft(torch.fft.rfft(windows, size) * torch.fft.rfft(responses, size), size)[:, :length]
    return torch.where(chosen[:, None], wet, windows)
