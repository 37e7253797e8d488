"""Tuning and beat estimates of audiocx and of librosa, side by side.

python benchmarks/estimates.py tuning FOLDER     (recordings, or MIDI files in equal temperament)
python benchmarks/estimates.py beats FOLDER      (MIDI files of scores, whose beats are known)

Tuning: every piece is detuned by resampling. MIDI files are rendered at A4 = 440 Hz, so that the tuning is known;
recordings carry the tuning of their instrument besides. Beats: every score is performed with a tempo that drifts and
onsets that scatter, and rendered; librosa is given the sound, audiocx the notes, the true ones and those that its
default network transcribes from the sound. Needs librosa, mir_eval and fluidsynth. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import librosa
import mir_eval
import numpy as np
import pretty_midi
import soundfile
from numpy.typing import NDArray

from audiocx.api import load_transcriber
from audiocx.data.rendering.render import find_soundfont
from audiocx.data.rendering.synthesis import synthesise
from audiocx.io import audio
from audiocx.io.resampling import resample
from audiocx.music.beats import estimate_beats
from audiocx.music.tuning import estimate_tuning
from audiocx.notes import Note

SAMPLE_RATE = 22_050  # librosa's default
DETUNINGS_CENTS = (-40, -15, 10, 35)
NOISES = 10  # recordings of noise, which have no tuning
# A performance: the tempo at its beginning, its relative change from beat to beat, and the scatter of onsets.
TEMPO_BPM = (60.0, 150.0)
TEMPO_DRIFT = 0.03
TEMPO_BOUNDS = 0.25  # relative to the tempo at the beginning
ONSET_SCATTER_S = 0.012
IMPORTS = {
    "audiocx": "from audiocx.music.tuning import estimate_tuning; estimate_tuning(y, 22050)",
    "librosa": "import librosa; librosa.estimate_tuning(y=y, sr=22050)",
}
BEAT_IMPORTS = {
    "audiocx": "from audiocx.music.beats import estimate_beats; estimate_beats([])",
    "librosa": "import librosa; librosa.beat.beat_track(y=y, sr=22050)",
}


def render(score: pretty_midi.PrettyMIDI, soundfont: Path, scratch: Path) -> NDArray[np.float32]:
    """Render a score at A4 = 440 Hz, float32 [N] at 22050 Hz."""
    return synthesise(score, soundfont, {"synth.reverb.active": 1.0}, SAMPLE_RATE, scratch)


def detuned(samples: NDArray[np.float32], cents: float) -> NDArray[np.float32]:
    """Return the samples played faster, and so sharper, by some cents."""
    return resample(samples, round(SAMPLE_RATE * 2 ** (cents / 1200)), SAMPLE_RATE)


def performed(score: pretty_midi.PrettyMIDI, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Perform a score in place: drifting tempo, scattered onsets; return the times of its beats, in seconds."""
    beats = score.get_beats()
    drift = np.clip(np.cumsum(rng.normal(0, TEMPO_DRIFT, len(beats))), -TEMPO_BOUNDS, TEMPO_BOUNDS)
    tempo_bpm = np.exp(rng.uniform(*np.log(TEMPO_BPM)))
    played_s = 0.5 + np.concatenate([[0.0], np.cumsum(60 / tempo_bpm * np.exp(drift[1:]))])

    def at(time_s: float) -> float:
        return float(np.interp(time_s, beats, played_s))

    last_s = min(beats[-1], np.interp(seconds, played_s, beats))
    for part in score.instruments:
        part.notes = [note for note in part.notes if note.start < last_s]
        for note in part.notes:
            scatter = rng.normal(0, ONSET_SCATTER_S)
            note.start, note.end = at(note.start) + scatter, at(min(note.end, beats[-1])) + scatter
            note.end = max(note.end, note.start + 0.03)
        part.pitch_bends, part.control_changes = [], []
    end_s = max(note.start for part in score.instruments for note in part.notes)
    return played_s[played_s <= end_s + 0.01]


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """Return a function's result, and the CPU seconds that it took."""
    began_s = time.process_time()
    return function(), time.process_time() - began_s


def first_call_s(code: str, seconds: float = 30.0) -> float:
    """Return the CPU time of a fresh process that imports an estimator and calls it once."""
    make = f"import numpy as np; y = np.random.default_rng(0).normal(size={int(seconds * SAMPLE_RATE)}).astype('f'); "
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-W", "ignore", "-c", make + code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def piece_samples(path: Path, soundfont: Path, seconds: float, scratch: Path) -> NDArray[np.float32]:
    """Read a recording, or render a MIDI file, float32 [N] at 22050 Hz."""
    if path.suffix != ".mid":
        return audio.read(path, SAMPLE_RATE)[0][: int(seconds * SAMPLE_RATE)]
    score = pretty_midi.PrettyMIDI(str(path))
    for part in score.instruments:
        part.notes = [note for note in part.notes if note.start < seconds]
    return render(score, soundfont, scratch)[: int(seconds * SAMPLE_RATE)]


