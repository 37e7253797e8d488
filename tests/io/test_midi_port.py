"""Notes to a MIDI port while they sound."""

from __future__ import annotations

import pytest
from fake_sound import FakeMidi

from audiocx.errors import ConfigError, OutputError
from audiocx.io.midi_port import MidiPort, midi_outputs
from audiocx.notes import Note


@pytest.fixture
def midi(monkeypatch: pytest.MonkeyPatch) -> FakeMidi:
    return FakeMidi(monkeypatch)


def test_notes_begin_and_end(midi: FakeMidi) -> None:
    port = MidiPort("synth b")
    port.update([Note(0.5, 60, 1.0, 70), Note(0.6, 64, 0.8, 50)], 1.0)
    assert midi.sent == [("note_on", 60, 70), ("note_on", 64, 50)]
    port.update([Note(0.51, 60, 1.2, 70), Note(0.6, 64, 0.8, 50)], 1.2)  # the first sounds on, the second has ended
    assert midi.sent[2:] == [("note_off", 64, 0)]
    port.update([Note(0.51, 60, 1.3, 70), Note(1.3, 60, 1.4, 90)], 1.4)  # struck again
    assert midi.sent[3:] == [("note_off", 60, 0), ("note_on", 60, 90)]
    port.update([Note(1.31, 60, 1.6, 90), Note(1.4, 40, 1.6, 0)], 1.6)
    port.close()
    assert midi.sent[5:] == [("note_on", 40, 1), ("note_off", 40, 0), ("note_off", 60, 0)] and midi.closed
    assert midi.opened == [("Synth B 15:0", False)]


def test_a_note_that_was_none_ends(midi: FakeMidi) -> None:
    port = MidiPort("virtual")
    port.update([Note(0.5, 60, 1.0)], 1.0)
    port.update([], 1.5)
    assert [kind for kind, *_ in midi.sent] == ["note_on", "note_off"] and midi.opened == [("audiocx", True)]


def test_ports_that_are_not_there_are_one_sentence(midi: FakeMidi, monkeypatch: pytest.MonkeyPatch) -> None:
    assert midi_outputs() == ["Synth A 14:0", "Synth B 15:0"]
    with pytest.raises(ConfigError, match="There is no MIDI output 'piano'; choose from: 'Synth A 14:0'"):
        MidiPort("piano")
    with pytest.raises(ConfigError, match="more than one MIDI output 'Synth'"):
        MidiPort("Synth")
    port = MidiPort("Synth A")
    midi.gone = True
    with pytest.raises(OutputError, match="MIDI output is gone"):
        port.update([Note(0.5, 60, 1.0)], 1.0)

    def refused(*_: object, **__: object) -> None:
        raise OSError("no sequencer")

    monkeypatch.setattr("mido.open_output", refused)
    with pytest.raises(ConfigError, match=r"'virtual' cannot be opened \(no sequencer\); Windows has no virtual"):
        MidiPort("virtual")
    monkeypatch.setattr("mido.get_output_names", refused)
    with pytest.raises(ConfigError, match="The system has no MIDI"):
        midi_outputs()


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("audiocx.errors", "audiocx.io.midi_port"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"A MIDI port needs (rtmidi.*audiocx\[live\]|python-rtmidi)"):
        midi_outputs()
