"""Note networks, which tell where notes begin, sound and end, run over recordings."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.disk_array import DiskArray, in_blocks
from ..models.running import frames_bar
from .note_decoding import NoteDecodeSettings, NoteOutputs, decode_notes
from .note_stream import decode_stream
from .transcriber import Found, ModelOutputs, Transcriber
from .window_decoding import WindowDecodeSettings

if TYPE_CHECKING:
    from ..checkpoints import NoteCheckpoint
    from ..models import NoteConfig, NoteNetwork

__all__ = ["NoteTranscriber"]


# Of a recording in memory at a time: three minutes at 11025 Hz.
CHUNK_SAMPLES = 2**21


class NoteTranscriber(Transcriber):
    """A note network; its frames lie as far apart as it was trained on."""

    threshold: ClassVar[str] = "onset_threshold"
    any_hop: ClassVar[bool] = False
    checkpoint: NoteCheckpoint
    network: NoteNetwork
    config: NoteConfig

    def infer(
        self,
        samples: NDArray[np.floating],
        hop_samples: int | None = None,
        progress: bool = False,
        stretch: float = 1.0,
    ) -> ModelOutputs:
        """Run the network over samples at its own rate, in blocks; see :meth:`Transcriber.infer`."""
        from ..models.note_blocks import infer_notes

        hop = self._hop(hop_samples)
        signal = np.require(samples, np.float32, ["C"])
        with frames_bar(-(-len(signal) // hop), progress) as bar:
            heard = infer_notes(self.network, signal, report=bar.update)
        rate, lowest_note = stretch * self.config.sample_rate / hop, self.config.lowest_note
        notes = partial(decode_notes, heard, rate, lowest_note=lowest_note)
        return ModelOutputs(heard.frames, rate, lowest_note, notes, heard.onsets)

    def _find(
        self,
        samples: NDArray[np.float32],
        settings: WindowDecodeSettings | NoteDecodeSettings,
        hop_samples: int | None,
        progress: bool,
        stretch: float,
    ) -> Found:
        """Decode while listening, in bounded memory: what is heard goes to temporary files."""
        from ..models.note_blocks import infer_notes_stream

        hop, pitches = self._hop(hop_samples), self.config.outputs
        rate = stretch * self.config.sample_rate / hop
        frames, onsets = DiskArray(np.float32, pitches), DiskArray(np.float32, pitches)

        def heard() -> Iterator[NoteOutputs]:
            with frames_bar(-(-len(samples) // hop), progress) as bar:
                for block in infer_notes_stream(self.network, in_blocks(samples, CHUNK_SAMPLES)):
                    frames.append(block.frames)
                    onsets.append(block.onsets)
                    bar.update(len(block.frames))
                    yield block

        assert isinstance(settings, NoteDecodeSettings)
        notes = list(decode_stream(heard(), rate, settings, self.config.lowest_note))
        return Found(notes, frames.array(), rate, onsets.array())

    def _hop(self, hop_samples: int | None) -> int:
        """The network's own, the only one there is."""
        hop, name = self.config.hop_samples, self.checkpoint.name
        if hop_samples not in (None, hop):
            raise ConfigError(f"{name} hears a frame every {hop} samples, not {hop_samples}; leave out the hop.")
        return hop
