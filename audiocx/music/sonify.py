"""Sonification of notes by decaying harmonic tones, without a soundfont."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..notes import Note

SAMPLE_RATE = 22_050  # holds the fundamental of the highest piano note, 4186 Hz, and its first overtone
HARMONIC_LEVELS = (1.0, 0.5, 0.35, 0.2, 0.12, 0.08)  # as of a mellow struck string
LOWEST_DECAY_S = 4.0  # time in which the tone of note 21 falls to 1/e
NOTES_TO_HALVE_DECAY = 18  # a piano's highest string dies about thirty times faster than its lowest
RELEASE_S = 0.05  # fade after the note's end, against clicks
PEAK = 0.8
AUDIBLE_DECAYS = 15  # after which a tone has fallen by 130 dB, however long its note


def synthesize(notes: Iterable[Note], duration_s: float = 0.0, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """Synthesize notes as decaying harmonic tones.

    The tone of each pitch is computed once, for its longest note; every note uses its beginning.

    Args:
        notes: The notes, in any order.
        duration_s: Shortest length of the result, in seconds.
        sample_rate: Rate of the result, in Hz.

    Returns:
        Samples, float32 [N], peak at most 0.8; long enough for every note and its release.
    """
    by_pitch: dict[int, list[Note]] = defaultdict(list)
    for note in notes:
        by_pitch[note.midi_note].append(note)
    end_s = max((note.offset_s + RELEASE_S for group in by_pitch.values() for note in group), default=0.0)
    samples = np.zeros(int(np.ceil(max(duration_s, end_s) * sample_rate)) + 1, dtype=np.float32)
    release = np.linspace(1.0, 0.0, int(RELEASE_S * sample_rate), dtype=np.float32)
    for midi_note, group in by_pitch.items():
        tone = _tone(midi_note, max(note.duration_s for note in group) + RELEASE_S, sample_rate)
        for note in group:
            held = round(note.duration_s * sample_rate)
            played = tone[: held + len(release)] * (note.velocity / 127)
            played[-len(release) :] *= release
            first = round(note.onset_s * sample_rate)
            samples[first : first + len(played)] += played[: len(samples) - first]
    return samples * np.float32(PEAK / max(PEAK, np.abs(samples).max(initial=0.0)))


def _tone(midi_note: int, duration_s: float, sample_rate: int) -> NDArray[np.float32]:
    """Synthesize a struck string, float32 [ceil(duration_s * sample_rate) + 1] or less; high partials decay faster."""
    freq_hz = 440.0 * 2.0 ** ((midi_note - 69) / 12)
    decay_s = LOWEST_DECAY_S * 2.0 ** (-(midi_note - 21) / NOTES_TO_HALVE_DECAY)
    duration_s = min(duration_s, AUDIBLE_DECAYS * decay_s)
    time_s = np.arange(int(np.ceil(duration_s * sample_rate)) + 1, dtype=np.float64) / sample_rate
    tone = np.zeros(len(time_s), dtype=np.float32)
    for harmonic, level in enumerate(HARMONIC_LEVELS, start=1):
        if harmonic * freq_hz < sample_rate / 2:
            tone += level * np.exp(-time_s * harmonic / decay_s) * np.sin(2 * np.pi * harmonic * freq_hz * time_s)
    return tone
