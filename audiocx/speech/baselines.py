"""Trivial predictors of the log power spectrum: what a network must beat to be worth anything.

All have one interface: ``fit`` on the levels of training utterances, then a call with the levels of an utterance gives
those of the frames that follow. Before an utterance there is silence. They run on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..stft import BINS, SILENCE_DB

__all__ = ["BASELINES", "Baseline", "BinMean", "LinearPrediction", "RepeatLast"]

# Frames whose inputs, 25 numbers a bin, are in memory at a time.
BLOCK_FRAMES = 1024


class Baseline(Protocol):
    """A trivial predictor.

    Attributes:
        parameters: How many numbers it takes from the training data.
    """

    parameters: int

    def fit(self, utterances: Iterable[Tensor]) -> None:
        """Learns.

        Args:
            utterances: Levels of each training utterance in dB, [T, F]; read once.
        """

    def __call__(self, true_db: Tensor) -> Tensor:
        """Predicts.

        Args:
            true_db: Levels in dB, float [T, F].

        Returns:
            Levels in dB, [T, F]; row t is of frame t + 1, from the frames up to t.
        """


class RepeatLast:
    """The next frame is as the last."""

    parameters = 0

    def fit(self, utterances: Iterable[Tensor]) -> None:
        """Does nothing."""

    def __call__(self, true_db: Tensor) -> Tensor:
        """Predicts; see :class:`Baseline`."""
        return true_db


class BinMean:
    """Every frame is the mean of all training frames but the first of each utterance, which nothing predicts."""

    def __init__(self) -> None:
        self.mean_db = torch.zeros(BINS)
        self.parameters = BINS

    def fit(self, utterances: Iterable[Tensor]) -> None:
        """Learns; see :class:`Baseline`."""
        total, frames = torch.zeros(BINS, dtype=torch.float64), 0
        for true_db in utterances:
            total += true_db[1:].double().sum(0)
            frames += max(0, len(true_db) - 1)
        self.mean_db = (total / max(1, frames)).float()

    def __call__(self, true_db: Tensor) -> Tensor:
        """Predicts; see :class:`Baseline`."""
        return self.mean_db.expand_as(true_db)


class LinearPrediction:
    """Every bin is a weighted sum of the last few levels of itself and its neighbours, and a constant.

    The weights of each bin are those of least squares over the training frames; where several do as well, as in a bin
    that is always silent, the smallest.

    Args:
        order: Number of frames that are looked back at.
        neighbours: Number of bins on either side.

    Source: J. Makhoul, "Linear prediction: A tutorial review", Proceedings of the IEEE 63(4), 1975, section II (the
    covariance method), here over frames.
    """

    def __init__(self, order: int = 8, neighbours: int = 1) -> None:
        self.order, self.neighbours = order, neighbours
        self.weights = torch.zeros(BINS, order * (2 * neighbours + 1) + 1, dtype=torch.float64)
        self.parameters = self.weights.numel()

    def fit(self, utterances: Iterable[Tensor]) -> None:
        """Learns; see :class:`Baseline`."""
        size = self.weights.shape[1]
        products = torch.zeros(BINS, size, size, dtype=torch.float64)
        moments = torch.zeros(BINS, size, 1, dtype=torch.float64)
        for true_db in utterances:
            following = true_db[1:].double().T[..., None].split(BLOCK_FRAMES, dim=1)
            for inputs, targets in zip(self._inputs(true_db[:-1]), following, strict=True):
                products += inputs.mT @ inputs
                moments += inputs.mT @ targets
        # By singular values, so that what is always silent, and the bin beyond the last, need no special case.
        self.weights = torch.linalg.lstsq(products, moments, driver="gelsd").solution[..., 0]

    def __call__(self, true_db: Tensor) -> Tensor:
        """Predicts; see :class:`Baseline`."""
        blocks = [(inputs @ self.weights[..., None])[..., 0].T for inputs in self._inputs(true_db)]
        return torch.cat(blocks).to(true_db.dtype).clamp(min=SILENCE_DB)

    def _inputs(self, true_db: Tensor) -> Iterator[Tensor]:
        """What each frame's successor is predicted from, block by block of frames, float64 [F, T, order * 3 + 1]."""
        around = (self.neighbours, self.neighbours, self.order - 1, 0)
        padded = F.pad(true_db, around, value=SILENCE_DB)
        past = padded.unfold(0, self.order, 1).unfold(1, 2 * self.neighbours + 1, 1)
        for block in past.split(BLOCK_FRAMES):
            yield F.pad(block.flatten(2).double(), (0, 1), value=1.0).transpose(0, 1)


BASELINES: dict[str, type[Baseline]] = {"repeat": RepeatLast, "mean": BinMean, "linear-prediction": LinearPrediction}
