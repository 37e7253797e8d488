"""Running predictors of speech on NumPy arrays: frame by frame in onnxruntime, or in blocks in PyTorch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .configs import PredictorConfig
from .runtime import OnnxNetwork, after_fork

if TYPE_CHECKING:
    import torch

__all__ = ["FRAMES_PER_CALL", "OnnxPredictor", "RunnablePredictor", "TorchPredictor"]

# Frames that go through a network in one call: a second, some 30 MB. More take longer, for they leave the processor's
# caches.
FRAMES_PER_CALL = 64


class RunnablePredictor(Protocol):
    """A predictor on arrays.

    Attributes:
        config: Its configuration.
    """

    config: PredictorConfig

    def forecast(self, spectra: NDArray[np.complex64], state: Any = None) -> tuple[NDArray[np.complex64], Any]:
        """Predict the next ``config.ahead`` frames from every frame and those before it.

        Args:
            spectra: Complex64 [B, T, F], F = 129, as of :func:`audiocx.stft.stft`.
            state: State returned by an earlier call of the same predictor, to continue from.

        Returns:
            Complex64 [B, T, A, F], where [:, t, a] is the prediction of frame t + 1 + a, and the state after the last
            frame.
        """
        ...


class OnnxPredictor:
    """A predictor in onnxruntime; its file is that of :func:`audiocx.models.onnx_export.step_model`.

    Args:
        config: Its configuration.
        model: Content of its ONNX file.
        name: The checkpoint's name, for messages.

    Raises:
        ConfigError: onnxruntime is missing, too old, or cannot load the file.
    """

    def __init__(self, config: PredictorConfig, model: bytes, name: str) -> None:
        # The work of one frame is too small to share.
        self.config, self._step = config, OnnxNetwork(config, model, name, threads=1)

    def forecast(self, spectra: NDArray[np.complex64], state: Any = None) -> tuple[NDArray[np.complex64], Any]:
        """Predict the next frames; see :class:`RunnablePredictor`."""
        batch, times, bins = spectra.shape
        frames = np.ascontiguousarray(spectra.swapaxes(0, 1), np.complex64).view(np.float32)
        ahead = np.empty((times, batch, self.config.ahead, bins, 2), np.float32)
        states = self._first_states(batch) if state is None else state
        for frame, follows in zip(frames.reshape(times, batch, bins, 2), ahead, strict=True):
            follows[:], *states = self._step(frame, *states)
        return ahead.view(np.complex64)[..., 0].swapaxes(0, 1), states

    def _first_states(self, batch: int) -> list[NDArray[np.float32]]:
        _, *shapes = self._step.input_shapes.values()
        states = [
            np.zeros([batch if isinstance(size, str) else size for size in shape], np.float32) for shape in shapes
        ]
        if self.config.front_end == "increment":
            states[-2][:] = 1  # the phase before the first frame
        return states


class TorchPredictor:
    """A predictor in PyTorch; in a forked process it has one thread.

    Args:
        network: A :class:`audiocx.models.PredictorNetwork` in evaluation mode; moved to the device.
        device: Where to run; None for where it is.
    """

    def __init__(self, network: Any, device: torch.device | str | None = None) -> None:
        self.config: PredictorConfig = network.config
        self.network = network if device is None else network.to(device)
        self._process = os.getpid()

    def forecast(self, spectra: NDArray[np.complex64], state: Any = None) -> tuple[NDArray[np.complex64], Any]:
        """Predict the next frames; see :class:`RunnablePredictor`."""
        import torch

        self._process = after_fork(self._process)
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            ahead, state = self.network.forecast(torch.from_numpy(np.ascontiguousarray(spectra)).to(device), state)
        return ahead.cpu().numpy(), state
