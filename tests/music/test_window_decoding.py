"""Decoding of window networks: probabilities become notes."""

import dataclasses
import itertools
import json
import time

import numpy as np
import pytest

from audiocx.errors import ConfigError
from audiocx.music.window_decoding import WindowDecodeSettings, decode_probabilities
from audiocx.notes import Note, notes_to_roll

RATE = 80.0
PLAIN = WindowDecodeSettings(bridge_gap_s=0.0, min_note_s=0.0, split_dip=1.0)


def curve(*values, pitch=0, pitches=1):
    """Probabilities [T, P] of one pitch, the others silent."""
    roll = np.zeros((len(values), pitches), np.float32)
    roll[:, pitch] = values
    return roll


def struck(frames, *pieces):
    """A curve that is `high` over [start, stop) for each (start, stop, high), elsewhere .02, over `frames` frames."""
    values = np.full(frames, 0.02, np.float32)
    for start, stop, high in pieces:
        values[start:stop] = high
    return values[:, None]


def test_a_notes_confidence_is_its_highest_probability():
    values = struck(60, (10, 20, 0.6), (15, 17, 0.75), (30, 40, 0.9))
    settings = dataclasses.replace(PLAIN, split_dip=1.0)
    assert [note.confidence for note in decode_probabilities(values, 100.0, settings)] == pytest.approx([0.75, 0.9])
    # Of two notes that a rise parts, each has its own.
    values, rises = struck(60, (10, 20, 0.6), (20, 30, 0.8)), np.zeros((60, 1))
    rises[[9, 25]] = 30.0
    settings = dataclasses.replace(settings, snap_s=0.0, least_rise_db=0.0, min_repeat_s=0.0)
    first, second = decode_probabilities(
        np.where(np.arange(60)[:, None] > 25, values - 0.1, values), 100.0, settings, onsets=rises
    )
    assert (first.confidence, second.confidence) == pytest.approx((0.8, 0.8))


def test_roll_to_notes_to_roll_is_the_identity():
    rng = np.random.default_rng(0)
    roll = rng.random((300, 88)) < 0.3
    notes = decode_probabilities(roll.astype(np.float32), RATE, PLAIN)
    np.testing.assert_array_equal(notes_to_roll(notes, np.arange(300) / RATE), roll)
    assert notes == sorted(notes)


def test_notes_of_a_smooth_curve_are_accurate_to_half_a_frame():
    rng = np.random.default_rng(1)
    notes = [Note(on, 21 + int(p), on + 0.3) for p, on in zip(range(0, 88, 3), rng.uniform(0.2, 3.0, 30), strict=True)]
    times = np.arange(400) / RATE
    probabilities = np.zeros((400, 88), np.float32)
    for note in notes:  # probability rises and falls over 60 ms, and is one half at the onset and the offset
        edge = np.minimum(times - note.onset_s, note.offset_s - times) / 0.06 + 0.5
        probabilities[:, note.midi_note - 21] = np.clip(edge, 0, 1)
    found = decode_probabilities(probabilities, RATE, WindowDecodeSettings(sustain_ratio=1.0))
    for note, original in zip(found, sorted(notes), strict=True):
        assert note.midi_note == original.midi_note
        assert note.onset_s == pytest.approx(original.onset_s, abs=1e-4)
        assert note.offset_s == pytest.approx(original.offset_s, abs=1e-4)


def test_onset_and_offset_are_interpolated_by_hand():
    (note,) = decode_probabilities(
        curve(0, 0.2, 0.6, 0.9, 0.4, 0.1), 10.0, dataclasses.replace(PLAIN, sustain_ratio=0.6), 60
    )
    assert note.midi_note == 60
    assert note.onset_s == pytest.approx(0.175)  # .5 lies three quarters of the way from frame 1 (.2) to frame 2 (.6)
    assert note.offset_s == pytest.approx(0.4 + 0.1 / 3)  # .3 lies a third of the way from frame 4 (.4) to frame 5 (.1)


