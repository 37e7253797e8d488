"""MIDI files: a round trip keeps notes and their times in seconds, whatever the tempo."""

import mido
import pretty_midi
import pytest

from audiocx.errors import DataError, OutputError
from audiocx.io.midi import read_midi, write_midi
from audiocx.notes import Note

NOTES = [Note(0.0, 60, 0.5, 64), Note(0.1234567, 21, 2.0, 1), Note(0.5, 60, 0.75, 127), Note(3599.9, 108, 3600.2, 80)]


def mido_times(path):
    """Seconds and pitch of each note-on and note-off, by arithmetic on the raw events."""
    file = mido.MidiFile(path)
    tempo = next(message.tempo for message in file.tracks[0] if message.type == "set_tempo")
    events, tick = [], 0
    for message in file.tracks[1]:
        tick += message.time
        if message.type == "note_on":
            events.append((tick * tempo / 1e6 / file.ticks_per_beat, message.note, message.velocity))
    return tempo, events


@pytest.mark.parametrize("tempo_bpm", [4, 60, 97.3, 120, 1000])
def test_seconds_do_not_depend_on_tempo(tmp_path, tempo_bpm):
    path = tmp_path / "a.mid"
    write_midi(NOTES[:3] + [Note(600.0, 108, 600.3, 80)], path, tempo_bpm)
    expected = NOTES[:3] + [Note(600.0, 108, 600.3, 80)]
    midi = pretty_midi.PrettyMIDI(str(path))
    assert midi.get_tempo_changes()[1] == pytest.approx([tempo_bpm], rel=1e-5)
    read = sorted((n.start, n.pitch, n.end, n.velocity) for n in midi.instruments[0].notes)
    tempo, events = mido_times(path)
    assert tempo == round(6e7 / tempo_bpm)
    raw = sorted((time_s, note) for time_s, note, velocity in events if velocity)
    for note, (start, pitch, end, velocity), (raw_start, raw_pitch) in zip(expected, read, raw, strict=True):
        assert (pitch, velocity, raw_pitch) == (note.midi_note, note.velocity, note.midi_note)
        assert [start, end, raw_start] == pytest.approx([note.onset_s, note.offset_s, note.onset_s], abs=0.00055)


@pytest.mark.parametrize("tempo_bpm", [0, 3, 2000, float("nan")])
def test_tempo_out_of_range_is_refused(tmp_path, tempo_bpm):
    with pytest.raises(OutputError, match="beats per minute"):
        write_midi(NOTES, tmp_path / "a.mid", tempo_bpm)
    assert not list(tmp_path.iterdir())


def test_overlapping_notes_of_a_pitch_are_cut_at_the_later_onset(tmp_path):
    write_midi([Note(0.0, 60, 3.0, 50), Note(1.0, 60, 2.0, 70), Note(0.5, 64, 3.0, 60)], tmp_path / "a.mid")
    first, other, second = read_midi(tmp_path / "a.mid")
    assert (first.midi_note, first.velocity, second.midi_note, second.velocity) == (60, 50, 60, 70)
    assert [first.offset_s, second.onset_s, second.offset_s] == pytest.approx([1.0, 1.0, 2.0], abs=0.001)
    assert other.offset_s == pytest.approx(3.0, abs=0.001)


def test_every_program_is_an_instrument_of_its_own(tmp_path):
    notes = [
        Note(0.0, 60, 2.0, 80, 0),
        Note(0.5, 60, 1.5, 70, 40),  # the same pitch on a violin meanwhile: neither is cut
        Note(1.0, 67, 3.0, 60, 40),
        Note(2.0, 67, 4.0, 60, 40),  # the violin again: cut
        Note(2.5, 40, 3.0, 90, 127),
    ]
    write_midi(reversed(notes), tmp_path / "a.mid")
    instruments = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid")).instruments
    assert [(one.program, one.name) for one in instruments] == [(0, "Piano"), (40, "Violin"), (127, "Gunshot")]
    read = read_midi(tmp_path / "a.mid")
    assert [(n.midi_note, n.velocity, n.program) for n in read] == [(n.midi_note, n.velocity, n.program) for n in notes]
    assert [n.offset_s for n in read] == pytest.approx([2.0, 1.5, 2.0, 4.0, 3.0], abs=0.001)


