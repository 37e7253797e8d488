"""Synthesis of notes as sound."""

from __future__ import annotations

import numpy as np
import pytest

from audiocx.music.sonify import PEAK, RELEASE_S, SAMPLE_RATE, synthesize
from audiocx.notes import Note


def spectrum_peak_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / (1 << 18)


@pytest.mark.parametrize("midi_note", [21, 45, 69, 108])
def test_a_note_sounds_at_its_pitch_and_only_while_it_lasts(midi_note: int) -> None:
    samples = synthesize([Note(0.5, midi_note, 1.5)], duration_s=2.0)
    first, after = round(0.5 * SAMPLE_RATE), round((1.5 + RELEASE_S) * SAMPLE_RATE)
    assert not samples[:first].any() and not samples[after + 1 :].any()
    assert spectrum_peak_hz(samples[first:after]) == pytest.approx(440 * 2 ** ((midi_note - 69) / 12), rel=0.01)


def test_notes_add_up() -> None:
    notes = [Note(0.0, 60, 0.5, 30), Note(0.2, 64, 0.9, 30), Note(0.6, 60, 0.8, 20)]
    together = synthesize(notes)
    apart = sum(synthesize([note], duration_s=0.9 + RELEASE_S) for note in notes)
    np.testing.assert_allclose(together, apart, atol=1e-6)


def test_velocity_scales_and_the_peak_is_bounded() -> None:
    soft, loud = (synthesize([Note(0.0, 60, 0.5, velocity)]) for velocity in (20, 40))
    np.testing.assert_allclose(loud, 2 * soft, atol=1e-6)
    chord = synthesize([Note(0.0, midi_note, 1.0, 127) for midi_note in range(40, 80)])
    assert np.abs(chord).max() == pytest.approx(PEAK)


def test_no_notes_are_silence() -> None:
    samples = synthesize([], duration_s=0.25)
    assert len(samples) >= 0.25 * SAMPLE_RATE and not samples.any()


def test_a_note_without_length_is_harmless() -> None:
    assert np.isfinite(synthesize([Note(0.1, 60, 0.1)])).all()
