"""Recordings are read to their true end, whatever their headers state."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocx.errors import AudioError
from audiocx.io import audio
from audiocx.io.mpeg import is_mpeg, mpeg_layout
from audiocx.io.spans import Window

RATE = 22_050


def sound(duration_s: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    """A loud beginning and tones after it, so that the first frame of an MP3 is no measure for the rest."""
    time_s = np.arange(round(duration_s * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * (300 + 100 * np.floor(2 * time_s)) * time_s)
    noise = 0.5 * np.random.default_rng(seed).standard_normal(len(wave)).clip(-1, 1)
    return np.repeat(np.where(time_s < 0.3, noise, wave)[:, None], channels, axis=1)


def encoded(suffix: str, duration_s: float, rate: int = RATE, channels: int = 1, **how: object) -> bytes:
    buffer = io.BytesIO()
    kind = {"oga": "OGG", "opus": "OGG", "rf64": "RF64"}.get(suffix, suffix.upper())
    if suffix == "opus":
        how["subtype"] = "OPUS"
    soundfile.write(buffer, sound(duration_s, rate, channels), rate, format=kind, **how)
    return buffer.getvalue()


def vbr(duration_s: float, rate: int = RATE, channels: int = 1) -> bytes:
    return encoded("mp3", duration_s, rate, channels, bitrate_mode="VARIABLE", compression_level=0.5)


def without_xing(content: bytes) -> bytes:
    """An MP3 file without its first frame, which states the length."""
    second = content.index(content[:2], 4)
    assert b"Xing" in content[:second] or b"Info" in content[:second]
    return content[second:]


def load(tmp_path: Path, content: bytes, suffix: str) -> audio.Recording:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    recording = audio.load(path)
    assert audio.info(path).duration_s == pytest.approx(len(recording.samples) / recording.sample_rate, abs=0.01)
    return recording


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\x02\0" + bytes(256)])
def test_variable_mp3_without_a_stated_length(tmp_path: Path, tag: bytes) -> None:
    content = without_xing(vbr(6.0))
    (tmp_path / "a.mp3").write_bytes(content)
    assert soundfile.info(tmp_path / "a.mp3").duration < 5  # the estimate, which loses the end
    recording = load(tmp_path, tag + content, "mp3")
    assert len(recording.samples) / RATE == pytest.approx(6.0, abs=0.1)
    end = recording.samples[-RATE:-2000].astype(float)
    assert np.sqrt(np.mean(end**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_an_mp3_that_states_its_length_is_decoded_as_ever(tmp_path: Path) -> None:
    content = vbr(2.0)
    recording = load(tmp_path, content + b"TAG" + bytes(125), "mp3")
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    np.testing.assert_allclose(recording.samples, expected, atol=1e-4)
    assert recording.remarks == ()


def test_concatenated_mp3_begins_as_the_first_does(tmp_path: Path) -> None:
    first, second = vbr(3.0), vbr(2.0)
    recording = load(tmp_path, first + b"ID3\x04\0\0\0\0\0\x10" + bytes(16) + second, "mp3")
    assert len(recording.samples) / RATE == pytest.approx(5.0, abs=0.15)
    alone, _ = soundfile.read(io.BytesIO(first), dtype="float32")
    np.testing.assert_allclose(recording.samples[:RATE], alone[:RATE], atol=1e-3)  # without the encoder's delay
    assert any("too short" in remark for remark in recording.remarks)


def test_damage_between_mp3_frames_is_said(tmp_path: Path) -> None:
    content = vbr(3.0)
    half = content.index(content[:2], len(content) // 2)
    recording = load(tmp_path, content[:half] + b"\x01" * 9000 + content[half:], "mp3")
    assert len(recording.samples) / RATE == pytest.approx(3.0, abs=0.15)
    assert any("damaged bytes" in remark for remark in recording.remarks)


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "opus", "flac", "wav", "aiff", "au", "w64", "caf"])
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (24_000, 1), (48_000, 2)])
def test_recordings_one_behind_the_other(tmp_path: Path, suffix: str, rate: int, channels: int) -> None:
    content = encoded(suffix, 2.0, 48_000) + encoded(suffix, 1.0, rate, channels)
    recording = load(tmp_path, content, suffix)
    assert len(recording.samples) / 48_000 == pytest.approx(3.0, abs=0.15)
    assert recording.remarks and recording.sample_rate == 48_000
    second = recording.samples[-24_000:-6000]
    assert np.sqrt(np.mean(second.astype(float) ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


UNKNOWN = [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
FIELDS = {"wav": (b"data", "<I"), "aiff": (b"SSND", ">I"), "au": (b".snd", ">4xI"), "rf64": (b"ds64", "<12xQ")}


def with_size(content: bytes, suffix: str, size: int) -> bytes:
    mark, form = FIELDS[suffix]
    changed = bytearray(content)
    at = content.index(mark) + 4
    offset = struct.calcsize(form) - struct.calcsize(form[-1])
    struct.pack_into("<" + form[-1] if form[0] == "<" else ">" + form[-1], changed, at + offset, size)
    return bytes(changed)


@pytest.mark.parametrize("size", UNKNOWN)
@pytest.mark.parametrize("suffix", FIELDS)
def test_a_size_that_the_writer_did_not_know(tmp_path: Path, suffix: str, size: int) -> None:
    content = encoded(suffix, 1.5)
    recording = load(tmp_path, with_size(content, suffix, size), suffix)
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    np.testing.assert_array_equal(recording.samples[: len(expected)], expected)
    assert len(recording.samples) <= len(expected) + 4000  # a chunk behind the samples is at most this
    assert recording.remarks == ("its header states no length; all of it was read",)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au"])
def test_a_size_that_is_too_small(tmp_path: Path, suffix: str) -> None:
    content = encoded(suffix, 1.5)
    recording = load(tmp_path, with_size(content, suffix, 2 * RATE // 5), suffix)
    assert len(recording.samples) / RATE == pytest.approx(1.5, abs=0.1)
    assert recording.remarks == ("its header states too short a length; all of it was read",)


@pytest.mark.parametrize("after", [b"LIST\x04\0\0\0abcd", b"TAG" + bytes(125), bytes(50_000), b"junk"])
def test_what_follows_the_samples_is_no_sound(tmp_path: Path, after: bytes) -> None:
    recording = load(tmp_path, encoded("wav", 1.0) + after, "wav")
    assert len(recording.samples) == RATE and recording.remarks == ()


@pytest.mark.parametrize(("stated", "said"), [(0, "no length"), (RATE // 2, "too short a length")])
def test_flac_that_states_another_length(tmp_path: Path, stated: int, said: str) -> None:
    content = bytearray(encoded("flac", 5.0))
    content[21:26] = ((content[21] >> 4) << 36 | stated).to_bytes(5, "big")  # RFC 9639, section 8.2
    recording = load(tmp_path, bytes(content), "flac")
    assert len(recording.samples) == 5 * RATE
    assert recording.remarks == (f"its header states {said}; all of it was read",)


def test_missing_ogg_pages_are_said(tmp_path: Path) -> None:
    content = encoded("ogg", 6.0)
    pages = [i for i in range(len(content)) if content.startswith(b"OggS", i)]
    assert len(pages) > 4
    lost = load(tmp_path, content[: pages[-3]] + content[pages[-2] :], "ogg")
    assert "1 pages of it are missing" in lost.remarks
    cut = load(tmp_path, content[: pages[-1]], "ogg")
    assert any("its end is missing" in remark for remark in cut.remarks)


def test_text_and_other_formats_are_no_mpeg() -> None:
    for content in (b"\xff" * 9999, b"Dear diary" * 999, encoded("wav", 1.0), encoded("flac", 1.0)):
        assert not is_mpeg(Window(io.BytesIO(content)))
    assert is_mpeg(Window(io.BytesIO(vbr(1.0))))
    assert mpeg_layout(Window(io.BytesIO(vbr(1.0)))).remarks == []


def test_a_cut_mp3_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    content = vbr(3.0)
    (tmp_path / "a.mp3").write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match="cut short: its header states"):
        audio.info(tmp_path / "a.mp3")


def test_an_mp3_cut_within_a_frame_is_said_where_no_length_is_stated(tmp_path: Path) -> None:
    content = without_xing(vbr(3.0))
    assert load(tmp_path, content, "mp3").remarks == ()
    (tmp_path / "a.mp3").write_bytes(content[: 2 * len(content) // 3])
    said = "its last frame is incomplete, so its end may be missing"
    assert said in audio.info(tmp_path / "a.mp3").remarks and said in audio.load(tmp_path / "a.mp3").remarks


def test_the_delay_of_an_mp3_encoder_is_known_from_its_header_only(tmp_path: Path) -> None:
    click = 0.05 * np.sin(np.arange(4 * RATE) * 0.05)
    click[RATE] = 0.9
    file = io.BytesIO()
    soundfile.write(file, click, RATE, format="MP3")
    at = [
        int(np.abs(load(tmp_path, content, "mp3").samples).argmax())
        for content in (file.getvalue(), without_xing(file.getvalue()))
    ]
    assert at == [RATE, RATE + 576]  # LAME's; a decoder's own 529 samples are left out


@pytest.mark.parametrize("rate", [1, 999, 4_000_000, 0xFFFFFFFF])
def test_a_rate_that_cannot_be_right(tmp_path: Path, rate: int) -> None:
    content = bytearray(encoded("wav", 1.0))
    struct.pack_into("<I", content, content.index(b"fmt ") + 12, rate)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError):
        audio.read(tmp_path / "a.wav", 11025)


def test_codecs_that_cannot_seek_are_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sound(1.0, 8000), 8000, "GSM610")
    assert len(audio.read(tmp_path / "a.wav")[0]) >= 8000


def test_binary_files_are_hardly_ever_taken_for_mpeg() -> None:
    rng = np.random.default_rng(0)
    taken = sum(is_mpeg(Window(io.BytesIO(rng.bytes(int(size))))) for size in rng.integers(1, 20_000, 300))
    assert taken <= 3
