"""Baselines for the prediction of log power spectra.

All have one interface: ``fit`` on the levels of training utterances, then call with the levels of an utterance to
predict the frames that follow. Silence is assumed before an utterance. They run on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..stft import BINS, SILENCE_DB

__all__ = ["BASELINES", "Baseline", "BinMean", "LinearPrediction", "RepeatLast"]

# Frames whose inputs are in memory at a time; each has 25 inputs a bin.
REGRESSION_FRAMES = 1024


class Baseline(Protocol):
    """A baseline.

    Attributes:
        parameters: Number of values estimated from the training data.
    """

    parameters: int

    def fit(self, utterances: Iterable[Tensor]) -> None:
        """Fit the parameters.

        Args:
            utterances: Levels of each training utterance in dB, [T, F]; read once.
        """

    def __call__(self, true_db: Tensor) -> Tensor:
        """Predict the next frames.

        Args:
            true_db: Levels in dB, float [T, F].

        Returns:
            Levels in dB, [T, F]; row t is the prediction of frame t + 1 from the frames up to t.
        """


class RepeatLast:
    """Predicts the last frame again."""

    parameters = 0

    def fit(self, utterances: Iterable[Tensor]) -> None:
        """Do nothing: there are no parameters."""

    def __call__(self, true_db: Tensor) -> Tensor:
        """Predict the next frames; see :class:`Baseline`."""
        return true_db


class BinMean:
    """Predicts the mean of all training frames except the first of each utterance, which is never predicted."""

    def __init__(self) -> None:
        self.mean_db = torch.zeros(BINS)
        self.parameters = BINS

    def fit(self, utterances: Iterable[Tensor]) -> None:
        """Fit the parameters; see :class:`Baseline`."""
        total, frames = torch.zeros(BINS, dtype=torch.float64), 0
        for true_db in utterances:
            total += true_db[1:].double().sum(0)
            frames += max(0, len(true_db) - 1)
        self.mean_db = (total / max(1, frames)).float()

    def __call__(self, true_db: Tensor) -> Tensor:
        """Predict the next frames; see :class:`Baseline`."""
        return self.mean_db.expand_as(true_db)


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
        self.weights = torch.zeros(BINS, order * (2 * neighbours + 1) + 1, dtype=torch.float64)
        self.parameters = self.weights.numel()

    def fit(self, utterances: Iterable[Tensor]) -> None:
        """Fit the parameters; see :class:`Baseline`."""
        size = self.weights.shape[1]
        products = torch.zeros(BINS, size, size, dtype=torch.float64)
        moments = torch.zeros(BINS, size, 1, dtype=torch.float64)
        for true_db in utterances:
            following = true_db[1:].double().T[..., None].split(REGRESSION_FRAMES, dim=1)
            for inputs, targets in zip(self._inputs(true_db[:-1]), following, strict=True):
                products += inputs.mT @ inputs
                moments += inputs.mT @ targets
        # By singular values: bins that are always silent, and the one beyond the last, need no special case.
        self.weights = torch.linalg.lstsq(products, moments, driver="gelsd").solution[..., 0]

    def __call__(self, true_db: Tensor) -> Tensor:
        """Predict the next frames; see :class:`Baseline`."""
        blocks = [(inputs @ self.weights[..., None])[..., 0].T for inputs in self._inputs(true_db)]
        return torch.cat(blocks).to(true_db.dtype).clamp(min=SILENCE_DB)

    def _inputs(self, true_db: Tensor) -> Iterator[Tensor]:
        """Yield the inputs for the prediction of the next frame, in blocks of frames, float64 [F, T, order * 3 + 1]."""
        around = (self.neighbours, self.neighbours, self.order - 1, 0)
        padded = F.pad(true_db, around, value=SILENCE_DB)
        past = padded.unfold(0, self.order, 1).unfold(1, 2 * self.neighbours + 1, 1)
        for block in past.split(REGRESSION_FRAMES):
            yield F.pad(block.flatten(2).double(), (0, 1), value=1.0).transpose(0, 1)


BASELINES: dict[str, type[Baseline]] = {"repeat": RepeatLast, "mean": BinMean, "linear-prediction": LinearPrediction}
