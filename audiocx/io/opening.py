"""Opening of audio files: by soundfile, and by PyAV for what that does not read.

A file is first looked through for where its sound lies (:class:`audiocx.io.spans.Layout`), because decoders believe
what headers state.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..errors import AudioError
from .containers import chunk_layout
from .decoder import CONVERSION_HINT, MISSING_TOLERANCE_S, Decoder, check_length, with_channels
from .flac import flac_layout
from .mpeg import is_mpeg, mpeg_layout
from .ogg import ogg_layout
from .paths import native_name
from .resampling import MAX_RATE, MIN_RATE, resample_stream
from .spans import Layout, Spans, Window
from .sphere import SphereHeader, read_header

if TYPE_CHECKING:
    import soundfile

__all__ = ["AV_SUFFIXES", "SNDFILE_SUFFIXES", "is_audio_content", "open_decoder"]

# Of the formats that libsndfile reads; headerless and rare ones are taken where they are named as files.
SNDFILE_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc", ".mp2"),
    *(".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".nist", ".voc"),
)
# Of formats that PyAV reads besides, films included.
AV_SUFFIXES = (
    *(".m4a", ".m4b", ".aac", ".mp4", ".m4v", ".mov", ".3gp", ".webm", ".weba", ".mka", ".mkv", ".wma", ".wmv", ".asf"),
    *(".amr", ".awb", ".gsm", ".ac3", ".eac3", ".dts", ".ape", ".wv", ".tta", ".tak", ".mpc", ".spx", ".ra", ".avi"),
)
HEAD_BYTES = 4096
UNKNOWN_FRAMES = 2**40  # libsndfile's length of a file that states none is 2**63 - 1
AV_HINT = f"run pip install 'audiocx[av]', which reads more formats, or {CONVERSION_HINT}"


@contextmanager
def open_decoder(path: Path, name: str | None = None) -> Iterator[Decoder]:
    """Open an audio file for decoding.

    Args:
        path: The file.
        name: What to call it in messages; None for its path.

    Yields:
        The decoder.

    Raises:
        AudioError: The file is missing, empty, cut short, not audio, or needs PyAV.
    """
    name = str(path) if name is None else name
    with ExitStack() as stack:
        file = stack.enter_context(_opened(path, name))
        window = Window(file)
        if window.end == 0:
            raise AudioError(f"{name}: is empty (0 bytes); record, export or copy it again.")
        layout = _layout(window)
        sphere = _sphere(file, name)
        decoder = _open_sndfile(stack, file, path, name, layout, sphere)
        if decoder is None:
            decoder = _open_av(stack, path, name)
        if not MIN_RATE <= decoder.sample_rate <= MAX_RATE:
            raise AudioError(
                f"{name}: its header states {decoder.sample_rate} samples a second, which cannot be right ({MIN_RATE} "
                f"to {MAX_RATE} are read); export it again."
            )
        decoder.remarks[:0] = layout.remarks
        yield decoder


def is_audio_content(path: Path) -> bool:
    """Return whether a file begins as audio does, whatever its name."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
            known = _chunk_file(head) or head.startswith((b"fLaC", b"OggS", b"NIST_1A", b"#!AMR", b"MAC ", b"wvpk"))
            if known or head[4:12] in (b"ftypM4A ", b"ftypM4B "):
                return True
            return not head.isascii() and is_mpeg(Window(file))  # not to search texts
    except OSError:
        return False


def _chunk_file(head: bytes) -> bool:
    wave = head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE"
    aiff = head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")
    return wave or aiff or head[:8] == b"caff\0\1\0\0" or head[:8] == b"riff\x2e\x91\xcf\x11" or head[:4] == b".snd"


