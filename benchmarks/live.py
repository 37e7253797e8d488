"""Live transcription: how long after it sounds a note is shown, and what it costs.

python benchmarks/live.py RECORDING... [-m NAME]... [--seconds 60]

Each recording arrives in blocks of 10 ms at 48 kHz, and what has arrived is transcribed as by ``audiocx listen``. The
clock is simulated: it stands at the time of the last block that has arrived, and each run of the network takes its
processor time, as on one core that has nothing else to do. What is printed is a Markdown table. Not in it: the delays
of the sound card and of a browser.

- shown: from a note's onset in the sound to the update in which it sounds first, of notes that are final later
- final: from a note's end to the update in which it is final
- missed: notes that were not shown before they were final
- wrong: notes that were shown and are not final later, or at another onset (by more than 50 ms)
- share of a core: processor time for each second of sound
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audiocx.api import load_transcriber
from audiocx.io import audio
from audiocx.music.live import LiveTranscriber
from audiocx.music.transcriber import Transcriber
from audiocx.notes import Note

RATE, BLOCK = 48000, 480
SAME_ONSET_S = 0.05
COLUMNS = ("notes", "shown: median", "90 %", "most", "final: median", "most", "missed", "wrong", "block", "core")


class Run(NamedTuple):
    """What was measured; delays in seconds."""

    shown_s: list[float]
    final_s: list[float]
    missed: int
    wrong: int
    block_s: list[float]
    core: float


def measure(transcriber: Transcriber, samples: np.ndarray) -> Run:
    """Transcribe a recording as if it were played."""
    live = LiveTranscriber(transcriber, RATE, keep_outputs=False, clock=time.process_time)
    shown: list[tuple[Note, float]] = []
    final: list[tuple[Note, float]] = []
    blocks_s, used_s, clock_s, sent, last_sent = [], 0.0, 0.0, 0, 0
    while sent < len(samples):
        clock_s = max(clock_s, (sent + BLOCK) / RATE)
        arrived = min(int(clock_s * RATE + 1e-6) // BLOCK * BLOCK, len(samples)) or len(samples)
        began_s, runs = time.process_time(), live.runs
        update = live.push(samples[sent:arrived])
        took_s = time.process_time() - began_s
        sent, clock_s, used_s = arrived, clock_s + took_s, used_s + took_s
        if live.runs == runs:
            continue
        blocks_s.append((sent - last_sent) / RATE)
        last_sent = sent
        final += [(note, clock_s) for note in update.notes]
        shown += [(note, clock_s) for note in update.sounding if not any(same(note, each) for each, _ in shown)]
    final += [(note, math.nan) for note in live.finish().notes]
    return compared(shown, final, blocks_s, used_s / (len(samples) / RATE))


def same(one: Note, other: Note) -> bool:
    """Return whether two notes are one, found anew."""
    return one.midi_note == other.midi_note and abs(one.onset_s - other.onset_s) <= SAME_ONSET_S


def compared(
    shown: list[tuple[Note, float]], final: list[tuple[Note, float]], blocks_s: list[float], core: float
) -> Run:
    """Compare the notes that were shown with the final ones."""
    delays_s, missed = [], 0
    for note, _ in final:
        times_s = [at_s for each, at_s in shown if same(each, note)]
        missed += not times_s
        delays_s += [at_s - note.onset_s for at_s in times_s[:1]]
    wrong = sum(not any(same(note, each) for each, _ in final) for note, _ in shown)
    after_s = [at_s - note.offset_s for note, at_s in final if not math.isnan(at_s)]
    return Run(delays_s, after_s, missed, wrong, blocks_s, core)


def row(name: str, runs: list[Run]) -> str:
    """Return a line of the table."""
    shown_s, final_s, blocks_s = (
        np.concatenate([getattr(run, part) for run in runs]) for part in Run._fields[:2] + ("block_s",)
    )
    missed, wrong = sum(run.missed for run in runs), sum(run.wrong for run in runs)
    notes = len(shown_s) + missed
    cells = [
        *(notes, f"{np.median(shown_s):.2f} s", f"{np.quantile(shown_s, 0.9):.2f} s", f"{shown_s.max():.2f} s"),
        *(f"{np.median(final_s):.2f} s", f"{final_s.max():.2f} s", f"{missed / notes:.1%}", f"{wrong / notes:.1%}"),
        *(f"{np.median(blocks_s):.2f} s", f"{np.mean([run.core for run in runs]):.0%}"),
    ]
    return f"| {' | '.join([name, *map(str, cells)])} |"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+", type=Path, help="recordings to play")
    parser.add_argument("-m", "--model", action="append", help="a note network; may be given several times")
    parser.add_argument("--seconds", type=float, default=60, help="length of each recording (default: 60)")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # for the networks that are loaded below
    lines = [f"| network | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    for model in arguments.model or ["notes-complex", "notes-complex-small"]:
        transcriber = load_transcriber(model)
        samples = [audio.read(path, RATE)[0][: int(arguments.seconds * RATE)] for path in arguments.recordings]
        lines.append(row(model, [measure(transcriber, each) for each in samples]))
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {datetime.date.today()}"
    print(f"One thread ({machine}):\n\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
