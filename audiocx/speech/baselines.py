"""Baselines for the prediction of log power spectra.

All have one interface: ``fit`` on the levels of training utterances, then call with the levels of an utterance to
predict the frames that follow. Silence is assumed before an utterance. They run on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..stft import BINS, SILENCE_DB

__all__ = ["BASELINES", "Baseline", "BinMean", "LinearPrediction", "RepeatLast"]

Levels = NDArray[np.floating]

# Frames whose inputs are in memory at a time; each has 25 inputs a bin.
REGRESSION_FRAMES = 1024


class Baseline(Protocol):
    """A baseline.

    Attributes:
        parameters: Number of values estimated from the training data.
    """

    parameters: int

    def fit(self, utterances: Iterable[Levels]) -> None:
        """Fit the parameters.

        Args:
            utterances: Levels of each training utterance in dB, [T, F]; read once.
        """

    def __call__(self, true_db: Levels) -> Levels:
        """Predict the next frames.

        Args:
            true_db: Levels in dB, float [T, F].

        Returns:
            Levels in dB, [T, F]; row t is the prediction of frame t + 1 from the frames up to t.
        """


class RepeatLast:
    """Predicts the last frame again."""

    parameters = 0

    def fit(self, utterances: Iterable[Levels]) -> None:
        """Do nothing: there are no parameters."""

    def __call__(self, true_db: Levels) -> Levels:
        """Predict the next frames; see :class:`Baseline`."""
        return true_db


class BinMean:
    """Predicts the mean of all training frames except the first of each utterance, which is never predicted."""

    def __init__(self) -> None:
        self.mean_db = np.zeros(BINS, np.float32)
        self.parameters = BINS

    def fit(self, utterances: Iterable[Levels]) -> None:
        """Fit the parameters; see :class:`Baseline`."""
        total, frames = np.zeros(BINS), 0
        for true_db in utterances:
            total += true_db[1:].sum(0, dtype=np.float64)
            frames += max(0, len(true_db) - 1)
        self.mean_db = (total / max(1, frames)).astype(np.float32)

    def __call__(self, true_db: Levels) -> Levels:
        """Predict the next frames; see :class:`Baseline`."""
        return np.broadcast_to(self.mean_db, true_db.shape)


class LinearPrediction:
    """Predicts each bin by a weighted sum of the last levels of itself and its neighbours, and a constant.

    The weights are the least-squares solution over the training frames, the one of minimum norm where it is not unique,
    as for a bin that is always silent.

    Args:
        order: Number of past frames.
        neighbours: Number of bins on either side.

    Source: J. Makhoul, "Linear prediction: A tutorial review", Proceedings of the IEEE 63(4), 1975, section II (the
    covariance method), here over frames.
    """

    def __init__(self, order: int = 8, neighbours: int = 1) -> None:
        self.order, self.neighbours = order, neighbours
        self.weights = np.zeros((BINS, order * (2 * neighbours + 1) + 1))
        self.parameters = self.weights.size

    def fit(self, utterances: Iterable[Levels]) -> None:
        """Fit the parameters; see :class:`Baseline`."""
        size = self.weights.shape[1]
        products = np.zeros((BINS, size, size))
        moments = np.zeros((BINS, size))
        for true_db in utterances:
            targets = true_db[1:].T.astype(np.float64)
            for start, inputs in self._inputs(true_db[:-1]):
                transposed = inputs.swapaxes(1, 2)
                products += transposed @ inputs
                moments += (transposed @ targets[:, start : start + inputs.shape[1], None])[..., 0]
        # By singular values: bins that are always silent, and the one beyond the last, need no special case.
        pairs = zip(products, moments, strict=True)
        self.weights = np.stack([np.linalg.lstsq(product, moment, rcond=None)[0] for product, moment in pairs])

    def __call__(self, true_db: Levels) -> Levels:
        """Predict the next frames; see :class:`Baseline`."""
        blocks = [(inputs @ self.weights[..., None])[..., 0].T for _, inputs in self._inputs(true_db)]
        return np.maximum(np.concatenate(blocks), SILENCE_DB).astype(true_db.dtype)

    def _inputs(self, true_db: Levels) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield each block's first frame, and the inputs that predict the next frames, [F, T, order * 3 + 1]."""
        around = ((self.order - 1, 0), (self.neighbours, self.neighbours))
        padded = np.pad(true_db, around, constant_values=SILENCE_DB)
        past = np.lib.stride_tricks.sliding_window_view(padded, (self.order, 2 * self.neighbours + 1))
        for start in range(0, len(past), REGRESSION_FRAMES):
            block = past[start : start + REGRESSION_FRAMES].swapaxes(0, 1)
            inputs = block.reshape(*block.shape[:2], -1).astype(np.float64)
            yield start, np.pad(inputs, ((0, 0), (0, 0), (0, 1)), constant_values=1.0)


BASELINES: dict[str, type[Baseline]] = {"repeat": RepeatLast, "mean": BinMean, "linear-prediction": LinearPrediction}
