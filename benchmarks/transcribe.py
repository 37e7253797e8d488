"""``audiocx transcribe`` beside Basic Pitch: wall time, peak memory, and scores on the same labelled recordings.

python benchmarks/transcribe.py FOLDER [--seconds 240] [--model NAME]

Each program runs as a process of its own, start-up included, on one recording of the given length (the folder's
recordings, looped); then both are scored on every recording of the folder. benchmarks/README.md tells how to install
Basic Pitch.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from audiocx.data.labels import find_labelled, read_labels
from audiocx.inference import load_transcriber
from audiocx.metrics import Piece, evaluate, format_table
from audiocx.midi import read_midi
from audiocx.notes import notes_to_roll

BASIC_PITCH = """
import sys
from basic_pitch import ICASSP_2022_MODEL_PATH
from basic_pitch.inference import predict
from basic_pitch.note_creation import model_frames_to_time
import numpy
output, midi, _ = predict(sys.argv[1], ICASSP_2022_MODEL_PATH)
midi.write(sys.argv[2])
note = output["note"]
numpy.savez(sys.argv[2] + ".npz", note=note, times_s=model_frames_to_time(len(note)))
"""
LAUNCHER = """
import resource, subprocess, sys, time
began_s = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def command(program: str, source: Path, folder: Path, model: str | None) -> list[str]:
    """Gives the command line that writes ``<stem>.mid`` into a folder."""
    if program == "basic-pitch":
        return [sys.executable, "-c", BASIC_PITCH, str(source), str(folder / f"{source.stem}.mid")]
    chosen = ["--model", model] if model else []
    return [sys.executable, "-m", "audiocx", "transcribe", str(source), "-o", str(folder), "--overwrite", *chosen]


def timed(arguments: list[str]) -> tuple[float, float]:
    """Runs a command: wall seconds, and peak memory in MB."""
    # By way of a small process: a child's peak counts what its parent held when it was forked.
    done = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"failed: {' '.join(arguments[:4])} ...: {done.stderr}")
    wall_s, peak_kb = done.stdout.split()[-2:]
    return float(wall_s), float(peak_kb) / 1024


def looped(pairs: list[tuple[Path, Path]], seconds: float, path: Path) -> None:
    """Writes a recording of the given length, made of the folder's, at 44100 Hz and 16 bits."""
    from audiocx.audio import read

    rate, pieces, length = 44100, [], 0
    while length < seconds * rate:
        for recording, _ in pairs:
            pieces.append(read(recording, rate)[0])
            length += len(pieces[-1])
    soundfile.write(path, np.concatenate(pieces)[: int(seconds * rate)], rate, subtype="PCM_16")


def basic_pitch_piece(recording: Path, labels: Path, folder: Path) -> Piece:
    """Transcribes a recording with Basic Pitch and lays it beside what was played."""
    timed(command("basic-pitch", recording, folder, None))
    midi = folder / f"{recording.stem}.mid"
    output = np.load(f"{midi}.npz")
    probabilities, reference = output["note"].astype(np.float32), read_labels(labels)
    roll = notes_to_roll(reference, output["times_s"])
    return Piece(recording.stem, probabilities, roll, reference, read_midi(midi), 0.3)


def main() -> None:
    """Compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="recordings with label files beside them")
    parser.add_argument("--seconds", type=float, default=240, help="length of the timed recording (default: 240)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each, in turns (default: 3)")
    parser.add_argument("--most", type=int, default=1000, help="how many recordings to score")
    parser.add_argument("-m", "--model", help="checkpoint (default: the bundled one)")
    arguments = parser.parse_args()
    pairs = find_labelled(arguments.folder)[: arguments.most]
    peer = importlib.util.find_spec("basic_pitch") is not None
    if not peer:
        print("Basic Pitch is not installed here (benchmarks/README.md tells how); audiocx alone:")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {datetime.date.today()}")
    with tempfile.TemporaryDirectory() as draft:
        folder = Path(draft)
        song = folder / "song.wav"
        looped(pairs, arguments.seconds, song)
        print(f"\n| {arguments.seconds:.0f} s at 44.1 kHz | wall s, least of {arguments.repeats} | peak MB |")
        print("|---|---:|---:|")
        runs: dict[str, list[tuple[float, float]]] = {"audiocx": []}
        if peer:
            runs["basic-pitch"] = []
        for _ in range(arguments.repeats):
            for program, results in runs.items():
                results.append(timed(command(program, song, folder, arguments.model)))
        for program, results in runs.items():
            print(f"| {program} | {min(s for s, _ in results):.1f} | {max(mb for _, mb in results):.0f} |")
        rows = [evaluate(basic_pitch_piece(*pair, folder) for pair in pairs).overall | {"name": "Basic Pitch"}] * peer
    transcriber = load_transcriber(arguments.model)
    ours = evaluate(audiocx_piece(transcriber, *pair) for pair in pairs).overall
    print(f"\n{len(pairs)} recordings:\n")
    print(format_table([ours | {"name": transcriber.checkpoint.name}, *rows]))


def audiocx_piece(transcriber: object, recording: Path, labels: Path) -> Piece:
    """Transcribes a recording with audiocx and lays it beside what was played."""
    from audiocx.evaluation import hear, scorable

    heard = hear(transcriber, recording, labels)  # type: ignore[arg-type]
    return scorable(heard, transcriber.checkpoint.decode)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