@contextmanager
def _opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open a file; say what is wrong if that fails."""
    try:
        if path.is_dir():
            raise AudioError(f"{name}: is a folder; name the audio files in it, for example {path / '*.wav'}.")
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioError(f"{name}: does not exist; check the spelling and the folder.") from error
    except OSError as error:
        raise AudioError(f"{name}: cannot be opened ({error.strerror}); check its permissions.") from error
    except ValueError as error:  # a null character
        raise AudioError(f"{name!r}: is no name of a file ({error}); check the spelling.") from error
    with file:
        yield file


def _layout(window: Window) -> Layout:
    layout = chunk_layout(window) or ogg_layout(window) or flac_layout(window)
    if layout is None:
        layout = mpeg_layout(window) if is_mpeg(window) else Layout()
    return layout


def _sphere(file: BinaryIO, name: str) -> SphereHeader | None:
    """Return the header of a SPHERE file; refuse a compressed one."""
    file.seek(0)
    sphere = read_header(file)
    if sphere and sphere.shortened:
        stem = Path(name).name
        raise AudioError(
            f'{name}: is compressed by "shorten", which cannot be read here; convert it first: sph2pipe -f wav '
            f"{stem} {stem}.wav (or ffmpeg -i)."
        )
    return sphere


def _open_sndfile(
    stack: ExitStack, file: BinaryIO, path: Path, name: str, layout: Layout, sphere: SphereHeader | None
) -> Decoder | None:
    """Open a file by soundfile; None if it cannot read it."""
    import soundfile

    class Forward(soundfile.SoundFile):  # soundfile seeks after each block, which some encodings cannot, such as GSM
        def seekable(self) -> bool:
            return False

    def opened() -> list[soundfile.SoundFile]:
        if layout.parts:
            return [stack.enter_context(Forward(Spans(file, pieces))) for pieces in layout.parts]
        return [stack.enter_context(Forward(native_name(path)))]

    try:
        parts = opened()
    except (soundfile.SoundFileError, TypeError, ValueError, OverflowError):  # TypeError: headerless .raw files
        return None
    first = parts[0]
    if any(part.frames >= UNKNOWN_FRAMES for part in parts) or (first.format == "RAW" and first.subtype != "VOX_ADPCM"):
        return None  # of unknown length; or without a header, which libsndfile takes for mu-law if it is called .au
    _check_lengths(parts, name, layout, sphere)
    frames = sum(round(part.frames * first.samplerate / max(part.samplerate, 1)) for part in parts)
    if layout.frames is not None and layout.frames - frames > MISSING_TOLERANCE_S * first.samplerate:
        return None  # it would not read all
    if frames == 0:
        raise AudioError(f"{name}: holds no samples; record, export or copy it again.")
    remarks: list[str] = []
    if len({(part.samplerate, part.channels) for part in parts}) > 1:
        remarks.append("its parts differ in rate or channels and were brought to those of the first")

    unread = [parts]

    def decode(block_frames: int) -> Iterator[np.ndarray]:
        for part in unread.pop() if unread else opened():
            blocks = _sndfile_blocks(part, name, block_frames)
            if part.channels != first.channels:
                blocks = (with_channels(block, first.channels) for block in blocks)
            if part.samplerate != first.samplerate:
                singles = (block.astype(np.float32, copy=False) for block in blocks)
                blocks = resample_stream(singles, part.samplerate, first.samplerate, (first.channels,))
            yield from blocks

    return Decoder(name, first.samplerate, first.channels, frames, first.format, first.subtype, decode, remarks)


def _check_lengths(parts: list[soundfile.SoundFile], name: str, layout: Layout, sphere: SphereHeader | None) -> None:
    """Refuse a file that is shorter than one of its headers states."""
    first = parts[0]
    for part in parts:
        _check_stated(part, name)
    if first.format == "FLAC" and not layout.parts:
        _check_end(first, name)
    if layout.stated is not None and layout.frames is not None:
        check_length(name, layout.stated, layout.frames, first.samplerate)
    if sphere:
        check_length(name, sphere.frames, first.frames, first.samplerate)


def _check_stated(part: soundfile.SoundFile, name: str) -> None:
    """Refuse a file that is shorter than its header states."""
    # libsndfile replaces a too large length by that of the file, and keeps the original only in its log
    match = re.search(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", part.extra_info, re.MULTILINE)
    stated, present = map(int, match.groups()) if match else (0, 0)
    if 0 < present < stated < 0x7FFFF000:
        check_length(name, round(part.frames * stated / present), part.frames, part.samplerate)


def _check_end(part: soundfile.SoundFile, name: str) -> None:
    """Refuse a file whose last second is not there, however long its header states that it is."""
    import soundfile

    last = min(part.samplerate, part.frames)
    try:
        part.seek(-last, os.SEEK_END)
        present = len(part.read(last))
        part.seek(0)
    except soundfile.SoundFileError:
        present = 0
    if present < last:
        stated_s = part.frames / part.samplerate
        raise AudioError(
            f"{name}: is cut short or damaged: its header states {stated_s:.2f} s, whose end is not there; copy or "
            "download it again, or convert the rest with ffmpeg."
        )


def _sndfile_blocks(part: soundfile.SoundFile, name: str, block_frames: int) -> Iterator[np.ndarray]:
    """Decode a file block by block, float32 [<= block_frames, C]; float64 if its samples are."""
    import soundfile

    dtype = "float64" if part.subtype == "DOUBLE" else "float32"
    present = 0
    try:
        while len(block := part.read(block_frames, dtype=dtype, always_2d=True)):
            present += len(block)
            yield block
    except soundfile.SoundFileError as error:
        raise AudioError(
            f"{name}: is cut short or damaged after about {present / part.samplerate:.1f} s; copy or download it "
            "again, or convert the rest with ffmpeg."
        ) from error
    check_length(name, part.frames, present, part.samplerate)


def _open_av(stack: ExitStack, path: Path, name: str) -> Decoder:
    if find_spec("av") is None:
        raise AudioError(f"{name}: is not audio that can be read here, or is damaged; {AV_HINT}.")
    from .pyav import open_av

    return open_av(stack, path, name)
