"""Reading and writing of audio files, in bounded memory.

Files are decoded, mixed down to mono and resampled block by block, so that an hour of 8 channels at 192 kHz takes no
more memory than the resulting samples. They are read to their true end, whatever their headers state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, OutputError
from .arrays import checked_rate, checked_samples
from .atomic_write import atomic_write
from .decoder import Decoder
from .disk_array import DiskArray
from .inputs import as_file, is_array
from .mixdown import LOUDEST_PEAK, MAX_COMPARED_CHANNELS, ChannelSurvey, LevelSurvey, Mix
from .opening import AV_SUFFIXES, SNDFILE_SUFFIXES, open_decoder
from .paths import native_name
from .resampling import resample_stream, resampled_length

__all__ = ["AUDIO_SUFFIXES", "AudioInfo", "AudioSource", "Recording", "info", "load", "read", "stream", "write"]

AUDIO_SUFFIXES = (*SNDFILE_SUFFIXES, *AV_SUFFIXES)
DECODE_FRAMES = 65_536  # frames decoded at a time: 2 MB of float32 at 8 channels; larger blocks are no faster
FIRST_SAMPLES = 2**24  # reserved at most at first, for headers may state any length: 64 MB

# A file by its name, the content of one, an open binary file, samples, or these with their rate.
AudioSource = Any


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
        remarks: What a user should know, such as that the header states no length.
    """

    path: Path
    sample_rate: int
    channels: int
    frames: int
    duration_s: float
    format: str
    subtype: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Recording:
    """Samples of a recording.

    Attributes:
        samples: Float32 [N], or [N, C] with all channels; of long ones a read-only disk-backed array.
        sample_rate: Sample rate in Hz.
        name: Name of the file, or "samples".
        remarks: What a user should know: what was left out, scaled, or found to be otherwise than the header states.
        subtype: Encoding of the file, such as ``PCM_16``; of samples the closest.
        full_scale_known: False if the samples were far beyond full scale, and were scaled to a peak of 1.
    """

    samples: NDArray[np.float32]
    sample_rate: float
    name: str
    remarks: tuple[str, ...] = ()
    subtype: str = ""
    full_scale_known: bool = True


def info(path: str | Path) -> AudioInfo:
    """Read the header of an audio file, without decoding it.

    Args:
        path: An audio file; "-" is standard input.

    Returns:
        Its sample rate, channels, length and encoding. The length of AAC without a container is an estimate.

    Raises:
        AudioError: The file is missing, empty, truncated or not audio.
    """
    with as_file(path) as (local, name), open_decoder(local, name) as source:
        rate, frames = int(source.sample_rate), source.frames
        seconds, remarks = frames / rate, tuple(source.remarks)
        return AudioInfo(Path(path), rate, source.channels, frames, seconds, source.format, source.subtype, remarks)


def load(
    source: AudioSource,
    sample_rate: float | None = None,
    rate_out: float | None = None,
    *,
    mono: bool = True,
    max_memory_s: float = math.inf,
    block_frames: int = DECODE_FRAMES,
) -> Recording:
    """Read a recording from a file or from memory, mixed down to mono and resampled if requested.

    Args:
        source: A file by its name ("-" is standard input), its content as bytes, an open binary file, or samples: [N],
            [N, C] or [C, N] (the longer axis is time), floating point or integers, which are scaled by their type;
            also ``(samples, sample_rate)``.
        sample_rate: Sample rate of samples in Hz; ignored for files.
        rate_out: Output sample rate in Hz; None keeps that of the recording.
        mono: Mix the channels by the rule of :mod:`audiocx.io.mixdown`; else keep all of them.
        max_memory_s: Recordings longer than this many seconds are returned as a read-only disk-backed array.
        block_frames: Frames decoded at a time; bounds the memory.

    Returns:
        The samples, full scale at 1, N = ceil(frames * rate_out / rate of the recording).

    Raises:
        AudioError: The file is missing, empty, truncated or not audio, the samples are of no usable type or shape, or
            either holds NaN or infinite samples.
        ConfigError: Samples came without their rate, or a rate is not positive.
        OutputError: The disk is too full for a temporary file.
    """
    if isinstance(source, tuple) and len(source) == 2:
        source, sample_rate = source if is_array(source[0]) else source[::-1]  # SciPy has the rate first
    if is_array(source):
        return _load(_array_decoder(source, sample_rate), rate_out, mono, max_memory_s, block_frames)
    with as_file(source) as (path, name), open_decoder(path, name) as decoder:
        return _load(decoder, rate_out, mono, max_memory_s, block_frames)


def read(
    path: str | Path,
    sample_rate: float | None = None,
    block_frames: int = DECODE_FRAMES,
    *,
    mono: bool = True,
    max_memory_s: float = math.inf,
) -> tuple[NDArray[np.float32], Any]:
    """Read an audio file; :func:`load` without what is to be said about it.

    Args:
        path: A WAV, FLAC, Ogg, MP3, AIFF or other file that soundfile reads, or, with the extra ``av``, any other.
        sample_rate: Output sample rate in Hz; None keeps the sample rate of the file.
        block_frames: Frames decoded at a time; bounds the memory, does not change the result.
        mono: As in :func:`load`.
        max_memory_s: As in :func:`load`.

    Returns:
        Samples, float32 [N] or [N, C] with full scale 1, and their sample rate in Hz.

    Raises:
        AudioError: See :func:`load`.
        ConfigError: The sample rate is not positive.
        OutputError: The disk is too full for the temporary file.
    """
    recording = load(path, rate_out=sample_rate, mono=mono, max_memory_s=max_memory_s, block_frames=block_frames)
    return recording.samples, recording.sample_rate


