"""Reading and writing of audio files, in bounded memory.

Files are decoded, mixed down to mono and resampled block by block, so that an hour of 8 channels at 192 kHz takes no
more memory than the resulting samples.
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
from .resampling import pad_or_trim, resample_stream, resampled_length
from .sphere import SphereHeader, read_header

if TYPE_CHECKING:
    import soundfile

__all__ = ["AUDIO_SUFFIXES", "AudioInfo", "info", "read", "stream", "write"]

# Of the formats that libsndfile reads; headerless and rare ones are taken where they are named as files.
AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc"),
    *(".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".nist", ".voc"),
)
DECODE_FRAMES = 65_536  # frames decoded at a time: 2 MB of float32 at 8 channels; larger blocks are no faster
MISSING_TOLERANCE_S = 0.1  # codecs pad and trim a few thousand samples; truncated files lack more
STREAMED_BYTES = 0x7FFFFFFF  # a WAV size field from here on means that the length was unknown when writing began
UNKNOWN_FRAMES = 2**62  # libsndfile's length of a FLAC file whose header states none
CONVERSION_HINT = "convert it to WAV or FLAC first, for example with ffmpeg"


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Header of an audio file.

    Attributes:
        path: The file.
        sample_rate: Sample rate in Hz.
        channels: Number of channels.
        frames: Length in frames (samples per channel).
        duration_s: Length in seconds.
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
    """Read the header of an audio file, without decoding it; of FLAC files, the end as well.

    Args:
        path: An audio file.

    Returns:
        Its sample rate, channels, length and encoding.

    Raises:
        AudioError: The file is missing, empty, truncated or not audio.
    """
    with _open(Path(path)) as source:
        rate = source.samplerate
        if source.format == "FLAC":
            _check_end(source, path)
        return AudioInfo(
            Path(path), rate, source.channels, source.frames, source.frames / rate, source.format, source.subtype
        )


def read(
    path: str | Path,
    sample_rate: int | None = None,
    block_frames: int = DECODE_FRAMES,
    *,
    mono: bool = True,
    max_memory_s: float = math.inf,
) -> tuple[NDArray[np.float32], int]:
    """Read an audio file, mixed down to mono and resampled if requested.

    Args:
        path: A WAV, FLAC, Ogg, MP3, AIFF or other file that soundfile reads.
        sample_rate: Output sample rate in Hz; None keeps the sample rate of the file.
        block_frames: Frames decoded at a time; bounds the memory, does not change the result.
        mono: Average the channels; else keep all of them.
        max_memory_s: Recordings longer than this many seconds are returned as a read-only disk-backed array.

    Returns:
        Samples, float32 [N] or [N, C] with full scale 1, N = ceil(frames * sample_rate / rate of the file); and their
        sample rate in Hz.

    Raises:
        AudioError: The file is missing, empty, truncated, not audio, or holds NaN or infinite samples.
        ConfigError: The sample rate is not positive.
        OutputError: The disk is too full for the temporary file.
    """
    path = Path(path)
    with _open(path) as source:
        rate = source.samplerate if sample_rate is None else sample_rate
        blocks = _resampled(source, path, rate, block_frames, mono)
        if source.frames > max_memory_s * source.samplerate:
            return on_disk(blocks), rate
        shape = () if mono else (source.channels,)
        samples = np.empty((resampled_length(source.frames, source.samplerate, rate), *shape), dtype=np.float32)
        filled = 0
        for block in blocks:
            samples[filled : filled + len(block)] = block
            filled += len(block)
    return samples, rate


def stream(path: str | Path, sample_rate: int, block_frames: int = DECODE_FRAMES) -> Iterator[NDArray[np.float32]]:
    """Read an audio file block by block; the blocks together are the result of :func:`read`.

    Args:
        path: As in :func:`read`.
        sample_rate: Output sample rate in Hz.
        block_frames: Frames decoded at a time.

    Yields:
        Mono samples, float32 [*].

    Raises:
        AudioError: See :func:`read`.
        ConfigError: The sample rate is not positive.
    """
    path = Path(path)
    with _open(path) as source:
        yield from _resampled(source, path, sample_rate, block_frames)


def write(path: str | Path, samples: np.ndarray, sample_rate: int, subtype: str | None = None) -> None:
    """Write samples to an audio file, atomically; the suffix of the file names its format.

    Args:
        path: File to write, such as ``song.wav`` (16-bit) or ``song.flac``.
        samples: Float [N] or [N, C], full scale at 1; larger values are clipped, except with the subtype ``FLOAT``.
        sample_rate: Sample rate in Hz.
        subtype: Encoding of the samples, such as ``PCM_24``; None for the default of the format.

    Raises:
        OutputError: The folder cannot be written to, or no audio format has this suffix.
    """
    import soundfile

    try:
        with atomic_write(path) as temporary:
            clipped = samples if subtype == "FLOAT" else np.clip(samples, -1.0, 1.0)
            soundfile.write(temporary, clipped, sample_rate, subtype)
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        raise OutputError(f"{path}: cannot be written as audio ({error}); use the suffix .wav or .flac.") from error


@contextmanager
def _open(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open an audio file for reading and check its header. A valid file is opened only once, unless it is SPHERE."""
    import soundfile

    try:
        source = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: headerless .raw files
        _check_file(path)  # raises if there is a more specific reason
        raise AudioError(f"{path}: is not audio that can be read here, or is damaged; {CONVERSION_HINT}.") from error
    with source:
        sphere = _check_file(path) if source.format == "NIST" else None
        _check_header(source, path)
        _check_length(source, path, sphere.frames if sphere else 0, source.frames)
        yield source


