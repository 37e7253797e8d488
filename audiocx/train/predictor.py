"""Training of predictors: mean squared error of levels in dB, for both loss and score."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torchmetrics import SumMetric

from ..data.utterances import SegmentSampler, StoreUtterances, UtteranceSampler
from ..data.windows import Sampler
from ..models import PredictorNetwork
from ..models.speech_transform import log_power_db
from .distributed import averaged, summed
from .experiments import PredictorExperiment
from .loop import Corpora, RankInfo, Task
from .settings import PredictorTraining

__all__ = ["PredictorData", "PredictorTask"]


class PredictorTask(Task):
    """Training task of a predictor.

    The network is not compiled: that would unroll its time steps, again for every length of utterance.

    Args:
        experiment: Network and training settings.
    """

    monitor, mode = "val/mse", "min"
    # Allows gradient clipping in float16.
    fused = False
    settings: PredictorTraining
    network: PredictorNetwork

    def __init__(self, experiment: PredictorExperiment) -> None:
        super().__init__(experiment)
        self.summed_error, self.summed_count = SumMetric(), SumMetric()
        self._frames_of_epoch = torch.zeros((), dtype=torch.int64)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Return the loss of a batch of spectra, in dB^2."""
        # Summed on the device: reading the sum at every step would wait for it.
        self._frames_of_epoch = self._frames_of_epoch.to(self.device) + batch[1].sum()
        level, phase = self.errors(*batch)
        self.log("train/mse", level, prog_bar=True)
        if not self.settings.phase_weight:
            return level
        self.log("train/phase", phase, prog_bar=True)
        return level + self.settings.phase_weight * phase

    def on_train_epoch_end(self) -> None:
        """Add up the frames of all devices, whose utterances differ in length."""
        self.seen += int(summed(self._frames_of_epoch))
        self._frames_of_epoch = torch.zeros_like(self._frames_of_epoch)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Accumulate the squared error of a batch of utterances."""
        total, count = self._squared_error(*batch)
        self.summed_error.update(total)
        self.summed_count.update(count)

    def on_validation_epoch_end(self) -> None:
        """Log the error of the utterances of all devices together."""
        self.log("val/mse", self.summed_error.compute() / self.summed_count.compute(), prog_bar=True, sync_dist=True)
        self.summed_error.reset()
        self.summed_count.reset()

    def errors(self, spectra: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the mean errors of level and of phase over all predicted frames, at all distances.

        Args:
            spectra: Utterances padded to the same length, complex64 [B, T, F].
            lengths: Their numbers of frames, int64 [B].

        Returns:
            The error of level in dB^2, and that of phase, 0 without a weight for it.
        """
        forecast, _ = self.network.forecast(spectra[:, :-1])
        valid = _valid(spectra, lengths)
        level = phase = count = spectra.new_zeros((), dtype=torch.float32)
        for ahead, predicted in enumerate(forecast.unbind(2)):
            true, mask = spectra[:, 1 + ahead :], valid[:, ahead:]
            predicted = predicted[:, : true.shape[1]]
            level = level + _sum(_squared_db(predicted, true), mask)
            if self.settings.phase_weight:
                phase = phase + _sum(phase_error(predicted, true), mask)
            count = count + mask.sum() * spectra.shape[-1]
        count = averaged(count)
        return level / count, phase / count

    def _squared_error(self, spectra: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summed error over the predicted frames without padding, and the number of its terms."""
        predicted, _ = self.network(spectra[:, :-1])
        valid = _valid(spectra, lengths)
        return _sum(_squared_db(predicted, spectra[:, 1:]), valid), valid.sum() * spectra.shape[-1]


def _valid(spectra: Tensor, lengths: Tensor) -> Tensor:
    """Return a mask of the frames from the second on, without padding, bool [B, T - 1]."""
    return torch.arange(1, spectra.shape[1], device=lengths.device) < lengths[:, None]


def _squared_db(predicted: Tensor, true: Tensor) -> Tensor:
    return (log_power_db(predicted) - log_power_db(true)).square()


def phase_error(predicted: Tensor, true: Tensor) -> Tensor:
    """Return 1 - cos of the phase difference, weighted by the true magnitude over its mean.

    Weighted by magnitude and not by its logarithm: most bins are noise, whose phase is neither predictable nor audible.

    Args:
        predicted: Predicted spectra, complex [B, T, F].
        true: True spectra, likewise.

    Returns:
        The error of each bin, float [B, T, F].
    """
    magnitude = true.abs()
    products = (predicted.abs() * magnitude).clamp_min(1e-12)
    return magnitude / averaged(magnitude.mean()).clamp_min(1e-9) * (1 - (predicted * true.conj()).real / products)


def _sum(error: Tensor, valid: Tensor) -> Tensor:
    # Not a product with the mask: an infinite value in the padding would make it NaN.
    return torch.where(valid, error.sum(-1), 0).sum()


class PredictorData(Corpora):
    """Training and validation data of a predictor; see :class:`audiocx.train.loop.Corpora`."""

    experiment: PredictorExperiment

    def sampler(self, batch_size: int, rank_info: RankInfo) -> Sampler:
        """Return the sampler of training batches; see :meth:`audiocx.train.loop.Corpora.sampler`."""
        settings = self.experiment.train
        if settings.segment_frames:
            return SegmentSampler(self.train, settings.segment_frames, batch_size, settings.seed, *rank_info)
        return UtteranceSampler(self.train, batch_size, settings.seed, *rank_info)

    def validated(self, rank_info: RankInfo) -> Iterator[StoreUtterances]:
        """Yield the validation data; see :meth:`audiocx.train.loop.Corpora.validated`."""
        yield StoreUtterances(self.validation, rank_info.rank, rank_info.ranks)
