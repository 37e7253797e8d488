"""Training of note networks: cross-entropies of onsets, frames and offsets, average precision of the first two."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from ..data.segments import NoteSegmentSampler, StoreRecordings
from ..data.windows import Sampler
from ..models import NoteNetwork
from ..models.note_blocks import infer_notes
from ..models.runtime import TorchNetwork
from ..music.metrics import PooledPrecision
from ..notes import HALF_WIDTH_FRAMES, NoteOutputs
from .distributed import averaged, pooled_score
from .experiments import NoteExperiment
from .loop import Corpora, RankInfo, Task
from .settings import NoteTraining

__all__ = ["NoteData", "NoteTask"]


class NoteTask(Task):
    """Training task of a note network.

    Args:
        experiment: Network and training settings.
        compile: Whether to compile the network's layers, forward and backward, before the first step.
    """

    monitor, mode = "val/ap", "max"
    fused = False
    settings: NoteTraining
    network: NoteNetwork

    def __init__(self, experiment: NoteExperiment, compile: bool = False) -> None:
        super().__init__(experiment, compile)
        self._onsets, self._frames = PooledPrecision(), PooledPrecision()

    def training_step(self, batch: tuple[Tensor, NoteOutputs], _: int) -> Tensor:
        """Return the weighted sum of the heads' errors."""
        samples, targets = batch
        self.seen += targets.frames.shape[0] * targets.frames.shape[1] * self.trainer.world_size
        logits, settings = self.network(samples), self.settings
        errors = {
            name: F.binary_cross_entropy_with_logits(getattr(logits, name).float(), getattr(targets, name))
            for name in ("onsets", "frames", "offsets")
        }
        near_onset = (targets.onsets > 0).float()
        squared = (logits.velocities.float() - targets.velocities).square() * near_onset
        errors["velocities"] = squared.sum() / averaged(near_onset.sum()).clamp_min(1 / self.trainer.world_size)
        for name, error in errors.items():
            self.log(f"train/{name}", error)
        loss = (
            errors["frames"]
            + settings.onset_weight * errors["onsets"]
            + settings.offset_weight * errors["offsets"]
            + settings.velocity_weight * errors["velocities"]
        )
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, NoteOutputs], _: int) -> None:
        """Accumulate the probabilities of a recording."""
        samples, targets = batch
        # A copy, which is not compiled: recordings differ in length, and each would be compiled for.
        network = NoteNetwork(self.network.config).to(self.device).eval()
        network.load_state_dict(self.network.state_dict())
        outputs = infer_notes(TorchNetwork(network), samples.cpu().numpy())
        onsets, frames = (part.cpu().numpy() for part in (targets.onsets, targets.frames))
        # The frame nearest to an onset, at most half a frame away, is its true frame.
        self._onsets.add(outputs.onsets, onsets >= 1 - 0.5 / HALF_WIDTH_FRAMES)
        self._frames.add(outputs.frames, frames > 0.5)

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the recordings of all devices together."""
        precisions = {"onset_ap": self._onsets, "frame_ap": self._frames}
        scores = {name: pooled_score(precision, self.device) for name, precision in precisions.items()}
        self._onsets, self._frames = PooledPrecision(), PooledPrecision()
        for name, score in {**scores, "ap": sum(scores.values()) / 2}.items():
            self.log(f"val/{name}", score, prog_bar=True, sync_dist=True)


class NoteData(Corpora):
    """Training and validation data of a note network; see :class:`audiocx.train.loop.Corpora`."""

    experiment: NoteExperiment

    def sampler(self, batch_size: int, rank_info: RankInfo) -> Sampler:
        """Return the sampler of training batches; see :meth:`audiocx.train.loop.Corpora.sampler`."""
        model, frames = self.experiment.model, self.experiment.train.segment_frames
        return self.mixed(NoteSegmentSampler, batch_size, rank_info, config=model, frames=frames)

    def validated(self, rank_info: RankInfo) -> Iterator[StoreRecordings]:
        """Yield the validation data; see :meth:`audiocx.train.loop.Corpora.validated`."""
        for store in self.validation:
            yield StoreRecordings(
                store, self.experiment.model, self.experiment.train.validation_s, rank_info.rank, rank_info.ranks
            )
