"""Onset strength and levels of synthetic piano tones."""

import numpy as np
import pytest

from audiocx.music.onset_strength import loudness_db, onset_strength_db

RATE, HOP = 11025, 128


def tone(seconds, midi_note, onsets_s, amplitude=0.2, decay_s=0.8, stop_s=None):
    """A string struck at each onset: ten partials that fall off and decay, phases random, the old sound going on."""
    rng = np.random.default_rng(midi_note)
    time_s = np.arange(int(seconds * RATE)) / RATE
    sound = np.zeros(len(time_s))
    for onset_s in onsets_s:
        after = time_s >= onset_s
        decay = np.exp(-(time_s[after] - onset_s) / decay_s) * np.minimum(1, (time_s[after] - onset_s) / 0.004)
        for partial in range(1, 11):
            freq_hz = partial * 440 * 2 ** ((midi_note - 69) / 12)
            if freq_hz < 0.45 * RATE:
                angle = 2 * np.pi * freq_hz * time_s[after] + rng.uniform(0, 2 * np.pi)
                sound[after] += amplitude / partial * decay * np.sin(angle)
    if stop_s is not None:
        sound *= np.clip((stop_s - time_s) / 0.03 + 1, 0, 1)
    return sound.astype(np.float32)


def peaks_s(strength, least_db):
    middle = strength[1:-1]
    at = np.flatnonzero((middle > least_db) & (middle > strength[:-2]) & (middle >= strength[2:])) + 1
    return at * HOP / RATE


@pytest.mark.parametrize("midi_note", [43, 48, 60, 72, 84, 96])
def test_strength_peaks_at_each_stroke_of_a_sounding_string(midi_note):
    onsets_s = [0.5, 1.4, 2.3]
    strength = onset_strength_db(tone(3.5, midi_note, onsets_s), RATE, HOP)
    found = peaks_s(strength[:, midi_note - 21], 3.0)
    assert found == pytest.approx(onsets_s, abs=0.03)


@pytest.mark.parametrize("midi_note", [48, 60, 72, 84])
def test_strength_peaks_after_damping_too(midi_note):
    sound = tone(3, midi_note, [0.5], stop_s=1.5) + tone(3, midi_note, [1.8])
    strength = onset_strength_db(sound, RATE, HOP)[:, midi_note - 21]
    assert peaks_s(strength, 15.0) == pytest.approx([0.5, 1.8], abs=0.03)


@pytest.mark.parametrize("other", [61, 67, 72, 76, 79])
def test_strength_does_not_peak_at_strokes_of_other_strings(other):
    sound = tone(3, 60, [0.5], decay_s=3.0) + tone(3, other, [1.5])
    strength = onset_strength_db(sound, RATE, HOP)
    near = slice(int(1.4 * RATE / HOP), int(1.6 * RATE / HOP))
    assert strength[near, other - 21].max() > 5.0 and strength[near, 60 - 21].max() < 2.0


def test_steady_and_decaying_sound_and_silence_have_no_strength():
    steady = tone(3, 60, [0.0], decay_s=1e9)[RATE:]
    inner = slice(20, -20)
    assert onset_strength_db(steady, RATE, HOP)[inner, 39].max() < 0.5
    assert not onset_strength_db(np.zeros(RATE, np.float32), RATE, HOP).any()
    assert onset_strength_db(tone(3, 60, [0.0])[RATE:], RATE, HOP)[inner, 39].max() < 0.5


def test_strength_does_not_depend_on_gain():
    sound = tone(2, 60, [0.5, 1.0])
    loud, soft = onset_strength_db(sound, RATE, HOP), onset_strength_db(sound / 50, RATE, HOP)
    np.testing.assert_allclose(loud, soft, atol=0.05)


def test_loudness_follows_gain_in_db():
    sound = tone(2, 60, [0.5])
    loud, soft = loudness_db(sound, RATE, HOP), loudness_db(sound / 10, RATE, HOP)
    np.testing.assert_allclose(loud - soft, 20.0, atol=0.05)


def test_a_sinusoid_of_amplitude_one_has_level_zero():
    # The highest pitch has one partial under the Nyquist frequency, whose level is therefore the pitch's own.
    freq_hz = 440 * 2 ** ((108 - 69) / 12) * np.sqrt(1 + 3e-4)
    sound = np.sin(2 * np.pi * freq_hz * np.arange(RATE) / RATE).astype(np.float32)
    assert loudness_db(sound, RATE, HOP)[20:-20, 87] == pytest.approx(0.0, abs=1.5)


@pytest.mark.parametrize("measure", [onset_strength_db, loudness_db])
def test_shapes_types_and_pitch_range(measure):
    sound = tone(1.001, 60, [0.3])
    for hop in (100, 128, 256, 4000, len(sound) + 1):
        values = measure(sound, RATE, hop)
        assert values.shape == (-(-len(sound) // hop), 88) and values.dtype == np.float32
        assert np.isfinite(values).all()
    np.testing.assert_array_equal(measure(sound, RATE, HOP, 60, 12), measure(sound, RATE, HOP)[:, 39:51])


@pytest.mark.parametrize("measure", [onset_strength_db, loudness_db])
@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_very_short_sounds(measure, count):
    values = measure(np.ones(count, np.float32), RATE, HOP)
    assert values.shape == (-(-count // HOP), 88) and np.isfinite(values).all()


@pytest.mark.parametrize("measure", [onset_strength_db, loudness_db])
def test_strength_does_not_depend_on_the_block_size(measure, monkeypatch):
    sound = tone(2, 64, [0.2, 0.9, 1.3])
    whole = measure(sound, RATE, HOP)
    monkeypatch.setattr("audiocx.music.onset_strength.TRANSFORMED_FRAMES", 17)
    np.testing.assert_allclose(measure(sound, RATE, HOP), whole, atol=1e-3)


def test_frames_are_centred_at_multiples_of_the_hop():
    sound = np.zeros(RATE, np.float32)
    sound[50 * HOP] = 1.0
    level = loudness_db(sound, RATE, HOP)[:, 60]
    assert level.argmax() == 50
    np.testing.assert_allclose(level[50 - 3 : 50], level[53:50:-1], atol=1e-3)


@pytest.mark.parametrize("measure", [onset_strength_db, loudness_db])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((np.zeros((2, 9)), RATE, HOP), "mono"),
        ((np.zeros(9), 0, HOP), "sample_rate"),
        ((np.zeros(9), RATE, 0), "hop_samples"),
        ((np.zeros(9), RATE, HOP, 21, 0), "pitches"),
    ],
)
def test_bad_arguments_are_refused(measure, arguments, says):
    with pytest.raises(ValueError, match=says):
        measure(*arguments)
