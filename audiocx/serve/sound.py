"""Conversion of recordings for the browser: 16-bit WAV, and the peaks of the waveform."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, OutputError
from ..io.audio import DECODE_FRAMES
from ..io.mixdown import LOUDEST_PEAK
from ..io.opening import open_decoder
from ..io.paths import native_name

__all__ = ["WavWriter", "convert", "envelope"]

PEAK_FRAMES = 128  # of which the least and the greatest sample are kept: 3 ms at 44.1 kHz
MAX_WAV_BYTES = 2**32 - 2**20  # a WAV file states its length in 32 bits


class WavWriter:
    """Writes a 16-bit WAV file block by block, and keeps the peaks of its waveform.

    Args:
        path: File to write.
        sample_rate: Sample rate in Hz.
        channels: Number of channels.
        name: What to call the recording in messages.
        max_duration_s: Longest recording, in seconds.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, path: Path, sample_rate: int, channels: int, name: str, max_duration_s: float) -> None:
        import soundfile

        self._name, self._rate, self._error = name, sample_rate, soundfile.SoundFileError
        by_size = MAX_WAV_BYTES // (2 * channels)
        self._most_frames = min(round(max_duration_s * sample_rate), by_size)
        self.frames, self._peaks = 0, []  # type: int, list[NDArray[np.int8]]
        self._rest = np.zeros((0, channels), np.float32)
        try:
            self._file = soundfile.SoundFile(native_name(path), "w", sample_rate, channels, "PCM_16", format="WAV")
        except (self._error, OSError) as error:
            raise self._failed(error) from error

    @property
    def room(self) -> int:
        """Frames that may still be written."""
        return self._most_frames - self.frames

    def write(self, block: NDArray[np.floating]) -> None:
        """Write samples.

        Args:
            block: Float [N, C], full scale at 1; what lies beyond is clipped, and NaN is silence.

        Raises:
            AudioError: The recording becomes too long.
            OutputError: The disk is full.
        """
        block = np.clip(np.nan_to_num(block, posinf=1.0, neginf=-1.0), -1.0, 1.0).astype(np.float32, copy=False)
        self.frames += len(block)
        if self.frames > self._most_frames:
            raise AudioError(
                f"{self._name}: is longer than {self._most_frames / self._rate / 60:.0f} minutes; cut it into pieces."
            )
        try:
            self._file.write(block)
        except (self._error, OSError) as error:
            raise self._failed(error) from error
        joined = np.concatenate([self._rest, block])
        whole = len(joined) // PEAK_FRAMES * PEAK_FRAMES
        self._keep(joined[:whole])
        self._rest = joined[whole:]

    def close(self) -> NDArray[np.int8]:
        """Finish the file.

        Returns:
            The least and the greatest sample of each 128 frames, int8 [M, 2], full scale at 127.

        Raises:
            OutputError: The disk is full.
        """
        try:
            self._file.close()
        except (self._error, OSError) as error:
            raise self._failed(error) from error
        self._keep(self._rest)
        self._rest = self._rest[:0]
        return np.concatenate([np.zeros((0, 2), np.int8), *self._peaks])

    def _keep(self, frames: NDArray[np.float32]) -> None:
        if len(frames):
            parts = frames.reshape(-1, min(PEAK_FRAMES, len(frames)) * frames.shape[1])
            self._peaks.append(np.rint(127 * np.stack([parts.min(1), parts.max(1)], axis=1)).astype(np.int8))

    def _failed(self, error: Exception) -> OutputError:
        reason = getattr(error, "strerror", None) or error
        return OutputError(f"{self._name}: there is no room for its sound ({reason}); free some space on the disk.")


def convert(
    source: Path, name: str, target: Path, max_duration_s: float, report: Callable[[float], object]
) -> tuple[float, NDArray[np.int8]]:
    """Convert a recording to 16-bit WAV at its own rate, in bounded memory; more than two channels become one.

    Args:
        source: A file that :mod:`audiocx.io.audio` reads.
        name: What to call it in messages.
        target: WAV file to write.
        max_duration_s: Longest recording, in seconds.
        report: Called with 0 for each block; may raise to stop.

    Returns:
        Its length in seconds, and the peaks of :meth:`WavWriter.close`.

    Raises:
        AudioError: The file cannot be read, or is too long.
        OutputError: There is no room for the sound.
    """
    gain = 1.0
    while True:
        with open_decoder(source, name) as decoder:
            rate, stereo = round(decoder.sample_rate), decoder.channels <= 2
            writer = WavWriter(target, rate, decoder.channels if stereo else 1, name, max_duration_s)
            peak = 0.0
            try:
                for block in decoder.decode(DECODE_FRAMES):
                    block = gain * (block if stereo else block.mean(axis=1, keepdims=True))
                    peak = max(peak, float(np.abs(block[np.isfinite(block)]).max(initial=0.0)))
                    writer.write(block)
                    report(0.0)
            finally:
                peaks = writer.close()
        if peak <= LOUDEST_PEAK:
            return writer.frames / rate, peaks
        gain /= peak  # full scale is not 1


def envelope(peaks: NDArray[np.int8], points: int) -> bytes:
    """Reduce the peaks of a waveform to so many points.

    Args:
        peaks: Int8 [M, 2], as :meth:`WavWriter.close` returns them.
        points: Number of points, 1 or more.

    Returns:
        Least and greatest value of each of the points, which divide the recording evenly: 2 * points bytes, signed.

    >>> list(envelope(np.array([[-1, 2], [-3, 1], [0, 5]], np.int8), 1))
    [253, 5]
    """
    if not len(peaks):
        return bytes(2 * points)
    edges = np.arange(points) * len(peaks) // points
    both = [np.minimum.reduceat(peaks[:, 0], edges), np.maximum.reduceat(peaks[:, 1], edges)]
    return np.stack(both, axis=1).tobytes()
