"""Runs about to become checkpoints: what each kind of network that transcribes has of its own there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from .. import checkpoints
from ..models import MusicNetwork, NoteNetwork, TranscriberNetwork
from ..music.note_decoding import NoteDecodeSettings
from ..music.window_decoding import WindowDecodeSettings
from ..train.experiments import Experiment, NoteExperiment
from ..train.runs import frames_seen, load_network, read_experiment, windows_seen

__all__ = ["NoteShipment", "Shipment", "WindowShipment", "open_shipment"]

# Frames of a finished checkpoint: 23 ms apart, half as many as in the paper's evaluation; notes lose nothing by it.
SHIPPED_HOP_SAMPLES = 256


@dataclass(frozen=True)
class Shipment(ABC):
    """The best network of a run.

    Attributes:
        run: Folder of the run.
        experiment: What it was.
        network: In evaluation mode, not folded, on the CPU.
        unit: What it has seen some number of.
    """

    run: Path
    experiment: Experiment | NoteExperiment
    network: MusicNetwork
    unit: ClassVar[str]

    @property
    @abstractmethod
    def config_name(self) -> str:
        """What the experiment's file is usually called."""

    @property
    @abstractmethod
    def about(self) -> str:
        """What the network is, in a few words."""

    @property
    def parameters(self) -> int:
        """Numbers that were trained."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @abstractmethod
    def seen(self, checkpoint: str) -> int:
        """Tells what it had seen when a checkpoint was written.

        Args:
            checkpoint: A file of the run.

        Returns:
            How many of ``unit``.
        """

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """Gives the lines ``network``, ``input`` and ``output`` of the model card."""

    @abstractmethod
    def ship(self, folder: Path, decode: Any = None, description: str = "", **parts: Any) -> Path:
        """Writes the checkpoint.

        Args:
            folder: The checkpoint; its last part is the name. It must not exist.
            decode: Thresholds and durations; None for the defaults.
            description: One line that says what it is.
            parts: ``figures`` and ``card``, as of :func:`audiocx.checkpoints.export`.

        Returns:
            The folder.
        """


@dataclass(frozen=True)
class WindowShipment(Shipment):
    """A transcriber of single windows."""

    experiment: Experiment
    network: TranscriberNetwork
    unit: ClassVar[str] = "windows"

    @property
    def config_name(self) -> str:
        """Such as "deep-complex"."""
        return f"{self.experiment.model.architecture}-{_twin(self.experiment)}"

    @property
    def about(self) -> str:
        """Such as "the deep complex network of Deep Complex Networks"."""
        if self.experiment.model.architecture == "cgrnn":
            return "a complex gated recurrent network"
        return f"the {self.config_name.replace('-', ' ')} network of Deep Complex Networks"

    def seen(self, checkpoint: str) -> int:
        """See :meth:`Shipment.seen`."""
        return windows_seen(self.run / checkpoint, self.experiment.train)

    def facts(self) -> dict[str, str]:
        """See :meth:`Shipment.facts`."""
        model, kind = self.experiment.model, self.config_name.replace("-", " ")
        window_ms = 1000 * model.window_samples / model.sample_rate
        return {
            "network": f"{kind}, {self.parameters:,} parameters, front end: {model.front_end}",
            "input": f"{model.sample_rate} Hz mono, windows of {model.window_samples} samples ({window_ms:.0f} ms)",
            "output": f"the probability of each of {model.outputs} notes from MIDI {model.lowest_note} on at the "
            "window's centre",
        }

    def ship(self, folder: Path, decode: Any = None, description: str = "", **parts: Any) -> Path:
        """See :meth:`Shipment.ship`."""
        decode = decode or WindowDecodeSettings()
        return checkpoints.export(self.network, folder, decode, SHIPPED_HOP_SAMPLES, description, **parts)


@dataclass(frozen=True)
class NoteShipment(Shipment):
    """A note network."""

    experiment: NoteExperiment
    network: NoteNetwork
    unit: ClassVar[str] = "frames"

    @property
    def config_name(self) -> str:
        """Such as "notes-complex"."""
        return f"notes-{_twin(self.experiment)}"

    @property
    def about(self) -> str:
        """Such as "a complex network over time and log frequency"."""
        return f"a {_twin(self.experiment)} network over time and log frequency"

    def seen(self, checkpoint: str) -> int:
        """See :meth:`Shipment.seen`."""
        return frames_seen(self.run / checkpoint)

    def facts(self) -> dict[str, str]:
        """See :meth:`Shipment.facts`."""
        model, twin = self.experiment.model, _twin(self.experiment)
        windows = " and ".join(f"{size} ({1000 * size / model.sample_rate:.0f} ms)" for size in model.windows)
        reach_s = (model.context_frames * model.hop_samples + model.left_context_samples) / model.sample_rate
        return {
            "network": f"{twin} note network, {self.parameters:,} parameters, {model.stem_channels} and then "
            f"{model.channels} {twin} maps, blocks over time of dilation {', '.join(map(str, model.dilations))}",
            "input": f"{model.sample_rate} Hz mono, windows of {windows} samples every {model.hop_samples} "
            f"({1000 * model.hop_samples / model.sample_rate:.1f} ms), up to {reach_s:.1f} s to either side",
            "output": f"of each of {model.outputs} notes from MIDI {model.lowest_note} on, every frame: the "
            "probabilities that it begins, sounds and ends, and how hard it is struck",
        }

    def ship(self, folder: Path, decode: Any = None, description: str = "", **parts: Any) -> Path:
        """See :meth:`Shipment.ship`."""
        return checkpoints.export_notes(self.network, folder, decode or NoteDecodeSettings(), description, **parts)


def open_shipment(run: Path) -> Shipment:
    """Opens a run that is to become a checkpoint.

    Args:
        run: Its folder.

    Returns:
        The weights of its best epoch, and what goes with them.

    Raises:
        DataError: There is no such run, its network does not transcribe, or it is damaged.
        ConfigError: It is of another version.
    """
    experiment = read_experiment(run, Experiment, NoteExperiment)
    kind: type[Any] = NoteShipment if isinstance(experiment, NoteExperiment) else WindowShipment
    opened: Shipment = kind(run, experiment, load_network(run / "best.ckpt", experiment.model))
    return opened


def _twin(experiment: Experiment | NoteExperiment) -> str:
    return "complex" if experiment.model.complex else "real"
