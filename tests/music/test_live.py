"""Live transcription: the notes of the finished recording, and those that sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_notes import RATE, recording, small

import audiocx
from audiocx.errors import AudioError, ConfigError
from audiocx.models import NoteNetwork
from audiocx.models.runtime import TorchNetwork
from audiocx.music.live import LiveTranscriber, LiveUpdate
from audiocx.music.note_transcriber import NoteTranscriber
from audiocx.notes import Note

SOUND = recording(64 * 120 + 13)


@pytest.fixture(scope="module")
def transcriber(tiny_notes: Path) -> NoteTranscriber:
    loaded = audiocx.load(tiny_notes, "cpu", runtime="torch")
    assert isinstance(loaded, NoteTranscriber)
    return loaded


@pytest.fixture(scope="module")
def levelling(tiny_notes: Path) -> NoteTranscriber:
    """The same network with level normalisation."""
    loaded = audiocx.load(tiny_notes, "cpu", runtime="torch")
    network = NoteNetwork(replace(loaded.config, level_dbfs=-20.0)).eval()
    network.load_state_dict(small(time_stride=2).state_dict())
    loaded.network, loaded.config = TorchNetwork(network), network.config
    return loaded  # type: ignore[no-any-return]


def listened(live: LiveTranscriber, samples: np.ndarray, size: int) -> tuple[list[Note], list[LiveUpdate]]:
    updates = [live.push(samples[start : start + size]) for start in range(0, len(samples), size)]
    updates.append(live.finish())
    return sorted(note for update in updates for note in update.notes), updates


def assert_same(found: list[Note], expected: list[Note], least: int = 10) -> None:
    assert [note.midi_note for note in found] == [note.midi_note for note in expected] and len(expected) >= least
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.onset_s, ours.offset_s) == pytest.approx((theirs.onset_s, theirs.offset_s), abs=1e-4)
        assert abs(ours.confidence - theirs.confidence) < 1e-4 and abs(ours.velocity - theirs.velocity) <= 1


@pytest.mark.parametrize("rate", [8000, 7919, 44100, 11025.5])
@pytest.mark.parametrize("block_s", [0.05, 10.0])
def test_a_stream_gives_the_notes_of_the_recording(
    transcriber: NoteTranscriber, levelling: NoteTranscriber, rate: float, block_s: float
) -> None:
    for each in (transcriber, levelling):
        expected = each.transcribe(SOUND, rate, tuning=0).notes
        found, _ = listened(LiveTranscriber(each, rate, block_s=block_s), SOUND, 777)
        assert_same(found, expected, 1 if rate > 40000 else 10)


@pytest.mark.parametrize("size", [1, 100, len(SOUND)])
def test_the_notes_do_not_depend_on_the_blocks(levelling: NoteTranscriber, size: int) -> None:
    silence = np.zeros(300 if size == 1 else 2 * RATE, np.float32)
    samples = np.concatenate([silence, SOUND[:4000]])
    live = LiveTranscriber(levelling, RATE, block_s=0.3)
    found, updates = listened(live, samples, size)
    assert_same(found, levelling.transcribe(samples, RATE, tuning=0).notes, 5)
    assert updates[-1].time_s == live.time_s == len(samples) / RATE and updates[-1].sounding == []


@pytest.mark.parametrize("samples", [0, 1, 63, 64, 1500])
def test_a_stream_may_end_early(levelling: NoteTranscriber, samples: int) -> None:
    live = LiveTranscriber(levelling, RATE)
    live.push(SOUND[:samples])
    expected = levelling.transcribe(SOUND[:samples], RATE, tuning=0).notes if samples else []
    assert_same(live.finish().notes, expected, 0)
    assert len(live.outputs().probabilities) == -(-samples // 64)


@pytest.mark.parametrize("cents", [45.0, -31.8])
def test_a_tuning_is_compensated(transcriber: NoteTranscriber, cents: float) -> None:
    expected = transcriber.transcribe(SOUND, 7919, tuning=cents)
    live = LiveTranscriber(transcriber, 7919, cents, threshold=0.4, min_note_s=0.01)
    found, _ = listened(live, SOUND, 500)
    assert_same(found, transcriber.transcribe(SOUND, 7919, tuning=cents, threshold=0.4, min_note_s=0.01).notes)
    outputs = live.outputs()
    np.testing.assert_allclose(outputs.probabilities, expected.probabilities, atol=1e-5)
    assert_same(outputs.decode(transcriber.checkpoint.decode), expected.notes)
    assert live.outputs() is outputs


def test_notes_that_sound_are_those_of_the_sound_so_far(transcriber: NoteTranscriber) -> None:
    live, final = LiveTranscriber(transcriber, RATE, block_s=0.1), []
    shown = 0
    for until in range(1000, len(SOUND), 1000):
        update = live.push(SOUND[until - 1000 : until])
        final += update.notes
        now_s = until / RATE
        so_far = transcriber.transcribe(SOUND[:until], RATE, tuning=0).notes
        expected = [note for note in so_far if note.onset_s <= now_s - 0.15]
        # One that ended shortly before now may sound on.
        ends = [now_s if note.offset_s >= now_s - 0.25 else note.offset_s for note in expected]
        known = sorted([*final, *update.sounding])
        assert [note.midi_note for note in known] == [note.midi_note for note in expected]
        assert [note.offset_s for note in known if note in update.sounding] == pytest.approx(
            [end for note, end in zip(known, ends, strict=True) if note in update.sounding], abs=1e-4
        )
        shown += len(update.sounding)
    assert shown > 20 and live.finish().sounding == []


def test_without_a_preview_only_final_notes_come(transcriber: NoteTranscriber) -> None:
    live = LiveTranscriber(transcriber, RATE, block_s=0.1)
    updates = [live.push(SOUND[start : start + 1000], preview=False) for start in range(0, len(SOUND), 1000)]
    assert not any(update.sounding for update in updates)
    notes = [note for update in [*updates, live.finish()] for note in update.notes]
    assert_same(sorted(notes), transcriber.transcribe(SOUND, RATE, tuning=0).notes)


def test_blocks_follow_from_the_time_that_the_network_takes(transcriber: NoteTranscriber) -> None:
    for took_s, block_s in ((0.01, 0.1), (0.4, 0.8), (100.0, 4.0)):
        ticks = iter(np.arange(1000) * took_s)
        live = LiveTranscriber(transcriber, RATE, clock=lambda ticks=ticks: float(next(ticks)), keep_outputs=False)
        for _ in range(10):
            live.push(np.zeros(round(live.block_s * RATE) + 1, np.float32), preview=False)
        assert live.block_s == pytest.approx(block_s, rel=0.05) and live.runs == 10
    with pytest.raises(ConfigError, match="keep_outputs=True"):
        live.finish()
        live.outputs()


def test_what_cannot_be_transcribed_is_refused(transcriber: NoteTranscriber, tiny_checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="needs whole recordings; choose a note network"):
        LiveTranscriber(audiocx.load(tiny_checkpoint, "cpu"), RATE)
    for options, sentence in (
        ({"sample_rate": 10}, "sample rate must be from"),
        ({"tuning_cents": 101}, "tuning must be within"),
        ({"threshold": 2.0}, "onset_threshold"),
        ({"block_s": 0.0}, "block_s must be positive"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            LiveTranscriber(transcriber, **{"sample_rate": RATE, **options})  # type: ignore[arg-type]
    live = LiveTranscriber(transcriber, RATE)
    with pytest.raises(AudioError, match="mono samples"):
        live.push(np.zeros((10, 2)))
    with pytest.raises(AudioError, match="NaN"):
        live.push(np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match="finish the stream first"):
        live.outputs()
    live.finish()
    with pytest.raises(ValueError, match="finished"):
        live.push(np.zeros(10))
    with pytest.raises(ValueError, match="finished already"):
        live.finish()


def test_samples_are_copied(transcriber: NoteTranscriber) -> None:
    live, buffer = LiveTranscriber(transcriber, RATE, block_s=0.5), np.zeros(500, np.float32)
    notes = []
    for start in range(0, len(SOUND) - 500, 500):
        buffer[:] = SOUND[start : start + 500]  # as a sound card's
        notes += live.push(buffer).notes
    notes += live.finish().notes
    assert_same(sorted(notes), transcriber.transcribe(SOUND[: start + 500], RATE, tuning=0).notes)