def stream(path: str | Path, sample_rate: float, block_frames: int = DECODE_FRAMES) -> Iterator[NDArray[np.float32]]:
    """Read an audio file block by block; the blocks together are the result of :func:`read`.

    Args:
        path: As in :func:`read`. It is decoded twice, for how to mix it is decided from the whole.
        sample_rate: Output sample rate in Hz.
        block_frames: Frames decoded at a time.

    Yields:
        Mono samples, float32 [*].

    Raises:
        AudioError: See :func:`load`.
        ConfigError: The sample rate is not positive.
    """
    with as_file(path) as (local, name), open_decoder(local, name) as decoder:
        mix = _survey(decoder, True, block_frames)
        yield from _resampled(decoder, decoder.decode(block_frames), mix, sample_rate, True)


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
            soundfile.write(native_name(temporary), clipped, sample_rate, subtype)
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        raise OutputError(f"{path}: cannot be written as audio ({error}); use the suffix .wav or .flac.") from error


def _array_decoder(source: Any, sample_rate: Any) -> Decoder:
    """Let samples be read as a file is."""
    try:
        array = np.asarray(source)
    except (TypeError, ValueError, RuntimeError) as error:  # a ragged list, a tensor on another device
        raise AudioError(
            f"Samples must be an array of numbers ({str(error).splitlines()[0]}); convert them."
        ) from error
    rate, samples = checked_rate(sample_rate), checked_samples(array)

    def decode(block_frames: int) -> Iterator[np.ndarray]:
        for begin in range(0, len(samples), block_frames):
            block = samples[begin : begin + block_frames]
            # float16 overflows in sums, and soxr takes no type of more than 8 bytes
            yield block.astype(np.float64 if block.dtype.itemsize > 4 else np.float32, copy=False)

    bits = 8 * array.dtype.itemsize
    encoding = {"f": "FLOAT", "u": f"PCM_U{bits}"}.get(array.dtype.kind, f"PCM_{bits}")
    return Decoder("samples", rate, samples.shape[1], len(samples), "", encoding, decode)


def _load(decoder: Decoder, rate_out: float | None, mono: bool, max_memory_s: float, block_frames: int) -> Recording:
    """Read by the usual mix, and measure meanwhile; read again if another is right."""
    rate = decoder.sample_rate if rate_out is None else rate_out
    resampled_length(0, decoder.sample_rate, rate)
    compare = mono and 1 < decoder.channels <= MAX_COMPARED_CHANNELS
    survey, usual, mix = ChannelSurvey(decoder.channels), True, Mix()

    def measured() -> Iterator[np.ndarray]:
        nonlocal usual
        for block in decoder.decode(block_frames):
            usual = bool(block.max() <= LOUDEST_PEAK and block.min() >= -LOUDEST_PEAK)  # False if it holds NaN, too
            if not usual:
                return
            if compare:
                survey.add(block)
            yield block

    samples = _collected(decoder, measured(), mix, rate, mono, max_memory_s)
    if not usual:
        mix = _survey(decoder, mono, block_frames)
    elif compare:
        mix = survey.mix(np.zeros(decoder.channels, bool))
    if mix != Mix():
        samples = _collected(decoder, decoder.decode(block_frames), mix, rate, mono, max_memory_s)
    if not len(samples):
        raise AudioError(f"{decoder.name}: holds no samples; record, export or copy it again.")
    remarks = tuple(dict.fromkeys([*decoder.remarks, *mix.remarks]))
    return Recording(samples, rate, Path(decoder.name).name, remarks, decoder.subtype, mix.gain == 1.0)


def _survey(decoder: Decoder, mono: bool, block_frames: int) -> Mix:
    """Decode all of a recording to decide how to mix it, faulty and absurdly loud samples included."""
    levels = LevelSurvey(decoder.channels)
    for block in decoder.decode(block_frames):
        levels.add(block)
    gain, remarks = levels.gain(decoder.name, mono)
    if not mono or not 1 < decoder.channels <= MAX_COMPARED_CHANNELS:
        return Mix(None, gain, remarks)
    channels = ChannelSurvey(decoder.channels)
    for block in decoder.decode(block_frames):
        channels.add(np.where(levels.faulty, 0.0, block) * gain)
    mix = channels.mix(levels.faulty)
    return Mix(mix.channels, gain, (*mix.remarks, *remarks))


def _resampled(
    decoder: Decoder, blocks: Iterable[np.ndarray], mix: Mix, rate: float, mono: bool
) -> Iterator[NDArray[np.float32]]:
    shape = () if mono else (decoder.channels,)
    yield from resample_stream((mix.apply(block, mono) for block in blocks), decoder.sample_rate, rate, shape)


def _collected(
    decoder: Decoder, blocks: Iterable[np.ndarray], mix: Mix, rate: float, mono: bool, max_memory_s: float
) -> NDArray[np.float32]:
    """Collect the samples of a recording, in memory or, if they are too many, in a temporary file."""
    shape = () if mono else (decoder.channels,)
    stated = resampled_length(max(decoder.frames, 1), decoder.sample_rate, rate)
    samples = np.empty((min(stated, FIRST_SAMPLES // max(math.prod(shape), 1)), *shape), np.float32)
    filled, disk = 0, None
    for block in _resampled(decoder, blocks, mix, rate, mono):
        if disk is None and filled + len(block) > max_memory_s * rate:
            disk = DiskArray(np.float32, *shape)
            disk.append(samples[:filled])
            samples = samples[:0]
        if disk is not None:
            disk.append(block)
            continue
        if filled + len(block) > len(samples):
            samples.resize((filled + max(len(block), filled // 4), *shape), refcheck=False)  # in place
        samples[filled : filled + len(block)] = block
        filled += len(block)
    if disk is not None:
        return disk.array()
    samples.resize((filled, *shape), refcheck=False)
    return samples
