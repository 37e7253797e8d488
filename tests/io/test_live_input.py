"""Sound that arrives: WAV streams, and a microphone."""

from __future__ import annotations

import builtins
import io
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from fake_sound import FakeSoundDevice, install_sound

from audiocx.errors import AudioError, ConfigError
from audiocx.io.live_input import LiveInput, Microphone, StreamInput, input_devices, wav_blocks

RATE = 16000
SOUND = (0.5 * np.sin(np.arange(3000) / 9)).astype(np.float32)


def wav(samples: np.ndarray = SOUND, subtype: str = "PCM_16", form: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, subtype=subtype, format=form)
    return file.getvalue()


class Pipe(io.RawIOBase):
    """Gives a few bytes at a time, as a pipe may."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._file.read(min(len(buffer), 1001))
        buffer[: len(content)] = content
        return len(content)


def decoded(content: bytes) -> np.ndarray:
    rate, blocks = wav_blocks(io.BufferedReader(Pipe(content)), "stdin")
    assert rate == RATE
    return np.concatenate([np.zeros(0, np.float32), *blocks])


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
def test_wav_streams_are_decoded(subtype: str, form: str) -> None:
    stereo = np.stack([SOUND, 0.5 * SOUND], axis=1)
    expected, _ = soundfile.read(io.BytesIO(wav(stereo, subtype, form)), dtype="float32")
    np.testing.assert_allclose(decoded(wav(stereo, subtype, form)), expected.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_length_that_nobody_knew_is_not_believed(size: int) -> None:
    content = wav()
    at = content.index(b"data") + 4
    unknown = content[:at] + size.to_bytes(4, "little") + content[at + 4 :]
    assert len(decoded(unknown)) == len(SOUND) and len(decoded(unknown[:-1])) == len(SOUND) - 1
    assert len(decoded(content + b"LIST junk")) == len(SOUND)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "ends before its sound"),
        (wav()[:30], "ends before its sound"),
        (b"fLaC" + bytes(100), "is no WAV stream; let the other program write one"),
        (wav(subtype="ULAW"), "is encoded as 7 of 8 bits"),
        (wav()[:12] + wav()[36:], "states no encoding"),
        (wav()[:24] + bytes(4) + wav()[28:], "states 0 samples a second"),
    ],
)
def test_other_streams_are_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(AudioError, match=sentence):
        wav_blocks(io.BytesIO(content), "stdin")


def read_all(source: LiveInput) -> np.ndarray:
    parts = []
    while (block := source.read(5.0)) is not None:
        parts.append(block)
    return np.concatenate([np.zeros(0, np.float32), *parts])


def test_a_stream_is_read_to_its_end() -> None:
    source = StreamInput("stdin", *wav_blocks(io.BytesIO(wav()), "stdin"))
    np.testing.assert_allclose(read_all(source), SOUND, atol=1e-4)
    assert source.lost_s == 0 and source.waits


def test_a_stream_that_breaks_off_gives_what_was_there_first() -> None:
    def broken() -> Iterator[np.ndarray]:
        yield SOUND
        raise AudioError("song.wav: is cut short")

    source = StreamInput("song.wav", RATE, broken())
    time.sleep(0.05)
    assert len(source.read(5.0)) == len(SOUND)  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="cut short"):
        source.read(5.0)


def test_nothing_in_time_is_no_end() -> None:
    assert len(LiveInput("x", RATE, waits=False).read(0.001)) == 0  # type: ignore[arg-type]


def test_what_waits_too_long_becomes_silence() -> None:
    source, second = LiveInput("x", 100, waits=False), np.ones(100, np.float32)
    for _ in range(35):
        source.put(second)
    assert source.backlog_s == 30 and source.lost_s == 5
    assert read_all_now(source).sum() == 3000
    source.put(second)
    caught_up = read_all_now(source)
    assert len(caught_up) == 600 and caught_up.sum() == 100 and source.backlog_s == 0


def read_all_now(source: LiveInput) -> np.ndarray:
    block = source.read(0.01)
    assert block is not None
    return block


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> FakeSoundDevice:
    return install_sound(monkeypatch)


@pytest.mark.parametrize(("refused", "channels"), [(set(), 1), ({1}, 2)])
def test_a_microphone_is_recorded(card: FakeSoundDevice, refused: set[int], channels: int) -> None:
    card.sound, card.refused, card.overflow_at = SOUND, refused, 2
    microphone = Microphone()
    np.testing.assert_allclose(read_all(microphone), SOUND, atol=1e-6)
    microphone.close()
    assert (microphone.name, microphone.sample_rate, microphone.overruns) == ("Fake microphone", RATE, 1)
    assert card.opened == [channels] and card.closed == 1


def test_a_microphone_that_cannot_be_used_is_one_sentence(card: FakeSoundDevice) -> None:
    assert input_devices() == [(1, "Fake microphone", 2, 16000.0, True)]
    with pytest.raises(ConfigError, match="no one input device 'Line'; audiocx listen --list-devices"):
        Microphone("Line")
    card.refused = {1, 2}
    with pytest.raises(AudioError, match=r"Fake microphone: cannot be opened \(Invalid number of channels\)"):
        Microphone("1")
    card.channels = 0
    assert input_devices() == []
    with pytest.raises(ConfigError, match="There is no microphone; connect one"):
        Microphone()


def test_missing_libraries_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = install_sound(monkeypatch)  # so that it is found
    real = builtins.__import__

    def without_portaudio(name: str, *more: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name, *more)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", without_portaudio)
        with pytest.raises(ConfigError, match="needs the library PortAudio .* sudo apt install libportaudio2"):
            Microphone()
    del fake
    monkeypatch.delitem(sys.modules, "sounddevice")
    monkeypatch.setattr("audiocx.errors.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"A microphone needs sounddevice.*audiocx\[live\]"):
        Microphone()