def test_a_pedal_leaves_the_instrument_as_it_is(tmp_path):
    pedalled(tmp_path / "a.mid", [(0.2, 127), (3.0, 0)], program=46)
    assert [(note.program, note.offset_s) for note in read_midi(tmp_path / "a.mid")] == [
        (46, pytest.approx(2.0, abs=0.001)),
        (46, pytest.approx(3.0, abs=0.001)),
        (46, pytest.approx(3.0, abs=0.001)),
    ]


def test_every_note_on_has_its_note_off_even_for_notes_of_no_length(tmp_path):
    notes = [Note(1.0, 60, 1.0, 64), Note(1.0001, 60, 1.0001, 90), Note(1.0021, 60, 1.5), Note(-0.01, 50, 0.2)]
    write_midi(notes, tmp_path / "a.mid")
    read = read_midi(tmp_path / "a.mid")
    assert [note.midi_note for note in read] == [50, 60, 60]
    assert read[0].onset_s == 0.0 and read[1].velocity == 90
    assert all(note.duration_s > 0 for note in read)
    sounding = 0
    for _, note, velocity in mido_times(tmp_path / "a.mid")[1]:
        if note == 60:
            sounding += 1 if velocity else -1
            assert sounding in (0, 1)
    assert sounding == 0


def test_no_notes_make_a_valid_file(tmp_path):
    write_midi([], tmp_path / "empty.mid")
    assert read_midi(tmp_path / "empty.mid") == []


def test_a_pitch_midi_does_not_have_is_refused(tmp_path):
    with pytest.raises(OutputError, match="128"):
        write_midi([Note(0.0, 128, 1.0)], tmp_path / "a.mid")


def pedalled(path, pedal, program=0):
    midi = pretty_midi.PrettyMIDI(resolution=960)
    piano = pretty_midi.Instrument(program)
    played = ((60, 0.0, 0.5), (64, 0.0, 1.0), (60, 2.0, 2.1))
    piano.notes = [pretty_midi.Note(80, pitch, onset_s, offset_s) for pitch, onset_s, offset_s in played]
    piano.control_changes = [pretty_midi.ControlChange(64, value, time) for time, value in pedal]
    midi.instruments.append(piano)
    midi.write(str(path))


@pytest.mark.parametrize(
    ("pedal", "ends"),
    [
        ([], [0.5, 1.0, 2.1]),
        ([(0.2, 127), (0.8, 0)], [0.8, 1.0, 2.1]),  # lifted before the E ends
        ([(0.7, 127), (3.0, 0)], [0.5, 3.0, 3.0]),  # the C was over when the pedal came
        ([(0.2, 127), (3.0, 0)], [2.0, 3.0, 3.0]),  # the C sounds until it is struck again
        ([(0.2, 63), (3.0, 0)], [0.5, 1.0, 2.1]),  # under 64 is up
    ],
)
def test_sustain_pedal_holds_notes(tmp_path, pedal, ends):
    pedalled(tmp_path / "a.mid", pedal)
    assert [note.offset_s for note in read_midi(tmp_path / "a.mid")] == pytest.approx(ends, abs=0.001)
    as_played = [note.offset_s for note in read_midi(tmp_path / "a.mid", sustain_pedal=False)]
    assert as_played == pytest.approx([0.5, 1.0, 2.1], abs=0.001)


def test_a_pedal_never_lifted_holds_to_the_last_release(tmp_path):
    pedalled(tmp_path / "a.mid", [(0.2, 127)])
    assert [n.offset_s for n in read_midi(tmp_path / "a.mid")] == pytest.approx([2.0, 2.1, 2.1], abs=0.001)


@pytest.mark.parametrize("content", [b"", b"MThd", b"RIFF no midi at all", b"MThd\0\0\0\x06\0\x01\0\x01\0\x60MTrk\0\0"])
def test_what_is_not_midi_is_a_data_error(tmp_path, content):
    path = tmp_path / "bad.mid"
    path.write_bytes(content)
    with pytest.raises(DataError, match="bad.mid"):
        read_midi(path)


def test_missing_files_and_folders_are_data_errors(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        read_midi(tmp_path / "nowhere")
    with pytest.raises(DataError, match=tmp_path.name):
        read_midi(tmp_path)


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        write_midi(NOTES, tmp_path / "nowhere" / "a.mid")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program", [-1, 128])
def test_a_program_that_midi_does_not_have_is_refused(tmp_path, program):
    with pytest.raises(OutputError, match=f"cannot hold program {program}"):
        write_midi([Note(0.0, 60, 1.0, program=program)], tmp_path / "a.mid")
    assert not list(tmp_path.iterdir())
