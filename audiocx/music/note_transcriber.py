"""Transcribers by note networks, which predict onsets, frames and offsets, over recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.disk_array import DiskArray, in_blocks
from ..models.running import frames_bar
from ..notes import Note, NoteOutputs
from .note_decoding import NoteDecodeSettings, decode_notes
from .note_stream import decode_stream
from .transcriber import FrameOutputs, ModelOutputs, Transcriber

__all__ = ["NoteModelOutputs", "NoteTranscriber"]


# Of a recording in memory at a time: 48 s at 11025 Hz.
CHUNK_SAMPLES = 2**19


@dataclass(frozen=True, eq=False)
class NoteModelOutputs(ModelOutputs):
    """Outputs of a note network for a recording.

    Attributes:
        offsets: Probability that a note ends in a frame, float32 [T, P].
        velocities: How hard a note is struck that begins in a frame, 0 to 1, float32 [T, P].
    """

    offsets: NDArray[np.float32] | None = None
    velocities: NDArray[np.float32] | None = None

    def decode(self, settings: NoteDecodeSettings) -> list[Note]:
        """Decode the outputs into notes; see :meth:`ModelOutputs.decode`."""
        outputs = NoteOutputs(self.onsets, self.probabilities, self.offsets, self.velocities)
        return decode_notes(outputs, self.frame_rate, settings, self.lowest_note)


class NoteTranscriber(Transcriber):
    """A note network over recordings; its frames lie as far apart as it was trained on."""

    any_hop: ClassVar[bool] = False

    def infer(
        self,
        samples: NDArray[np.floating],
        hop_samples: int | None = None,
        progress: bool = False,
        time_scale: float = 1.0,
    ) -> NoteModelOutputs:
        """Run the network over samples at its own rate, in blocks; see :meth:`Transcriber.infer`."""
        from ..models.note_blocks import infer_notes

        hop = self._hop(hop_samples)
        signal = np.require(samples, np.float32, ["C"])
        with frames_bar(-(-len(signal) // hop), progress) as bar:
            onsets, frames, offsets, velocities = infer_notes(self.network, signal, report=bar.update)
        rate = time_scale * self.config.sample_rate / hop
        return NoteModelOutputs(frames, rate, self.config.lowest_note, onsets, offsets, velocities)

    def _infer_and_decode(
        self,
        samples: NDArray[np.float32],
        settings: NoteDecodeSettings,
        hop_samples: int | None,
        progress: bool,
        time_scale: float,
    ) -> tuple[list[Note], FrameOutputs]:
        """Decode block by block in bounded memory; onset and frame probabilities go to temporary files."""
        from ..models.note_blocks import infer_notes_stream

        hop, pitches, lowest_note = self._hop(hop_samples), self.config.outputs, self.config.lowest_note
        rate = time_scale * self.config.sample_rate / hop
        frames, onsets = DiskArray(np.float32, pitches), DiskArray(np.float32, pitches)

        def blocks() -> Iterator[NoteOutputs]:
            with frames_bar(-(-len(samples) // hop), progress) as bar:
                for block in infer_notes_stream(self.network, in_blocks(samples, CHUNK_SAMPLES), live=False):
                    frames.append(block.frames)
                    onsets.append(block.onsets)
                    bar.update(len(block.frames))
                    yield block

        notes = list(decode_stream(blocks(), rate, settings, lowest_note))
        return notes, FrameOutputs(frames.array(), rate, lowest_note, onsets.array())

    def _hop(self, hop_samples: int | None) -> int:
        """The network's own, the only one there is."""
        hop: int = self.config.hop_samples
        if hop_samples not in (None, hop):
            raise ConfigError(
                f"{self.checkpoint.name} has a frame every {hop} samples, not {hop_samples}; leave out the hop."
            )
        return hop
