"""What a performance adds to a score: dynamics, balance and tuning, drawn for each piece."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ConfigError, DataError
from ...io.midi import SUSTAIN_PEDAL
from ...notes import DEFAULT_VELOCITY

if TYPE_CHECKING:
    import pretty_midi

__all__ = ["HIGHEST_RATE", "RenderConfig", "read_score", "varied"]

HIGHEST_RATE = 44_100  # Hz; MusicNet's, and that of most soundfonts
# The shape of slow dynamics: a new level every few seconds.
PHRASE_S = 5.0
TICKS_PER_BEAT = 1000  # at 120 beats a minute, half a millisecond a tick
VOLUME, EXPRESSION, REVERB_SEND = 7, 11, 91
# General MIDI's initial volume. The synthesiser's amplitude goes with its square: 40 dB a decade.
VOLUME_DEFAULT, VOLUME_DB_PER_DECADE = 100, 40.0
# With it, the reverberation of the ranges below is 18 dB weaker than the instruments to 3 dB.
REVERB_SEND_VALUE = 80
BEND_RANGE_CENTS = 200.0
BEND_STEPS = 8192
MOST_PARTS = 15  # MIDI's 16 channels without the drums'


@dataclass(frozen=True)
class RenderConfig:
    """How MIDI files are rendered; what is a range is drawn for each piece, evenly.

    Attributes:
        sample_rate: Rate of the files written, in Hz, at most 44100.
        soundfonts: Files, or names of files in the system's folders of soundfonts; each piece gets one of them.
        part_gain_db: Each part is louder or softer by up to this.
        tuning_cents: A piece is sharp or flat by up to this.
        velocity_swing: Velocities rise and fall by up to this over phrases. Files of one velocity only, which tells
            nothing, are first set to 80.
        velocity_jitter: Standard deviation of the velocities of single notes.
        room_size: Range of fluidsynth's reverberation time, 0 to 1: .7 s to many.
        room_level: Range of fluidsynth's reverberation level, 0 to 1.
        noise_db: Range of the noise's level against the music's; None adds none.
        peak_dbfs: Range of the highest sample against full scale.
        seed: Other draws.
    """

    sample_rate: int = 11_025
    soundfonts: tuple[str, ...] = ("FluidR3_GM.sf2", "TimGM6mb.sf2")
    part_gain_db: float = 6.0
    tuning_cents: float = 20.0
    velocity_swing: float = 30.0
    velocity_jitter: float = 6.0
    room_size: tuple[float, float] = (0.1, 0.8)
    room_level: tuple[float, float] = (0.0, 1.0)
    noise_db: tuple[float, float] | None = (-70.0, -40.0)
    peak_dbfs: tuple[float, float] = (-12.0, -1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ConfigError: A value is out of range.
        """
        # The lower limit is fluidsynth's, 8000 Hz, at twice the rate.
        if not 4000 <= self.sample_rate <= HIGHEST_RATE:
            raise ConfigError(f"sample_rate is 4000 to {HIGHEST_RATE} Hz, not {self.sample_rate}.")
        if not self.soundfonts:
            raise ConfigError("soundfonts names no file; give at least one.")
        for name, most in {
            "part_gain_db": 20,
            "tuning_cents": 100,
            "velocity_swing": 60,
            "velocity_jitter": 30,
        }.items():
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"{name} is 0 to {most}, not {getattr(self, name)}.")
        limits = {
            "room_size": (0.0, 1.0),
            "room_level": (0.0, 1.0),
            "noise_db": (-120.0, 0.0),
            "peak_dbfs": (-60.0, 0.0),
        }
        for name, (least, greatest) in limits.items():
            given = getattr(self, name)
            if given is not None and not least <= given[0] <= given[1] <= greatest:
                raise ConfigError(f"{name} is a range within {least:g} to {greatest:g}, not {given}.")
        if self.seed < 0:
            raise ConfigError(f"seed is not negative, as {self.seed} is.")

    def plain(self) -> RenderConfig:
        """Return the same without variety: dry, in tune, even and without noise; only the soundfont is drawn.

        Returns:
            The configuration.
        """
        even = {"part_gain_db": 0.0, "tuning_cents": 0.0, "velocity_swing": 0.0, "velocity_jitter": 0.0}
        return replace(self, **even, room_level=(0.0, 0.0), noise_db=None, peak_dbfs=(-1.0, -1.0))  # type: ignore[arg-type]


