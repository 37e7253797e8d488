"""Rendering of MIDI files into the layout of MusicNet; tests that need fluidsynth are skipped without it."""

from __future__ import annotations

import csv
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile

from audiocx.data.corpora import musicnet
from audiocx.data.corpora.musicnet_labels import LABEL_RATE, read_table
from audiocx.data.rendering import render, synthesis
from audiocx.data.rendering.performance import RenderConfig, perform_score, read_score
from audiocx.errors import ConfigError, DataError
from audiocx.io.midi import read_midi

ROOT = Path(__file__).parents[3]
FONT = "TimGM6mb.sf2"
DRY = RenderConfig(soundfonts=(FONT,)).plain()
VIOLIN, XYLOPHONE, CLARINET = 40, 13, 71


def can_render() -> bool:
    try:
        return shutil.which("fluidsynth") is not None and render.find_soundfont(FONT).is_file()
    except DataError:
        return False


needs_fluidsynth = pytest.mark.skipif(not can_render(), reason="needs fluidsynth and timgm6mb-soundfont")


def write_midi(path: Path, *parts: pretty_midi.Instrument, tempo_bpm: float = 120.0) -> Path:
    score = pretty_midi.PrettyMIDI(resolution=480, initial_tempo=tempo_bpm)
    score.instruments = list(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    score.write(str(path))
    return path


def part(program: int, *notes: tuple[float, int, float], drums: bool = False) -> pretty_midi.Instrument:
    """Notes as (onset_s, midi_note, offset_s), all of velocity 127."""
    instrument = pretty_midi.Instrument(program, is_drum=drums)
    instrument.notes = [pretty_midi.Note(127, pitch, onset_s, offset_s) for onset_s, pitch, offset_s in notes]
    return instrument


def scale(program: int, count: int = 40) -> pretty_midi.Instrument:
    return part(program, *((0.5 * i, 60 + i % 12, 0.5 * i + 0.4) for i in range(count)))


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def velocities(score: pretty_midi.PrettyMIDI) -> list[int]:
    return [note.velocity for instrument in score.instruments for note in instrument.notes]


def test_label_tables_have_times_programs_and_beats(tmp_path: Path) -> None:
    """At 90 beats per minute a beat lasts 2/3 s; the pedal holds the first note for a second."""
    pedalled = part(0, (0.0, 60, 0.5))
    pedalled.control_changes = [pretty_midi.ControlChange(64, 127, 0.25), pretty_midi.ControlChange(64, 0, 1.0)]
    drums = part(0, (0.0, 35, 1.0), drums=True)
    path = write_midi(tmp_path / "1.mid", part(VIOLIN, (2 / 3, 76, 5 / 3)), pedalled, drums, tempo_bpm=90.0)
    table = render.label_table(read_midi(path), read_score(path))
    rounded = [
        label._replace(start_beat=round(label.start_beat, 2), end_beat=round(label.end_beat, 2)) for label in table
    ]
    assert rounded == [
        (0, LABEL_RATE, 1, 60, 0.0, 1.5, "Dotted Quarter"),
        (LABEL_RATE * 2 // 3, LABEL_RATE * 5 // 3, VIOLIN + 1, 76, 1.0, 1.5, "Dotted Quarter"),
    ]


def test_note_values_round_to_themselves() -> None:
    for name, beats in render.NOTE_VALUES.items():
        assert render.note_value(beats) == render.note_value(beats * 1.02) == name
    assert render.note_value(100.0) == "Whole"
    assert render.note_value(0.0) == "Sixty Fourth"


def test_a_performance_keeps_notes_and_times(tmp_path: Path) -> None:
    path = write_midi(tmp_path / "1.mid", scale(VIOLIN), scale(0), tempo_bpm=77.7)
    perform_score(read_score(path), RenderConfig(), rng()).write(str(tmp_path / "varied.mid"))
    before, after = read_midi(path), read_midi(tmp_path / "varied.mid")
    before, after = (sorted(notes, key=lambda note: (note.program, note)) for notes in (before, after))
    assert [(note.midi_note, note.program) for note in before] == [(note.midi_note, note.program) for note in after]
    times = np.array([[(note.onset_s, note.offset_s) for note in notes] for notes in (before, after)])
    assert np.abs(times[0] - times[1]).max() <= 0.0005  # the ticks written


def test_events_that_labels_do_not_contain_are_dropped(tmp_path: Path) -> None:
    bent = part(VIOLIN, (0.0, 60, 1.0))
    bent.pitch_bends = [pretty_midi.PitchBend(8000, 0.5)]
    bent.control_changes = [pretty_midi.ControlChange(number, 50, 0.0) for number in (0, 7, 11, 64)]
    path = write_midi(tmp_path / "1.mid", bent)
    (performed,) = perform_score(read_score(path), DRY, rng()).instruments
    assert [(bend.pitch, bend.time) for bend in performed.pitch_bends] == [(0, 0.0)]
    controls = {control.number: control.value for control in performed.control_changes}
    assert controls == {7: 50, 11: 50, 64: 50, 91: 80}


def test_constant_velocities_are_varied_and_others_kept(tmp_path: Path) -> None:
    flat = read_score(write_midi(tmp_path / "1.mid", scale(0)))
    alive = velocities(perform_score(flat, RenderConfig(), rng()))
    assert np.std(alive) > 4 and 60 < np.mean(alive) < 100
    assert set(velocities(perform_score(flat, DRY, rng()))) == {80}
    played = scale(0)
    for number, note in enumerate(played.notes):
        note.velocity = 40 + number
    kept = velocities(perform_score(read_score(write_midi(tmp_path / "2.mid", played)), DRY, rng()))
    assert kept == list(range(40, 80))


def test_gain_and_tuning_stay_within_their_ranges(tmp_path: Path) -> None:
    score = read_score(write_midi(tmp_path / "1.mid", scale(0, 2), scale(VIOLIN, 2)))
    config = RenderConfig(part_gain_db=6.0, tuning_cents=20.0)
    bends, gains_db = set(), []
    for seed in range(60):
        performed = perform_score(score, config, np.random.default_rng(seed)).instruments
        assert performed[0].pitch_bends[0].pitch == performed[1].pitch_bends[0].pitch
        bends.add(performed[0].pitch_bends[0].pitch)
        volumes = [c.value for instrument in performed for c in instrument.control_changes if c.number == 7]
        gains_db += [40 * math.log10(volume / 100) for volume in volumes]
    assert -20 <= min(bends) / 8192 * 200 < -15 and 15 < max(bends) / 8192 * 200 <= 20
    assert -12.1 < min(gains_db) < -10 and -2 < max(gains_db) <= 0


def test_a_rendering_depends_on_seed_and_id_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score = read_score(write_midi(tmp_path / "1.mid", scale(0)))
    renderings = []

    def pretend(performed: pretty_midi.PrettyMIDI, soundfont: Path, room: dict[str, float], *_: object) -> np.ndarray:
        renderings.append((velocities(performed), soundfont, tuple(room.values())))
        return np.ones(1000, dtype=np.float32)

    monkeypatch.setattr(synthesis, "synthesise", pretend)
    fonts = [Path("a"), Path("b")]

    def perform(seed: int, piece: int) -> np.ndarray:
        return synthesis.perform(score, 1.0, fonts, RenderConfig(seed=seed), piece, tmp_path)

    first, other_piece, other_seed, again = (perform(*draw) for draw in ((0, 1), (0, 2), (1, 1), (0, 1)))
    assert np.array_equal(first, again) and renderings[0] == renderings[3]
    assert not np.array_equal(first, other_piece) and not np.array_equal(first, other_seed)
    assert len({str(draws) for draws in renderings}) == 3
    for piece in range(8):
        perform(0, piece)
    assert {soundfont for _, soundfont, _ in renderings} == set(fonts)


@pytest.mark.parametrize("wrong", [{"sample_rate": 48000}, {"soundfonts": ()}, {"tuning_cents": -1}, {"seed": -1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RenderConfig(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="noise_db"):
        RenderConfig(noise_db=(-40.0, -70.0))


@needs_fluidsynth
def test_notes_begin_at_their_labels(tmp_path: Path) -> None:
    """Onsets of a xylophone, at different positions within the blocks of fluidsynth."""
    onsets_s = [0.0, 0.4003, 0.9117, 1.5]
    write_midi(tmp_path / "in" / "1.mid", part(XYLOPHONE, *((onset_s, 72, onset_s + 0.1) for onset_s in onsets_s)))
    render.render(tmp_path / "in", tmp_path / "out", DRY, progress=False)
    samples, rate = soundfile.read(tmp_path / "out/train_data/1.wav")
    starts = [label.start_time / LABEL_RATE for label in read_table(tmp_path / "out/train_labels/1.csv")]
    assert starts == pytest.approx(onsets_s, abs=0.001)
    for start_s in starts:
        near = np.abs(samples[max(0, round((start_s - 0.02) * rate)) : round((start_s + 0.03) * rate)])
        found_s = max(0.0, start_s - 0.02) + np.argmax(near > 0.3 * near.max()) / rate
        assert found_s == pytest.approx(start_s, abs=0.004)
    assert len(samples) / rate == pytest.approx(1.6 + synthesis.TAIL_S, abs=0.001)
    assert np.abs(samples).max() == pytest.approx(10 ** (-1 / 20), abs=0.001)
    assert np.abs(samples[-20:]).max() < 0.001


@needs_fluidsynth
def test_the_audio_has_the_random_tuning(tmp_path: Path) -> None:
    score = read_score(write_midi(tmp_path / "1.mid", part(CLARINET, (0.0, 69, 1.5))))
    config = RenderConfig(tuning_cents=60.0)
    found_hz, bends = [], []
    for settings in (DRY, config):
        performed = perform_score(score, settings, rng())
        bends.append(performed.instruments[0].pitch_bends[0].pitch)
        samples = synthesis.synthesise(performed, render.find_soundfont(FONT), {}, 11025, tmp_path)[3000:14025]
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 19))
        low, high = (round(hz / 11025 * (1 << 19)) for hz in (400, 480))
        found_hz.append((low + np.argmax(spectrum[low:high])) * 11025 / (1 << 19))
    asked_cents = bends[1] / 8192 * 200
    assert abs(asked_cents) > 20
    assert 1200 * math.log2(found_hz[1] / found_hz[0]) == pytest.approx(asked_cents, abs=0.5)


@needs_fluidsynth
def test_rendering_resumes_and_is_reproducible(tmp_path: Path) -> None:
    for piece in (1727, 2303):
        write_midi(tmp_path / "in" / f"{piece}.mid", part(VIOLIN, (0.1, 70, 0.3)), part(0, (0.1, 50, 0.4)))
    config = RenderConfig(soundfonts=(FONT,))
    assert render.render(tmp_path / "in", tmp_path / "out", config, progress=False) == [1727, 2303]
    first = {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    assert {str(path.parent) for path in first if path.stem == "2303"} == {"test_data", "test_labels"}
    assert not list((tmp_path / "out").glob(".*"))  # no scratch is left

    kept = (tmp_path / "out/test_data/2303.wav").stat().st_mtime_ns
    (tmp_path / "out/train_labels/1727.csv").unlink()  # as if cut off before its labels
    assert render.render(tmp_path / "in", tmp_path / "out", config, workers=1, progress=False) == [1727]
    assert (tmp_path / "out/test_data/2303.wav").stat().st_mtime_ns == kept
    assert {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == first

    pieces = musicnet.find_pieces(tmp_path / "out")
    assert [piece.name for piece in pieces] == ["1727", "2303"]
    assert pieces[0].load(11025)[1][0].midi_note == 50
    with pytest.raises(DataError, match="another tuning_cents"):
        render.render(tmp_path / "in", tmp_path / "out", RenderConfig(soundfonts=(FONT,), tuning_cents=1.0))


@needs_fluidsynth
def test_bad_files_are_reported_and_the_others_rendered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_midi(tmp_path / "in/midi" / "9001.mid", part(0, (0.0, 60, 0.2)))
    (tmp_path / "in/midi/9000.mid").write_bytes(good.read_bytes()[:60])
    write_midi(tmp_path / "in/midi" / "9002.mid", part(0, (0.0, 40, 0.2), drums=True))
    with pytest.raises(DataError, match=r"2 of 3 MIDI files .*9000\.mid.*9002\.mid: holds no notes"):
        render.render(tmp_path / "in", tmp_path / "out", DRY)
    assert "9000.mid" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").rglob("900*")) == ["9001.csv", "9001.wav"]
    with open(tmp_path / "out" / musicnet.METADATA, newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["id"], row["seconds"]) == ("9001", "2")
    assert [piece.name for piece in musicnet.find_pieces(tmp_path / "out")] == ["9001"]


@needs_fluidsynth
def test_a_file_that_is_not_a_soundfont_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.sf2").write_bytes(b"RIFF nothing")
    score = read_score(write_midi(tmp_path / "1.mid", part(0, (0.0, 60, 0.2))))
    with pytest.raises(DataError, match=r"bad\.sf2"):
        synthesis.synthesise(score, tmp_path / "bad.sf2", {}, 11025, tmp_path)


@needs_fluidsynth
def test_the_command_renders(tmp_path: Path) -> None:
    write_midi(tmp_path / "in" / "1727.mid", part(0, (0.0, 60, 0.2)))
    (tmp_path / "in" / musicnet.METADATA).write_text("id,composer\n1727,Schubert\n")
    command = [sys.executable, ROOT / "recipes/musicnet_em/render.py", tmp_path / "in", tmp_path / "out"]
    options = ["--rate", "8000", "--soundfont", FONT, "--ids", "1727", "--dry", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, *options], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, f"rendered 1 pieces into {tmp_path / 'out'}\n"), done.stderr
    assert soundfile.info(tmp_path / "out/train_data/1727.wav").samplerate == 8000
    assert (tmp_path / "out" / musicnet.METADATA).read_text() == "id,composer\n1727,Schubert\n"


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that fluidsynth and its soundfonts are installed."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(render, "find_soundfont", lambda name: Path(__file__))


def test_missing_fluidsynth_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DataError, match="apt install fluidsynth.*brew install"):
        render.render(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_soundfont_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere.sf2.*fluid-soundfont-gm timgm6mb-soundfont musescore-general"):
        render.find_soundfont(tmp_path / "nowhere.sf2")


def test_missing_and_misnamed_midi_files_are_errors(tmp_path: Path, pretended: None) -> None:
    with pytest.raises(DataError, match="no MIDI files"):
        render.render(tmp_path / "in", tmp_path / "out")
    write_midi(tmp_path / "in" / "9001.mid", part(0, (0.0, 60, 0.2)))
    with pytest.raises(DataError, match=r"no 17\.mid.*such as 9001"):
        render.render(tmp_path / "in", tmp_path / "out", ids=[17])
    write_midi(tmp_path / "in" / "song.mid", part(0, (0.0, 60, 0.2)))
    with pytest.raises(DataError, match=r"song\.mid.*rename it"):
        render.render(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_many_parts_are_refused(tmp_path: Path) -> None:
    parts = [part(program, (0.0, 60, 0.2)) for program in range(16)]
    with pytest.raises(DataError, match="16 parts"):
        read_score(write_midi(tmp_path / "1.mid", *parts))
