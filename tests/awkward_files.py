"""Awkward audio files, made from a seed: formats, encodings, rates, channels, lengths, levels and damage."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import soundfile

FORMATS = {  # suffix -> format of soundfile, and encodings
    "wav": ("WAV", ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "GSM610")),
    "rf64": ("RF64", ("PCM_16", "FLOAT")),
    "w64": ("W64", ("PCM_16", "DOUBLE")),
    "aiff": ("AIFF", ("PCM_S8", "PCM_16", "FLOAT")),
    "caf": ("CAF", ("PCM_16", "FLOAT")),
    "au": ("AU", ("PCM_16", "FLOAT", "ULAW")),
    "flac": ("FLAC", ("PCM_16", "PCM_24")),
    "ogg": ("OGG", ("VORBIS",)),
    "opus": ("OGG", ("OPUS",)),
    "mp3": ("MP3", ("MPEG_LAYER_III",)),
}
RATES = (1, 7, 999, 1000, 8000, 11025, 22050, 44100, 48000, 192_000, 1_000_000, 4_000_000, 2**31 - 1)
LENGTHS = (0, 1, 2, 3, 100, 511, 513, 5000, 22_050)
AMPLITUDES = (0.0, 1e-40, 1e-7, 1e-3, 0.1, 1.0, 3.0, 40.0, 32768.0, 1e6, 1e18, 1e30, 3e38, 1e300, np.nan, np.inf)
SIZES = (0, 1, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def awkward_file(folder: Path, seed: int) -> Path:
    """Write the file of a seed; some of them are sound."""
    rng = np.random.default_rng(seed)
    suffix = list(FORMATS)[seed % len(FORMATS)]
    kind, encodings = FORMATS[suffix]
    path = folder / f"{seed}.{suffix}"
    subtype = encodings[rng.integers(len(encodings))]
    channels, frames = int(rng.choice([1, 1, 2, 2, 3, 8])), int(rng.choice(LENGTHS))
    rate = int(rng.choice([8000, 22050, 44100, 48000]))
    samples = _samples(rng, frames, channels, subtype)
    try:
        soundfile.write(path, samples, rate, subtype, format=kind)
    except (soundfile.SoundFileError, ValueError):  # not every combination exists
        soundfile.write(path, samples[:, :1], 48000, subtype, format=kind)
    content = bytearray(path.read_bytes())
    _change_rate(rng, content, suffix)
    damage = rng.integers(10)
    if content and damage < len(DAMAGES):
        content = bytearray(DAMAGES[damage](rng, content))
    path.write_bytes(content)
    return path


def _samples(rng: np.random.Generator, frames: int, channels: int, subtype: str) -> np.ndarray:
    samples = np.sin(np.arange(frames)[:, None] * rng.uniform(0.01, 1, channels)) + 0.01 * rng.standard_normal(
        (frames, channels)
    )
    floating = subtype in ("FLOAT", "DOUBLE")
    amplitude = rng.choice(AMPLITUDES if floating else AMPLITUDES[:6])
    relation = rng.integers(5)
    if channels > 1 and relation < 3:
        samples[:, 1] = (-samples[:, 0], 0 * samples[:, 0], 0 * samples[:, 0] + 0.5)[relation]
    if np.isfinite(amplitude):
        samples *= amplitude
    elif frames:
        samples[rng.integers(0, frames, 3), rng.integers(channels)] = amplitude
    return samples if subtype == "DOUBLE" else np.clip(samples, -3.4e38, 3.4e38).astype(np.float32)


def _change_rate(rng: np.random.Generator, content: bytearray, suffix: str) -> None:
    rate = int(rng.choice(RATES))
    if suffix in ("wav", "rf64") and rng.random() < 0.3 and (at := content.find(b"fmt ")) > 0:
        struct.pack_into("<I", content, at + 12, rate)
    elif suffix == "au" and rng.random() < 0.3:
        struct.pack_into(">I", content, 16, rate)


def _cut(rng: np.random.Generator, content: bytes) -> bytes:
    return content[: rng.integers(len(content))]


def _flip(rng: np.random.Generator, content: bytes) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(0, len(content), 20):
        changed[at] ^= 1 << rng.integers(8)
    return changed


def _flip_header(rng: np.random.Generator, content: bytes) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(0, min(len(content), 64), 4):
        changed[at] = rng.integers(256)
    return changed


def _size(rng: np.random.Generator, content: bytes) -> bytes:
    changed = bytearray(content)
    for mark in (b"data", b"SSND", b"RIFF", b"FORM"):
        if 0 <= (at := content.find(mark)) < len(content) - 8:
            struct.pack_into("<I" if mark in (b"data", b"RIFF") else ">I", changed, at + 4, int(rng.choice(SIZES)))
    return changed


def _twice(rng: np.random.Generator, content: bytes) -> bytes:
    return content + content


def _junk(rng: np.random.Generator, content: bytes) -> bytes:
    junk = rng.bytes(int(rng.integers(1, 9000)))
    return junk + content if rng.random() < 0.3 else content + junk


def _nothing_but_junk(rng: np.random.Generator, content: bytes) -> bytes:
    return rng.bytes(len(content))


DAMAGES = (_cut, _flip, _flip_header, _size, _twice, _junk, _nothing_but_junk)
