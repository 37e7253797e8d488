"""Predicted spectra of a recording and their errors: written to files, synthesized and plotted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import printable
from ..io import audio
from ..io.atomic_write import atomic_write
from ..io.disk_array import on_disk
from ..stft import HOP_SAMPLES, SPEECH_RATE, frame_count, log_power_db, stft_frames
from .metrics import resynthesize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Prediction"]

# Frames in memory at a time while writing and plotting: about 4 MB of spectra.
OUTPUT_BLOCK_FRAMES = 4096


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The frames of a recording, each predicted from those before it.

    The spectra are those of :func:`audiocx.stft.stft`: frame t covers samples 128 (t - 2) to 128 (t - 2) + 255 at
    8 kHz, T = N // 128 + 3. Predicted spectra lie in a temporary file, which is deleted with them; true spectra are
    computed on demand. Files and plots are made block by block, so an hour needs little more memory than its samples.

    Attributes:
        samples: The recording, mono, at ``sample_rate``, float32 [N].
        spectra: Predicted spectra, complex64 [T, F], read-only; frame t in row t, and zeros for the first frame, which
            is never predicted.
        frame_mse: Mean over the bins of the squared error of the log power, in dB^2, float32 [T - 1], from frame 1 on.
        source: Name of the recording.
        model: Name of the network.
        sample_rate: 8000 Hz.
        remarks: What was done with the recording before, such as which channels were left out.
    """

    samples: NDArray[np.float32]
    spectra: NDArray[np.complex64]
    frame_mse: NDArray[np.float32]
    source: str
    model: str
    sample_rate: int = SPEECH_RATE
    remarks: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length of the recording, in seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def mse(self) -> float:
        """Mean over frames 1 to T - 1 and all bins of the squared error of 10 log10(1e-5 + |X|^2), in dB^2."""
        return float(self.frame_mse.mean(dtype=np.float64))

    def mse_by_second(self) -> NDArray[np.float64]:
        """Compute the error of each second.

        Returns:
            Mean squared error of the frames centred in each second, in dB^2, float64 [ceil(duration_s)].
        """
        seconds = math.ceil(self.duration_s)
        # Frame t is centred at sample 128 (t - 1); the last one after the end.
        second = np.minimum(np.arange(len(self.frame_mse)) * HOP_SAMPLES // self.sample_rate, seconds - 1)
        sums, counts = np.bincount(second, self.frame_mse, seconds), np.bincount(second, minlength=seconds)
        return sums / counts

    def true_spectra(self, start: int = 0, stop: int | None = None) -> NDArray[np.complex64]:
        """Compute the true spectra.

        Args:
            start: First frame.
            stop: Frame after the last; None for T.

        Returns:
            Complex64 [stop - start, F].
        """
        return stft_frames(self.samples, *slice(start, stop).indices(len(self.spectra))[:2])

    def resynthesis(self) -> NDArray[np.float32]:
        """Synthesize the prediction: its magnitudes with the phases of the recording.

        Returns:
            Samples at ``sample_rate``, float32 [N].
        """
        sound = np.empty_like(self.samples)
        for first in range(0, len(sound), OUTPUT_BLOCK_FRAMES * HOP_SAMPLES):
            part = sound[first : first + OUTPUT_BLOCK_FRAMES * HOP_SAMPLES]
            start = first // HOP_SAMPLES
            true, predicted = self._frames(start, start + frame_count(len(part)))
            # No sample of this part is made of the first frame, so any will do.
            part[:] = resynthesize(np.roll(predicted, -1, 0), true, len(part))
        return sound

    def to_json(self, path: str | Path) -> None:
        """Write the error, overall and for each second, with the names of recording and network, as JSON.

        Args:
            path: File to write: ``mse`` and ``mse_by_second`` in dB^2, ``frames`` (those predicted), ``duration_s``,
                ``source``, ``model``.

        Raises:
            OutputError: The file cannot be written.
        """
        values: dict[str, Any] = {
            "source": printable(self.source),
            "model": self.model,
            "duration_s": self.duration_s,
            "frames": len(self.frame_mse),
            "mse": self.mse,
            "mse_by_second": self.mse_by_second().tolist(),
        }
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    def to_npz(self, path: str | Path) -> None:
        """Write the spectra as a NumPy archive, uncompressed, since noise does not compress.

        Args:
            path: File to write; ``numpy.load`` returns ``predicted`` and ``true``, complex64 [T, F], ``frame_mse``,
                float32 [T - 1], and ``sample_rate``.

        Raises:
            OutputError: The file, or a temporary one, cannot be written.
        """
        true = on_disk(true for true, _ in self._blocks())
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, predicted=self.spectra, true=true, frame_mse=self.frame_mse, sample_rate=self.sample_rate)

    def to_wav(self, path: str | Path) -> None:
        """Write the prediction as sound: its magnitudes with the phases of the recording.

        Args:
            path: File to write; its suffix names the format.

        Raises:
            OutputError: The file cannot be written.
        """
        audio.write(path, self.resynthesis(), self.sample_rate)

    def to_png(self, path: str | Path) -> None:
        """Write a figure: the true spectrogram above the predicted one and their difference.

        Args:
            path: File to write; its suffix names the format.

        Raises:
            OutputError: The file cannot be written.
        """
        from ..plots.figure import save_figure

        save_figure(self.plot(), path)

    def plot(self) -> Figure:
        """Plot the true spectrogram above the predicted one and their difference.

        Returns:
            A matplotlib figure, which notebooks show; for long recordings a column is the mean of several frames.
        """
        from ..plots import spectrograms

        # Averaged here, block by block, for the levels of all frames would not fit in memory.
        group = -(-len(self.spectra) // spectrograms.MAX_COLUMNS)
        blocks = self._blocks(max(1, OUTPUT_BLOCK_FRAMES // group) * group)
        true_db, predicted_db = zip(*((_means_db(a, group), _means_db(b, group)) for a, b in blocks), strict=True)
        hop_s = HOP_SAMPLES / self.sample_rate
        # Frame t is centred at sample 128 (t - 1).
        start_s, title = ((group - 1) / 2 - 1) * hop_s, f"{self.source}: MSE {self.mse:.2f} dB²"
        levels_db = np.concatenate(true_db), np.concatenate(predicted_db)
        return spectrograms.plot_spectrograms(*levels_db, group * hop_s, self.sample_rate / 2, start_s, title)

    def __repr__(self) -> str:
        return (
            f"<Prediction of {self.source} by {self.model}: MSE {self.mse:.2f} dB^2 over {len(self.frame_mse)} frames, "
            f"{self.duration_s:.2f} s>"
        )

    def _frames(self, start: int, stop: int) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
        """Return true and predicted spectra of frames start to stop - 1, complex64 [stop - start, F] each."""
        return stft_frames(self.samples, start, stop), self.spectra[start:stop]

    def _blocks(
        self, block_frames: int = OUTPUT_BLOCK_FRAMES
    ) -> Iterator[tuple[NDArray[np.complex64], NDArray[np.complex64]]]:
        """Yield true and predicted spectra of all frames, block by block."""
        frames = len(self.spectra)
        for start in range(0, frames, block_frames):
            yield self._frames(start, min(start + block_frames, frames))


def _means_db(spectra: NDArray[np.complex64], group: int) -> NDArray[np.float32]:
    """Return levels in dB, each the mean over a group of frames."""
    levels = log_power_db(spectra)
    return np.stack([levels[start : start + group].mean(0) for start in range(0, len(levels), group)])
