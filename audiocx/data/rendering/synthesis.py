"""Synthesis of scores by fluidsynth, with room and noise."""

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
from .performance import MAX_SAMPLE_RATE, RenderConfig, perform_score

if TYPE_CHECKING:
    import pretty_midi

__all__ = ["perform", "synthesise"]

# fluidsynth does not band-limit transposed samples: at 11025 Hz, the aliases of a high violin or harpsichord note are
# only 15 to 30 dB below it. Rendered at twice the rate and resampled, they are at least 52 dB below, at half the cost
# of 44.1 kHz.
OVERSAMPLING = 2
# Latency of fluidsynth 2.3: one block of samples, on average half a block until the next begins, and a fraction of the
# millisecond of its clock. With it removed, notes begin within 2 ms of their label at 22.05 kHz, 1 ms at 44.1 kHz.
LATENCY_BLOCKS = 1.5
BLOCK_SAMPLES = 64
CLOCK_LATENCY_S = 0.0002
# Peak below which the output is silent: reverberation of silence is 3e-8, the softest music 1e-4.
SILENT_PEAK = 1e-6
# Duration of the fade-out after the last note.
TAIL_S = 2.0


def synthesise(
    score: pretty_midi.PrettyMIDI, soundfont: Path, settings: dict[str, float], sample_rate: int, scratch: Path
) -> np.ndarray:
    """Synthesise a score with fluidsynth.

    Args:
        score: A score of at most 15 parts.
        soundfont: The .sf2 or .sf3 file.
        settings: Settings of fluidsynth by name, such as ``synth.reverb.level``.
        sample_rate: Output sample rate in Hz.
        scratch: Folder for large temporary files: 11 MB per minute at 11025 Hz, 21 MB from 22050 Hz on.

    Returns:
        Mono samples, float32 [N], not normalised; sample 0 is at time 0 of the score.

    Raises:
        DataError: fluidsynth fails, or the soundfont has no sound for the score.
        OutputError: The disk is full.
    """
    with tempfile.TemporaryDirectory(prefix=".render-", dir=scratch) as folder:
        midi, wave, empty = (Path(folder) / name for name in ("score.mid", "score.wav", "no-commands"))
        score.write(os.fspath(midi))
        empty.touch()  # otherwise ~/.fluidsynth of the user would be read
        fixed: dict[str, float | str] = {"synth.chorus.active": 0, "synth.dynamic-sample-loading": 1}
        fixed["synth.default-soundfont"] = ""  # otherwise it would silently replace an unreadable soundfont
        options = [word for name, value in {**settings, **fixed}.items() for word in ("-o", f"{name}={value}")]
        rate = min(OVERSAMPLING * sample_rate, MAX_SAMPLE_RATE)
        form = ["-niq", "-f", empty, "-r", rate, "-T", "wav", "-O", "float", "-F", wave]
        command = [str(word) for word in ("fluidsynth", *form, *options, soundfont.resolve(), midi)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        message = (done.stderr.strip().splitlines() or [""])[-1]
        if done.returncode or not wave.is_file():
            raise DataError(f"{soundfont}: fluidsynth cannot play it ({message or 'no message'}).")
        try:
            latency_s = LATENCY_BLOCKS * BLOCK_SAMPLES / rate + CLOCK_LATENCY_S
            samples = read(wave, sample_rate)[0][round(latency_s * sample_rate) :]
        except AudioError as error:
            raise OutputError(
                f"{scratch}: the output of fluidsynth is incomplete; free some space, or choose another folder."
            ) from error
    if not np.abs(samples).max(initial=0.0) > SILENT_PEAK:
        raise DataError(
            f"{soundfont}: produces no sound ({message or 'it lacks the instruments'}); is it a soundfont of "
            "the General MIDI instruments?"
        )
    return samples


def perform(
    score: pretty_midi.PrettyMIDI, end_s: float, soundfonts: list[Path], config: RenderConfig, piece: int, scratch: Path
) -> np.ndarray:
    """Render a piece with a random performance, room and noise.

    Args:
        score: The score.
        end_s: End of the last note, in seconds.
        soundfonts: Soundfonts to choose from.
        config: The ranges.
        piece: Id of the piece; with the seed, it determines all random numbers.
        scratch: Folder for large temporary files.

    Returns:
        Mono samples, float32 [N], in +-1, 2 s longer than the last note.

    Raises:
        DataError: fluidsynth fails, or the soundfont has no sound for the score.
        OutputError: The disk is full.
    """
    rng = np.random.default_rng([config.seed, piece])
    soundfont = soundfonts[rng.integers(len(soundfonts))]
    room: dict[str, float] = {
        "synth.reverb.room-size": rng.uniform(*config.room_size),
        "synth.reverb.level": rng.uniform(*config.room_level),
        "synth.reverb.damp": rng.uniform(),
    }
    room["synth.reverb.active"] = int(room["synth.reverb.level"] > 0)
    sound = synthesise(perform_score(score, config, rng), soundfont, room, config.sample_rate, scratch)
    samples = np.zeros(math.ceil((end_s + TAIL_S) * config.sample_rate), dtype=np.float32)
    samples[: len(sound)] = sound[: len(samples)]
    samples[-round(TAIL_S * config.sample_rate) :] *= np.linspace(1, 0, round(TAIL_S * config.sample_rate))
    if config.noise_db is not None:
        samples += _noise(len(samples), rng) * np.std(samples) * 10 ** (rng.uniform(*config.noise_db) / 20)
    return samples * np.float32(10 ** (rng.uniform(*config.peak_dbfs) / 20) / np.abs(samples).max())


def _noise(length: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise of unit level, between white and low-pass filtered, float32 [length]."""
    from scipy.signal import lfilter

    noise = lfilter([1.0], [1.0, -rng.uniform(0, 0.95)], rng.standard_normal(length))
    return (noise / noise.std()).astype(np.float32)
