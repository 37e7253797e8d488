"""Runs that are killed -9 at random moments, have no room on the disk, or lose their folder: what that costs.

python benchmarks/faults.py [--kills 20] [--files 300] [--seed 0] [--only batch|full|removed|training ...]

A batch of short clips (``audiocx transcribe FOLDER --jobs 2`` with the default network) and the training of a tiny note
network are killed, the main process alone or with all its processes, and started again until each has been killed so
often; one that ends meanwhile starts over. After each kill nothing that was done may be lost and no output may be
half-written. In the end the outputs, and the weights, have to be those of a run that was not disturbed. What is printed
is a Markdown table; the exit code is 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

SAMPLE_RATE = 11025
CLIP_S = 0.4
FORMATS = "midi,csv,npz"
BEFORE_REMOVAL = 10  # outputs there when the folder is removed
EXPERIMENT = """\
kind = "notes"

[model]
stem_channels = 2
channels = 3
dilations = [1, 2]
octave = 3
harmonics = [1.0, 2.0]
hop_samples = 64
windows = [512, 128]

[train]
steps = 240
epoch_steps = 3
batch_size = 2
segment_frames = 16
"""


class Fault(Exception):
    """Something was lost."""


def tones(pitches: np.ndarray, length_s: float) -> np.ndarray:
    """Return decaying tones one after the other, float64 [N]."""
    time_s = np.arange(round(SAMPLE_RATE * length_s)) / SAMPLE_RATE
    freqs_hz = 440 * 2 ** ((pitches - 69) / 12)
    return np.concatenate([0.3 * np.sin(2 * np.pi * freq_hz * time_s) * np.exp(-3 * time_s) for freq_hz in freqs_hz])


def write_clips(folder: Path, count: int) -> None:
    """Write clips of one tone each."""
    folder.mkdir()
    for index, pitch in enumerate(np.random.default_rng(0).integers(40, 90, count)):
        soundfile.write(folder / f"{index:04}.wav", tones(np.array([pitch]), CLIP_S), SAMPLE_RATE)


def write_corpus(folder: Path) -> None:
    """Write recordings with their notes beside them."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    for index in range(3):
        pitches = rng.integers(50, 80, 8)
        soundfile.write(folder / f"{index}.wav", tones(pitches, 0.5), SAMPLE_RATE)
        rows = [f"{0.5 * number}\t{0.5 * number + 0.4}\t{pitch}\t80" for number, pitch in enumerate(pitches)]
        (folder / f"{index}.tsv").write_text("\n".join(rows) + "\n")


def run(
    command: list[str], kill_after_s: float = np.inf, whole_group: bool = False, most_bytes: int = -1
) -> tuple[int, int]:
    """Run a command, killed -9 after a time.

    Args:
        command: The arguments of ``audiocx``.
        kill_after_s: When to kill it, in seconds.
        whole_group: Kill all its processes; else only the first, which the others have to notice.
        most_bytes: Size to which files may grow; -1 for no limit.

    Returns:
        Its exit code, negative if it was killed; and the number of errors that it printed.

    Raises:
        Fault: It printed a traceback.
    """

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))

    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "audiocx", *command],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, preexec_fn=limit if most_bytes >= 0 else None,
    )  # fmt: skip
    try:
        _, said = process.communicate(timeout=None if kill_after_s == np.inf else kill_after_s)
    except subprocess.TimeoutExpired:
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        _, said = process.communicate()  # the pipe ends with the last process that has it
    if "Traceback" in said:
        raise Fault(f"a traceback: {said}")
    return process.returncode, said.count("audiocx: error: ")


