"""Transcribers by note networks, which predict onsets, frames and offsets, over recordings."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.disk_array import DiskArray, in_blocks
from ..models.running import Progress, frames_bar
from ..notes import Note, NoteOutputs
from .note_decoding import NoteDecodeSettings, decode_notes
from .note_stream import DECODED_FRAMES, decode_stream
from .transcriber import ModelOutputs, Transcriber

__all__ = ["NoteModelOutputs", "NoteTranscriber"]


# Of a recording in memory at a time: 48 s at 11025 Hz.
CHUNK_SAMPLES = 2**19
# Decoded at a time where notes are reported as they are found: 9 s at 86 frames a second.
REPORTED_FRAMES = 768


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
        if isinstance(self.probabilities, np.memmap):  # too long for memory
            parts = zip(*(in_blocks(part, DECODED_FRAMES) for part in outputs), strict=True)
            blocks = itertools.starmap(NoteOutputs, parts)
            return list(decode_stream(blocks, self.frame_rate, settings, self.lowest_note))
        return decode_notes(outputs, self.frame_rate, settings, self.lowest_note)


class NoteTranscriber(Transcriber):
    """A note network over recordings; its frames lie as far apart as it was trained on."""

    any_hop: ClassVar[bool] = False

    def infer(
        self,
        samples: NDArray[np.floating],
        hop_samples: int | None = None,
        progress: Progress = False,
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

    def infer_and_decode(
        self,
        samples: NDArray[np.float32],
        settings: NoteDecodeSettings,
        hop_samples: int | None = None,
        progress: Progress = False,
        time_scale: float = 1.0,
        *,
        on_note: Callable[[Note], object] | None = None,
        keep_all: bool = True,
    ) -> tuple[list[Note], NoteModelOutputs]:
        """Run and decode block by block in bounded memory; see :meth:`Transcriber.infer_and_decode`."""
        from ..models.note_blocks import infer_notes_stream

        hop, pitches, lowest_note = self._hop(hop_samples), self.config.outputs, self.config.lowest_note
        rate = time_scale * self.config.sample_rate / hop
        # Onsets, frames and, if wanted, offsets and velocities, in one file: fewer are open.
        kept = DiskArray(np.float32, 4 if keep_all else 2, pitches)

        def blocks() -> Iterator[NoteOutputs]:
            with frames_bar(-(-len(samples) // hop), progress) as bar:
                for block in infer_notes_stream(self.network, in_blocks(samples, CHUNK_SAMPLES), live=False):
                    kept.append(np.stack(block if keep_all else block[:2], axis=1))
                    bar.update(len(block.frames))
                    yield block

        notes = []
        soon = {} if on_note is None else {"block_frames": REPORTED_FRAMES}
        for note in decode_stream(blocks(), rate, settings, lowest_note, **soon):
            notes.append(note)
            if on_note is not None:
                on_note(note)
        onsets, frames, *others = np.moveaxis(kept.array(), 1, 0)
        return notes, NoteModelOutputs(frames, rate, lowest_note, onsets, *others)

    def _hop(self, hop_samples: int | None) -> int:
        """The network's own, the only one there is."""
        hop: int = self.config.hop_samples
        if hop_samples not in (None, hop):
            raise ConfigError(
                f"{self.checkpoint.name} has a frame every {hop} samples, not {hop_samples}; leave out the hop."
            )
        return hop
