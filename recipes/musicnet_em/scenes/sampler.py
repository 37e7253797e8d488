"""Random training scenes: passages of scores on other instruments, segments of recordings, generated music.

Scenes are drawn with NumPy, by several processes at once, and become sound on the training device
(:mod:`scenes.rendering`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .generated_music import ScoreNotes, generate_music, without_overlaps
from .rendering import Clips, Sounds
from .sample_bank import KINDS, OVERSAMPLING, BankIndex, instruments_of, nearest_samples

__all__ = ["Labels", "Recording", "SceneBatch", "SceneConfig", "SceneSampler"]

_PIANO, _STRUCK, _PLUCKED, _SUSTAINED, _NOISE = range(len(KINDS))
_LOOKBACK_S = 10.0
# Largest transposition of a sample, in semitones; notes without a sample that near are left out.
_MAX_TRANSPOSITION = 8.0
_MAX_NOTES = 500
# From this MIDI number up, piano strings have no dampers.
_UNDAMPED_NOTE = 90
_UNDAMPED_SAMPLES = 1e7


@dataclass(frozen=True)
class SceneConfig:
    """Shape of the scenes, and probabilities of their kinds.

    Attributes:
        length: Length of a scene in samples.
        origin: Sample at which frame 0 is centred.
        sample_rate: Sample rate in Hz.
        hop_samples: Distance of the frames in samples.
        lowest_note: MIDI number of the first pitch.
        outputs: Number of pitches.
        shares: Probabilities of recordings, piano scores, ensemble scores, generated music, and no music.
        mixed: Probability that a recording sounds together with another.
        accompanied: Probability that a recording is mixed with generated music of a sustained instrument.
        shift_semitones: Largest transposition of a recording, in semitones.
    """

    length: int
    origin: int
    sample_rate: int = 11025
    hop_samples: int = 128
    lowest_note: int = 21
    outputs: int = 88
    shares: tuple[float, ...] = (0.36, 0.26, 0.18, 0.18, 0.02)
    mixed: float = 0.06
    accompanied: float = 0.1
    shift_semitones: int = 3


@dataclass(frozen=True)
class Recording:
    """A recording and its notes.

    Attributes:
        begin: Its first sample in the upsampled array of all recordings.
        end: Its end there.
        notes: Table of :func:`scenes.score_tables.note_table`, float32 [M, 5].
        weight: Relative probability of each second of it.
    """

    begin: int
    end: int
    notes: NDArray[np.float32]
    weight: float = 1.0


class Labels(NamedTuple):
    """Labels of M notes: batch row, onset and offset in frames, pitch index, velocity from 0 to 1."""

    rows: Any
    onsets: Any
    offsets: Any
    pitches: Any
    velocities: Any


class SceneBatch(NamedTuple):
    """A batch to be synthesised, and its labels."""

    sounds: Sounds
    clips: Clips
    labels: Labels


@dataclass
class _Parts:
    """The parts of a batch collected so far."""

    sounds: list[NDArray[Any]] = field(default_factory=list)
    clips: list[tuple[float, ...]] = field(default_factory=list)
    labels: list[NDArray[Any]] = field(default_factory=list)


class SceneSampler:
    """Sampler of random scenes.

    Args:
        bank: Index of the sample bank.
        scores: Note tables, of piano music and of ensembles.
        recordings: Labelled recordings.
        config: Shape and probabilities.
    """

    def __init__(
        self,
        bank: BankIndex,
        scores: Sequence[NDArray[np.float32]],
        recordings: Sequence[Recording],
        config: SceneConfig,
    ) -> None:
        self.bank, self.config, self.recordings = bank, config, recordings
        self._span_s = config.length / config.sample_rate
        piano_only = [score[:, 4].max() <= 7 for score in scores]
        self._solos = [score for score, piano in zip(scores, piano_only, strict=True) if piano]
        self._ensembles = [score for score, piano in zip(scores, piano_only, strict=True) if not piano] or self._solos
        self._by_length = [_by_duration(part) for part in (self._solos, self._ensembles)]
        spans = np.array([(piece.end - piece.begin) * piece.weight for piece in recordings], float)
        self._by_span = spans / spans.sum() if len(spans) else spans
        self._pianos = instruments_of(bank, ["piano"])
        self._sounding = instruments_of(bank, ["piano", "struck", "plucked", "sustained"])
        self._sustained = instruments_of(bank, ["sustained"])
        self._noises = instruments_of(bank, ["noise"])
        self._real_pianos = [index for index in self._pianos if bank.names[index].startswith("Salamander")]

    def batch(self, rng: np.random.Generator, rows: int) -> SceneBatch:
        """Draw a batch.

        Args:
            rng: Random generator.
            rows: Batch size B.

        Returns:
            The batch, as NumPy arrays.
        """
        shares = np.array(self.config.shares) * [len(self.recordings) > 0, 1, 1, 1, 1]
        kinds = rng.choice(len(shares), rows, p=shares / shares.sum())
        parts = _Parts()
        for row, kind in enumerate(kinds.tolist()):
            (self._recording, self._piano, self._ensemble, self._generated, lambda *_: None)[kind](rng, row, parts)
        return _packed(parts)

    def _recording(self, rng: np.random.Generator, row: int, parts: _Parts) -> None:
        config = self.config
        for index in range(1 + (rng.random() < config.mixed)):
            piece = self.recordings[rng.choice(len(self.recordings), p=self._by_span)]
            rate = config.sample_rate * OVERSAMPLING
            length_s = (piece.end - piece.begin) / rate
            shift = rng.integers(-config.shift_semitones, config.shift_semitones + 1) if rng.random() < 0.6 else 0
            at_s = rng.uniform(-self._span_s / 2, length_s - self._span_s / 2)
            cents = _detuned(rng)
            ratio, notes = self._read(piece, at_s, int(shift), cents)
            if ((notes.pitches < config.lowest_note) | (notes.pitches > self._highest)).any():
                ratio, notes = self._read(piece, at_s, 0, cents)
            gain = 10 ** (rng.uniform(-12, 0) / 20) if index else 1.0
            parts.clips.append((row, piece.begin + at_s * rate, piece.begin, piece.end, ratio, gain))
            self._label(row, notes, parts)
        if rng.random() < config.accompanied:
            self._generated(rng, row, parts, rng.choice(self._sustained))

    def _read(self, piece: Recording, at_s: float, shift: int, cents: float) -> tuple[float, ScoreNotes]:
        """Return the playback speed and the notes of a transposed passage of a recording."""
        ratio = 2 ** ((shift + cents / 100) / 12)
        notes = _passage(piece.notes, at_s, self._span_s, ratio)
        return ratio, notes._replace(pitches=notes.pitches + shift)

    @property
    def _highest(self) -> int:
        return self.config.lowest_note + self.config.outputs - 1

    def _piano(self, rng: np.random.Generator, row: int, parts: _Parts) -> None:
        notes = self._passage(rng, 0)
        held = _pedalled(rng, notes) if rng.random() < 0.35 else notes
        first = len(parts.labels)
        self._play(rng, row, held, self._random_piano(rng), parts)
        # The labels of MAPS end where the key is released, whatever the pedal does: so do all labels.
        for labels in parts.labels[first:]:
            labels[:, 2] = np.minimum(labels[:, 2], self._released(notes, labels))

    def _released(self, notes: ScoreNotes, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where the keys of labelled notes are released, in frames."""
        keys = zip(notes.pitches - self.config.lowest_note, self._frames(notes.onsets_s), strict=True)
        offset_of = dict(zip(keys, self._frames(notes.offsets_s), strict=True))
        return np.array([offset_of[pitch, onset] for pitch, onset in labels[:, [3, 1]]])

    def _random_piano(self, rng: np.random.Generator) -> int:
        if rng.random() < 0.05:
            return int(rng.choice(self._sounding))
        real = self._real_pianos and rng.random() < 0.6
        return int(rng.choice(self._real_pianos if real else self._pianos))

    def _ensemble(self, rng: np.random.Generator, row: int, parts: _Parts) -> None:
        notes = self._passage(rng, 1)
        for program in np.unique(notes.programs).tolist():
            part = _select(notes, notes.programs == program)
            own = np.flatnonzero(self.bank.programs == program)
            if program <= 3:
                instrument = self._random_piano(rng)
            elif len(own) and rng.random() < 0.75:
                instrument = int(rng.choice(own))
            else:
                instrument = int(rng.choice(self._sounding))
                part = _select(part, self._near(part.pitches, instrument) < 4) if rng.random() < 0.5 else part
            gain_db = rng.uniform(-10, 4)
            self._play(rng, row, part, instrument, parts, gain_db, vibrato=rng.random() < 0.5)

    def _passage(self, rng: np.random.Generator, kind: int) -> ScoreNotes:
        """Draw a passage of a score, with random tempo, transposition and dynamics."""
        scores = (self._solos, self._ensembles)[kind]
        score = scores[rng.choice(len(scores), p=self._by_length[kind])]
        tempo = 2 ** rng.uniform(-0.45, 0.45)
        notes = _passage(score, rng.uniform(-1, max(float(score[-1, 0]) - 1, 1)), self._span_s, tempo)
        shift = int(rng.integers(-6, 7)) + (int(rng.choice([-24, -12, 12, 24])) if rng.random() < 0.12 else 0)
        velocities = notes.velocities
        if not len(velocities) or np.ptp(velocities) < 1:
            velocities = np.full(len(velocities), 72.0)
            velocities = velocities + 10 * rng.standard_normal(len(velocities))
        swing = np.interp(notes.onsets_s, [0, self._span_s / 2, self._span_s], 12 * rng.standard_normal(3))
        velocities = velocities * rng.uniform(0.7, 1.15) + swing + 5 * rng.standard_normal(len(velocities))
        notes = notes._replace(pitches=notes.pitches + shift, velocities=velocities.clip(6, 127))
        inside = (notes.pitches >= self.config.lowest_note) & (notes.pitches <= self._highest)
        return _select(notes, inside)

    def _generated(self, rng: np.random.Generator, row: int, parts: _Parts, instrument: int | None = None) -> None:
        if instrument is None:
            instrument = self._random_piano(rng) if rng.random() < 0.5 else int(rng.choice(self._sounding))
        sustained = self.bank.kinds[instrument] == _SUSTAINED
        own = self.bank.pitches[self.bank.of(instrument)]
        low = max(int(own.min()) - 2, self.config.lowest_note)
        high = min(int(own.max()) + 2, self._highest)
        notes = generate_music(rng, self._span_s, low, high, bool(sustained))
        self._play(rng, row, notes, instrument, parts, vibrato=sustained and rng.random() < 0.6, gliding=True)

    def _near(self, pitches: NDArray[Any], instrument: int) -> NDArray[Any]:
        own = self.bank.pitches[self.bank.of(instrument)]
        return np.abs(own - np.asarray(pitches)[:, None]).min(1, initial=1e3)

    def _play(
        self,
        rng: np.random.Generator,
        row: int,
        notes: ScoreNotes,
        instrument: int,
        parts: _Parts,
        gain_db: float = 0.0,
        vibrato: bool = False,
        gliding: bool = False,
    ) -> None:
        """Add notes on an instrument, and their labels."""
        notes = without_overlaps(_select(notes, self._near(notes.pitches, instrument) <= _MAX_TRANSPOSITION))
        notes = _select(notes, slice(_MAX_NOTES))
        if not len(notes.pitches):
            return
        sounds = self._sounds(rng, row, notes, instrument, gain_db, vibrato, gliding)
        parts.sounds.append(sounds)
        kind = self.bank.kinds[instrument]
        if kind in (_PIANO, _PLUCKED, _SUSTAINED) and rng.random() < 0.12:
            parts.sounds.append(_unison(rng, sounds, self.config.sample_rate))
        if kind == _PIANO and len(self._noises) and rng.random() < 0.4:
            parts.sounds.append(self._key_releases(rng, row, notes))
        self._label(row, notes, parts)

    def _sounds(
        self,
        rng: np.random.Generator,
        row: int,
        notes: ScoreNotes,
        instrument: int,
        gain_db: float,
        vibrato: bool,
        gliding: bool,
    ) -> NDArray[Any]:
        """Return notes as rows of :class:`Sounds`, with random variation of what a score does not fix."""
        bank, rate, count = self.bank, self.config.sample_rate, len(notes.pitches)
        kind = bank.kinds[instrument]
        sustained = kind == _SUSTAINED
        # Samples of neighbouring pitches and velocities, too: the timbre varies.
        pitches = notes.pitches + rng.normal(0, 1.5) + rng.normal(0, 0.8, count)
        velocities = notes.velocities + rng.normal(0, 8) + rng.normal(0, 3, count)
        samples = nearest_samples(bank, instrument, pitches, velocities.clip(1, 127))
        cents = _detuned(rng) + rng.normal(0, 3, count) + rng.uniform(0, 8) * ((notes.pitches - 64) / 44.0) ** 3
        if sustained or gliding:
            cents = cents + rng.uniform(0, 12) * rng.standard_normal(count)
        gains = bank.gains[samples] * (notes.velocities / bank.velocities[samples]).clip(0.3, 3) ** 1.2
        gains = gains * 10 ** ((gain_db + rng.normal(0, 1.0, count)) / 20)
        durations = (notes.offsets_s - notes.onsets_s) * rate
        if kind == _PIANO:
            durations = np.where(notes.pitches >= _UNDAMPED_NOTE, _UNDAMPED_SAMPLES, durations)
        release_s = bank.release_s[instrument] * 2 ** rng.uniform(-1, 1)
        if kind in (_PIANO, _STRUCK):
            release_s = release_s * 2 ** ((64 - notes.pitches) / 40.0)
        depth = 2 ** (rng.uniform(5, 60) / 1200) - 1 if vibrato else 0.0
        return _table(
            count,
            rows=row,
            onsets=notes.onsets_s * rate,
            durations=durations,
            starts=bank.starts[samples] * OVERSAMPLING,
            lengths=bank.lengths[samples] * OVERSAMPLING,
            loops=sustained,
            ratios=2 ** ((notes.pitches - bank.pitches[samples] + cents / 100) / 12),
            gains=gains,
            releases=release_s * rate,
            attacks=rng.uniform(0.03, 0.12) * rate if sustained and rng.random() < 0.4 else 8.0,
            swells=rng.normal(0, 4, count) / rate if sustained else 0.0,
            vibratos=depth * rng.uniform(0.4, 1, count),
            rates=2 * np.pi * rng.uniform(4, 7.5) * rng.uniform(0.95, 1.05, count) / rate,
            glides=(2 ** (notes.glides / 12) - 1) * gliding,
            settles=rng.uniform(0.02, 0.08, count) * rate,
        )

    def _key_releases(self, rng: np.random.Generator, row: int, notes: ScoreNotes) -> NDArray[Any]:
        """Return the noises of released keys."""
        instrument, count = int(rng.choice(self._noises)), len(notes.pitches)
        samples = nearest_samples(self.bank, instrument, notes.pitches, np.full(count, 64.0))
        return _table(
            count,
            rows=row,
            onsets=notes.offsets_s * self.config.sample_rate,
            durations=_UNDAMPED_SAMPLES,
            starts=self.bank.starts[samples] * OVERSAMPLING,
            lengths=self.bank.lengths[samples] * OVERSAMPLING,
            ratios=2 ** rng.uniform(-0.2, 0.2),
            gains=self.bank.gains[samples] * 10 ** (rng.uniform(-50, -24) / 20),
            releases=500.0,
            attacks=4.0,
            rates=0.01,
            settles=500.0,
        )

    def _frames(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return times as fractional frames."""
        return (times_s * self.config.sample_rate - self.config.origin) / self.config.hop_samples

    def _label(self, row: int, notes: ScoreNotes, parts: _Parts) -> None:
        onsets, offsets = self._frames(notes.onsets_s), self._frames(notes.offsets_s)
        rows = np.full(len(onsets), row)
        pitches = notes.pitches - self.config.lowest_note
        parts.labels.append(np.stack([rows, onsets, offsets, pitches, notes.velocities / 127], 1))


def _by_duration(scores: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    spans = np.array([score[-1, 0] for score in scores], float)
    return spans / spans.sum()


def _detuned(rng: np.random.Generator) -> float:
    """Draw a detuning in cents: mostly small, sometimes up to half a semitone."""
    return float(rng.uniform(-50, 50) if rng.random() < 0.12 else rng.normal(0, 10))


def _passage(notes: NDArray[np.float32], at_s: float, span_s: float, speed: float) -> ScoreNotes:
    """Return the notes that sound within ``span_s`` from ``at_s`` on, at a playback speed."""
    first, after = np.searchsorted(notes[:, 0], [at_s - _LOOKBACK_S * speed, at_s + span_s * speed])
    part = notes[first:after].astype(float)
    part = part[part[:, 1] > at_s - 0.5 * speed]
    onsets_s, offsets_s = (part[:, 0] - at_s) / speed, (part[:, 1] - at_s) / speed
    pitches = part[:, 2].astype(np.int64)
    return ScoreNotes(onsets_s, offsets_s, pitches, part[:, 3], part[:, 4].astype(np.int64), np.zeros(len(part)))


def _select(notes: ScoreNotes, which: Any) -> ScoreNotes:
    return ScoreNotes(*(column[which] for column in notes))


def _pedalled(rng: np.random.Generator, notes: ScoreNotes) -> ScoreNotes:
    """Sustain notes until the release of a randomly operated pedal."""
    ups = np.cumsum(rng.uniform(0.25, 1.0) * rng.uniform(0.5, 4.0, 100)) - _LOOKBACK_S
    held = ups[np.searchsorted(ups, notes.offsets_s).clip(0, len(ups) - 1)]
    down = rng.random(len(ups) + 1)[np.searchsorted(ups, notes.offsets_s)] < 0.8
    return notes._replace(offsets_s=np.where(down, np.maximum(held, notes.offsets_s), notes.offsets_s))


def _table(count: int, **columns: Any) -> NDArray[np.float64]:
    """Return sounds as a table [count, fields of Sounds]; fields left out are 0."""
    table = np.zeros((count, len(Sounds._fields)))
    for name, values in columns.items():
        table[:, Sounds._fields.index(name)] = values
    return table


def _unison(rng: np.random.Generator, sounds: NDArray[Any], sample_rate: int) -> NDArray[Any]:
    """Return copies of the notes that are detuned by a few cents."""
    second = sounds.copy()
    onsets, ratios, gains = map(Sounds._fields.index, ("onsets", "ratios", "gains"))
    second[:, ratios] *= 2 ** (rng.uniform(2, 12) * rng.choice([-1, 1]) / 1200)
    second[:, gains] *= 10 ** (rng.uniform(-9, 0) / 20)
    second[:, onsets] += rng.uniform(0, 0.004) * sample_rate
    return second


def _packed(parts: _Parts) -> SceneBatch:
    return SceneBatch(
        _typed(Sounds, np.concatenate([np.zeros((0, len(Sounds._fields))), *parts.sounds])),
        _typed(Clips, np.array(parts.clips, float).reshape(-1, len(Clips._fields))),
        _typed(Labels, np.concatenate([np.zeros((0, len(Labels._fields))), *parts.labels])),
    )


# Labels are float32; positions in audio are not, which would round them to several samples.
_TYPES: dict[str, type[np.generic]] = dict.fromkeys(
    ("rows", "starts", "lengths", "begins", "ends", "pitches"), np.int64
)
_TYPES |= {"loops": np.bool_, **dict.fromkeys(("durations", "ratios", "firsts"), np.float64)}


def _typed(kind: type[Any], table: NDArray[Any]) -> Any:
    """Convert a table to a named tuple of columns of the types documented there."""
    types = [
        np.float64 if (kind, name) == (Sounds, "onsets") else _TYPES.get(name, np.float32) for name in kind._fields
    ]
    return kind(*(np.ascontiguousarray(column.astype(dtype)) for column, dtype in zip(table.T, types, strict=True)))
