"""Audio files in and out: any file soundfile reads becomes float32 mono at the rate asked for, in bounded memory.

Nothing but the output is ever held whole: channels are averaged and the rate is changed block by block, so an
hour of 8 channels at 192 kHz costs no more memory than its result.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, OutputError
from .atomic_write import atomic_write
from .disk_array import on_disk
from .resampling import at_rate, of_length, resample, resample_blocks, resample_torch, resampled_length
from .sphere import SphereHeader, read_header

if TYPE_CHECKING:
    import soundfile

__all__ = [
    "AUDIO_SUFFIXES",
    "AudioInfo",
    "info",
    "read",
    "resample",
    "resample_blocks",
    "resample_torch",
    "resampled_length",
    "stream",
    "write",
]

# Formats that libsndfile reads; in folders, files of these suffixes are recordings. Headerless and rare formats are
# read too where a file is named.
AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc"),
    *(".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".nist", ".voc"),
)
BLOCK_FRAMES = 65_536  # 2 MB of float32 at 8 channels; larger blocks are no faster
MISSING_TOLERANCE_S = 0.1  # codecs pad and trim a few thousand samples; a cut file lacks more
STREAMED_BYTES = 0x7FFFFFFF  # from here on a WAV size field means "length unknown when writing began"
UNKNOWN_FRAMES = 2**62  # libsndfile's answer for a FLAC file whose header states no length
CONVERT = "convert it to WAV or FLAC first, for example with ffmpeg"


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What the header of an audio file says.

    Attributes:
        path: The file.
        sample_rate: Frames a second, in Hz.
        channels: Samples in a frame.
        frames: Length of the file in frames.
        duration_s: Length of the file in seconds.
        format: Container, such as ``WAV`` or ``FLAC``.
        subtype: Encoding of the samples, such as ``PCM_16``.
    """

    path: Path
    sample_rate: int
    channels: int
    frames: int
    duration_s: float
    format: str
    subtype: str


def info(path: str | Path) -> AudioInfo:
    """Describe an audio file from its header, without decoding it.

    Args:
        path: An audio file.

    Returns:
        Its rate, channels, length and encoding.

    Raises:
        AudioError: The file is missing, empty, cut short or not audio.
    """
    with _open(Path(path)) as source:
        rate = source.samplerate
        return AudioInfo(
            Path(path), rate, source.channels, source.frames, source.frames / rate, source.format, source.subtype
        )


def read(
    path: str | Path,
    sample_rate: int | None = None,
    block_frames: int = BLOCK_FRAMES,
    *,
    mono: bool = True,
    max_memory_s: float = math.inf,
) -> tuple[NDArray[np.float32], int]:
    """Read an audio file: the mean over its channels, or each of them, resampled where a rate is asked for.

    Args:
        path: A WAV, FLAC, Ogg, MP3, AIFF or other file that soundfile reads.
        sample_rate: Rate wanted, in Hz; None keeps the file's own.
        block_frames: Frames decoded at a time; it bounds the memory and does not change the result.
        mono: Give the mean over the channels; else all of them.
        max_memory_s: Longer recordings, in seconds, are read into a temporary file, and are read-only.

    Returns:
        Float32 [N] or [N, C], N = ceil(frames * sample_rate / own rate), full scale at 1; and their rate in Hz.

    Raises:
        AudioError: The file is missing, empty, cut short, not audio, or holds NaN or infinite samples.
        ConfigError: The rate is not positive.
        OutputError: There is no room for the temporary file.
    """
    path = Path(path)
    with _open(path) as source:
        rate = source.samplerate if sample_rate is None else sample_rate
        blocks = _at_rate(source, path, rate, block_frames, mono)
        if source.frames > max_memory_s * source.samplerate:
            return on_disk(blocks), rate
        shape = () if mono else (source.channels,)
        samples = np.empty((resampled_length(source.frames, source.samplerate, rate), *shape), dtype=np.float32)
        filled = 0
        for block in blocks:
            samples[filled : filled + len(block)] = block
            filled += len(block)
    return samples, rate


def stream(path: str | Path, sample_rate: int, block_frames: int = BLOCK_FRAMES) -> Iterator[NDArray[np.float32]]:
    """Read an audio file block by block: what :func:`read` gives whole.

    Args:
        path: As in :func:`read`.
        sample_rate: Rate wanted, in Hz.
        block_frames: Frames decoded at a time.

    Yields:
        The mean over the channels, float32 [*].

    Raises:
        AudioError: See :func:`read`.
        ConfigError: The rate is not positive.
    """
    path = Path(path)
    with _open(path) as source:
        yield from _at_rate(source, path, sample_rate, block_frames)


def write(path: str | Path, samples: np.ndarray, sample_rate: int, subtype: str | None = None) -> None:
    """Write samples to an audio file whose format the suffix names; nothing half-written is ever left.

    Args:
        path: File to write, such as ``song.wav`` (16-bit) or ``song.flac``.
        samples: Float [N] or [N, C], full scale at 1; what lies beyond is clipped, but for the subtype ``FLOAT``.
        sample_rate: Rate in Hz.
        subtype: Encoding of the samples, such as ``PCM_24``; None for the format's usual one.

    Raises:
        OutputError: The folder cannot be written, or no audio format has that suffix.
    """
    import soundfile

    try:
        with atomic_write(path) as temporary:
            within = samples if subtype == "FLOAT" else np.clip(samples, -1.0, 1.0)
            soundfile.write(temporary, within, sample_rate, subtype)
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        raise OutputError(f"{path}: cannot be written as audio ({error}); use the suffix .wav or .flac.") from error