class Batch:
    """A batch of clips.

    Args:
        folder: Where to work.
        count: Number of clips.
    """

    def __init__(self, folder: Path, count: int) -> None:
        write_clips(folder / "clips", count)
        self.folder, self.count, self.output = folder, count, folder / "out"
        began_s = time.perf_counter()
        self._run(folder / "undisturbed")
        self.took_s = time.perf_counter() - began_s
        self.right = self._contents(folder / "undisturbed")
        if len(self.right) != count * (FORMATS.count(",") + 1):
            raise Fault(f"{len(self.right)} outputs of {count} clips")
        self.manifest_bytes = (folder / "undisturbed" / "manifest.jsonl").stat().st_size

    def _run(self, output: Path, *more: str, **how: Any) -> tuple[int, int]:
        words = ["transcribe", str(self.folder / "clips"), "-o", str(output), "--format", FORMATS, "--jobs", "2", *more]
        return run(words, **how)

    @staticmethod
    def _contents(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".jsonl"}

    def _done(self) -> set[str]:
        """Return the clips that are done, after a look at all that is there."""
        manifest = self.output / "manifest.jsonl"
        if not manifest.is_file():
            return set()
        *lines, cut_off = manifest.read_text().split("\n")
        newest = {record["file"]: record for record in map(json.loads, lines)}
        for name, content in self._contents(self.output).items():
            if not name.startswith(".") and content != self.right[name]:
                raise Fault(f"{name} is half-written")
        done = {Path(name).stem for name, record in newest.items() if record["status"] == "done"}
        for name in done:
            if missing := [
                suffix for suffix in (".mid", ".csv", ".npz") if not (self.output / f"{name}{suffix}").exists()
            ]:
                raise Fault(f"{name} is recorded as done without {', '.join(missing)}")
        return done

    def _finish(self) -> None:
        """Run it to its end: everything has to be as if nothing had happened."""
        if self._run(self.output)[0] != 0:
            raise Fault("the run afterwards failed")
        if len(self._done()) != self.count or self._contents(self.output) != self.right:
            raise Fault("the run afterwards differs from the undisturbed one, or half-written files are left")
        shutil.rmtree(self.output)

    def killed(self, kills: int, rng: random.Random) -> str:
        """Kill it so often."""
        done: set[str] = set()
        kept: list[int] = []
        while len(kept) < kills:
            code, _ = self._run(
                self.output, kill_after_s=rng.uniform(0.0, 0.5) * self.took_s, whole_group=rng.random() < 0.5
            )
            if not done <= self._done():
                raise Fault(f"{done - self._done()} were done and are so no more")
            done = self._done() if self.output.exists() else set()
            if code == -signal.SIGKILL:
                kept.append(len(done))
            elif code == 0:
                self._finish()
                done = set()
        self._finish()
        return f"{kills} kills, with {min(kept)} to {max(kept)} of {self.count} clips done"

    def full(self, kills: int, rng: random.Random) -> str:
        """Run it where no file can become as large as half of the manifest."""
        code, errors = self._run(self.output, most_bytes=self.manifest_bytes // 2)
        done = len(self._done())
        if code != 1 or not 0 < done == self.count - errors:
            raise Fault(f"exit code {code} and {errors} errors with {done} of {self.count} clips done")
        self._finish()
        return f"{done} of {self.count} clips done, a sentence for each of the others"

    def removed(self, kills: int, rng: random.Random) -> str:
        """Remove the output folder while it runs."""
        for _ in range(3):
            child = os.fork()
            if not child:
                while len(list(self.output.glob("[!.]*.npz"))) < BEFORE_REMOVAL:
                    time.sleep(0.01)
                os.rename(self.output, self.folder / "gone")
                shutil.rmtree(self.folder / "gone")
                os._exit(0)
            code, _ = self._run(self.output)
            os.waitpid(child, 0)
            if code != 1:
                raise Fault(f"exit code {code} of a run whose outputs are gone")
            self._finish()
        return "3 times"


class Training:
    """The training of a tiny network.

    Args:
        folder: Where to work.
    """

    def __init__(self, folder: Path) -> None:
        write_corpus(folder / "train")
        write_corpus(folder / "validation")
        (folder / "tiny.toml").write_text(EXPERIMENT)
        self.folder, self.output = folder, folder / "run"
        began_s = time.perf_counter()
        if self._run(folder / "undisturbed-run")[0] != 0:
            raise Fault("training failed")
        self.took_s = time.perf_counter() - began_s
        self.right = self._weights(folder / "undisturbed-run")

    def _run(self, output: Path, **how: Any) -> tuple[int, int]:
        files = [str(self.folder / name) for name in ("tiny.toml", "train")]
        more = [
            "--validation",
            str(self.folder / "validation"),
            "--cache",
            str(self.folder / "cache"),
            "-o",
            str(output),
        ]
        alone = ["-q", "--no-compile", "--accelerator", "cpu", "--devices", "1"]
        return run(["train", *files, *more, *alone], **how)

    def _weights(self, run_folder: Path) -> dict[str, Any]:
        import torch

        found = {}
        for name in ("last.ckpt", "best.ckpt"):
            if (run_folder / name).exists():
                checkpoint = torch.load(run_folder / name, map_location="cpu", weights_only=True)
                found[name] = (checkpoint["global_step"], checkpoint["state_dict"])
        return found

    def _finish(self) -> None:
        import torch

        if self._run(self.output)[0] != 0:
            raise Fault("training did not go on")
        for name, (step, state) in self._weights(self.output).items():
            right_step, right = self.right[name]
            if step != right_step or not all(torch.equal(state[key], right[key]) for key in right):
                raise Fault(f"{name} differs from that of the undisturbed run")
        if left := [path.name for path in self.output.iterdir() if path.name.startswith(".")]:
            raise Fault(f"half-written files are left: {', '.join(left)}")
        shutil.rmtree(self.output)

    def killed(self, kills: int, rng: random.Random) -> str:
        """Kill it so often."""
        last = 0
        steps: list[int] = []
        while len(steps) < kills:
            code, _ = self._run(self.output, kill_after_s=rng.uniform(0.3, 1.0) * self.took_s, whole_group=True)
            step = self._weights(self.output).get("last.ckpt", (0,))[0]
            if step < last:
                raise Fault(f"training was at step {last} and is at {step}")
            last = step
            if code == -signal.SIGKILL:
                steps.append(step)
            elif code == 0:
                self._finish()
                last = 0
        self._finish()
        return f"{kills} kills, at steps {min(steps)} to {max(steps)}"


def main() -> int:
    """Run the trials and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="of each run (default: %(default)s)")
    parser.add_argument("--files", type=int, default=300, help="clips of the batch (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    trials = ("batch", "full", "removed", "training")
    parser.add_argument("--only", nargs="+", choices=trials, default=trials, help="trials to run (default: all)")
    arguments = parser.parse_args()
    rng, code = random.Random(arguments.seed), 0
    print("| trial | what happened | nothing lost | min |\n|---|---|---|---:|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        batch = Batch(Path(folder), arguments.files) if {*arguments.only} - {"training"} else None
        for name in arguments.only:
            began_s = time.perf_counter()
            try:
                trial: Callable[[int, random.Random], str]
                if name == "training" or batch is None:
                    trial = Training(Path(folder)).killed
                else:
                    trial = {"batch": batch.killed, "full": batch.full, "removed": batch.removed}[name]
                said, verdict = trial(arguments.kills, rng), "yes"
            except Fault as fault:
                said, verdict, code = str(fault), "NO", 1
            print(f"| {name} | {said} | {verdict} | {(time.perf_counter() - began_s) / 60:.1f} |", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
