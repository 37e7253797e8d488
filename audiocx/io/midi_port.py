"""MIDI ports: notes to a synthesiser or another program while they sound."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from ..errors import ConfigError, OutputError, require
from ..notes import Note

__all__ = ["VIRTUAL", "MidiPort", "midi_outputs"]

VIRTUAL = "virtual"
# Onsets of a pitch that lie closer are of the same note, found anew.
SAME_ONSET_S = 0.05


def midi_outputs() -> list[str]:
    """Return the names of the MIDI outputs of this machine.

    Raises:
        ConfigError: The extra ``live`` is missing, or the system has no MIDI.
    """
    if sys.version_info >= (3, 13) and find_spec("rtmidi") is None:
        raise ConfigError(
            "A MIDI port needs python-rtmidi, which has no wheel for Python 3.13; use Python 3.12, or compile it: pip "
            "install python-rtmidi (on Debian and Ubuntu after sudo apt install g++ libasound2-dev)."
        )
    require("A MIDI port", "live", "rtmidi")
    import mido

    try:
        return list(dict.fromkeys(mido.get_output_names()))
    except (OSError, RuntimeError) as error:  # of RtMidi
        raise ConfigError(f"The system has no MIDI ({error}); on Linux, load it by: sudo modprobe snd-seq") from error


class MidiPort:
    """A MIDI output, with note-ons and note-offs for notes that are found as they sound.

    Args:
        name: A part of its name, or :data:`VIRTUAL` for a new port, "audiocx", to which other programs connect.

    Raises:
        ConfigError: The extra ``live`` is missing, or there is no such port.
    """

    def __init__(self, name: str) -> None:
        names = midi_outputs()
        import mido

        exact = [each for each in names if each == name]
        found = exact or [each for each in names if name.lower() in each.lower()]
        if name != VIRTUAL and len(found) != 1:
            there = ", ".join(map(repr, names)) or "there are none"
            which = "no" if not found else "more than one"
            raise ConfigError(
                f"There is {which} MIDI output {name!r}; choose from: {there}, or {VIRTUAL} for a new one."
            )
        try:
            self._port: Any = (
                mido.open_output("audiocx", virtual=True) if name == VIRTUAL else mido.open_output(found[0])
            )
        except (OSError, RuntimeError, NotImplementedError, TypeError) as error:
            hint = "Windows has no virtual ports: make one with loopMIDI" if name == VIRTUAL else "another may use it"
            raise ConfigError(f"The MIDI output {name!r} cannot be opened ({error}); {hint}.") from error
        self._on: set[int] = set()
        self._last: dict[int, float] = {}  # onset of each pitch's last note

    def update(self, sounding: Iterable[Note], now_s: float) -> None:
        """Send what has begun and what has ended since the last update.

        Args:
            sounding: The notes that have begun lately; those that still sound end now or later.
            now_s: Now, in seconds.

        Raises:
            OutputError: The port is gone.
        """
        sounding = sorted(sounding)
        held = {note.midi_note for note in sounding if note.offset_s >= now_s}
        for pitch in [pitch for pitch in self._on if pitch not in held]:
            self._off(pitch)
        for note in sounding:
            pitch = note.midi_note
            if note.onset_s <= self._last.get(pitch, -1.0) + SAME_ONSET_S:
                continue
            if pitch in self._on:
                self._off(pitch)
            self._last[pitch] = note.onset_s
            self._on.add(pitch)  # one that has ended already sounds until the next update
            self._send("note_on", pitch, min(max(note.velocity, 1), 127))

    def close(self) -> None:
        """End all notes, and close the port."""
        try:
            for pitch in list(self._on):
                self._off(pitch)
        finally:
            self._port.close()

    def _off(self, pitch: int) -> None:
        self._on.discard(pitch)
        self._send("note_off", pitch, 0)

    def _send(self, kind: str, pitch: int, velocity: int) -> None:
        import mido

        try:
            self._port.send(mido.Message(kind, note=pitch, velocity=velocity))
        except (OSError, RuntimeError, ValueError) as error:
            raise OutputError(f"The MIDI output is gone ({error}); connect it and start again.") from error