@contextmanager
def _open(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open an audio file for reading, having refused whatever cannot be one. It is opened once if all is well."""
    import soundfile

    try:
        source = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a name ending in .raw
        _sphere_header(path)  # raises if there is a clearer reason
        raise AudioError(f"{path}: is not audio that can be read here, or is damaged; {CONVERT}.") from error
    with source:
        sphere = _sphere_header(path) if source.format == "NIST" else None
        _check_header(source, path)
        _check_length(source, path, sphere.frames if sphere else 0, source.frames)
        yield source


def _sphere_header(path: Path) -> SphereHeader | None:
    """Read the header of a SPHERE file, which libsndfile reads in part; refuse what cannot be audio at all."""
    if path.is_dir():
        raise AudioError(f"{path}: is a folder; name the audio files in it, for example {path / '*.wav'}.")
    try:
        with open(path, "rb") as file:
            size_bytes, sphere = os.fstat(file.fileno()).st_size, read_header(file)
    except FileNotFoundError as error:
        raise AudioError(f"{path}: does not exist; check the spelling and the folder.") from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened ({error.strerror}); check its permissions.") from error
    if size_bytes == 0:
        raise AudioError(f"{path}: is empty (0 bytes); record, export or copy it again.")
    if sphere and sphere.shortened:
        raise AudioError(
            f'{path}: is compressed by "shorten", which cannot be read here; convert it first: sph2pipe -f wav '
            f"{path.name} {path.name}.wav (or ffmpeg -i)."
        )
    return sphere


def _check_header(source: soundfile.SoundFile, path: Path) -> None:
    """Refuse a file without frames, without a stated length, or shorter than its header says."""
    if source.frames >= UNKNOWN_FRAMES:
        raise AudioError(f"{path}: its header states no length (it was streamed); {CONVERT}.")
    # libsndfile trims a too large promise to the file's size, and keeps the promise only in its log
    found = re.search(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", source.extra_info, re.MULTILINE)
    promised, present = map(int, found.groups()) if found else (0, 0)
    if present < promised < STREAMED_BYTES:
        _check_length(source, path, round(source.frames * promised / max(present, 1)), source.frames)
    if source.frames == 0:
        raise AudioError(f"{path}: holds no samples; record, export or copy it again.")


def _check_length(source: soundfile.SoundFile, path: Path, promised: int, present: int) -> None:
    """Refuse a file that holds clearly fewer frames than its header promises."""
    if promised - present > MISSING_TOLERANCE_S * source.samplerate:
        promised_s, present_s = promised / source.samplerate, present / source.samplerate
        raise AudioError(
            f"{path}: is cut short: its header promises {promised_s:.2f} s and {present_s:.2f} s are there; copy or "
            "download it again, or convert what there is with ffmpeg."
        )


def _blocks(source: soundfile.SoundFile, path: Path, block_frames: int) -> Iterator[np.ndarray]:
    """Decode a file block by block, float32 [<= block_frames, C]."""
    import soundfile

    present = 0
    while True:
        try:
            block = source.read(block_frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise AudioError(
                f"{path}: is cut short or damaged after about {present / source.samplerate:.1f} s; copy or download it "
                "again, or convert what there is with ffmpeg."
            ) from error
        if len(block) == 0:
            break
        if not np.isfinite(block).all():
            raise AudioError(f"{path}: holds NaN or infinite samples; export it again as 16- or 24-bit PCM.")
        present += len(block)
        yield block
    if present < source.frames and (source.format != "MP3" or _states_length(path)):
        _check_length(source, path, source.frames, present)


def _at_rate(
    source: soundfile.SoundFile, path: Path, rate: int, block_frames: int, mono: bool = True
) -> Iterator[NDArray[np.float32]]:
    """Decode a file, its channels averaged or not, at another rate: as many samples as its header promises."""
    blocks: Iterator[np.ndarray] = _blocks(source, path, block_frames)
    shape = () if mono else (source.channels,)
    heard = (block.mean(axis=1) for block in blocks) if mono else blocks
    length = resampled_length(source.frames, source.samplerate, rate)
    yield from of_length(at_rate(heard, source.samplerate, rate, shape), length, shape)


def _states_length(path: Path) -> bool:
    """Whether an MP3 file states its length (a Xing or Info frame); without one, its length is only an estimate."""
    with open(path, "rb") as file:
        head = file.read(10)
        # an ID3v2 tag comes first; its size has 7 bits a byte (id3.org, ID3v2.4.0, section 6.2)
        file.seek(10 + sum(byte << 7 * (3 - i) for i, byte in enumerate(head[6:10])) if head[:3] == b"ID3" else 0)
        first_frame = file.read(256)
    return b"Xing" in first_frame or b"Info" in first_frame
