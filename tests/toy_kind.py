"""A toy kind of network, for the tests of the table of kinds: it predicts a constant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from audiocx.checkpoints import Checkpoint
from audiocx.kinds import Kind
from audiocx.train.distributed import RankInfo
from audiocx.train.loop import Corpora, Task
from audiocx.train.settings import StepTraining


@dataclass(frozen=True)
class ToyConfig:
    kind: ClassVar[str] = "toy"

    start: float = 0.0


class ToyNetwork(nn.Module):
    kind: ClassVar[str] = "toy"

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.level = nn.Parameter(torch.tensor(config.start))

    def forward(self, x: Tensor) -> Tensor:
        return self.level.expand_as(x)


@dataclass(frozen=True)
class ToyExperiment:
    train: StepTraining
    model: ToyConfig = ToyConfig()
    kind: str = "toy"


class ToyTask(Task):
    monitor, mode = "val/loss", "min"

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        return (self.network(batch) - batch).square().mean()

    def validation_step(self, batch: Tensor, _: int) -> None:
        self.log("val/loss", self.training_step(batch, 0), batch_size=len(batch))


class Ones(IterableDataset):
    def __iter__(self) -> Iterator[Tensor]:
        yield torch.ones(4)


class ToyData(Corpora):
    def sampler(self, batch_size: int, place: RankInfo) -> Any:
        return lambda index: torch.ones(batch_size)

    def validated(self, place: RankInfo) -> Iterator[IterableDataset]:
        yield Ones()


class ToyRunner:
    def __init__(self, checkpoint: Checkpoint, device: str, precision: str) -> None:
        self.checkpoint = checkpoint

    def level(self, source: str | Path) -> float:
        return self.checkpoint.network(torch.zeros(1)).item()


TOY = Kind(
    name="toy",
    config="toy_kind:ToyConfig",
    network=ToyNetwork,
    experiment="toy_kind:ToyExperiment",
    task="toy_kind:ToyTask",
    data=ToyData,
    runner="toy_kind:ToyRunner",
)
