"""Note networks through the public functions and the command line."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_notes import HOP, LOOSE, RATE, recording

import audiocx
from audiocx.cli import main
from audiocx.errors import ConfigError
from audiocx.io import midi, note_tables
from audiocx.models import note_blocks
from audiocx.models.runtime import TorchNetwork
from audiocx.music import note_transcriber
from audiocx.music.note_decoding import decode_notes
from audiocx.music.note_transcriber import NoteTranscriber
from audiocx.music.tuning import retuned
from audiocx.notes import Note

LENGTH = 64 * 300 + 13


@pytest.fixture(scope="module")
def transcriber(tiny_notes: Path) -> NoteTranscriber:
    loaded = audiocx.load(tiny_notes, "cpu")
    assert isinstance(loaded, NoteTranscriber)
    return loaded


def assert_alike(found: list[Note], expected: list[Note]) -> None:
    assert [note.midi_note for note in found] == [note.midi_note for note in expected] and len(expected) > 10
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.onset_s, ours.offset_s) == pytest.approx((theirs.onset_s, theirs.offset_s), abs=1e-4)
        assert (
            ours.confidence == pytest.approx(theirs.confidence, abs=1e-4) and abs(ours.velocity - theirs.velocity) <= 1
        )


def test_the_networks_outputs_are_decoded(transcriber: NoteTranscriber) -> None:
    found = transcriber.transcribe(recording(LENGTH), RATE)
    outputs = note_blocks.infer_notes(transcriber.network, recording(LENGTH))
    assert found.notes == decode_notes(outputs, RATE / HOP, LOOSE, lowest_note=60) and len(found.notes) > 10
    np.testing.assert_array_equal(found.probabilities, outputs.frames)
    np.testing.assert_array_equal(found.onsets, outputs.onsets)
    assert (found.frame_rate, found.lowest_note, found.source) == (RATE / HOP, 60, "samples")
    assert found.duration_s == LENGTH / RATE
    assert {0 <= note.confidence <= 1 for note in found.notes} == {True} and len(
        {n.confidence for n in found.notes}
    ) > 5


@pytest.mark.parametrize("block_frames", [10, 64])
def test_notes_do_not_depend_on_the_block_size(
    transcriber: NoteTranscriber, block_frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = transcriber.transcribe(recording(LENGTH), RATE)
    in_blocks = functools.partial(note_blocks.infer_notes_stream, block_frames=block_frames)
    monkeypatch.setattr(note_blocks, "infer_notes_stream", in_blocks)
    monkeypatch.setattr("audiocx.music.note_transcriber.CHUNK_SAMPLES", 1000)
    decode_stream = functools.partial(note_transcriber.decode_stream, block_frames=30)
    monkeypatch.setattr(note_transcriber, "decode_stream", decode_stream)
    parts = transcriber.transcribe(recording(LENGTH), RATE)
    assert_alike(parts.notes, whole.notes)
    np.testing.assert_allclose(parts.probabilities, whole.probabilities, atol=1e-5)


@pytest.mark.parametrize("tuning", [0.0, 45.0])
def test_a_long_file_is_read_from_disk_with_the_same_result(
    transcriber: NoteTranscriber, song: Path, tuning: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = transcriber.transcribe(song, tuning=tuning)
    monkeypatch.setattr("audiocx.models.running.MAX_MEMORY_S", 0.1)
    long = transcriber.transcribe(song, tuning=tuning)
    assert isinstance(transcriber.samples(song).samples, np.memmap)
    assert_alike(long.notes, short.notes)
    assert (long.duration_s, long.frame_rate) == (short.duration_s, short.frame_rate)
    np.testing.assert_allclose(long.probabilities, short.probabilities, atol=1e-4)
    long.to_npz("long.npz")
    with np.load("long.npz") as archive:
        np.testing.assert_array_equal(archive["probabilities"], long.probabilities)


def test_the_threshold_applies_to_onsets(transcriber: NoteTranscriber) -> None:
    samples = recording(LENGTH)
    usual = transcriber.transcribe(samples, RATE).notes
    strict = transcriber.transcribe(samples, RATE, threshold=0.8).notes
    assert 0 < len(strict) < len(usual) and min(note.confidence for note in strict) >= 0.8
    assert all(note.duration_s >= 0.1 for note in transcriber.transcribe(samples, RATE, min_note_s=0.1).notes)


def test_times_do_not_depend_on_the_tuning(transcriber: NoteTranscriber) -> None:
    tuned = transcriber.transcribe(recording(LENGTH), RATE, tuning=45.0)
    samples, _, stretch = retuned(recording(LENGTH), RATE, 45.0)
    longer = transcriber.transcribe(samples, RATE, tuning=0.0)
    assert (tuned.duration_s, tuned.tuning_cents) == (LENGTH / RATE, 45.0) and 1.02 < stretch < 1.03
    assert tuned.frame_rate == pytest.approx(longer.frame_rate * stretch)
    np.testing.assert_array_equal(tuned.probabilities, longer.probabilities)
    assert_alike(
        tuned.notes, [replace(n, onset_s=n.onset_s / stretch, offset_s=n.offset_s / stretch) for n in longer.notes]
    )


def test_other_hops_are_refused(transcriber: NoteTranscriber) -> None:
    samples = recording(LENGTH)
    with pytest.raises(ConfigError, match="tiny-notes has a frame every 64 samples, not 32; leave out the hop"):
        transcriber.transcribe(samples, RATE, hop_samples=32)
    assert transcriber.transcribe(samples, RATE, hop_samples=HOP).notes == transcriber.transcribe(samples, RATE).notes


@pytest.mark.parametrize("options", [{"threshold": 0.0}, {"threshold": 1.5}, {"min_note_s": -1.0}])
def test_an_option_out_of_range_is_refused(transcriber: NoteTranscriber, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="threshold|min_note_s"):
        transcriber.transcribe(np.zeros(800), RATE, **options)  # type: ignore[arg-type]


def test_samples_are_not_modified(transcriber: NoteTranscriber) -> None:
    samples = recording(LENGTH)
    expected = transcriber.transcribe(samples, RATE).notes
    samples.setflags(write=False)
    assert transcriber.transcribe(samples, RATE).notes == expected
    assert transcriber.transcribe(np.repeat(samples, 2)[::2], RATE).notes == expected
    for few in (1, HOP, HOP + 1):
        assert len(transcriber.transcribe(samples[:few], RATE).probabilities) == -(-few // HOP)


def test_the_loaded_network_is_folded_with_the_same_outputs(transcriber: NoteTranscriber, tiny_notes: Path) -> None:
    full = audiocx.checkpoints.load_network(tiny_notes).eval()
    assert len(list(transcriber.network.network.modules())) < len(list(full.modules()))
    outputs, expected = (
        note_blocks.infer_notes(one, recording(LENGTH)) for one in (transcriber.network, TorchNetwork(full))
    )
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_no_progress_is_shown_where_stderr_is_no_terminal(
    transcriber: NoteTranscriber, capsys: pytest.CaptureFixture[str]
) -> None:
    transcriber.transcribe(recording(LENGTH), RATE, progress=True)
    assert capsys.readouterr() == ("", "")


def test_notes_and_progress_are_reported_as_they_come(transcriber: NoteTranscriber) -> None:
    samples = recording(30 * RATE)
    seen: list[tuple[float, int]] = []
    reported: list[Note] = []
    notes, outputs = transcriber.infer_and_decode(
        samples, LOOSE, progress=lambda share: seen.append((share, len(reported))), on_note=reported.append
    )
    assert reported == notes
    assert_alike(notes, transcriber.infer(samples).decode(LOOSE))
    shares, counts = zip(*seen, strict=True)
    assert shares[-1] == 1.0 and list(shares) == sorted(shares) and 0 < counts[-1] < len(notes)
    assert isinstance(outputs.probabilities, np.memmap)
    assert_alike(outputs.decode(LOOSE), notes)
    strict = replace(LOOSE, onset_threshold=0.8)
    assert_alike(outputs.decode(strict), transcriber.infer(samples).decode(strict))


def test_a_run_ends_when_its_progress_is_refused(transcriber: NoteTranscriber) -> None:
    def refuse(share: float) -> None:
        raise KeyError(share)

    with pytest.raises(KeyError):
        transcriber.transcribe(recording(LENGTH), RATE, progress=refuse)


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording in a new current folder."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", recording(LENGTH), RATE, subtype="FLOAT")
    return Path("song.wav")


def test_the_command_writes_the_same_notes(transcriber: NoteTranscriber, tiny_notes: Path, song: Path) -> None:
    expected = transcriber.transcribe(song)
    assert main(["transcribe", str(song), "-m", str(tiny_notes), "-f", "midi,csv,json,npz", "-q"]) == 0
    assert_alike([Note(**row) for row in json.loads(Path("song.json").read_text())["notes"]], expected.notes)
    assert [note.midi_note for note in note_tables.read_table("song.csv")] == [
        note.midi_note for note in expected.notes
    ]
    assert len(midi.read_midi("song.mid")) == len(expected.notes)
    with np.load("song.npz") as archive:
        assert set(archive) == {"probabilities", "onsets", "frame_rate", "lowest_note"}
        np.testing.assert_array_equal(archive["onsets"], expected.onsets)


def test_the_commands_evaluate_and_models(
    transcriber: NoteTranscriber, tiny_notes: Path, song: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    played = transcriber.transcribe(song).notes
    song.with_suffix(".tsv").write_text("".join(f"{n.onset_s}\t{n.offset_s}\t{n.midi_note}\t80\n" for n in played))
    assert main(["evaluate", ".", "-m", str(tiny_notes), "-o", "scores.json", "-q"]) == 0
    overall = json.loads(Path("scores.json").read_text())["overall"]
    assert overall["note_f1"] == overall["note_offset_f1"] == 1.0 and 0 < overall["average_precision"] <= 1
    monkeypatch.setattr("audiocx.checkpoints.available", lambda: {"tiny-notes": tiny_notes})
    assert main(["models"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split()[:4] == ["tiny-notes", "notes", "AP", "0.250"] and row.endswith("guesses notes")


@pytest.mark.parametrize("gain", [1e-30, 1e-6, 1e3, 1e6, 1e30])
def test_notes_do_not_depend_on_an_unusual_level(transcriber: NoteTranscriber, gain: float) -> None:
    usual = transcriber.transcribe(1e-4 * recording(LENGTH), RATE)
    other = transcriber.transcribe(gain * recording(LENGTH).astype(np.float64), RATE)
    assert_alike(other.notes, usual.notes)
    assert "level" in "".join(usual.remarks) and other.remarks
