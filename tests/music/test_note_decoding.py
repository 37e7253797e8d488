"""Onset-based note decoding: round trips from targets, cases by hand, speed, tuning of the settings."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from audiocx.config import from_dict, to_dict
from audiocx.data import segments
from audiocx.errors import ConfigError
from audiocx.music.evaluation import NOTE_TUNING, LabelledOutputs, tune_decoding
from audiocx.music.note_decoding import NoteCandidates, NoteDecodeSettings, NoteOutputs, decode_notes
from audiocx.music.note_transcriber import NoteModelOutputs
from audiocx.notes import Note

RATE = 11025 / 128
FRAME_S = 1 / RATE


def targets(notes: Sequence[Note], frames: int, pitches: int = 88, lowest_note: int = 21) -> NoteOutputs:
    """Outputs of a perfect network: its training targets."""
    columns = (
        np.array([(note.onset_s, note.offset_s, note.midi_note, note.velocity) for note in notes]).reshape(-1, 4).T
    )
    onsets, offsets, midi_notes, velocities = torch.from_numpy(columns)
    rows, indices = torch.zeros(len(notes), dtype=torch.long), midi_notes.long() - lowest_note
    parts = segments.note_targets(rows, onsets * RATE, offsets * RATE, indices, velocities / 127, (1, frames, pitches))
    return NoteOutputs(*(part[0].numpy() for part in parts))


def random_notes(seconds: float, seed: int = 0, pitches: int = 88, least_s: float = 0.06) -> list[Note]:
    """Random notes of at least this length, with random pauses, also none, between those of a pitch."""
    rng, notes = np.random.default_rng(seed), []
    for pitch in range(21, 21 + pitches):
        onset_s = rng.uniform(0, 1)
        while (offset_s := onset_s + least_s + rng.exponential(0.5)) < seconds:
            notes.append(Note(onset_s, pitch, offset_s, int(rng.integers(1, 128))))
            onset_s = offset_s + max(0.0, rng.uniform(-0.5, 0.5))
    return sorted(notes)


def one(onsets: list[float], frames: list[float], offsets: list[float] | None = None) -> NoteOutputs:
    """Outputs of one pitch."""
    offsets = offsets or [0.0] * len(frames)
    return NoteOutputs(*(np.array(x, np.float32)[:, None] for x in (onsets, frames, offsets, [0.5] * len(frames))))


def spans(notes: Sequence[Note]) -> list[tuple[float, float]]:
    """Onsets and offsets in frames, by hand."""
    return [(round(note.onset_s * 100, 4), round(note.offset_s * 100, 4)) for note in notes]


# At 100 frames a second.
PLAIN = NoteDecodeSettings(0.5, 0.5, 0.5, bridge_gap_s=0.0, min_note_s=0.0, min_repeat_s=0.02)


def test_targets_decode_to_their_notes() -> None:
    notes = random_notes(30)
    found = decode_notes(targets(notes, round(30 * RATE)), RATE)
    assert len(found) == len(notes) > 2000 and found == sorted(found)
    for note, true in zip(found, notes, strict=True):
        assert note.midi_note == true.midi_note and note.velocity == true.velocity
        assert note.onset_s == pytest.approx(true.onset_s, abs=1e-3)
        assert note.offset_s == pytest.approx(true.offset_s, abs=FRAME_S)
        assert 0.99 < note.confidence <= 1


def test_offsets_from_frames_are_accurate_to_a_frame() -> None:
    notes = random_notes(10)
    outputs = targets(notes, round(10 * RATE))._replace(offsets=np.zeros((round(10 * RATE), 88), np.float32))
    found = decode_notes(outputs, RATE)
    assert max(abs(note.offset_s - true.offset_s) for note, true in zip(found, notes, strict=True)) <= 1.001 * FRAME_S


def test_offsets_are_as_accurate_as_onsets() -> None:
    notes = [Note(0.5 + index / 10 + index / 997, 30 + index, 3.0 + index / 10 + index / 991) for index in range(30)]
    for note, true in zip(decode_notes(targets(notes, 800), RATE), notes, strict=True):
        assert note.offset_s == pytest.approx(true.offset_s, abs=0.01 * FRAME_S)


@pytest.mark.parametrize("height", [1.0, 0.7])
def test_a_triangular_peak_is_timed_to_a_hundredth_of_a_frame(height: float) -> None:
    for onset in np.append(np.linspace(0, 1.5, 61), 9 + np.linspace(-0.5, 0.5, 41)):
        triangle = np.maximum(0, 1 - np.abs(np.arange(20) - onset) / 1.5)
        (note,) = decode_notes(one((height * triangle).tolist(), [1.0] * 20), 1.0, PLAIN)
        assert note.onset_s == pytest.approx(onset, abs=0.01)
        assert note.confidence == pytest.approx(height, abs=1e-3)


@pytest.mark.parametrize("onset_s", [0.0, 0.3 * FRAME_S, 0.5 * FRAME_S])
def test_a_note_at_the_very_beginning(onset_s: float) -> None:
    (note,) = decode_notes(targets([Note(onset_s, 60, 0.5, 99)], 60), RATE)
    assert note.onset_s == pytest.approx(onset_s, abs=1e-4) and note.velocity == 99


def test_a_note_that_sounds_to_the_end_ends_there() -> None:
    (note,) = decode_notes(targets([Note(0.3, 60, 2.0)], 60), RATE)
    assert 59 * FRAME_S <= note.offset_s <= 60 * FRAME_S
    (note,) = decode_notes(targets([Note(58.6 * FRAME_S, 108, 2.0)], 60), RATE, NoteDecodeSettings(min_note_s=0.0))
    assert note.midi_note == 108 and note.offset_s <= 60 * FRAME_S


def test_neighbouring_pitches_keep_apart() -> None:
    """The last frame of a pitch and the first of the next are not adjacent."""
    notes = [Note(0.0, 61, 0.2), Note(0.3, 60, 0.7)]
    assert [note.midi_note for note in decode_notes(targets(notes, 60), RATE)] == [61, 60]


def test_a_key_struck_again_under_the_pedal() -> None:
    """The frames stay active: each note lasts up to the next onset."""
    times = [0.1, 0.2, 0.35, 0.41, 0.8, 1.2]
    notes = [Note(on, 60, off) for on, off in itertools.pairwise(times)]
    outputs = targets(notes, 120)
    outputs.offsets[:] = 0
    for note, true in zip(decode_notes(outputs, RATE), notes, strict=True):
        assert (note.onset_s, note.offset_s) == pytest.approx((true.onset_s, true.offset_s), abs=FRAME_S)
        assert note.onset_s == pytest.approx(true.onset_s, abs=1e-3)


def test_the_higher_of_two_close_onsets_is_kept() -> None:
    onsets = [0, 0.6, 0, 0, 0.9, 0, 0, 0, 0, 0.7, 0, 0]
    outputs = one(onsets, [1.0] * 12)
    assert spans(decode_notes(outputs, 100, PLAIN)) == [(1, 4), (4, 9), (9, 11.5)]
    wider = dataclasses.replace(PLAIN, min_repeat_s=0.04)
    assert spans(decode_notes(outputs, 100, wider)) == [(4, 9), (9, 11.5)]


def test_plateaus_are_one_onset() -> None:
    assert spans(decode_notes(one([0, 0, 0.8, 0.8, 0, 0, 0, 0], [1.0] * 8), 100, PLAIN)) == [(2.5, 7.5)]
    (span,) = spans(decode_notes(one([0, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0, 0, 0], [1.0] * 10), 100, PLAIN))
    assert 2 <= span[0] <= 4
    (span,) = spans(decode_notes(one([0, 0.6, 0.6, 0.9, 0, 0, 0, 0], [1.0] * 8), 100, PLAIN))
    assert 2.5 <= span[0] <= 3


def test_dropouts_are_bridged_by_hand() -> None:
    onsets = [0, 1, *[0.0] * 10]
    frames = [0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1]
    bridged = dataclasses.replace(PLAIN, bridge_gap_s=0.02)
    assert spans(decode_notes(one(onsets, frames), 100, PLAIN)) == [(1, 2.5)]
    assert spans(decode_notes(one(onsets, frames), 100, bridged)) == [(1, 7.5)]
    # A dropout before the next onset ends the note, however short.
    again = [0, 1, 0, 0, 0, 1, *[0.0] * 6]
    assert spans(decode_notes(one(again, frames), 100, bridged)) == [(1, 2.5), (5, 7.5)]


def test_frames_may_begin_later_than_the_onset_by_a_bridge() -> None:
    onsets, frames = [0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0]
    bridged = dataclasses.replace(PLAIN, bridge_gap_s=0.02)
    assert spans(decode_notes(one(onsets, frames), 100, bridged)) == [(1, 5.5)]
    assert spans(decode_notes(one(onsets, frames), 100, PLAIN)) == [(1, 2)]
    assert not decode_notes(one(onsets, frames), 100, dataclasses.replace(PLAIN, min_note_s=0.02))


def test_an_offset_ends_a_note_if_frames_are_less_probable() -> None:
    onsets, offsets = [0, 1, *[0.0] * 8], [0, 0, 0, 0, 0, 0.2, 0.8, 0.2, 0, 0]
    for level, end in ((0.9, 9.444), (0.7, 6.0)):  # frames more probable than the offset, and less
        frames = [0, 1, 1, 1, 1, 1, *[level] * 4]
        (span,) = spans(decode_notes(one(onsets, frames, offsets), 100, PLAIN))
        assert span == pytest.approx((1, end), abs=1e-3)
    # Below the threshold it has no effect.
    higher = dataclasses.replace(PLAIN, offset_threshold=0.81)
    assert spans(decode_notes(one(onsets, frames, offsets), 100, higher))[0][1] > 9


def test_an_offset_after_the_frames_counts_within_a_bridge() -> None:
    onsets, frames = [0, 1, *[0.0] * 8], [0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    offsets = [0, 0, 0, 0, 0, 0.2, 0.8, 0.2, 0, 0]
    assert spans(decode_notes(one(onsets, frames, offsets), 100, PLAIN)) == [(1, 3.5)]
    bridged = dataclasses.replace(PLAIN, bridge_gap_s=0.02)
    assert spans(decode_notes(one(onsets, frames, offsets), 100, bridged)) == [(1, 6)]


def test_the_offset_of_a_note_does_not_end_the_next() -> None:
    frames = [1.0] * 12
    onsets = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    offsets = [0, 0, 0, 0, 0.3, 1, 0.3, 0, 0, 0, 0, 0]
    assert spans(decode_notes(one(onsets, frames, offsets), 100, PLAIN))[1] == (5, 11.5)


def test_a_held_note_begins_anew_where_its_onset_is_high_or_its_frames_are_low() -> None:
    onsets = [1, *[0.0] * 9, 0.6, *[0.0] * 9, 0.6, *[0.0] * 9]
    held = [0.9] * 30
    struck = [0.9] * 15 + [0.6] * 5 + [0.9] * 10
    every, some = PLAIN, dataclasses.replace(PLAIN, repeat_margin=0.2)
    assert [onset for onset, _ in spans(decode_notes(one(onsets, held), 100, every))] == [0, 10, 20]
    assert [onset for onset, _ in spans(decode_notes(one(onsets, held), 100, some))] == [0]
    assert [onset for onset, _ in spans(decode_notes(one(onsets, struck), 100, some))] == [0, 20]
    # The same on the second pitch, behind the first one's frames.
    two = NoteOutputs(*(np.repeat(part, 2, axis=1) for part in one(onsets, struck)))
    assert len(decode_notes(two, 100, some)) == 4


def test_frames_without_an_onset_are_a_note_with_frame_only_threshold() -> None:
    nothing = [0.0] * 14
    frames = [0, 0, 0.6, 0.9, 0.9, 0.9, 0.6, 0, 0, 0, 0, 0.9, 0.9, 0]
    outputs = one(nothing, frames)
    assert decode_notes(outputs, 100, PLAIN) == []
    frame_only = dataclasses.replace(PLAIN, frame_only_threshold=0.8, frame_only_s=0.03)
    found = decode_notes(outputs, 100, frame_only)
    assert spans(found) == [(1.8333, 6.1667)]  # crossings of .5; two frames are not three
    assert found[0].confidence == pytest.approx(0.9)  # of its frames
    # With an onset at their beginning they belong to it.
    begun = one([0, 0, 1, *[0.0] * 11], frames)
    assert spans(decode_notes(begun, 100, frame_only)) == spans(decode_notes(begun, 100, PLAIN)) == [(2, 6.1667)]
    # With one in their middle, the note without onset lasts until then.
    late = one([0, 0, 0, 0, 0, 0, 1, *[0.0] * 7], frames)
    assert spans(decode_notes(late, 100, frame_only)) == [(1.8333, 6), (6, 7)]
    assert [note.confidence for note in decode_notes(late, 100, frame_only)] == pytest.approx([0.9, 1.0])


def test_silence_has_no_notes() -> None:
    for frames in (0, 1, 100):
        silence = NoteOutputs(*(np.zeros((frames, 88), np.float32) for _ in range(4)))
        for settings in (None, NoteDecodeSettings(frame_only_threshold=0.5)):
            assert decode_notes(silence, RATE, settings) == []


@pytest.mark.parametrize("frames", [1, 2, 3000])
def test_all_ones_are_one_note_of_each_pitch(frames: int) -> None:
    outputs = NoteOutputs(*(np.ones((frames, 88), np.float32) for _ in range(4)))
    start = time.process_time()
    notes = decode_notes(outputs, RATE, NoteDecodeSettings(min_note_s=0.0, frame_only_threshold=0.5))
    assert time.process_time() - start < 2
    assert sorted(note.midi_note for note in notes) == list(range(21, 109))
    assert all(note.onset_s <= FRAME_S and note.velocity == 127 for note in notes)
    assert all(frames - 1 <= note.offset_s * RATE <= frames + 0.5 for note in notes)


def test_notes_of_noise_are_sorted_and_do_not_overlap() -> None:
    rng = np.random.default_rng(0)
    for settings in (PLAIN, NoteDecodeSettings(frame_only_threshold=0.9, frame_only_s=0.0, bridge_gap_s=0.05)):
        outputs = NoteOutputs(*(rng.random((500, 12), np.float32) for _ in range(4)))
        notes = decode_notes(outputs, 100, settings, lowest_note=60)
        assert notes == sorted(notes) and len(notes) > 300
        assert all(0.5 <= note.confidence <= 1 for note in notes)
        for pitch in range(60, 72):
            own = [note for note in notes if note.midi_note == pitch]
            assert own[0].onset_s >= 0 and own[-1].offset_s <= 5.01
            assert all(a.onset_s < a.offset_s <= b.onset_s + 1e-9 for a, b in itertools.pairwise(own))


def test_four_minutes_decode_in_well_under_a_second() -> None:
    rng = np.random.default_rng(0)
    outputs = targets(random_notes(24), 2067)
    long = NoteOutputs(*(np.tile(x, (10, 1)) for x in outputs))
    noisy = NoteOutputs(*(np.abs(x - 0.1 * rng.random(x.shape, np.float32)) for x in long))
    start = time.process_time()
    notes = decode_notes(noisy, RATE)
    assert time.process_time() - start < 1 and len(notes) > 20000


@pytest.mark.parametrize("quiet", [0.02, 0.2, 1.0])
def test_candidates_decode_to_the_same_notes(quiet: float) -> None:
    """Of notes under noise as loud as `quiet`, most of which is below the floor, or of noise alone."""
    rng = np.random.default_rng(1)
    for pitches, frames in ((88, 800), (3, 4000), (1, 2)):
        noise = quiet * rng.random((4, frames, pitches), np.float32) ** 4
        known = targets(random_notes(frames / RATE, pitches=pitches), frames, pitches)
        outputs = NoteOutputs(*(np.maximum(*pair) for pair in zip(known, noise, strict=True)))
        fixed = NoteDecodeSettings(repeat_margin=0.4, frame_only_threshold=0.9, bridge_gap_s=0.08, min_repeat_s=0.08)
        candidates = NoteCandidates(outputs, RATE, fixed)
        for onset, frame, least_s in itertools.product((0.05, 0.3, 0.9), (0.05, 0.5, 0.9), (0.0, 0.1)):
            settings = dataclasses.replace(fixed, onset_threshold=onset, frame_threshold=frame, min_note_s=least_s)
            expected, found = decode_notes(outputs, RATE, settings), candidates.decode(settings)
            assert found is not None and len(found) == len(expected)
            for one, other in zip(found, expected, strict=True):
                assert dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(other), abs=1e-9)


def test_candidates_say_what_they_do_not_hold() -> None:
    silence = NoteOutputs(*np.zeros((4, 10, 2), np.float32))
    candidates = NoteCandidates(silence, RATE, NoteDecodeSettings())
    assert candidates.decode(NoteDecodeSettings()) == []
    for settings in (NoteDecodeSettings(frame_threshold=0.04), NoteDecodeSettings(bridge_gap_s=0.5)):
        assert candidates.decode(settings) is None


def test_invalid_outputs_are_refused() -> None:
    good = targets([], 10)
    with pytest.raises(ValueError, match="offsets hold NaN"):
        decode_notes(good._replace(offsets=good.offsets * np.nan), RATE)
    with pytest.raises(ValueError, match=r"velocities must have shape .* not \(9, 88\)"):
        decode_notes(good._replace(velocities=good.velocities[:9]), RATE)
    with pytest.raises(ValueError, match="frame_rate"):
        decode_notes(good, 0.0)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(NoteDecodeSettings)])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", True])
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    limits = r"\[0, inf\)" if name.endswith("_s") else r"\[0, 1\]"
    bad = -value if name.endswith("_s") and value == 1.1 else value  # durations have no upper limit
    with pytest.raises(ConfigError, match=rf"{name} must be a number in {limits}"):
        NoteDecodeSettings(**{name: bad})  # type: ignore[arg-type, operator]


def test_notes_shorter_than_several_seconds_can_be_dropped() -> None:
    notes = [Note(0.5, 60, 1.5, 64), Note(0.5, 64, 3.0, 64)]
    kept = decode_notes(targets(notes, round(4 * RATE)), RATE, NoteDecodeSettings(min_note_s=2.0))
    assert [note.midi_note for note in kept] == [64]


@pytest.mark.parametrize("name", ["onset_threshold", "frame_threshold", "offset_threshold"])
def test_thresholds_of_zero_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="greater than 0"):
        NoteDecodeSettings(**{name: 0.0})


def test_settings_round_trip_through_json() -> None:
    settings = NoteDecodeSettings(onset_threshold=0.37, frame_only_s=0.2)
    assert from_dict(NoteDecodeSettings, json.loads(json.dumps(to_dict(settings)))) == settings


def test_tuning_finds_a_threshold_between_the_true_and_the_false_notes() -> None:
    pieces = []
    for seed in range(2):
        notes, others = (random_notes(4, some, pitches=4, least_s=0.3) for some in (seed, seed + 9))
        true, false = targets(notes, 400), targets(others, 400)
        onsets = np.maximum(0.3 * true.onsets, 0.1 * false.onsets)
        curves = true._replace(onsets=onsets)
        outputs = NoteModelOutputs(curves.frames, RATE, 21, curves.onsets, curves.offsets, curves.velocities)
        pieces.append(LabelledOutputs("made up", outputs, notes))
    assert tune_decoding(pieces, NoteDecodeSettings(), NOTE_TUNING, rounds=0) == (NoteDecodeSettings(), 0.0)
    settings, figure = tune_decoding(pieces, NoteDecodeSettings(), NOTE_TUNING, rounds=1)
    assert 0.1 < settings.onset_threshold <= 0.3 and figure == pytest.approx(1.5)
    assert tune_decoding(pieces, settings, NOTE_TUNING, workers=2, rounds=0) == (settings, figure)
