"""``audiocx transcribe`` beside Basic Pitch and Transkun: scores on the same recordings, wall time and peak memory.

python benchmarks/transcribe.py FOLDER [-m NAME]... [--seconds 240] [--peer transkun=PYTHON]...

Each program runs as a process of its own, start-up included, on one recording of the given length (the folder's
recordings, looped), in turns; then each network is scored on every recording of the folder, with the settings that it
runs with. What is printed is a Markdown table. benchmarks/README.md tells how to install the other programs.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audiocx.api import load_transcriber
from audiocx.checkpoints import DEFAULT
from audiocx.data.labels import find_labelled, read_labels
from audiocx.io import audio
from audiocx.io.midi import read_midi
from audiocx.music.evaluation import infer_labelled, scorable
from audiocx.music.metrics import Piece, evaluate
from audiocx.music.transcriber import Transcriber
from audiocx.notes import notes_to_roll

COLUMNS = {
    "frame AP": "average_precision",
    "frame F1": "frame_f1",
    "note F1": "note_f1",
    "with offset": "note_offset_f1",
}

# For each other program the name of its package, and a script with the arguments SOUND and MIDI.
PEERS = {
    "basic-pitch": """
import sys
from basic_pitch import ICASSP_2022_MODEL_PATH
from basic_pitch.inference import predict
from basic_pitch.note_creation import model_frames_to_time
import numpy
output, midi, _ = predict(sys.argv[1], ICASSP_2022_MODEL_PATH)
midi.write(sys.argv[2])
note = output["note"]
numpy.savez(sys.argv[2] + ".npz", note=note, times_s=model_frames_to_time(len(note)))
""",
    "transkun": """
import sys
from transkun.transcribe import main
sys.argv = ["transkun", *sys.argv[1:], "--device", "cpu"]
main()
""",
}
VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
FRAME_S = 0.01
LAUNCHER = """
import resource, subprocess, sys, time
began_s = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def command(source: Path, folder: Path, model: str) -> list[str]:
    """Gives the command line of audiocx that writes ``<stem>.mid`` into a folder."""
    return [sys.executable, "-m", "audiocx", "transcribe", str(source), "-o", str(folder), "--overwrite", "-m", model]


def peer_command(peer: str, python: str, source: Path, folder: Path) -> list[str]:
    """Gives the command line of another program that does so."""
    return [python, "-c", PEERS[peer], str(source), str(folder / f"{source.stem}.mid")]


def peers(given: list[str]) -> dict[str, tuple[str, str]]:
    """Gives the other programs that are installed: name with version, to key and Python interpreter."""
    chosen = {"basic-pitch": sys.executable, **dict(entry.split("=", 1) for entry in given)}
    found = {}
    for peer, python in chosen.items():
        done = subprocess.run([python, "-c", VERSION, peer], capture_output=True, text=True)
        if done.returncode == 0:
            found[f"{peer} {done.stdout.strip()}"] = peer, python
        elif python != sys.executable:
            sys.exit(f"{python} has no {peer}; install it there (benchmarks/README.md tells how).")
    return found


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
    rate, pieces, length = 44100, [], 0
    while length < seconds * rate:
        for recording, _ in pairs:
            pieces.append(audio.read(recording, rate)[0])
            length += len(pieces[-1])
    soundfile.write(path, np.concatenate(pieces)[: int(seconds * rate)], rate, subtype="PCM_16")


def peer_piece(peer: str, python: str, recording: Path, labels: Path, folder: Path) -> Piece:
    """Transcribes a recording with another program and lays it beside what was played."""
    timed(peer_command(peer, python, recording, folder))
    midi, reference = folder / f"{recording.stem}.mid", read_labels(labels)
    notes, output = read_midi(midi), Path(f"{midi}.npz")
    if output.exists():
        with np.load(output) as stored:
            probabilities, times_s = stored["note"].astype(np.float32), stored["times_s"]
    else:
        # Notes alone: their frames, each with probability 1.
        times_s = np.arange(0, max(note.offset_s for note in [*notes, *reference]), FRAME_S)
        probabilities = notes_to_roll(notes, times_s).astype(np.float32)
    return Piece(recording.stem, probabilities, notes_to_roll(reference, times_s), reference, notes, 0.3)


def audiocx_piece(transcriber: Transcriber, recording: Path, labels: Path) -> Piece:
    """Transcribes a recording with audiocx and lays it beside what was played."""
    return scorable(infer_labelled(transcriber, recording, labels), transcriber.checkpoint.decode)


def speeds(commands: dict[str, list[str]], repeats: int) -> dict[str, tuple[float, float]]:
    """Runs commands in turns: the least wall seconds of each, and its peak memory in MB."""
    rounds = [{name: timed(arguments) for name, arguments in commands.items()} for _ in range(repeats)]
    return {name: (min(r[name][0] for r in rounds), max(r[name][1] for r in rounds)) for name in commands}


def table(scores: dict[str, dict[str, Any]], measured: dict[str, tuple[float, float]]) -> str:
    """Sets out what was measured, a line a network."""
    lines = [f"| network | {' | '.join(COLUMNS)} | wall s | peak MB |", f"|---|{'---:|' * (len(COLUMNS) + 2)}"]
    for name, overall in scores.items():
        cells = [f"{overall[key]:.3f}".removeprefix("0") for key in COLUMNS.values()]
        wall_s, peak_mb = measured[name]
        lines.append(f"| {' | '.join([name, *cells, f'{wall_s:.1f}', f'{peak_mb:.0f}'])} |")
    return "\n".join(lines)


def arguments_given() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="recordings with label files beside them")
    parser.add_argument("--seconds", type=float, default=240, help="length of the timed recording (default: 240)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each, in turns (default: 3)")
    parser.add_argument("--most", type=int, default=1000, help="how many recordings to score")
    about = "a checkpoint; give it again for each further one (default: the bundled one)"
    parser.add_argument("-m", "--model", action="append", help=about)
    about = "another program, basic-pitch or transkun, and the Python interpreter that has it"
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help=about)
    return parser.parse_args()


def main() -> None:
    """Compares."""
    arguments = arguments_given()
    pairs = find_labelled(arguments.folder)[: arguments.most]
    models = {model: load_transcriber(model) for model in arguments.model or [DEFAULT]}
    with tempfile.TemporaryDirectory() as draft:
        folder = Path(draft)
        song = folder / "song.wav"
        looped(pairs, arguments.seconds, song)
        commands = {model: command(song, folder, model) for model in models}
        others = peers(arguments.peer)
        commands |= {name: peer_command(*other, song, folder) for name, other in others.items()}
        if not others:
            print("No other program is installed here (benchmarks/README.md tells how); audiocx alone:")
        measured = speeds(commands, arguments.repeats)
        scores = {
            model: evaluate(audiocx_piece(transcriber, *pair) for pair in pairs).overall
            for model, transcriber in models.items()
        }
        for name, other in others.items():
            own = folder / other[0]  # the programs name their files alike
            own.mkdir()
            scores[name] = evaluate(peer_piece(*other, *pair, own) for pair in pairs).overall
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {datetime.date.today()}"
    print(f"{len(pairs)} recordings scored, {arguments.seconds:.0f} s at 44.1 kHz timed, least of {arguments.repeats}")
    print(f"({machine}):\n\n{table(scores, measured)}")


if __name__ == "__main__":
    main()
