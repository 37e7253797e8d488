"""Sound that arrives while it is worked on: from a microphone, or from another program through a pipe."""

from __future__ import annotations

import queue
import struct
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, ConfigError, require
from .resampling import MAX_RATE, MIN_RATE

__all__ = ["LiveInput", "Microphone", "StreamInput", "input_devices", "wav_blocks"]

# Sound that may wait; what a microphone records beyond it is lost.
LONGEST_WAIT_S = 30.0
BLOCK_S = 0.05
AHEAD_BLOCKS = 8
_END = object()
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_TYPES = {(_PCM, 8): "u1", (_PCM, 16): "<i2", (_PCM, 32): "<i4", (_FLOAT, 32): "<f4", (_FLOAT, 64): "<f8"}


class LiveInput:
    """Mono sound on its way from the thread that receives it to the one that works on it.

    Args:
        name: What to call it.
        sample_rate: In Hz.
        waits: Whether what sends the sound waits, so that nothing is lost.

    Attributes:
        overruns: How often a sound card has lost samples, it does not tell how many.
    """

    def __init__(self, name: str, sample_rate: float, waits: bool) -> None:
        self.name, self.sample_rate, self.waits = name, sample_rate, waits
        self.overruns, self._lost = 0, 0
        # A file is read no further ahead than is needed.
        self._items: queue.Queue[Any] = queue.Queue(AHEAD_BLOCKS if waits else 0)
        self._lock, self._waiting, self._gap = threading.Lock(), 0, 0

    @property
    def backlog_s(self) -> float:
        """Sound that waits to be read, in seconds."""
        return self._waiting / self.sample_rate

    @property
    def lost_s(self) -> float:
        """Sound that was lost because too much waited, in seconds; silence takes its place."""
        return self._lost / self.sample_rate

    def put(self, block: NDArray[np.float32]) -> None:
        """Add samples, float32 [N]; wait while there is no room, or lose them."""
        with self._lock:
            if not self.waits and self._waiting + len(block) > LONGEST_WAIT_S * self.sample_rate:
                self._lost, self._gap = self._lost + len(block), self._gap + len(block)
                return
            self._waiting += len(block)
            gap, self._gap = self._gap, 0
        self._items.put((gap, block))

    def end(self, error: BaseException | None = None) -> None:
        """End the sound, or let the reader raise an error."""
        self._items.put(error or _END)

    def read(self, timeout_s: float) -> NDArray[np.float32] | None:
        """Return all that has arrived.

        Args:
            timeout_s: How long to wait if nothing has.

        Returns:
            float32 [N], N = 0 if nothing came in time; None at the end.

        Raises:
            AudioError: The sound broke off.
        """
        parts = [np.zeros(0, np.float32)]
        try:
            item = self._items.get(timeout=timeout_s)
            while isinstance(item, tuple):
                gap, block = item
                parts += [np.zeros(gap, np.float32), block]
                with self._lock:
                    self._waiting -= len(block)
                item = self._items.get_nowait()
        except queue.Empty:
            return np.concatenate(parts)
        if len(parts) > 1:
            self.end(None if item is _END else item)  # the next time
            return np.concatenate(parts)
        if item is _END:
            return None
        raise item

    def close(self) -> None:
        """Stop receiving."""


class Microphone(LiveInput):
    """A microphone, or another input of a sound card, by PortAudio.

    Args:
        device: Its number or a part of its name; None for the one that the system prefers.

    Raises:
        ConfigError: The extra ``live`` or PortAudio is missing, or there is no such device.
        AudioError: The device cannot be opened.
    """

    def __init__(self, device: str | None = None) -> None:
        sounddevice = _import_sounddevice()
        number = int(device) if device and device.isdecimal() else device
        try:
            found = sounddevice.query_devices(number, kind="input")
        except (ValueError, sounddevice.PortAudioError) as error:
            if device is None:
                raise ConfigError(
                    "There is no microphone; connect one, or send sound from another program: ffmpeg ... -f wav - | "
                    "audiocx listen -"
                ) from error
            raise ConfigError(
                f"There is no one input device {device!r}; audiocx listen --list-devices lists their numbers and names."
            ) from error
        super().__init__(str(found["name"]), float(found["default_samplerate"]), waits=False)
        # Some sound cards refuse fewer channels than they have.
        all_channels = int(found["max_input_channels"])
        try:
            self._stream = self._started(sounddevice, number, 1)
        except sounddevice.PortAudioError:
            try:
                self._stream = self._started(sounddevice, number, all_channels)
            except sounddevice.PortAudioError as error:
                raise AudioError(
                    f"{self.name}: cannot be opened ({error}); close other programs that use it, allow this one to use "
                    "the microphone, or choose another with --device."
                ) from error

    def _started(self, sounddevice: Any, device: int | str | None, channels: int) -> Any:
        stream = sounddevice.InputStream(
            samplerate=self.sample_rate,
            blocksize=round(BLOCK_S * self.sample_rate),
            device=device,
            channels=channels,
            dtype="float32",
            callback=self._recorded,
            finished_callback=self.end,
        )
        stream.start()
        return stream

    def _recorded(self, samples: NDArray[np.float32], frames: int, times: Any, status: Any) -> None:
        """Take what was recorded, float32 [N, C]; PortAudio calls this in a thread of its own."""
        self.overruns += bool(status.input_overflow)
        self.put(samples.mean(axis=1))

    def close(self) -> None:
        """Stop recording."""
        self._stream.close()


