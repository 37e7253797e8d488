"""Decoding by PyAV (FFmpeg): AAC, ALAC, Opus and Vorbis in any container, WMA, AMR, GSM, the sound of films."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AudioError
from .arrays import scaled
from .decoder import CONVERSION_HINT, MISSING_TOLERANCE_S, Decoder, check_length, with_channels

__all__ = ["open_av"]

# Containers that state the length of a stream; others are estimated from the first packets.
_STATING = ("mov", "matroska", "asf")
_STATED_TOLERANCE_S = 0.5
_LISTS = ("hls", "dash", "concat")  # of other files
_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}  # of samples, by FFmpeg's names
_OPTIONS = {"protocol_whitelist": "file"}  # what a file names elsewhere is not fetched


def open_av(stack: ExitStack, path: Path, name: str) -> Decoder:
    """Open a file.

    Args:
        stack: Closes it.
        path: The file.
        name: What to call it in messages.

    Returns:
        The decoder.

    Raises:
        AudioError: It is not audio, or holds no sound.
    """
    import av

    def start() -> tuple[Any, Any]:
        container = stack.enter_context(av.open(_named(stack, path), options=_OPTIONS, metadata_errors="ignore"))
        stream = container.streams.best("audio")
        if stream is None or container.format.name in _LISTS:
            raise AudioError(f"{name}: is not audio that can be read here; name another file.")
        return container, stream

    try:
        container, stream = start()
        first = next(_frames(container, stream, [0.0]), None)
    except (av.FFmpegError, ValueError, UnicodeError) as error:
        raise AudioError(f"{name}: is not audio that can be read here, or is damaged; {CONVERSION_HINT}.") from error
    if first is None or not first.sample_rate:
        raise AudioError(f"{name}: holds no samples that can be decoded; {CONVERSION_HINT}.")
    rate, channels = first.sample_rate, first.layout.nb_channels
    kind, codec = container.format.name, stream.codec_context.name
    stated_s = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if not kind.startswith(_STATING):
        stated_s = _packets_s(container, stream) or stated_s
    remarks = []
    if (count := len(container.streams.audio)) > 1:
        remarks.append(f"track {container.streams.audio.index(stream) + 1} of {count}")

    def decode(block_frames: int) -> Iterator[np.ndarray]:
        container, stream = start()
        lost_s, present = [0.0], 0
        for frame in _frames(container, stream, lost_s):
            if frame.sample_rate != rate:
                raise AudioError(f"{name}: changes its sample rate after {present / rate:.1f} s; {CONVERSION_HINT}.")
            block = _samples(frame)
            block = block if block.shape[1] == channels else with_channels(block, channels)
            present += len(block)
            for begin in range(0, len(block), block_frames):
                yield block[begin : begin + block_frames]
        if lost_s[0] > MISSING_TOLERANCE_S:
            raise AudioError(f"{name}: is damaged: {lost_s[0]:.1f} s of it cannot be decoded; copy it again.")
        if kind.startswith(_STATING):
            check_length(name, round((stated_s - _STATED_TOLERANCE_S) * rate), present, rate)

    frames = round((stated_s or (container.duration or 0) / av.time_base) * rate)
    return Decoder(name, rate, channels, frames, kind.partition(",")[0].upper(), codec.upper(), decode, remarks)


def _packets_s(container: Any, stream: Any) -> float:
    """Add up the durations of all packets, without decoding them; 0 if they are unknown."""
    import av

    ticks = 0
    with suppress(av.FFmpegError):
        container.seek(0)
        for packet in container.demux(stream):
            ticks += packet.duration or 0
    return float(ticks * stream.time_base)


def _named(stack: ExitStack, path: Path) -> Any:
    try:
        path.name.encode()
    except UnicodeError:  # not UTF-8, as FFmpeg wants names
        return stack.enter_context(open(path, "rb"))
    return str(path)


def _frames(container: Any, stream: Any, lost_s: list[float]) -> Iterator[Any]:
    """Decode packet by packet, and add up the time of those that cannot be decoded."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # the rest cannot be found
            lost_s[0] += 1.0
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            lost_s[0] += float((packet.duration or 0) * (packet.time_base or 0)) or 0.02


def _samples(frame: Any) -> np.ndarray:
    """Return the samples of a frame, float [N, C].

    ``frame.to_ndarray`` goes beyond the last plane where there are 8 channels (PyAV 18.1), and crashes.
    """
    channels, count = frame.layout.nb_channels, frame.samples
    dtype = _TYPES[frame.format.name.removesuffix("p")]
    if frame.format.is_planar:
        block = np.stack([np.frombuffer(frame.planes[i], dtype, count) for i in range(channels)], axis=1)
    else:
        block = np.frombuffer(frame.planes[0], dtype, count * channels).reshape(count, channels)
    return scaled(block)
