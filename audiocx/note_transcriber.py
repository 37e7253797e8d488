"""Note networks, which tell where notes begin, sound and end, run over recordings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError
from .note_decoding import decode_notes
from .running import frames_bar
from .transcriber import Evidence, Transcriber

if TYPE_CHECKING:
    from .models import NoteConfig, NoteNetwork
    from .pretrained import NoteCheckpoint

__all__ = ["NoteTranscriber"]


class NoteTranscriber(Transcriber):
    """A note network; its frames lie as far apart as it was trained on."""

    threshold: ClassVar[str] = "onset_threshold"
    any_hop: ClassVar[bool] = False
    checkpoint: NoteCheckpoint
    network: NoteNetwork
    config: NoteConfig

    def listen(
        self,
        samples: NDArray[np.floating],
        hop_samples: int | None = None,
        progress: bool = False,
        stretch: float = 1.0,
    ) -> Evidence:
        """Run the network over samples at its own rate, in blocks; see :meth:`Transcriber.listen`."""
        from .models.note_frames import note_evidence

        hop = self.config.hop_samples
        if hop_samples not in (None, hop):
            name = self.checkpoint.name
            raise ConfigError(f"{name} hears a frame every {hop} samples, not {hop_samples}; leave out the hop.")
        signal = np.require(samples, np.float32, ["C"])
        with frames_bar(-(-len(signal) // hop), progress) as bar:
            heard = note_evidence(self.network, signal, report=bar.update)
        rate, lowest_note = stretch * self.config.sample_rate / hop, self.config.lowest_note
        notes = partial(decode_notes, heard, rate, lowest_note=lowest_note)
        return Evidence(heard.frames, rate, lowest_note, notes, heard.onsets)
