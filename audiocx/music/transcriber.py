"""Base class of the transcribers: recordings to notes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..io.audio import AudioSource, Recording
from ..io.disk_array import in_blocks, on_disk
from ..models.level import usual_gain
from ..models.running import Progress, read_samples
from ..models.runtime import OnnxNetwork, Precision, RunnableNetwork, TorchNetwork, check_precision, choose_device
from ..notes import Note
from .transcription import Transcription
from .tuning import retuned

if TYPE_CHECKING:
    from ..checkpoints import Checkpoint

__all__ = ["FrameOutputs", "ModelOutputs", "Transcriber"]

SCALED_SAMPLES = 2**20  # of recordings in temporary files, scaled at a time


@dataclass(frozen=True, eq=False)
class FrameOutputs:
    """Frame probabilities of a recording.

    Attributes:
        probabilities: Probability that a pitch sounds, float32 [T, P]; frame t is centred at t / frame_rate.
        frame_rate: Frames a second, in Hz.
        lowest_note: MIDI number of the first of the P pitches.
        onsets: Probability that a note begins in a frame, float32 [T, P]; None of networks that do not predict it.
    """

    probabilities: NDArray[np.float32]
    frame_rate: float
    lowest_note: int
    onsets: NDArray[np.float32] | None = None


class ModelOutputs(FrameOutputs, ABC):
    """All outputs of a network for a recording, to be decoded with one setting or another; plain data."""

    @abstractmethod
    def decode(self, settings: Any) -> list[Note]:
        """Decode the outputs into notes.

        Args:
            settings: Decoding settings of the checkpoint's kind.

        Returns:
            The notes, in order of onset.
        """


class Transcriber(ABC):
    """A trained network, ready to run; a subclass for each kind of network.

    Args:
        checkpoint: As ``audiocx.checkpoints.load_checkpoint`` returns it.
        device: "auto" (a CUDA device if there is one, else the processor) or a name such as "cpu", "cuda:1", "mps".
        precision: Arithmetic of the network: "float32" or "bfloat16".

    Attributes:
        any_hop: Whether it runs at other distances of the frames than its checkpoint's.

    Raises:
        ConfigError: The device is not there, or there is no such precision.
    """

    any_hop: ClassVar[bool]

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", precision: Precision = "float32") -> None:
        check_precision(precision)
        self.checkpoint = checkpoint
        self.config: Any = checkpoint.config
        self.network: RunnableNetwork
        if checkpoint.onnx is not None:
            self.network = OnnxNetwork(self.config, checkpoint.onnx, checkpoint.name)
            return
        network = checkpoint.network
        if precision == "bfloat16":
            from ..models import in_bfloat16

            network = in_bfloat16(network)
        self.network = TorchNetwork(network, choose_device(device))

    @property
    def hop_samples(self) -> int:
        """Distance of the checkpoint's frames, at the network's sample rate."""
        assert self.checkpoint.hop_samples is not None
        return self.checkpoint.hop_samples

    def transcribe(
        self,
        source: AudioSource | Recording,
        sample_rate: float | None = None,
        *,
        threshold: float | None = None,
        min_note_s: float | None = None,
        hop_samples: int | None = None,
        tuning: float | None = None,
        progress: Progress = False,
    ) -> Transcription:
        """Find the notes of a recording.

        Args:
            source: An audio file by its name ("-" is standard input), its content as bytes, an open binary file, or
                samples: [N], [N, C] or [C, N], full scale at 1 or integers; see :func:`audiocx.io.audio.load`. Also
                what :meth:`samples` returned.
            sample_rate: Rate of the samples, in Hz; only for samples.
            threshold: Least probability of a note, up to 1: that it sounds or, of note networks, that it begins;
                None for the checkpoint's, tuned on validation.
            min_note_s: Notes shorter than this are dropped, in seconds; None for the checkpoint's.
            hop_samples: Samples from frame to frame at the network's rate; None for the checkpoint's, the only one of
                note networks.
            tuning: How many cents above 440 Hz the recording's A4 is, within +-100, which is compensated; 0 leaves the
                recording as it is, None estimates it.
            progress: Show a progress bar on stderr, if that is a terminal; or a function to call with the share that is
                done, 0 to 1.

        Returns:
            The notes and the probabilities.

        Raises:
            AudioError: The file cannot be used, or the samples are empty, of no usable type or shape or not finite.
            ConfigError: An option is out of range.
            OutputError: There is no room for the temporary files that long recordings take.
        """
        settings = self.checkpoint.decode.with_options(threshold, min_note_s)
        recording = source if isinstance(source, Recording) else self.samples(source, sample_rate)
        samples = recording.samples
        duration_s = len(samples) / self.config.sample_rate
        samples, cents, time_scale = retuned(samples, self.config.sample_rate, tuning)
        notes, outputs = self.infer_and_decode(samples, settings, hop_samples, progress, time_scale, keep_all=False)
        return Transcription(
            notes,
            outputs.probabilities,
            outputs.frame_rate,
            outputs.lowest_note,
            duration_s,
            recording.name,
            outputs.onsets,
            cents,
            recording.remarks,
        )

    def infer_and_decode(
        self,
        samples: NDArray[np.float32],
        settings: Any,
        hop_samples: int | None = None,
        progress: Progress = False,
        time_scale: float = 1.0,
        *,
        on_note: Callable[[Note], object] | None = None,
        keep_all: bool = True,
    ) -> tuple[list[Note], ModelOutputs]:
        """Run the network over samples at its own rate, and decode; note networks do both block by block.

        Args:
            samples: Mono samples, float32 [N], at ``config.sample_rate``.
            settings: Decoding settings of the checkpoint's kind.
            hop_samples: Samples from frame to frame; None for the checkpoint's.
            progress: As in :meth:`transcribe`.
            time_scale: As in :meth:`infer`.
            on_note: Called with each note, in order of onset, as soon as no later sample can change it; by networks of
                other kinds than notes, at the end.
            keep_all: Keep all outputs that decoding needs; False for probabilities and onsets only.

        Returns:
            The notes, in order of onset; the outputs, which are in a temporary file where the run was in blocks.

        Raises:
            ConfigError: The network cannot be run at this hop.
            OutputError: There is no room for the temporary file.
        """
        outputs = self.infer(samples, hop_samples, progress, time_scale)
        notes = outputs.decode(settings)
        if on_note is not None:
            for note in notes:
                on_note(note)
        return notes, outputs

    @abstractmethod
    def infer(
        self,
        samples: NDArray[np.floating],
        hop_samples: int | None = None,
        progress: Progress = False,
        time_scale: float = 1.0,
    ) -> ModelOutputs:
        """Run the network over samples at its own rate, without decoding.

        Args:
            samples: Mono samples, float [N], at ``config.sample_rate``.
            hop_samples: Samples from frame to frame; None for the checkpoint's.
            progress: Show a progress bar on stderr, if that is a terminal; or a function to call with the share that is
                done, 0 to 1.
            time_scale: How many times longer than the recording the samples are; times of the outputs are the
                recording's.

        Returns:
            The outputs, T = ceil(N / hop_samples) frames.

        Raises:
            ConfigError: The network cannot be run at this hop.
        """

    def samples(self, source: AudioSource, sample_rate: float | None = None) -> Recording:
        """Read a recording at the network's rate; one of unusual level is scaled.

        Args:
            source: An audio file or samples; see :func:`audiocx.io.audio.load`.
            sample_rate: Rate of the samples, in Hz; only for samples.

        Returns:
            Mono samples, float32 [M], and what is to be said about them.

        Raises:
            AudioError: The file cannot be used, or the samples are empty, of no usable type or shape or not finite.
            ConfigError: Samples came without their rate.
            OutputError: There is no room for the temporary file that a long recording takes.
        """
        recording = read_samples(source, sample_rate, self.config.sample_rate)
        gain_db = usual_gain(recording.samples, recording.subtype, recording.full_scale_known)
        if gain_db == 0.0:
            return recording
        gain = np.float32(10 ** (gain_db / 20))
        if isinstance(recording.samples, np.memmap):  # too long for memory
            samples = on_disk(gain * block for block in in_blocks(recording.samples, SCALED_SAMPLES))
        else:
            samples = gain * recording.samples
        remark = f"level {'raised' if gain_db > 0 else 'lowered'} by {abs(gain_db):.0f} dB"
        return replace(recording, samples=samples, remarks=(*recording.remarks, remark))