def read_score(path: Path) -> pretty_midi.PrettyMIDI:
    """Read the parts of a MIDI file, without drums.

    Args:
        path: A file that :func:`audiocx.io.midi.read_midi` has accepted.

    Returns:
        The score.

    Raises:
        DataError: It has more parts than MIDI has channels.
    """
    import pretty_midi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # as read_midi does
        score = pretty_midi.PrettyMIDI(os.fspath(path))
    score.instruments = [part for part in score.instruments if part.notes and not part.is_drum]
    if len(score.instruments) > MOST_PARTS:
        raise DataError(f"{path}: has {len(score.instruments)} parts, and {MOST_PARTS} are the most; merge some.")
    return score


def varied(score: pretty_midi.PrettyMIDI, config: RenderConfig, rng: np.random.Generator) -> pretty_midi.PrettyMIDI:
    """Return a score the dynamics, balance and tuning of a performance.

    Notes, programs, volume, expression and sustain pedal are kept, and nothing that the labels do not know, such as
    bends and banks of other sounds.

    Args:
        score: The parts; their times are kept.
        config: The ranges to draw from.
        rng: Drawn from.

    Returns:
        A new score at 120 beats a minute.
    """
    import pretty_midi

    # The file holds whole microseconds a beat, and pretty_midi cuts fractions off: give it a hair more.
    performed = pretty_midi.PrettyMIDI(resolution=TICKS_PER_BEAT, initial_tempo=6e7 / (500_000 + 1e-4))
    bend = round(rng.uniform(-1, 1) * config.tuning_cents / BEND_RANGE_CENTS * BEND_STEPS)
    flat = len({note.velocity for part in score.instruments for note in part.notes}) == 1
    knots_s = np.arange(0.0, score.get_end_time() + PHRASE_S, PHRASE_S)
    common = rng.uniform(-1, 1, len(knots_s))
    for part in score.instruments:
        gain = 10 ** ((rng.uniform(-1, 1) - 1) * config.part_gain_db / VOLUME_DB_PER_DECADE)
        levels = (common + rng.uniform(-1, 1, len(knots_s))) / 2
        onsets_s = [note.start for note in part.notes]
        change = config.velocity_swing * np.interp(onsets_s, knots_s, levels)
        change += config.velocity_jitter * rng.standard_normal(len(part.notes))
        given = [DEFAULT_VELOCITY if flat else note.velocity for note in part.notes]
        velocities = np.clip(np.rint(given + change), 1, 127).astype(int).tolist()
        copy = pretty_midi.Instrument(part.program)
        copy.notes = [
            pretty_midi.Note(velocity, note.pitch, note.start, note.end)
            for velocity, note in zip(velocities, part.notes, strict=True)
        ]
        copy.pitch_bends = [pretty_midi.PitchBend(bend, 0.0)]
        copy.control_changes = _controls(part.control_changes, gain)
        performed.instruments.append(copy)
    return performed


def _controls(given: Iterable[pretty_midi.ControlChange], gain: float) -> list[pretty_midi.ControlChange]:
    """Those that shape the sound, with every volume scaled."""
    import pretty_midi

    kept = [(c.number, c.value, c.time) for c in given if c.number in (VOLUME, EXPRESSION, SUSTAIN_PEDAL)]
    if not any(number == VOLUME and time_s == 0 for number, _, time_s in kept):
        kept.append((VOLUME, VOLUME_DEFAULT, 0.0))
    kept.append((REVERB_SEND, REVERB_SEND_VALUE, 0.0))
    scaled = [(number, round(value * gain) if number == VOLUME else value, time_s) for number, value, time_s in kept]
    return [pretty_midi.ControlChange(*control) for control in scaled]
