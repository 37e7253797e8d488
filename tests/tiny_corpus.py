"""A corpus in the manner of MAPS, made on the spot, for the tests of data and training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from audiocx.data.corpus import Piece
from audiocx.notes import Note

RATE = 11025


def tones(notes: Sequence[Note], duration_s: float, rate: int = RATE) -> np.ndarray:
    """Sines that sound for as long as their notes, int16 [N]."""
    time_s = np.arange(round(duration_s * rate)) / rate
    mix = np.zeros(len(time_s))
    for note in notes:
        sounding = (note.onset_s <= time_s) & (time_s < note.offset_s)
        mix += 0.15 * sounding * np.sin(2 * np.pi * 440 * 2 ** ((note.midi_note - 69) / 12) * time_s)
    return np.round(mix * 32767).astype(np.int16)


def write_piece(
    folder: Path, title: str, piano: str, samples: np.ndarray, notes: Sequence[Note], ending: str = ".wav"
) -> Piece:
    """Write int16 samples at 11025 Hz and a .tsv of labels."""
    folder.mkdir(parents=True, exist_ok=True)
    audio = folder / f"MAPS_MUS-{title}_{piano}{ending}"
    soundfile.write(audio, samples, RATE, subtype="PCM_16")
    rows = [f"{n.onset_s!r}\t{n.offset_s!r}\t{n.midi_note}\t{n.velocity}" for n in notes]
    labels = audio.with_suffix(".tsv")
    labels.write_text("\n".join(["# onset_s\toffset_s\tmidi_note\tvelocity", *rows]) + "\n")
    return Piece(audio.stem, audio, labels, piano, title)


def random_notes(rng: np.random.Generator, count: int, duration_s: float) -> list[Note]:
    """Notes of the two octaves from middle C that begin anywhere and may run past the end."""
    onsets = rng.uniform(0, duration_s, count).round(4).tolist()
    lengths = rng.uniform(0.05, 0.8, count).round(4).tolist()
    pitches = rng.integers(60, 84, count).tolist()
    rows = zip(onsets, lengths, pitches, strict=True)
    return sorted(Note(onset_s, pitch, round(onset_s + length_s, 4), 64) for onset_s, length_s, pitch in rows)


def write_corpus(folder: Path, duration_s: float = 2.0) -> Path:
    """Two pianos with two pieces each; AkPnBcht with one that both have and one that neither has."""
    rng = np.random.default_rng(0)
    for title, piano in [
        ("waltz_1", "StbgTGd2"),
        ("waltz_1", "SptkBGCl"),
        ("waltz_1", "AkPnBcht"),
        ("polka", "StbgTGd2"),
        ("march", "SptkBGCl"),
        ("etude", "AkPnBcht"),
    ]:
        notes = random_notes(rng, 10, duration_s)
        write_piece(folder, title, piano, tones(notes, duration_s), notes, ".flac" if title == "polka" else ".wav")
    return folder
