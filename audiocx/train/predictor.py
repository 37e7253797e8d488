"""Training of predictors: the mean squared error of levels, the same for the loss and for the score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..data.utterances import SegmentSampler, StoreUtterances, UtteranceSampler
from ..data.windows import Sampler
from ..models import PredictorNetwork
from ..stft import log_power_db
from .distributed import averaged, summed
from .experiments import PredictorExperiment
from .loop import Corpora, RankInfo, Task
from .settings import PredictorTraining

__all__ = ["PredictorData", "PredictorTask"]


class PredictorTask(Task):
    """A predictor, its loss and its optimiser.

    It is not compiled: that would unroll its steps over time, anew for every length of utterance.

    Args:
        experiment: What to train and how.
    """

    monitor, mode = "val/mse", "min"
    # So that gradients can be clipped in float16 too.
    fused = False
    settings: PredictorTraining
    network: PredictorNetwork

    def __init__(self, experiment: PredictorExperiment) -> None:
        super().__init__(experiment)
        self._error = [0.0, 0]
        self._frames_seen = 0
        self._frames_of_epoch = torch.zeros((), dtype=torch.int64)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Records how many frames all devices together have seen."""
        checkpoint["frames_seen"] = self._frames_seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on counting the frames."""
        self._frames_seen = checkpoint["frames_seen"]

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Gives the loss of a batch of spectra, in dB^2."""
        # Summed where it lies: reading it at every step would wait for the device.
        self._frames_of_epoch = self._frames_of_epoch.to(self.device) + batch[1].sum()
        level, phase = self._errors(*batch)
        self.log("train/mse", level, prog_bar=True)
        if not self.settings.phase_weight:
            return level
        self.log("train/phase", phase, prog_bar=True)
        return level + self.settings.phase_weight * phase

    def on_train_epoch_end(self) -> None:
        """Counts the frames of all devices, whose utterances differ in length."""
        self._frames_seen += int(summed(self._frames_of_epoch))
        self._frames_of_epoch = torch.zeros_like(self._frames_of_epoch)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Gathers the squared error of a batch of utterances."""
        total, count = self._squared_error(*batch)
        self._error = [self._error[0] + float(total), self._error[1] + int(count)]

    def on_validation_epoch_end(self) -> None:
        """Scores all the utterances of all devices together."""
        total, count = summed(torch.tensor(self._error, device=self.device))
        self._error = [0.0, 0]
        self.log("val/mse", total / count, prog_bar=True, sync_dist=True)

    def _errors(self, spectra: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The errors in level and in phase, in the mean over all frames predicted, however far ahead."""
        forecast, _ = self.network.forecast(spectra[:, :-1])
        valid = _valid(spectra, lengths)
        level = phase = count = spectra.new_zeros((), dtype=torch.float32)
        for ahead, predicted in enumerate(forecast.unbind(2)):
            true, there = spectra[:, 1 + ahead :], valid[:, ahead:]
            predicted = predicted[:, : true.shape[1]]
            level = level + _sum(_squared_db(predicted, true), there)
            if self.settings.phase_weight:
                phase = phase + _sum(_phase_error(predicted, true), there)
            count = count + there.sum() * spectra.shape[-1]
        count = averaged(count)
        return level / count, phase / count

    def _squared_error(self, spectra: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The sum over the frames that are predicted and no padding, and the number of its terms."""
        predicted, _ = self.network(spectra[:, :-1])
        valid = _valid(spectra, lengths)
        return _sum(_squared_db(predicted, spectra[:, 1:]), valid), valid.sum() * spectra.shape[-1]


def _valid(spectra: Tensor, lengths: Tensor) -> Tensor:
    """Which frames from the second on are no padding, bool [B, T - 1]."""
    return torch.arange(1, spectra.shape[1], device=lengths.device) < lengths[:, None]


def _squared_db(predicted: Tensor, true: Tensor) -> Tensor:
    return (log_power_db(predicted) - log_power_db(true)).square()


def _phase_error(predicted: Tensor, true: Tensor) -> Tensor:
    """1 - cos of the angle between spectra, weighted by the true one's magnitude, which is about 1 in the mean.

    By magnitude and no logarithm of it: most bins are noise, whose phase nobody can foretell nor hear.
    """
    loudness = true.abs()
    lengths = (predicted.abs() * loudness).clamp_min(1e-12)
    return loudness / averaged(loudness.mean()).clamp_min(1e-9) * (1 - (predicted * true.conj()).real / lengths)


def _sum(error: Tensor, valid: Tensor) -> Tensor:
    # A choice and no product: not even an infinite value comes through from the padding.
    return torch.where(valid, error.sum(-1), 0).sum()


class PredictorData(Corpora):
    """Training and validation data of a predictor; see :class:`audiocx.train.loop.Corpora`."""

    experiment: PredictorExperiment

    def sampler(self, batch_size: int, place: RankInfo) -> Sampler:
        """Return the sampler of training batches; see :meth:`audiocx.train.loop.Corpora.sampler`."""
        settings = self.experiment.train
        if settings.segment_frames:
            return SegmentSampler(
                self.train, settings.segment_frames, batch_size, settings.seed, place.rank, place.ranks, place.device
            )
        return UtteranceSampler(self.train, batch_size, settings.seed, place.rank, place.ranks, place.device)

    def validated(self, place: RankInfo) -> Iterator[StoreUtterances]:
        """Yield the validation data; see :meth:`audiocx.train.loop.Corpora.validated`."""
        yield StoreUtterances(self.validation, place.rank, place.ranks)