class StreamInput(LiveInput):
    """Sound that a thread reads, such as from a pipe; what sends it waits while too much waits here.

    Args:
        name: What to call it.
        sample_rate: In Hz.
        blocks: float32 [N] each.
    """

    def __init__(self, name: str, sample_rate: float, blocks: Iterator[NDArray[np.float32]]) -> None:
        super().__init__(name, sample_rate, waits=True)
        self._blocks = blocks
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for block in self._blocks:
                self.put(block)
        except BaseException as error:  # for the thread that reads
            self.end(error)
        else:
            self.end()


def input_devices() -> list[tuple[int, str, int, float, bool]]:
    """Return the inputs of the sound cards: number, name, channels, sample rate in Hz, and whether it is the default.

    Raises:
        ConfigError: The extra ``live`` or PortAudio is missing.
    """
    sounddevice = _import_sounddevice()
    try:
        default = int(sounddevice.query_devices(kind="input")["index"])
    except (ValueError, sounddevice.PortAudioError):  # there is none
        default = -1
    return [
        (index, each["name"], each["max_input_channels"], each["default_samplerate"], index == default)
        for index, each in enumerate(sounddevice.query_devices())
        if each["max_input_channels"] > 0
    ]


def _import_sounddevice() -> Any:
    require("A microphone", "live", "sounddevice")
    try:
        import sounddevice
    except OSError as error:  # it is a binding
        raise ConfigError(
            f"A microphone needs the library PortAudio ({error}); install it, on Debian and Ubuntu by: "
            "sudo apt install libportaudio2"
        ) from error
    return sounddevice


def wav_blocks(file: BinaryIO, name: str) -> tuple[float, Iterator[NDArray[np.float32]]]:
    """Read a WAV stream while it arrives; its header may not know its length.

    Args:
        file: Open for reading, as a pipe or a file.
        name: What to call it in messages.

    Returns:
        The sample rate in Hz, and the samples, mixed to mono, float32 [N] each.

    Raises:
        AudioError: It is no WAV stream, or of an encoding that is not read.
    """
    head = _exactly(file, 12, name)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        raise AudioError(
            f"{name}: is no WAV stream; let the other program write one, such as by ffmpeg -i FILE -f wav - | audiocx "
            "listen -"
        )
    layout: tuple[int, int, int, int] | None = None
    while True:
        kind, size = struct.unpack("<4sI", _exactly(file, 8, name))
        if kind == b"data":
            break
        content = _exactly(file, size + size % 2, name)
        if kind == b"fmt ":
            code, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
            layout = (int.from_bytes(content[24:26], "little") if code == _EXTENSIBLE else code), channels, rate, bits
    if layout is None:
        raise AudioError(f"{name}: states no encoding before its sound; write the WAV stream anew, such as by ffmpeg.")
    code, channels, rate, bits = layout
    if ((code, bits) not in _TYPES and (code, bits) != (_PCM, 24)) or not channels:
        raise AudioError(f"{name}: is encoded as {code} of {bits} bits; let it be 16-bit PCM: ffmpeg -c:a pcm_s16le")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"{name}: states {rate} samples a second; {MIN_RATE} to {MAX_RATE} are read.")
    # ffmpeg states the greatest size if it does not know it, others state 0.
    length = None if size in (0, 0xFFFFFFFF) or size >= 0x7FFFF000 else size
    return rate, _samples(file, channels, code, bits, rate, length)


def _samples(
    file: BinaryIO, channels: int, code: int, bits: int, rate: int, length: int | None
) -> Iterator[NDArray[np.float32]]:
    frame_bytes = channels * bits // 8
    block_bytes = max(round(BLOCK_S * rate), 1) * frame_bytes
    read_some = getattr(file, "read1", file.read)  # what is there, without waiting for more
    pending = b""
    while length is None or length > 0:
        content = read_some(block_bytes if length is None else min(block_bytes, length))
        if not content:
            return
        length = None if length is None else length - len(content)
        pending += content
        whole = len(pending) // frame_bytes * frame_bytes
        if whole:
            yield _decoded(pending[:whole], code, bits).reshape(-1, channels).mean(axis=1, dtype=np.float32)
        pending = pending[whole:]


def _decoded(content: bytes, code: int, bits: int) -> NDArray[np.float32]:
    """Return interleaved samples, full scale at 1, float32 [N]."""
    if bits == 24:
        raw = np.frombuffer(content, np.uint8).reshape(-1, 3)
        values = np.pad(raw, ((0, 0), (1, 0))).view("<i4").ravel()
        return (values / 2.0**31).astype(np.float32)
    values = np.frombuffer(content, _TYPES[code, bits])
    if code == _FLOAT:
        return values.astype(np.float32)
    if bits == 8:
        return ((values.astype(np.float32) - 128) / 128).astype(np.float32)
    return (values / 2.0 ** (bits - 1)).astype(np.float32)


def _exactly(file: BinaryIO, count: int, name: str) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise AudioError(f"{name}: ends before its sound; check the program that writes it.")
    return content
