from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocx.errors import AudioError
from audiocx.io import audio

av = pytest.importorskip("av")
SineFile = Callable[..., Path]
RATE = 48_000


def film(path: Path, codec: str, channels: int = 1, duration_s: float = 2.0, rate: int = RATE, **how: str) -> Path:
    """A file with a sine of 440 Hz at half the full scale."""
    layout = {1: "mono", 2: "stereo", 8: "7.1"}[channels]
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(duration_s * rate)) / rate)
    with av.open(str(path), "w", options=how) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        size = 960
        for start in range(0, len(wave), size):
            part = np.repeat(wave[None, start : start + size], channels, axis=0).T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray((part * 32767).astype(np.int16), format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


FILES = [
    ("a.m4a", "aac", 1, RATE),
    ("a.m4a", "alac", 2, 44100),
    ("a.mp4", "aac", 2, RATE),
    ("a.mov", "pcm_s16le", 8, RATE),  # of 8 channels PyAV's own conversion crashes
    ("a.mka", "flac", 8, RATE),
    ("a.webm", "libopus", 2, RATE),
    ("a.mkv", "libvorbis", 1, RATE),
    ("a.wma", "wmav2", 1, 44100),
    ("a.aac", "aac", 1, RATE),
    ("a.ac3", "ac3", 2, RATE),
    ("a.wv", "wavpack", 1, RATE),
    ("a.oga", "flac", 1, RATE),
    ("a.mp4", "alac", 1, RATE),
    ("a.webm", "libvorbis", 2, 44100),
    ("a.asf", "wmav1", 2, 44100),
    ("a.amr", "libopencore_amrnb", 1, 8000),
    ("a.3gp", "libopencore_amrnb", 1, 8000),
]


def encode(tmp_path: Path, name: str, codec: str, channels: int, rate: int) -> Path:
    try:
        return film(tmp_path / name, codec, channels, rate=rate)
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"this build of FFmpeg does not write it: {error}")


@pytest.mark.parametrize(("name", "codec", "channels", "rate"), FILES)
def test_formats_that_soundfile_does_not_read(tmp_path: Path, name: str, codec: str, channels: int, rate: int) -> None:
    path = encode(tmp_path, name, codec, channels, rate)
    recording = audio.load(path)
    assert recording.sample_rate == rate and len(recording.samples) / rate == pytest.approx(2.0, abs=0.1)
    assert audio.info(path).duration_s == pytest.approx(2.0, abs=0.1) and audio.info(path).channels == channels
    middle = recording.samples[rate // 2 : rate].astype(float)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.2 if "amr" in codec else 0.03)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * rate / len(middle) == pytest.approx(440, abs=3)
    assert audio.read(path, mono=False)[0].shape[1] == channels
    assert audio.load(path.read_bytes()).samples.shape == recording.samples.shape


def test_gsm_without_a_header(tmp_path: Path) -> None:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 8000)
    soundfile.write(tmp_path / "a.gsm", wave, 8000, format="RAW", subtype="GSM610")
    recording = audio.load(tmp_path / "a.gsm")
    assert recording.sample_rate == 8000 and len(recording.samples) == pytest.approx(16_000, abs=160)
    spectrum = np.abs(np.fft.rfft(recording.samples[4000:12_000]))
    assert np.argmax(spectrum) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("name", ["a.m4a", "a.bin"])
def test_without_pyav_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = film(tmp_path / "a.m4a", "aac").rename(tmp_path / name)
    monkeypatch.setattr("audiocx.io.opening.find_spec", lambda package: None)
    with pytest.raises(AudioError, match=r"pip install 'audiocx\[av\]'"):
        audio.load(path)


def test_a_cut_film_is_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", "aac", duration_s=20.0, movflags="faststart")  # the header is in front
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match="cut short|damaged|not audio"):
        audio.load(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.wav\n#EXT-X-ENDLIST\n"),
        ("a.ffconcat", b"ffconcat version 1.0\nfile a.wav\n"),
        ("a.txt", b"Dear diary\n" * 99),
    ],
)
def test_lists_of_other_files_are_not_followed(sine_file: SineFile, tmp_path: Path, name: str, content: bytes) -> None:
    sine_file("a.wav")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioError, match="not audio"):
        audio.load(tmp_path / name)
