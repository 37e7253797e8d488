"""Sound from scores by fluidsynth: one performance in one room, with some noise."""

from __future__ import annotations

import math
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import AudioError, DataError, OutputError
from ...io.audio import read
from .performance import HIGHEST_RATE, RenderConfig, varied

if TYPE_CHECKING:
    import pretty_midi

__all__ = ["perform", "synthesise"]

# fluidsynth does not band-limit what it transposes: straight at 11025 Hz, the aliases of a high violin or harpsichord
# note stand 15 to 30 dB below it. At twice the rate and resampled, they lie 52 dB and more below, at half the cost of
# 44.1 kHz.
OVERSAMPLING = 2
# fluidsynth 2.3 is late: by one block of samples, by half a block in the mean until the next begins, and by a fraction
# of its clock's millisecond. Taken away, a note begins within 2 ms of its label at 22.05 kHz, within 1 ms at 44.1 kHz.
LATENCY_BLOCKS = 1.5
BLOCK_SAMPLES = 64
CLOCK_LATENCY_S = 0.0002
# The reverberation of nothing is 3e-8, of the softest music 1e-4.
LEAST_SOUND = 1e-6
# What sounds after the last note is kept so long, faded.
TAIL_S = 2.0


def synthesise(
    score: pretty_midi.PrettyMIDI, soundfont: Path, settings: dict[str, float], sample_rate: int, scratch: Path
) -> np.ndarray:
    """Play a score with fluidsynth.

    Args:
        score: At most 15 parts.
        soundfont: The .sf2 or .sf3 file.
        settings: fluidsynth's, by name, such as ``synth.reverb.level``.
        sample_rate: Hz.
        scratch: Folder for large temporary files: 11 MB a minute at 11025 Hz, 21 MB at 22050 Hz and more.

    Returns:
        Mono samples, float32 [N], at no particular level; sample 0 is the score's time 0.

    Raises:
        DataError: fluidsynth fails, or the soundfont has no sound for the score.
        OutputError: The folder has no room.
    """
    with tempfile.TemporaryDirectory(prefix=".render-", dir=scratch) as folder:
        midi, wave, empty = (Path(folder) / name for name in ("score.mid", "score.wav", "no-commands"))
        score.write(os.fspath(midi))
        empty.touch()  # or the user's own ~/.fluidsynth would be read
        own: dict[str, float | str] = {"synth.chorus.active": 0, "synth.dynamic-sample-loading": 1}
        own["synth.default-soundfont"] = ""  # or it would silently take that where it cannot read ours
        options = [word for name, value in {**settings, **own}.items() for word in ("-o", f"{name}={value}")]
        rate = min(OVERSAMPLING * sample_rate, HIGHEST_RATE)
        form = ["-niq", "-f", empty, "-r", rate, "-T", "wav", "-O", "float", "-F", wave]
        command = [str(word) for word in ("fluidsynth", *form, *options, soundfont.resolve(), midi)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        said = done.stderr.strip().splitlines()
        if done.returncode or not wave.is_file():
            raise DataError(f"{soundfont}: fluidsynth cannot play it ({said[-1] if said else 'it says no reason'}).")
        try:
            latency_s = LATENCY_BLOCKS * BLOCK_SAMPLES / rate + CLOCK_LATENCY_S
            samples = read(wave, sample_rate)[0][round(latency_s * sample_rate) :]
        except AudioError as error:
            raise OutputError(
                f"{scratch}: fluidsynth's sound did not arrive there whole; make room there, or choose another folder."
            ) from error
    if not np.abs(samples).max(initial=0.0) > LEAST_SOUND:
        raise DataError(
            f"{soundfont}: gives no sound ({said[-1] if said else 'it lacks the instruments'}); is it a soundfont of "
            "the General MIDI instruments?"
        )
    return samples


def perform(
    score: pretty_midi.PrettyMIDI, end_s: float, soundfonts: list[Path], config: RenderConfig, piece: int, scratch: Path
) -> np.ndarray:
    """Render a piece as one performance in one room.

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
        OutputError: The folder has no room.
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
