"""One MIDI file made into sound by fluidsynth, with the variety that recordings have, and its table of notes."""

from __future__ import annotations

import math
import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio import read
from ..errors import ConfigError, DataError
from ..midi import SUSTAIN_PEDAL
from ..notes import DEFAULT_VELOCITY, Note
from .musicnet_labels import LABEL_RATE, Label

if TYPE_CHECKING:
    import pretty_midi

__all__ = ["RenderConfig", "label_table", "note_value", "perform", "read_score", "synthesise", "varied"]

# Hz. fluidsynth does not band-limit what it transposes: at 11025 Hz the aliases of a high violin or harpsichord note
# stand 20 to 30 dB below it, at 44.1 kHz resampled afterwards 57 dB and more. Events fall on blocks of 64 samples, too.
SYNTHESIS_RATE = 44_100
# By how much fluidsynth 2.3 is late at that rate: one block, and .9 ms in the mean (0 to 1.8) until the next block and
# whole millisecond. Taken away, a note begins within a millisecond of its label.
LATENCY_S = 0.00235
# What sounds after the last note is kept so long, faded.
TAIL_S = 2.0
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
# MusicNet's names, and the lengths in beats (quarters).
NOTE_VALUES = {
    "Whole": 4.0,
    "Dotted Half": 3.0,
    "Half": 2.0,
    "Dotted Quarter": 1.5,
    "Quarter": 1.0,
    "Dotted Eighth": 0.75,
    "Eighth": 0.5,
    "Dotted Sixteenth": 0.375,
    "Triplet": 1 / 3,
    "Sixteenth": 0.25,
    "Triplet Sixteenth": 1 / 6,
    "Thirty Second": 0.125,
    "Triplet Thirty Second": 1 / 12,
    "Sixty Fourth": 0.0625,
}


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
        """Refuses values out of range.

        Raises:
            ConfigError: A value is out of range.
        """
        if not 1 <= self.sample_rate <= SYNTHESIS_RATE:
            raise ConfigError(f"sample_rate is 1 to {SYNTHESIS_RATE} Hz, not {self.sample_rate}.")
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
        for name, (least, most) in limits.items():
            given = getattr(self, name)
            if given is not None and not least <= given[0] <= given[1] <= most:
                raise ConfigError(f"{name} is a range within {least:g} to {most:g}, not {given}.")
        if self.seed < 0:
            raise ConfigError(f"seed is not negative, as {self.seed} is.")

    def plain(self) -> RenderConfig:
        """Gives the same without variety: dry, in tune, even and without noise; only the soundfont is drawn.

        Returns:
            The configuration.
        """
        even = {"part_gain_db": 0.0, "tuning_cents": 0.0, "velocity_swing": 0.0, "velocity_jitter": 0.0}
        return replace(self, **even, room_level=(0.0, 0.0), noise_db=None, peak_dbfs=(-1.0, -1.0))  # type: ignore[arg-type]


def read_score(path: Path) -> pretty_midi.PrettyMIDI:
    """Reads the parts of a MIDI file, without drums.

    Args:
        path: A file that :func:`audiocx.midi.read_midi` has accepted.

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
        raise DataError(
            f"{path}: has {len(score.instruments)} parts, and {MOST_PARTS} can be rendered; merge those of one instrument."
        )
    return score


def varied(score: pretty_midi.PrettyMIDI, config: RenderConfig, rng: np.random.Generator) -> pretty_midi.PrettyMIDI:
    """Gives a score the dynamics, balance and tuning of a performance.

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