def test_hysteresis_by_hand():
    settings = dataclasses.replace(PLAIN, threshold=0.5, sustain_ratio=0.6)
    assert decode_probabilities(curve(0, 0.4, 0.45, 0.4, 0), RATE, settings) == []
    (note,) = decode_probabilities(curve(0, 0.4, 0.6, 0.4, 0.35, 0.6, 0.1), 1.0, settings)
    assert note.onset_s == pytest.approx(1.5) and note.offset_s == pytest.approx(5.6)


def test_sounding_from_first_to_last_frame():
    (note,) = decode_probabilities(np.ones((10, 1), np.float32), 10.0, PLAIN)
    assert note.onset_s == 0.0 and 0.9 < note.offset_s <= 1.0


@pytest.mark.parametrize("gap_frames", [1, 2, 3, 4])
def test_gaps_are_bridged_up_to_their_limit(gap_frames):
    values = struck(60, (10, 25, 0.9), (25 + gap_frames, 50, 0.9))
    notes = decode_probabilities(values, 100.0, dataclasses.replace(PLAIN, bridge_gap_s=0.02))
    assert len(notes) == (1 if gap_frames <= 2 else 2)


def test_short_blips_are_dropped():
    values = struck(60, (10, 12, 0.9), (30, 40, 0.9))
    (note,) = decode_probabilities(values, 100.0, dataclasses.replace(PLAIN, min_note_s=0.05))
    assert note.onset_s == pytest.approx(0.295, abs=0.005)


def test_a_dip_splits_when_deep_enough_on_both_sides():
    values = np.interp(np.arange(100), [0, 5, 10, 40, 46, 52, 90, 95, 99], [0, 0, 0.9, 0.9, 0.4, 0.8, 0.8, 0, 0])
    probabilities = values[:, None].astype(np.float32)
    depth = 1 - 0.4 / 0.8
    for split_dip, count in ((depth - 0.02, 2), (depth + 0.02, 1)):
        assert len(decode_probabilities(probabilities, 100.0, dataclasses.replace(PLAIN, split_dip=split_dip))) == count
    first, second = decode_probabilities(probabilities, 100.0, dataclasses.replace(PLAIN, split_dip=0.3))
    assert first.offset_s == pytest.approx(0.46, abs=1e-6)  # the floor of the dip
    assert second.onset_s == pytest.approx(0.49, abs=1e-6)  # halfway up from .4 to .8


def test_a_slow_decay_with_a_ripple_is_one_note():
    values = np.r_[0, 0.2, np.linspace(0.95, 0.4, 60), 0.45, 0.4, 0.35, 0.1]
    assert len(decode_probabilities(values[:, None], RATE)) == 1


def test_every_deep_dip_splits():
    one = np.r_[np.linspace(0.45, 0.95, 6), np.linspace(0.95, 0.35, 18)]
    values = np.r_[0, np.tile(one, 5), 0]
    notes = decode_probabilities(values[:, None], RATE)
    assert len(notes) == 5
    steps = np.diff([note.onset_s for note in notes])
    assert steps[1:] == pytest.approx(np.full(3, len(one) / RATE), abs=1e-3)
    for before, after in itertools.pairwise(notes):
        assert before.onset_s < before.offset_s <= after.onset_s


def test_a_rise_splits_a_note():
    probabilities = struck(200, (20, 180, 0.95))
    rises = np.zeros_like(probabilities)
    rises[[18, 60, 64, 120, 178], 0] = [30.0, 8.0, 9.0, 4.0, 20.0]
    settings = WindowDecodeSettings(split_rise_db=6.0, snap_s=0.0, least_rise_db=0.0)
    first, second = decode_probabilities(probabilities, RATE, settings, onsets=rises)
    # The rise before the onset is the onset's own; 64 follows 60 too soon; 120 is weak; 178 is too near the end.
    assert second.onset_s == pytest.approx(60 / RATE) and first.offset_s == second.onset_s
    assert len(decode_probabilities(probabilities, RATE, settings)) == 1
    assert (
        len(
            decode_probabilities(probabilities, RATE, dataclasses.replace(settings, split_rise_db=np.inf), onsets=rises)
        )
        == 1
    )