def _check_file(path: Path) -> SphereHeader | None:
    """Refuse what cannot be audio at all, or is compressed SPHERE; return the header of a SPHERE file."""
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
    """Refuse a file that is empty, of unknown length, or shorter than its header states."""
    if source.frames >= UNKNOWN_FRAMES:
        raise AudioError(f"{path}: its header states no length (it was streamed); {CONVERSION_HINT}.")
    # libsndfile replaces a too large length by that of the file, and keeps the original only in its log
    match = re.search(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", source.extra_info, re.MULTILINE)
    stated, present = map(int, match.groups()) if match else (0, 0)
    if present < stated < STREAMED_BYTES:
        _check_length(source, path, round(source.frames * stated / max(present, 1)), source.frames)
    if source.frames == 0:
        raise AudioError(f"{path}: holds no samples; record, export or copy it again.")


def _check_length(source: soundfile.SoundFile, path: Path, stated: int, present: int) -> None:
    """Refuse a file that holds clearly fewer frames than its header states."""
    if stated - present > MISSING_TOLERANCE_S * source.samplerate:
        stated_s, present_s = stated / source.samplerate, present / source.samplerate
        raise AudioError(
            f"{path}: is cut short: its header states {stated_s:.2f} s and {present_s:.2f} s are there; copy or "
            "download it again, or convert the rest with ffmpeg."
        )


def _check_end(source: soundfile.SoundFile, path: str | Path) -> None:
    """Refuse a file whose last second is not there, however long its header states that it is."""
    import soundfile

    last = min(source.samplerate, source.frames)
    try:
        source.seek(-last, os.SEEK_END)
        present = len(source.read(last))
    except soundfile.SoundFileError:
        present = 0
    if present < last:
        stated_s = source.frames / source.samplerate
        raise AudioError(
            f"{path}: is cut short or damaged: its header states {stated_s:.2f} s, whose end is not there; copy or "
            "download it again, or convert the rest with ffmpeg."
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
                "again, or convert the rest with ffmpeg."
            ) from error
        if len(block) == 0:
            break
        if not np.isfinite(block).all():
            raise AudioError(f"{path}: holds NaN or infinite samples; export it again as 16- or 24-bit PCM.")
        present += len(block)
        yield block
    if present < source.frames and (source.format != "MP3" or _states_length(path)):
        _check_length(source, path, source.frames, present)


def _resampled(
    source: soundfile.SoundFile, path: Path, rate: int, block_frames: int, mono: bool = True
) -> Iterator[NDArray[np.float32]]:
    """Decode, mix down and resample a file block by block, to the length that its header states."""
    blocks: Iterator[np.ndarray] = _blocks(source, path, block_frames)
    shape = () if mono else (source.channels,)
    mixed = (block.mean(axis=1) for block in blocks) if mono else blocks
    length = resampled_length(source.frames, source.samplerate, rate)
    yield from pad_or_trim(resample_stream(mixed, source.samplerate, rate, shape), length, shape)


def _states_length(path: Path) -> bool:
    """Return whether an MP3 file states its length, in a Xing or Info frame; else its length is only estimated."""
    with open(path, "rb") as file:
        head = file.read(10)
        # an ID3v2 tag comes first; its size has 7 bits per byte (id3.org, ID3v2.4.0, section 6.2)
        file.seek(10 + sum(byte << 7 * (3 - i) for i, byte in enumerate(head[6:10])) if head[:3] == b"ID3" else 0)
        first_frame = file.read(256)
    return b"Xing" in first_frame or b"Info" in first_frame
