"""Decoding of a recording with other settings, as a slider asks for it many times in a row."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from ..music.note_decoding import NoteCandidates
from ..music.note_transcriber import NoteModelOutputs
from ..notes import Note, NoteOutputs

if TYPE_CHECKING:
    from ..music.transcriber import ModelOutputs

__all__ = ["Redecoder"]

MAX_CELLS = 2**27  # frames times pitches: five hours of a piano at 86 frames a second


class Redecoder:
    """Decodes outputs of networks, and keeps what the notes of the last ones were found from."""

    def __init__(self) -> None:
        self._last: tuple[weakref.ref[ModelOutputs], NoteCandidates] | None = None

    def decode(self, outputs: ModelOutputs, settings: Any) -> list[Note]:
        """Decode; not from several threads at once.

        Args:
            outputs: Outputs of a network for a recording.
            settings: Of its kind.

        Returns:
            The notes of :meth:`ModelOutputs.decode`.
        """
        if not isinstance(outputs, NoteModelOutputs) or outputs.probabilities.size > MAX_CELLS:
            return outputs.decode(settings)
        if self._last is None or self._last[0]() is not outputs:
            parts = NoteOutputs(outputs.onsets, outputs.probabilities, outputs.offsets, outputs.velocities)
            candidates = NoteCandidates(parts, outputs.frame_rate, settings, outputs.lowest_note)
            self._last = weakref.ref(outputs, self._forget), candidates
        notes = self._last[1].decode(settings)
        return outputs.decode(settings) if notes is None else notes

    def _forget(self, gone: weakref.ref[ModelOutputs]) -> None:
        if self._last is not None and self._last[0] is gone:
            self._last = None
