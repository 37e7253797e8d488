"""Predictors of speech spectra, over recordings and on a live stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, ConfigError
from ..io.audio import AudioSource
from ..io.disk_array import on_disk
from ..models.configs import PredictorConfig
from ..models.predictor_runtime import FRAMES_PER_CALL, OnnxPredictor, RunnablePredictor, TorchPredictor
from ..models.running import frames_bar, read_samples
from ..models.runtime import choose_device
from ..stft import BINS, SPEECH_RATE, frame_count, log_power_db, stft_frames
from .prediction import Prediction

if TYPE_CHECKING:
    from ..checkpoints import Checkpoint

__all__ = ["Predictor"]


class Predictor:
    """A trained predictor, ready to run.

    Args:
        checkpoint: As ``audiocx.checkpoints.load_checkpoint`` returns it, of a predictor.
        device: "auto" (a CUDA device if there is one, else the processor) or a name such as "cpu", "cuda:1", "mps".
        precision: "float32", the only one.

    Raises:
        ConfigError: The device is not there, or the precision is another.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", precision: str = "float32") -> None:
        if precision != "float32":
            name = checkpoint.name
            raise ConfigError(f"{name} predicts speech in float32 only; leave out precision={precision!r}.")
        self.checkpoint = checkpoint
        self.network: RunnablePredictor
        if checkpoint.onnx is not None:
            self.network = OnnxPredictor(checkpoint.config, checkpoint.onnx, checkpoint.name)
        else:
            self.network = TorchPredictor(checkpoint.network, choose_device(device))
        self.config: PredictorConfig = self.network.config

    def predict(
        self,
        source: AudioSource,
        sample_rate: float | None = None,
        *,
        progress: bool = False,
    ) -> Prediction:
        """Predict every frame of a recording from those before it.

        Frames go through the network in blocks that pass on its state, and predictions go to a temporary file: an hour
        takes 115 MB more memory than a minute, its samples at 8 kHz, and 232 MB of disk.

        Args:
            source: An audio file of any rate and number of channels, or samples; see :func:`audiocx.io.audio.load`.
            sample_rate: Rate of the samples, in Hz; only for samples.
            progress: Show a progress bar on stderr, if that is a terminal.

        Returns:
            The predicted spectra and their errors.

        Raises:
            AudioError: The file cannot be used, or the samples are empty, of no usable type or shape or not finite.
            ConfigError: Samples came without their rate.
            OutputError: There is no room for the temporary file.
        """
        recording = read_samples(source, sample_rate, SPEECH_RATE)
        samples = recording.samples
        errors: list[NDArray[np.float32]] = []

        def rows() -> Iterator[NDArray[np.complex64]]:
            for true, predicted in self._blocks(samples, progress):
                errors.append(np.square(log_power_db(true) - log_power_db(predicted)).mean(-1))
                yield predicted

        spectra = on_disk(rows())
        frame_mse = np.concatenate(errors)[1:]
        name, remarks = recording.name, recording.remarks
        return Prediction(samples, spectra, frame_mse, name, self.checkpoint.name, remarks=remarks)

    def step(self, frame: NDArray[np.complexfloating], state: Any = None) -> tuple[NDArray[np.complex64], Any]:
        """Predict the next frame of a live stream from this one and all before it.

        A frame is made of the newest 256 samples at 8 kHz, every 128 samples:
        ``numpy.fft.rfft(scipy.signal.get_window("hann", 256) * samples)``.

        Args:
            frame: Spectrum, complex [F], F = 129.
            state: State that the last call returned; None at the beginning of the stream.

        Returns:
            The prediction of the next frame, complex64 [F], and the state for the next call.

        Raises:
            AudioError: The frame is of another shape, or holds NaN or infinite values.
        """
        if np.shape(frame) != (BINS,) or not np.isfinite(frame).all():
            raise AudioError(f"A frame is a spectrum of {BINS} finite values, [F]; this is {list(np.shape(frame))}.")
        ahead, state = self.network.forecast(np.asarray(frame, np.complex64)[None, None], state)
        return ahead[0, 0, 0], state

    def _blocks(
        self, samples: NDArray[np.float32], progress: bool
    ) -> Iterator[tuple[NDArray[np.complex64], NDArray[np.complex64]]]:
        """Yield true and predicted spectra, complex64 [<= FRAMES_PER_CALL, F] each, the same frames in both."""
        frames, state = frame_count(len(samples)), None
        carried = np.zeros((1, BINS), np.complex64)
        with frames_bar(frames, progress) as bar:
            for start in range(0, frames, FRAMES_PER_CALL):
                true = stft_frames(samples, start, min(start + FRAMES_PER_CALL, frames))
                ahead, state = self.network.forecast(true[None], state)
                next_frames = ahead[0, :, 0]
                yield true, np.concatenate([carried, next_frames[:-1]])
                carried = next_frames[-1:]
                bar.update(len(true))