def test_a_rise_and_a_dip_close_together_split_once():
    values = np.interp(np.arange(100), [0, 5, 10, 40, 46, 52, 90, 95, 99], [0, 0, 0.9, 0.9, 0.3, 0.9, 0.9, 0, 0])
    rises = np.zeros((100, 1), np.float32)
    rises[[7, 47]] = 10.0
    notes = decode_probabilities(values[:, None], 100.0, onsets=rises)
    assert [note.onset_s for note in notes[1:]] == pytest.approx([0.47])


def test_an_onset_moves_to_the_highest_rise_near_it():
    probabilities = struck(200, (40, 90, 0.9), (120, 160, 0.9))
    rises = np.zeros_like(probabilities)
    rises[[30, 36, 38, 43, 117], 0] = [20.0, 3.0, 9.0, 5.0, 2.5]
    settings = WindowDecodeSettings(snap_s=0.06, least_rise_db=2.0, split_rise_db=np.inf)
    first, second = decode_probabilities(probabilities, RATE, settings, onsets=rises)
    assert (first.onset_s, second.onset_s) == pytest.approx((38 / RATE, 117 / RATE))
    assert [note.offset_s for note in (first, second)] == [
        note.offset_s for note in decode_probabilities(probabilities, RATE, settings)
    ]


def test_a_note_without_an_attack_is_dropped():
    probabilities = struck(200, (40, 90, 0.9), (120, 160, 0.9))
    rises = np.zeros_like(probabilities)
    rises[41] = 5.0
    settings = WindowDecodeSettings(least_rise_db=2.0)
    (note,) = decode_probabilities(probabilities, RATE, settings, onsets=rises)
    assert note.onset_s == pytest.approx(41 / RATE)
    assert (
        len(decode_probabilities(probabilities, RATE, dataclasses.replace(settings, least_rise_db=0.0), onsets=rises))
        == 2
    )


def test_a_note_that_sounds_from_the_first_frame_needs_no_attack():
    probabilities = struck(200, (0, 60, 0.9), (120, 160, 0.9))
    rises = np.zeros_like(probabilities)
    rises[3] = 1.0  # too little to be its attack
    (note,) = decode_probabilities(probabilities, RATE, WindowDecodeSettings(least_rise_db=2.0), onsets=rises)
    assert note.onset_s == 0.0
    rises[3] = 5.0
    (note,) = decode_probabilities(probabilities, RATE, WindowDecodeSettings(least_rise_db=2.0), onsets=rises)
    assert note.onset_s == pytest.approx(3 / RATE)


def test_a_dip_needs_some_rise_to_split_where_rises_are_known():
    values = np.interp(np.arange(100), [0, 5, 10, 40, 46, 52, 90, 95, 99], [0, 0, 0.9, 0.9, 0.35, 0.9, 0.9, 0, 0])
    rises = np.zeros((100, 1), np.float32)
    rises[7] = 9.0
    assert len(decode_probabilities(values[:, None], 100.0)) == 2
    assert len(decode_probabilities(values[:, None], 100.0, onsets=rises)) == 1
    rises[49] = 3.0  # too little to split alone
    first, second = decode_probabilities(values[:, None], 100.0, onsets=rises)
    assert second.onset_s == pytest.approx(0.49)
    assert (
        len(decode_probabilities(np.full((100, 1), 0.9), 100.0, WindowDecodeSettings(least_rise_db=0.0), onsets=rises))
        == 1
    )


def test_notes_of_a_pitch_never_overlap():
    rng = np.random.default_rng(7)
    probabilities = np.clip(np.cumsum(rng.normal(0, 0.15, (3000, 10)), axis=0) % 2 - 0.5, 0, 1).astype(np.float32)
    rises = rng.exponential(2.0, probabilities.shape).astype(np.float32)
    notes = decode_probabilities(probabilities, RATE, onsets=rises)
    assert len(notes) > 100
    for pitch in range(21, 31):
        for before, after in itertools.pairwise(note for note in notes if note.midi_note == pitch):
            assert before.onset_s < before.offset_s <= after.onset_s


