"""A sound card and MIDI ports that are made of Python, for tests of what uses sounddevice and mido."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest


class PortAudioError(Exception):
    """As sounddevice's."""


class FakeSoundDevice(ModuleType):
    """Stands for sounddevice; each stream that is started plays ``sound`` in a thread, as PortAudio does.

    Attributes:
        sound: What is played, float32 [N].
        channels: Channels of the only device.
        overflow_at: Index of a block at which samples were lost.
        refused: Numbers of channels that cannot be opened.
        end: Called when all is played; the default unplugs the microphone.
    """

    PortAudioError = PortAudioError

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.__spec__ = ModuleSpec("sounddevice", None)
        self.sound, self.channels, self.overflow_at = np.zeros(0, np.float32), 2, -1
        self.refused: set[int] = set()
        self.end: Callable[[], object] | None = None
        self.opened: list[int] = []
        self.closed = 0
        fake = self

        class InputStream:
            def __init__(self, *, samplerate: float, blocksize: int, device: Any, channels: int, dtype: str,
                         callback: Any, finished_callback: Any) -> None:  # fmt: skip
                if channels in fake.refused:
                    raise PortAudioError("Invalid number of channels")
                assert samplerate == 16000 and dtype == "float32"
                fake.opened.append(channels)
                self.args = (blocksize, channels, callback, finished_callback)

            def start(self) -> None:
                threading.Thread(target=self.play, daemon=True).start()

            def play(self) -> None:
                size, channels, callback, finished = self.args
                for index, start in enumerate(range(0, len(fake.sound), size)):
                    block = np.repeat(fake.sound[start : start + size, None], channels, 1)
                    status = SimpleNamespace(input_overflow=index == fake.overflow_at)
                    callback(block, len(block), None, status)
                (fake.end or finished)()

            def close(self) -> None:
                fake.closed += 1

        self.InputStream = InputStream

    def query_devices(self, device: Any = None, kind: str | None = None) -> Any:
        found = {
            "name": "Fake microphone",
            "index": 1,
            "max_input_channels": self.channels,
            "default_samplerate": 16000.0,
        }
        speaker = {"name": "Speaker", "index": 0, "max_input_channels": 0, "default_samplerate": 48000.0}
        if kind is None:
            return [speaker, found] if self.channels else [speaker]
        if not self.channels or device not in (None, 1, "Fake"):
            raise PortAudioError("Error querying device -1") if device is None else ValueError("No input device")
        return found


class FakeMidi:
    """Stands for the MIDI ports of mido."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import mido

        rtmidi = ModuleType("rtmidi")
        rtmidi.__spec__ = ModuleSpec("rtmidi", None)
        monkeypatch.setitem(sys.modules, "rtmidi", rtmidi)
        monkeypatch.setattr(mido, "get_output_names", lambda: list(self.names), raising=False)
        monkeypatch.setattr(mido, "open_output", self.open, raising=False)
        self.names = ["Synth A 14:0", "Synth B 15:0"]
        self.opened: list[tuple[str, bool]] = []
        self.sent: list[tuple[str, int, int]] = []
        self.gone = self.closed = False

    def open(self, name: str, virtual: bool = False) -> FakeMidi:
        self.opened.append((name, virtual))
        return self

    def send(self, message: Any) -> None:
        if self.gone:
            raise OSError("no such port")
        self.sent.append((message.type, message.note, message.velocity))

    def close(self) -> None:
        self.closed = True


def install_sound(monkeypatch: pytest.MonkeyPatch) -> FakeSoundDevice:
    """Put the fake in the place of sounddevice."""
    fake = FakeSoundDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake
