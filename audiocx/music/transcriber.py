"""What all transcribers have in common, whatever their network: recordings in, notes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..models.running import choose_device, read_samples
from ..notes import Note
from .note_decoding import NoteDecodeSettings
from .transcription import Transcription
from .tuning import retuned
from .window_decoding import WindowDecodeSettings

if TYPE_CHECKING:
    from ..checkpoints import NoteCheckpoint, TranscriberCheckpoint
    from ..models import MusicConfig, MusicNetwork

__all__ = ["ModelOutputs", "Found", "Precision", "Transcriber"]

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """What a network heard in a recording, to be decoded into notes with one setting or another.

    Attributes:
        probabilities: That a pitch sounds, float32 [T, P]; frame t is centred at t / frame_rate.
        frame_rate: Frames a second, in Hz.
        lowest_note: MIDI number of the first of the P pitches.
        decode: Gives the notes by settings of the checkpoint's kind. It can be sent to another process.
        onsets: Probability that a note begins in a frame, float32 [T, P], of networks that tell it.
    """

    probabilities: NDArray[np.float32]
    frame_rate: float
    lowest_note: int
    decode: Callable[[Any], list[Note]]
    onsets: NDArray[np.float32] | None = None


class Found(NamedTuple):
    """What a network found in a recording.

    Attributes:
        notes: The notes, in order of onset.
        probabilities: That a pitch sounds, float32 [T, P].
        frame_rate: Frames a second, in Hz.
        onsets: Probability that a note begins in a frame, float32 [T, P], of networks that tell it.
    """

    notes: list[Note]
    probabilities: NDArray[np.float32]
    frame_rate: float
    onsets: NDArray[np.float32] | None = None


class Transcriber(ABC):
    """A trained network and all that belongs to running it; a subclass for each kind of network.

    Args:
        checkpoint: What ``audiocx.checkpoints.load_checkpoint`` gives.
        device: "auto" (a CUDA device if there is one, else the processor) or a name such as "cpu", "cuda:1", "mps".
        precision: In which the network computes: "float32" or "bfloat16".

    Attributes:
        threshold: The decoding setting that ``threshold`` of :meth:`transcribe` is.
        any_hop: Whether it can be run at other distances of the frames than its checkpoint's.

    Raises:
        ConfigError: The device is not there, or there is no such precision.
    """

    threshold: ClassVar[str]
    any_hop: ClassVar[bool]

    def __init__(
        self,
        checkpoint: TranscriberCheckpoint | NoteCheckpoint,
        device: str = "auto",
        precision: Precision = "float32",
    ) -> None:
        if precision not in get_args(Precision):
            raise ConfigError(f"There is no precision {precision!r}; choose {' or '.join(get_args(Precision))}.")
        self.checkpoint = checkpoint
        self.device = choose_device(device)
        network: MusicNetwork = checkpoint.network
        if precision == "bfloat16":
            from ..models import in_bfloat16

            network = in_bfloat16(network)
        self.network: MusicNetwork = network.to(self.device)
        self.config: MusicConfig = checkpoint.network.config

    def transcribe(
        self,
        source: str | Path | NDArray[np.floating],
        sample_rate: int | None = None,
        *,
        threshold: float | None = None,
        min_note_s: float | None = None,
        hop_samples: int | None = None,
        tuning: float | None = None,
        progress: bool = False,
    ) -> Transcription:
        """Find the notes of a recording.

        Args:
            source: An audio file, or mono samples, float [N], full scale at 1.
            sample_rate: Rate of the samples, in Hz; only for samples.
            threshold: Least probability of a note, up to 1: of its sounding or, of note networks, of its beginning;
                None for the checkpoint's, tuned on validation.
            min_note_s: Notes shorter than this are dropped, in seconds; None for the checkpoint's.
            hop_samples: Samples from frame to frame at the network's rate; None for the checkpoint's, the only one of
                note networks.
            tuning: How many cents above 440 Hz the recording's A4 is, within +-100, which is made up for; 0 leaves it
                alone, None estimates it.
            progress: Show a progress bar on stderr, if that is a terminal.

        Returns:
            The notes and the probabilities.

        Raises:
            AudioError: The file cannot be used, or the samples are empty, not mono or not finite.
            ConfigError: An option is out of range.
            OutputError: There is no room for the temporary files that long recordings take.
        """
        chosen = {self.threshold: threshold, "min_note_s": min_note_s}
        changes: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
        settings = replace(self.checkpoint.decode, **changes)
        samples, name = self.samples(source, sample_rate)
        duration_s = len(samples) / self.config.sample_rate
        samples, cents, stretch = retuned(samples, self.config.sample_rate, tuning)
        found = self._find(samples, settings, hop_samples, progress, stretch)
        return Transcription(
            found.notes,
            found.probabilities,
            found.frame_rate,
            self.config.lowest_note,
            duration_s,
            name,
            found.onsets,
            cents,
        )

    def _find(
        self,
        samples: NDArray[np.float32],
        settings: WindowDecodeSettings | NoteDecodeSettings,
        hop_samples: int | None,
        progress: bool,
        stretch: float,
    ) -> Found:
        """Listen to samples as :meth:`listen` does, and decode."""
        heard = self.infer(samples, hop_samples, progress, stretch)
        return Found(heard.decode(settings), heard.probabilities, heard.frame_rate, heard.onsets)

    @abstractmethod
    def infer(
        self,
        samples: NDArray[np.floating],
        hop_samples: int | None = None,
        progress: bool = False,
        stretch: float = 1.0,
    ) -> ModelOutputs:
        """Run the network over samples at its own rate, and gather all that notes are decoded from.

        Args:
            samples: Mono samples, float [N], at ``config.sample_rate``.
            hop_samples: Samples from frame to frame; None for the checkpoint's.
            progress: Show a progress bar on stderr, if that is a terminal.
            stretch: How many times longer than the recording the samples are; the evidence's times are the recording's.

        Returns:
            The evidence, T = ceil(N / hop_samples) frames.

        Raises:
            ConfigError: The network cannot be run at this hop.
        """

    def samples(
        self, source: str | Path | NDArray[np.floating], sample_rate: int | None = None
    ) -> tuple[NDArray[np.float32], str]:
        """Bring a file or samples to the network's rate.

        Args:
            source: An audio file, or mono samples, float [N].
            sample_rate: Rate of the samples, in Hz; only for samples.

        Returns:
            Mono samples, float32 [M], and the recording's name.

        Raises:
            AudioError: The file cannot be used, or the samples are empty, not mono or not finite.
            ConfigError: Samples came without their rate.
        """
        return read_samples(source, sample_rate, self.config.sample_rate)