def test_velocities_follow_loudness():
    probabilities, loudness = np.zeros((600, 3), np.float32), np.full((600, 3), -60.0, np.float32)
    peaks_db = np.linspace(-40, -10, 9)
    for index, peak_db in enumerate(peaks_db):
        start = 20 + 60 * index
        probabilities[start : start + 40, index % 3] = 0.9
        loudness[start + 4, index % 3] = peak_db
        loudness[start + 30, index % 3] = 0.0  # after the attack: another note's doing
    velocities = [note.velocity for note in decode_probabilities(probabilities, RATE, loudness_db=loudness)]
    assert velocities == sorted(velocities) and velocities[0] == 20 and velocities[-1] == 110
    assert velocities[4] == 65
    shifted = [note.velocity for note in decode_probabilities(probabilities, RATE, loudness_db=loudness - 17)]
    assert shifted == velocities
    assert {note.velocity for note in decode_probabilities(probabilities, RATE)} == {80}


def test_even_playing_is_not_stretched_over_all_velocities():
    probabilities = struck(200, (20, 60, 0.9), (100, 140, 0.9))
    loudness = np.full_like(probabilities, -20.0)
    loudness[120:] = -19.0
    loudness[100:110] = -19.0
    quiet, loud = (note.velocity for note in decode_probabilities(probabilities, RATE, loudness_db=loudness))
    assert 0 < loud - quiet < 10


@pytest.mark.parametrize("shape", [(0, 88), (5, 0)])
def test_empty_input_has_no_notes(shape):
    assert decode_probabilities(np.zeros(shape, np.float32), RATE) == []


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_very_short_inputs_decode(frames):
    ones = np.ones((frames, 2), np.float16)
    assert len(decode_probabilities(ones, 10.0, onsets=3 * ones, loudness_db=ones)) == 2


def test_bad_arrays_are_refused():
    good = np.zeros((4, 2), np.float32)
    with pytest.raises(ValueError, match="shape"):
        decode_probabilities(np.zeros(4), RATE)
    with pytest.raises(ValueError, match="NaN"):
        decode_probabilities(np.full((4, 2), np.nan), RATE)
    with pytest.raises(ValueError, match="frame_rate"):
        decode_probabilities(good, 0.0)
    with pytest.raises(ValueError, match="onsets"):
        decode_probabilities(good, RATE, onsets=np.zeros((4, 3)))
    with pytest.raises(ValueError, match="loudness_db"):
        decode_probabilities(good, RATE, loudness_db=np.zeros((5, 2)))


@pytest.mark.parametrize(
    "values",
    [{"threshold": 1.5}, {"threshold": 0.0}, {"min_note_s": -1}, {"split_dip": float("nan")}, {"sustain_ratio": "a"}],
)
def test_settings_out_of_range_are_config_errors(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        WindowDecodeSettings(**values)


def test_settings_round_trip_through_json():
    settings = WindowDecodeSettings(threshold=0.3)
    assert WindowDecodeSettings(**json.loads(json.dumps(dataclasses.asdict(settings)))) == settings


def test_a_long_song_decodes_fast():
    rng = np.random.default_rng(2)
    notes = [Note(index / 10, int(rng.integers(25, 100)), index / 10 + 0.25) for index in range(2400)]
    probabilities = notes_to_roll(notes, np.arange(20000) / 86.13).astype(np.float32) * 0.9
    probabilities += rng.random(probabilities.shape, dtype=np.float32) * 0.1
    rises = np.maximum(0, np.diff(probabilities, axis=0, prepend=0)) * 10
    started = time.process_time()
    found = decode_probabilities(probabilities, 86.13, onsets=rises)
    assert time.process_time() - started < 2.0  # about 0.2 s on one core
    assert len(found) > 2000
