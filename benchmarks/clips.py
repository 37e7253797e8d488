"""A folder of short clips beside one recording of the same length: ``audiocx transcribe``, start-up included.

python benchmarks/clips.py RECORDING [--clips 200] [--jobs 0 1]

The recording is looped to the length of all clips, at 44.1 kHz, and cut into them. The long file and the folder, with
each number of jobs (0: without --jobs), are transcribed in turns. What is printed is a Markdown table.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from audiocx.io import audio

SAMPLE_RATE = 44100


def write_inputs(recording: Path, folder: Path, clips: int, clip_s: float) -> None:
    """Write ``long.wav`` and ``clips/*.wav``.

    Args:
        recording: The sound to loop and cut.
        folder: Where to.
        clips: Number of clips.
        clip_s: Length of each, in seconds.
    """
    samples = np.resize(audio.read(recording, SAMPLE_RATE)[0], (clips, round(clip_s * SAMPLE_RATE)))
    soundfile.write(folder / "long.wav", samples.ravel(), SAMPLE_RATE, subtype="PCM_16")
    (folder / "clips").mkdir()
    for index, clip in enumerate(samples):
        soundfile.write(folder / "clips" / f"{index:04}.wav", clip, SAMPLE_RATE, subtype="PCM_16")


def wall_time_s(folder: Path, source: str, jobs: int) -> float:
    """Transcribe a file or a folder into a new folder, and return the wall time in seconds."""
    with tempfile.TemporaryDirectory(dir=folder) as output:
        words = ["transcribe", str(folder / source), "-o", output, "--quiet", *(["--jobs", str(jobs)] if jobs else [])]
        began_s = time.perf_counter()
        subprocess.run([sys.executable, "-m", "audiocx", *words], check=True)
        return time.perf_counter() - began_s


def table(times_s: dict[str, list[float]]) -> str:
    """Return the least time of each run, and its speed against the first one, as Markdown."""
    least_s = {name: min(times) for name, times in times_s.items()}
    base_s = next(iter(least_s.values()))
    rows = [f"| {name} | {time_s:.1f} | {base_s / time_s:.0%} |" for name, time_s in least_s.items()]
    return "\n".join(["| input | wall s | speed |", "|---|---:|---:|", *rows])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path, help="any music")
    parser.add_argument("--clips", type=int, default=200, help="number of clips (default: 200)")
    parser.add_argument("--clip-s", type=float, default=5.0, help="length of each, in seconds (default: 5)")
    parser.add_argument("--jobs", type=int, nargs="+", default=[0, 1], help="numbers of jobs (default: 0 1)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds, of which the least time counts (default: 3)")
    given = parser.parse_args()
    runs = {
        "one file": ("long.wav", 0),
        **{f"clips, --jobs {jobs}" if jobs else "clips": ("clips", jobs) for jobs in given.jobs},
    }
    with tempfile.TemporaryDirectory() as draft:
        folder = Path(draft)
        write_inputs(given.recording, folder, given.clips, given.clip_s)
        rounds = [{name: wall_time_s(folder, *run) for name, run in runs.items()} for _ in range(given.repeats)]
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {datetime.date.today()}"
    print(f"{given.clips} clips of {given.clip_s:g} s at 44.1 kHz, least of {given.repeats} rounds ({machine}):\n")
    print(table({name: [each[name] for each in rounds] for name in runs}))


if __name__ == "__main__":
    main()
