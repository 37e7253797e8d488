"""Beat tracking on performances with known beats, and quantization; all times worked by hand."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest

from audiocx.errors import ConfigError, OutputError
from audiocx.io.midi import read_midi, write_midi
from audiocx.music.beats import estimate_beats, quantize
from audiocx.music.transcription import Transcription
from audiocx.notes import Note, snap_to_grid

EVEN = np.arange(5) * 0.5  # 120 a minute


def performed(beats_s: np.ndarray, jitter_s: float, seed: int = 0) -> tuple[list[Note], np.ndarray]:
    """Eighths over a bass note on each beat, none quite in time; and the beat each belongs at."""
    random = np.random.default_rng(seed)
    numbers = np.arange(len(beats_s))
    notes, places = [], np.concatenate([numbers, np.arange(2 * len(beats_s) - 1) / 2])
    for index, place in enumerate(places):
        onset_s = float(np.interp(place, numbers, beats_s) + random.uniform(-jitter_s, jitter_s))
        pitch = 40 if index < len(beats_s) else 60 + index % 12
        notes.append(Note(onset_s, pitch, onset_s + 0.2, 80))
    return notes, places


def transcription(notes: list[Note]) -> Transcription:
    return Transcription(notes, np.zeros((1, 88), np.float32), 50.0, 21, 60.0, "song.wav")


def strokes(path: Path) -> dict[int, list[float]]:
    """Where each pitch is struck, in beats, by the raw ticks."""
    file = mido.MidiFile(path)
    struck: dict[int, list[float]] = {}
    for track in file.tracks[1:]:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                struck.setdefault(message.note, []).append(tick / file.ticks_per_beat)
    return struck


@pytest.mark.parametrize("seed", range(3))
def test_quantizing_a_jittered_tune_keeps_its_performed_times(tmp_path: Path, seed: int) -> None:
    path, beats_s = tmp_path / "a.mid", 1.3 + np.arange(33) * 0.6  # 100 a minute
    notes, places = performed(beats_s, 0.02, seed)
    transcription(notes).to_midi(path, quantize=4)
    lead = strokes(path)[40][0]
    assert lead == 2.0  # 1.3 s are about two beats of 0.6 s
    assert strokes(path)[40] == [lead + number for number in range(33)]
    eighths = sorted(place for pitch, line in strokes(path).items() if pitch != 40 for place in line)
    assert eighths == [lead + place for place in sorted(places[33:])]
    by_pitch = {key: sorted(n.onset_s for n in notes if n.midi_note == key) for key in {n.midi_note for n in notes}}
    for pitch in by_pitch:
        played_s = [note.onset_s for note in read_midi(path) if note.midi_note == pitch]
        assert played_s == pytest.approx(by_pitch[pitch], abs=0.04)


def test_a_ritardando_is_followed(tmp_path: Path) -> None:
    lengths_s = 60 / np.linspace(120, 90, 32)
    beats_s = 2.0 + np.concatenate([[0.0], np.cumsum(lengths_s)])
    notes, places = performed(beats_s, 0.01)
    found_s = estimate_beats(notes)
    assert np.abs(found_s[:, None] - beats_s).min(0).max() < 0.03
    placed = np.interp([note.onset_s for note in quantize(notes, found_s, 2)], found_s, np.arange(len(found_s)))
    assert placed - placed[0] == pytest.approx(np.sort(places), abs=1e-6)
    transcription(notes).to_midi(tmp_path / "a.mid", quantize=2)
    midi = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid"))
    stated_s = midi.get_beats()
    assert np.abs(stated_s[:, None] - beats_s).min(0).max() < 0.03
    tempos = midi.get_tempo_changes()[1]
    assert [tempos[0], tempos[-1]] == pytest.approx([120, 91], abs=3)


def test_midi_keeps_beats_and_times(tmp_path: Path) -> None:
    beats_s = np.array([0.0, 0.5, 1.1, 1.5, 2.25])
    notes = [Note(0.5, 60, 0.8, 90, 40), Note(1.3, 64, 2.25, 70), Note(1.5, 67, 3.75, 50)]  # the last: 3 beats
    write_midi(notes, tmp_path / "a.mid", beats_s=beats_s)
    midi = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid"))
    assert midi.get_beats()[:5] == pytest.approx(beats_s, abs=1e-6)
    assert strokes(tmp_path / "a.mid") == {60: [1.0], 64: [2.5], 67: [3.0]}
    for read, note in zip(read_midi(tmp_path / "a.mid"), notes, strict=True):
        assert (read.midi_note, read.velocity, read.program) == (note.midi_note, note.velocity, note.program)
        assert [read.onset_s, read.offset_s] == pytest.approx([note.onset_s, note.offset_s], abs=1e-3)


@pytest.mark.parametrize("beats_s", [[], [0.0], [0.1, 0.6], [0.0, 0.01], [0.0, 0.5, 0.4], [0.0, 20.0]])
def test_beats_beyond_the_limits_of_midi_are_refused(tmp_path: Path, beats_s: list[float]) -> None:
    with pytest.raises(OutputError, match="a.mid: cannot hold these beats"):
        write_midi([], tmp_path / "a.mid", beats_s=beats_s)


def test_notes_move_to_the_nearest_position_and_keep_a_duration() -> None:
    notes = [Note(0.06, 60, 0.3), Note(0.49, 62, 0.5, 70, 3, 0.5), Note(1.07, 64, 9.9)]
    moved = quantize(notes, EVEN, 4)  # places 0.125 s apart
    assert moved == [Note(0.0, 60, 0.25), Note(0.5, 62, 0.625, 70, 3), Note(1.125, 64, 9.875)]
    assert moved[1].confidence == 0.5
    assert quantize(notes[1:2], EVEN, 1) == [Note(0.5, 62, 1.0, 70, 3)]
    assert quantize(notes[:1], EVEN, 3) == [Note(0.0, 60, pytest.approx(1 / 3))]
    assert quantize([], EVEN, 4) == []


def test_positions_follow_beats_of_unequal_duration() -> None:
    beats_s = np.array([0.0, 1.0, 1.5])
    assert quantize([Note(0.52, 60, 1.24)], beats_s, 2) == [Note(0.5, 60, 1.25)]


def test_quantizing_twice_changes_nothing() -> None:
    moved = quantize(performed(1.0 + np.arange(9) * 0.5, 0.02)[0], np.arange(12) * 0.5, 12)
    assert quantize(moved, np.arange(12) * 0.5, 12) == moved


def test_a_spread_chord_becomes_simultaneous(tmp_path: Path) -> None:
    chord = [Note(0.99, 60, 1.4), Note(0.998, 64, 1.41), Note(1.005, 67, 1.39)]
    moved = quantize(chord, EVEN, 4)
    assert moved == [Note(1.0, pitch, 1.375) for pitch in (60, 64, 67)]
    write_midi(moved, tmp_path / "a.mid", beats_s=EVEN)
    assert strokes(tmp_path / "a.mid") == {60: [2.0], 64: [2.0], 67: [2.0]}


def test_repeated_notes_never_overlap() -> None:
    notes = [Note(0.0, 60, 0.7, 50), Note(0.5, 60, 0.52, 60), Note(0.53, 60, 0.9, 90), Note(0.5, 60, 2.0, 60, 7)]
    assert quantize(notes, EVEN, 4) == [Note(0.0, 60, 0.5, 50), Note(0.5, 60, 0.875, 90), Note(0.5, 60, 2.0, 60, 7)]
    assert [(start, end) for start, end, _ in snap_to_grid(notes, lambda time_s: round(10 * time_s))] == [
        (0, 5), (5, 9), (5, 20)
    ]  # fmt: skip


@pytest.mark.parametrize("divisions", [0, 13, 2.5, -4])
def test_divisions_out_of_range_are_refused(divisions: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose 1 to 12"):
        transcription([]).to_midi(tmp_path / "a.mid", quantize=divisions)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tempo_bpm", [0.0, 1001.0, float("nan")])
def test_a_tempo_out_of_range_is_refused(tempo_bpm: float) -> None:
    with pytest.raises(ConfigError, match="choose 4 to 1000"):
        estimate_beats([], tempo_bpm)


def test_few_notes_take_the_expected_tempo_from_the_first_onset() -> None:
    few = [Note(1.25 + 0.37 * number, 60, 1.5 + 0.37 * number) for number in range(7)]
    beats_s = estimate_beats(few, 60.0)
    assert beats_s == pytest.approx([0.0, 1.25, 2.25, 3.25, 4.25])
    assert estimate_beats([], 90.0) == pytest.approx([0.0, 2 / 3])


@pytest.mark.parametrize("tempo_bpm", [4.0, 600.0, 999.9, 1000.0])
@pytest.mark.parametrize("onset_s", [0.0, 0.02, 0.05, 0.1234567])
def test_estimated_beats_can_always_be_written(tmp_path: Path, tempo_bpm: float, onset_s: float) -> None:
    tune = [Note(onset_s + 0.07 * number, 60, onset_s + 0.07 * number + 0.05) for number in range(9)]
    for notes in ([], tune[:1], tune):
        transcription(notes).to_midi(tmp_path / "a.mid", tempo_bpm, quantize=1)
        if notes:
            assert read_midi(tmp_path / "a.mid")[0].onset_s == pytest.approx(
                onset_s, abs=0.13
            )  # half the shortest beat


def test_the_expected_tempo_decides_between_octaves() -> None:
    steady = [Note(0.5 + 0.25 * number, 60, 0.6 + 0.25 * number) for number in range(60)]
    for tempo_bpm in (60.0, 120.0, 240.0):
        assert np.median(np.diff(estimate_beats(steady, tempo_bpm))) == pytest.approx(60 / tempo_bpm, abs=0.011)


def test_a_pickup_before_the_first_beat_is_no_beat() -> None:
    beats_s = 0.1 + np.arange(1, 17) * 0.5
    notes, _ = performed(beats_s, 0.0)
    found_s = estimate_beats([*notes, Note(0.35, 60, 0.5, 40)])
    assert found_s[:3] == pytest.approx([0.0, 0.1, 0.6], abs=0.011)


def test_a_recording_that_begins_within_a_beat_keeps_the_others() -> None:
    notes, _ = performed(np.arange(-1, 16) * 0.5 + 0.3, 0.0)
    found_s = estimate_beats([note for note in notes if note.onset_s >= 0.0])
    assert found_s == pytest.approx([0.0, *(np.arange(len(found_s) - 1) * 0.5 + 0.3)], abs=0.011)
