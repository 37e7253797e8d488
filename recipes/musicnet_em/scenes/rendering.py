"""Batched synthesis from sample banks, and reading of segments of recordings, on the training device."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .sample_bank import OVERSAMPLING

__all__ = ["Clips", "Sounds", "read_clips", "render"]

# Notes are synthesised in blocks of so many samples, so many blocks at a time.
BLOCK_SAMPLES = 2048
_BLOCKS = 8192
# A released note is inaudible after this decay.
_AUDIBLE_DB = 66.0
# Sustained sounds are looped forwards and backwards, from this fraction of their sample on.
_LOOP_FROM = 0.5


class Sounds(NamedTuple):
    """Notes to be synthesised, [M] each; times in samples of the output, from its beginning.

    Attributes:
        rows: Batch row, int64.
        onsets: Onset, float64.
        durations: Time from onset to release, float64.
        starts: First audio sample of the note's sample in the bank, int64.
        lengths: Length of it there, int64.
        loops: Whether it is looped, bool.
        ratios: Playback frequency divided by the sample's, float64.
        gains: Gain, float32.
        releases: Time in which the note decays by 20 dB after its release, float32.
        attacks: Length of the fade-in, float32.
        swells: Change of level, in dB a sample, float32.
        vibratos: Depth of the vibrato, relative to the frequency, float32.
        rates: Rate of the vibrato, in radians a sample, float32.
        glides: Initial deviation of the frequency, relative to it, float32.
        settles: Time in which that deviation falls to 1 / e, float32.
    """

    rows: Tensor
    onsets: Tensor
    durations: Tensor
    starts: Tensor
    lengths: Tensor
    loops: Tensor
    ratios: Tensor
    gains: Tensor
    releases: Tensor
    attacks: Tensor
    swells: Tensor
    vibratos: Tensor
    rates: Tensor
    glides: Tensor
    settles: Tensor


class Clips(NamedTuple):
    """Segments of recordings, [R] each.

    Attributes:
        rows: Batch row, int64.
        firsts: Position of the segment's first sample in the array of recordings, which may lie before or after its
            recording, float64.
        begins: First sample of its recording, int64.
        ends: End of its recording, int64.
        ratios: Playback speed, float64.
        gains: Gain, float32.
    """

    rows: Tensor
    firsts: Tensor
    begins: Tensor
    ends: Tensor
    ratios: Tensor
    gains: Tensor


def render(sounds: Sounds, bank: Tensor, rows: int, length: int) -> Tensor:
    """Synthesise notes.

    Args:
        sounds: The notes.
        bank: Audio of the bank, upsampled by :func:`scenes.sample_bank.upsampled`, int16 [N].
        rows: Batch size B.
        length: Length of each row in samples, a multiple of ``BLOCK_SAMPLES``.

    Returns:
        float32 [B, length].
    """
    blocks = length // BLOCK_SAMPLES
    out = torch.zeros(rows * blocks, BLOCK_SAMPLES, device=bank.device)
    released = sounds.durations + sounds.releases * (_AUDIBLE_DB / 20)
    whole = sounds.lengths / (sounds.ratios * OVERSAMPLING)
    durations = torch.where(sounds.loops, released, torch.minimum(released, whole))
    first = (sounds.onsets / BLOCK_SAMPLES).floor().clamp(0, blocks).long()
    after = ((sounds.onsets + durations) / BLOCK_SAMPLES).ceil().clamp(0, blocks).long()
    counts = (after - first).clamp_min(0)
    notes = torch.arange(len(counts), device=bank.device).repeat_interleave(counts)
    block = torch.arange(len(notes), device=bank.device) - (counts.cumsum(0) - counts - first)[notes]
    step = _BLOCKS if bank.is_cuda else _BLOCKS // 32
    for low in range(0, len(notes), step):
        part, at = notes[low : low + step], block[low : low + step]
        audio = _synthesised(Sounds(*(column[part, None] for column in sounds)), at, bank)
        out.index_add_(0, sounds.rows[part] * blocks + at, audio)
    return out.view(rows, length)


def _synthesised(sounds: Sounds, block: Tensor, bank: Tensor) -> Tensor:
    """Synthesise one block of each note, [K, BLOCK_SAMPLES]; fields of ``sounds`` are [K, 1]."""
    exact = block[:, None] * BLOCK_SAMPLES + torch.arange(BLOCK_SAMPLES, device=bank.device) - sounds.onsets
    time = exact.float()
    settling = 1 - torch.exp(-time.clamp_min(0) / sounds.settles)
    bend = sounds.glides * sounds.settles * settling
    bend = bend + sounds.vibratos / sounds.rates * torch.sin(sounds.rates * time)
    position = (exact + bend) * (sounds.ratios * OVERSAMPLING)
    last = sounds.lengths - 4
    position = torch.where(sounds.loops, _looped(position, last), position)
    inside = (time >= 0) & (position >= 0) & (position < last)
    level = sounds.gains * torch.exp2(sounds.swells * time * (math.log2(10) / 20))
    level = level * (time / sounds.attacks).clamp(0, 1)
    level = level * torch.exp(-(exact - sounds.durations).clamp_min(0).float() * (math.log(10) / sounds.releases))
    return torch.where(inside, _interpolated(bank, sounds.starts, position.clamp_min(0).minimum(last)) * level, 0.0)


def _looped(position: Tensor, last: Tensor) -> Tensor:
    """Fold positions beyond the end of a sample back into its later part, forwards and backwards."""
    last = last.double() - 1
    span = last * (1 - _LOOP_FROM)
    beyond = torch.remainder(position - last, 2 * span)
    folded = torch.where(beyond < span, last - beyond, last - 2 * span + beyond)
    return torch.where(position > last, folded, position)


def _interpolated(samples: Tensor, starts: Tensor, position: Tensor) -> Tensor:
    """Interpolate int16 samples at fractional positions after ``starts``, cubic, as float32 in +-1."""
    left = position.floor()
    t = (position - left).float()
    middle = starts + left.long()
    most = len(samples) - 1
    a, b, c, d = (samples[(middle + tap).clamp(0, most)].float() for tap in (-1, 0, 1, 2))
    value = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return value / 32768


def read_clips(clips: Clips, recordings: Tensor, rows: int, length: int) -> Tensor:
    """Read segments of recordings, zero-padded beyond their ends.

    Args:
        clips: The segments.
        recordings: Audio of all recordings, concatenated and upsampled by two, int16 [N].
        rows: Batch size B.
        length: Length of each row in samples.

    Returns:
        float32 [B, length].
    """
    out = torch.zeros(rows, length, device=recordings.device)
    if not len(clips.rows):
        return out
    columns = Clips(*(column[:, None] for column in clips))
    time = torch.arange(length, device=recordings.device, dtype=torch.float64)
    position = columns.firsts + time * (columns.ratios * OVERSAMPLING)
    inside = (position >= columns.begins) & (position < columns.ends - 4)
    base = position.clamp_min(0).floor()
    value = _interpolated(recordings, base.long(), (position - base).clamp(0, 1)) * columns.gains
    return out.index_add_(0, clips.rows, torch.where(inside, value, 0.0))