def synthesise(
    score: pretty_midi.PrettyMIDI, soundfont: Path, settings: dict[str, float], sample_rate: int, scratch: Path
) -> np.ndarray:
    """Plays a score with fluidsynth.

    Args:
        score: At most 15 parts.
        soundfont: The .sf2 or .sf3 file.
        settings: fluidsynth's, by name, such as ``synth.reverb.level``.
        sample_rate: Hz.
        scratch: Folder for large temporary files: 21 MB a minute.

    Returns:
        Mono samples, float32 [N], at no particular level; sample 0 is the score's time 0.

    Raises:
        DataError: fluidsynth fails, or the soundfont has no sound for the score.
    """
    with tempfile.TemporaryDirectory(prefix=".render-", dir=scratch) as folder:
        midi, wave, empty = (Path(folder) / name for name in ("score.mid", "score.wav", "no-commands"))
        score.write(os.fspath(midi))
        empty.touch()  # or the user's own ~/.fluidsynth would be read
        all_settings = {**settings, "synth.chorus.active": 0, "synth.dynamic-sample-loading": 1}
        options = [word for name, value in all_settings.items() for word in ("-o", f"{name}={value}")]
        form = ["-niq", "-f", empty, "-r", SYNTHESIS_RATE, "-T", "wav", "-O", "float", "-F", wave]
        command = [str(word) for word in ("fluidsynth", *form, *options, soundfont.resolve(), midi)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        said = done.stderr.strip().splitlines()
        if done.returncode or not wave.is_file():
            raise DataError(f"{soundfont}: fluidsynth cannot play it ({said[-1] if said else 'it says no reason'}).")
        samples = read(wave, sample_rate)[0][round(LATENCY_S * sample_rate) :]
    if not samples.any():
        raise DataError(
            f"{soundfont}: gives no sound ({said[-1] if said else 'it lacks the instruments'}); is it a soundfont of "
            "the General MIDI instruments?"
        )
    return samples


def perform(
    score: pretty_midi.PrettyMIDI, end_s: float, soundfonts: list[Path], config: RenderConfig, piece: int, scratch: Path
) -> np.ndarray:
    """Renders a piece as one performance in one room.

    Args:
        score: The parts.
        end_s: When its last note ends, in seconds.
        soundfonts: To choose from.
        config: The ranges to draw from.
        piece: Its id; together with the seed it determines all that is drawn.
        scratch: Folder for large temporary files.

    Returns:
        Mono samples, float32 [N], in +-1, 2 s longer than the last note.

    Raises:
        DataError: fluidsynth fails, or the soundfont has no sound for the score.
    """
    rng = np.random.default_rng([config.seed, piece])
    soundfont = soundfonts[rng.integers(len(soundfonts))]
    room: dict[str, float] = {
        "synth.reverb.room-size": rng.uniform(*config.room_size),
        "synth.reverb.level": rng.uniform(*config.room_level),
        "synth.reverb.damp": rng.uniform(),
    }
    room["synth.reverb.active"] = int(room["synth.reverb.level"] > 0)
    sound = synthesise(varied(score, config, rng), soundfont, room, config.sample_rate, scratch)
    samples = np.zeros(math.ceil((end_s + TAIL_S) * config.sample_rate), dtype=np.float32)
    samples[: len(sound)] = sound[: len(samples)]
    samples[-round(TAIL_S * config.sample_rate) :] *= np.linspace(1, 0, round(TAIL_S * config.sample_rate))
    if config.noise_db is not None:
        samples += _noise(len(samples), rng) * np.std(samples) * 10 ** (rng.uniform(*config.noise_db) / 20)
    return samples * np.float32(10 ** (rng.uniform(*config.peak_dbfs) / 20) / np.abs(samples).max())


def _noise(length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of level 1, float32 [length]: between white and a rumble."""
    from scipy.signal import lfilter

    noise = lfilter([1.0], [1.0, -rng.uniform(0, 0.95)], rng.standard_normal(length))
    return (noise / noise.std()).astype(np.float32)


def label_table(notes: Iterable[Note], score: Any) -> list[Label]:
    """Gives notes as MusicNet's labels.

    Args:
        notes: The notes.
        score: The score they were read from, which knows its beats.

    Returns:
        Rows in order of time.
    """
    rows = []
    for note in notes:
        start, end = (score.time_to_tick(time_s) / score.resolution for time_s in (note.onset_s, note.offset_s))
        times = (round(time_s * LABEL_RATE) for time_s in (note.onset_s, note.offset_s))
        rows.append(Label(*times, note.program + 1, note.midi_note, start, end - start, note_value(end - start)))
    return sorted(rows)


def note_value(beats: float) -> str:
    """Names the note value nearest to a length, as MusicNet names them.

    Args:
        beats: Length in quarters.

    Returns:
        The name.

    >>> note_value(1.4), note_value(0.34)
    ('Dotted Quarter', 'Triplet')
    """
    least = NOTE_VALUES["Sixty Fourth"]
    return min(NOTE_VALUES, key=lambda name: abs(math.log(NOTE_VALUES[name] / max(beats, least))))