def tuning_table(paths: list[Path], soundfont: Path, seconds: float) -> list[str]:
    """Compare estimates of tuning; return the table's lines."""
    estimators: dict[str, Callable[[NDArray[np.float32]], float]] = {
        "audiocx": lambda y: estimate_tuning(y, SAMPLE_RATE),
        "librosa, defaults": lambda y: 100 * librosa.estimate_tuning(y=y, sr=SAMPLE_RATE),
        "librosa, n_fft=8192": lambda y: 100 * librosa.estimate_tuning(y=y, sr=SAMPLE_RATE, n_fft=8192),
    }
    errors: dict[str, list[float]] = {name: [] for name in estimators}
    times_s: dict[str, list[float]] = {name: [] for name in estimators}
    noise: dict[str, list[float]] = {name: [] for name in estimators}
    with tempfile.TemporaryDirectory() as scratch:
        for path in paths:
            original = piece_samples(path, soundfont, seconds, Path(scratch))
            print(path.stem, file=sys.stderr)
            for cents in DETUNINGS_CENTS:
                samples = detuned(original, cents)
                for name, estimate in estimators.items():
                    found, took_s = timed(lambda: estimate(samples))  # noqa: B023
                    errors[name].append(abs((found - cents + 50) % 100 - 50))
                    times_s[name].append(took_s * 60 * SAMPLE_RATE / len(samples))
    for seed in range(NOISES):
        samples = np.random.default_rng(seed).normal(size=5 * SAMPLE_RATE).astype(np.float32)
        for name, estimate in estimators.items():
            noise[name].append(abs(estimate(samples)))
    lines = [
        "| estimator | median error, cents | 95th percentile | within 5 cents | noise: median, cents | s per minute |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in estimators:
        error = np.array(errors[name])
        cells = f"{np.median(error):.1f} | {np.percentile(error, 95):.1f} | {100 * (error <= 5).mean():.1f} %"
        lines.append(f"| {name} | {cells} | {np.median(noise[name]):.0f} | {np.median(times_s[name]):.2f} |")
    return [*lines, "", *starts(IMPORTS)]


def beat_table(paths: list[Path], soundfont: Path, seconds: float) -> list[str]:
    """Compare estimates of beats; return the table's lines."""
    names = ("audiocx, true notes", "audiocx, transcribed notes", "librosa, sound")
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    times_s: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as scratch:
        song, transcriber = Path(scratch) / "song.wav", load_transcriber()
        for number, path in enumerate(paths):
            score = pretty_midi.PrettyMIDI(str(path))
            score.instruments = [part for part in score.instruments if part.notes and not part.is_drum]
            beats_s = performed(score, seconds, np.random.default_rng(number))
            samples = render(score, soundfont, Path(scratch))
            samples *= 0.7 / np.abs(samples).max()
            soundfile.write(song, samples, SAMPLE_RATE)
            notes = [
                Note(note.start, note.pitch, note.end, note.velocity)
                for part in score.instruments
                for note in part.notes
            ]
            transcribed = transcriber.transcribe(song).notes
            found = {
                names[0]: timed(lambda: estimate_beats(notes)),  # noqa: B023
                names[1]: timed(lambda: estimate_beats(transcribed)),  # noqa: B023
                names[2]: timed(lambda: librosa.beat.beat_track(y=samples, sr=SAMPLE_RATE, units="time")[1]),  # noqa: B023
            }
            reference = mir_eval.beat.trim_beats(beats_s)
            for name, (estimated, took_s) in found.items():
                estimated = mir_eval.beat.trim_beats(estimated[estimated <= beats_s[-1] + 0.1])
                level = mir_eval.beat.continuity(reference, estimated)[3]
                scores[name].append((mir_eval.beat.f_measure(reference, estimated), level))
                times_s[name].append(took_s * 60 * SAMPLE_RATE / len(samples))
            print(path.stem, {name: round(values[-1][0], 2) for name, values in scores.items()}, file=sys.stderr)
    lines = [
        "| estimator | F-measure | AMLt | pieces with F >= 0.9 | s per minute |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in names:
        f_measure, level = np.array(scores[name]).T
        good = int((f_measure >= 0.9).sum())
        cells = f"{f_measure.mean():.3f} | {level.mean():.3f} | {good} of {len(paths)}"
        lines.append(f"| {name} | {cells} | {np.median(times_s[name]):.2f} |")
    return [*lines, "", *starts(BEAT_IMPORTS)]


def starts(code: dict[str, str]) -> list[str]:
    """Return a table of the wall times of first calls in fresh processes."""
    lines = ["| first call, with import and 30 s of sound | CPU s |", "|---|---:|"]
    return [*lines, *(f"| {name} | {first_call_s(words):.1f} |" for name, words in code.items())]


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("estimate", choices=["tuning", "beats"])
    parser.add_argument("folder", type=Path, help="recordings (.flac, .wav) or MIDI files (.mid)")
    parser.add_argument("--pieces", type=int, default=20, help="how many of the folder (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each piece (default: %(default)g)")
    parser.add_argument("--soundfont", default="FluidR3_GM.sf2", help="file or name (default: %(default)s)")
    arguments = parser.parse_args()
    suffixes = (".mid",) if arguments.estimate == "beats" else (".mid", ".flac", ".wav")
    paths = sorted(path for path in arguments.folder.iterdir() if path.suffix in suffixes)
    paths = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, arguments.pieces).astype(int))]
    table = tuning_table if arguments.estimate == "tuning" else beat_table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines = table(paths, find_soundfont(arguments.soundfont), arguments.seconds)
    print(f"{len(paths)} pieces, {arguments.seconds:g} s of each; librosa {version('librosa')};", end=" ")
    print(f"{platform.machine()}, {datetime.date.today()}\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
