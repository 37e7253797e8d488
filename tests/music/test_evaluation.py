"""Tuning of decoding settings, and inference before decoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocx.api import load_transcriber
from audiocx.music.evaluation import WINDOW_TUNING, LabelledOutputs, infer_labelled, scorable, tune_decoding
from audiocx.music.metrics import evaluate
from audiocx.music.window_decoding import WindowDecodeSettings
from audiocx.music.window_transcriber import WindowOutputs
from audiocx.notes import Note

RATE = 50.0


def labelled(peak: float) -> LabelledOutputs:
    """A piece whose notes show with a probability of `peak`, beside a false one at a third of it."""
    notes = [Note(1.0 + index, 60 + index, 1.6 + index) for index in range(5)]
    probabilities, onsets = np.zeros((400, 88), np.float32), np.zeros((400, 88), np.float32)
    for note in notes:
        first, after = round(note.onset_s * RATE), round(note.offset_s * RATE)
        probabilities[first:after, note.midi_note - 21] = peak
        onsets[first, note.midi_note - 21] = 20.0
    probabilities[20:40, 20] = peak / 3
    onsets[20, 20] = 20.0
    outputs = WindowOutputs(probabilities, RATE, 21, onset_strength_db=onsets, loudness_db=onsets - 30)
    return LabelledOutputs("made up", outputs, notes)


def test_tuning_finds_a_threshold_between_the_true_and_the_false_notes() -> None:
    recording = labelled(peak=0.24)
    blind = evaluate([scorable(recording, WindowDecodeSettings())]).overall
    assert blind["note_f1"] == 0
    settings, score = tune_decoding([recording], WindowDecodeSettings(), WINDOW_TUNING)
    assert 0.08 < settings.threshold < 0.24 and score > 0.95
    scores = evaluate([scorable(recording, settings)]).overall
    assert scores["note_f1"] == 1 and scores["note_offset_f1"] == 1
    assert 0.08 < settings.frame_threshold <= 0.24 and scores["frame_f1"] > 0.99


def test_tuning_does_not_depend_on_the_number_of_processes() -> None:
    recordings = [labelled(peak=0.24), labelled(peak=0.3), labelled(peak=0.5)]
    alone = tune_decoding(recordings, WindowDecodeSettings(), WINDOW_TUNING, rounds=1)
    assert tune_decoding(recordings, WindowDecodeSettings(), WINDOW_TUNING, rounds=1, workers=2) == alone


def test_tuning_keeps_settings_that_it_cannot_improve() -> None:
    start = WindowDecodeSettings(threshold=0.37)
    settings, score = tune_decoding([labelled(peak=0.9)], start, WINDOW_TUNING)
    assert settings.threshold == 0.37 and score > 0.95


@pytest.mark.parametrize(
    ("kind", "hop_samples"), [("tiny_checkpoint", 160), ("tiny_checkpoint", None), ("tiny_notes", None)]
)
def test_inference_with_decoding_is_transcription(
    kind: str, hop_samples: int | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).normal(size=8000), 8000)
    (tmp_path / "a.tsv").write_text("0.1\t0.9\t69\t80\n")
    transcriber = load_transcriber(request.getfixturevalue(kind))
    recording = infer_labelled(transcriber, tmp_path / "a.wav", tmp_path / "a.tsv", hop_samples)
    piece = scorable(recording, transcriber.checkpoint.decode)
    direct = transcriber.transcribe(tmp_path / "a.wav", hop_samples=hop_samples)
    assert piece.estimated == direct.notes != [] and piece.reference == [Note(0.1, 69, 0.9, 80)]
    np.testing.assert_array_equal(piece.probabilities, direct.probabilities)
    rate, lowest = 8000 / (hop_samples or transcriber.checkpoint.hop_samples), transcriber.config.lowest_note
    assert recording.outputs.frame_rate == rate and recording.outputs.lowest_note == lowest
    assert piece.roll[:, 69 - lowest].sum() == piece.roll.sum() == pytest.approx(0.8 * rate, abs=1)
    assert piece.threshold == transcriber.checkpoint.decode.frame_threshold
