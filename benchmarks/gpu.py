"""What audiocx does on a GPU, within a given time: training, every layer's exactness and speed, transcription.

python benchmarks/gpu.py --out FOLDER [--budget-s 210] [--device cpu --quick]

Writes gpu.json and gpu.md into FOLDER, anew with each figure, so that a run that is cut off loses none. The sections
come in order of importance, each with a share of the time; what it does not suffice for is "not measured".
benchmarks/gpu.sh installs missing packages from a folder of wheels first. All data are made up, but for scores.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import layers
import numpy as np
import torch
from agreement import LAYERS, NETWORKS, TOLERANCES, error_of
from reporting import LATE, Clock, OutOfTime, Report, Section, limited, one_line
from steps import PRECISIONS, Step, captured, flops, notes_step, product_flops_s, rounding, seconds_a_call, windows_step
from torch import nn

from audiocx.api import load_transcriber
from audiocx.checkpoints import DEFAULT, available
from audiocx.data.labels import find_labelled
from audiocx.kinds import build
from audiocx.models import NoteConfig, TranscriberConfig
from audiocx.models.note_blocks import BODY_FRAMES, infer_notes
from audiocx.music.evaluation import infer_labelled, scorable
from audiocx.music.metrics import evaluate
from audiocx.music.transcriber import Precision

# As the paper trains on MusicNet: a window of each of 321 recordings a step, 1000 steps an epoch, 200 epochs.
PAPER_WINDOWS = 321 * 1000 * 200
# The paper's networks. Weights do not matter here, and unitary ones take seconds to draw.
MUSICNET: dict[str, Any] = {"front_end": "spectrum", "outputs": 84, "scheme": "rayleigh"}
DEEP, DEEP_REAL = TranscriberConfig(**MUSICNET), TranscriberConfig(complex=False, **MUSICNET)
NOTES, NOTES_REAL = NoteConfig(), NoteConfig(complex=False, stem_channels=23, channels=45)
WINDOW_NETWORK = "maps-deep-complex"
SCORES = {"frame AP": "average_precision", "note F1": "note_f1", "with offset": "note_offset_f1"}
# What is asked of the time left before something is begun.
EAGER_S, COMPILED_S = 1.5, 12.0
LEAST_SHARE_S = 6.0
# How the profiler's kernels are told apart: those of products and convolutions; what is no kernel but spans some.
SPANS = ("Optimizer.", "ProfilerStep", "##", "Torch-Compiled", "CompiledFunction", "autograd::", "aten::")
PRODUCTS = re.compile("gemm|conv|cutlass|xmma|wgrad|dgrad|nvjet|cublas|cudnn", re.IGNORECASE)


@dataclass
class Run:
    """What is measured how thoroughly.

    Attributes:
        device: Where.
        quick: Small, to see that it runs.
        compiles: How many networks may be compiled.
        compile_s: Seconds after which a compilation is given up.
        recordings: Folder of labelled recordings.
        limits: Multiplications and additions a second of a large product, by precision.
        kept: Steps that later sections look at.
    """

    device: torch.device
    quick: bool
    compiles: int
    compile_s: float
    recordings: Path
    limits: dict[str, float] = field(default_factory=dict)
    kept: list[Measured] = field(default_factory=list)

    @property
    def lasting_s(self) -> float:
        """How long one figure is measured."""
        return 0.0 if self.quick else 0.8

    @property
    def cuda(self) -> bool:
        """Whether the device is one of CUDA's."""
        return self.device.type == "cuda"


@dataclass
class Measured:
    """A training step.

    Attributes:
        name: What it is called.
        step: Takes it.
        precision: In which.
        units: What it learns from: windows, or seconds of sound.
        rate: Units a second.
    """

    name: str
    step: Step
    precision: str
    units: float
    rate: float


@dataclass
class Training:
    """The training of a network, measured one way and another; each is a row.

    Attributes:
        run: How thoroughly.
        section: Where the rows go.
        clock: The section's time.
        name: What the network is called.
        config: The network.
        step: Makes a step of the network, of so many items, in a precision.
        unit: How much an item is: a window, or so many seconds.
        schedule: Units whose time is extrapolated, if any.
        base: Units a second that all others are compared with.
    """

    run: Run
    section: Section
    clock: Clock
    name: str
    config: TranscriberConfig | NoteConfig
    step: Callable[[nn.Module, int, str], Step]
    unit: float = 1.0
    schedule: float = 0.0
    base: float | None = None

    def __post_init__(self) -> None:
        """Counts what a unit takes."""
        step = self.step(build(self.config).to(self.run.device), 2, "float32")
        self.unit_flops = flops(step) / (2 * self.unit)

    def measure(self, batch: int, precision: str, compiled: bool = False) -> float:
        """Measures units a second, 0 if that failed, and adds the row."""
        name = f"{self.name}, {'compiled' if compiled else 'eager'}, {precision}"
        if self.clock.left_s < (COMPILED_S if compiled and not self.run.quick else EAGER_S):
            self.section.row(name, batch, LATE)
            return 0.0
        try:
            return self._measure(name, batch, precision, compiled)
        except OutOfTime:
            if self.clock.left_s <= 0:
                raise
            self.section.row(name, batch, f"not measured: not compiled within {self.run.compile_s:.0f} s")
        except Exception as error:
            self.section.row(name, batch, f"not measured: {one_line(error)}")
        return 0.0

    def _measure(self, name: str, batch: int, precision: str, compiled: bool) -> float:
        network = build(self.config).to(self.run.device)
        step = self.step(network, batch, precision)
        with rounding(precision):
            if compiled:
                network.body.compile(fullgraph=True, dynamic=False)
                began_s = time.monotonic()
                with limited(self.run.compile_s):
                    step()
                self.section.note(f"{name}: compiled in {time.monotonic() - began_s:.0f} s.")
            took_s = seconds_a_call(step, self.run.device, self.run.lasting_s, 0 if self.run.quick else 3)
        units = batch * self.unit
        rate = units / took_s
        self.base = self.base or rate
        self.run.kept.append(Measured(f"{name}, {batch}", step, precision, units, rate))
        self.section.row(name, batch, *self.figures(rate, precision))
        return rate

    def figures(self, rate: float, precision: str) -> list[float | None]:
        """Gives the cells of a rate."""
        done, most = rate * self.unit_flops, self.run.limits.get(precision)
        cells = [rate, rate / (self.base or rate), done / 1e12, done / most if most else None]
        return [*cells, self.schedule / rate / 60] if self.schedule else cells


def products(run: Run, section: Section, clock: Clock) -> None:
    """Measures what the device can do at all."""
    size = 512 if run.quick else 8192
    section.columns = ["precision", "TFLOP/s"]
    for precision in PRECISIONS:
        run.limits[precision] = product_flops_s(size, precision, run.device, run.lasting_s / 2)
        section.row(precision, run.limits[precision] / 1e12)
    section.note(f"Products of {size} x {size} matrices.")
    section.note(
        '"float32" is nothing else; "TF32" holds for products and convolutions; "bfloat16" is autocast, with TF32 for '
        "what that leaves in float32."
    )
    source, target = torch.zeros(2, 2**20 if run.quick else 2**29, device=run.device)
    copy_s = seconds_a_call(lambda: target.copy_(source), run.device, run.lasting_s / 4)
    section.note(f"Memory: {8 * len(source) / copy_s / 1e9:.0f} GB/s, read and written.")


def deep(run: Run, section: Section, clock: Clock) -> None:
    """Trains the deep networks of the paper."""
    units = ["windows/s", "of the first", "TFLOP/s", "of the product's", "paper's schedule, min"]
    section.columns = ["network", "windows a batch", *units]
    small, large = (2, 4) if run.quick else (256, 2048)
    training = Training(run, section, clock, "deep complex", DEEP, windows_step, schedule=PAPER_WINDOWS)
    rates = {(small, precision): training.measure(small, precision) for precision in PRECISIONS}
    rates |= {(large, precision): training.measure(large, precision) for precision in PRECISIONS[1:]}
    real = Training(run, section, clock, "deep real", DEEP_REAL, windows_step, 1.0, PAPER_WINDOWS, training.base)
    (batch, precision), _ = max(rates.items(), key=lambda item: item[1])
    for setting in dict.fromkeys([(small, "float32"), (batch, precision)]):
        real.measure(*setting)
    compiled = {}
    for precision in ("bfloat16", "TF32")[: _compilations(run, 2)]:
        compiled[small, precision] = training.measure(small, precision, True)
    if any(compiled.values()) and _compilations(run, 1):
        real.measure(*max(compiled, key=lambda setting: compiled[setting]), True)
    best = max([*rates.values(), *compiled.values()])
    section.data |= {"mflop_a_window": training.unit_flops / 1e6, "best_windows_s": best}
    section.note(
        f"The paper's schedule: 321 x 1000 x 200 = {PAPER_WINDOWS / 1e6:.1f} million windows, extrapolated; data come "
        f"for nothing here. A window takes {training.unit_flops / 1e6:.0f} MFLOP, forward and backward."
    )


def notes(run: Run, section: Section, clock: Clock) -> None:
    """Trains the note networks."""
    section.columns = ["network", "segments a batch", "s of sound/s", "of the first", "TFLOP/s", "of the product's"]
    frames, batches = (16, (1, 2)) if run.quick else (256, (32, 128))
    segment_s = frames * NOTES.hop_samples / NOTES.sample_rate
    step = partial(_notes_step, frames)
    training = Training(run, section, clock, "note network", NOTES, step, segment_s)
    for batch in batches:
        for precision in PRECISIONS if batch == batches[0] else PRECISIONS[1:]:
            training.measure(batch, precision)
    for precision in ("bfloat16", "TF32")[: _compilations(run, 2)]:
        training.measure(batches[0], precision, True)
    real = Training(run, section, clock, "its real twin", NOTES_REAL, step, segment_s, base=training.base)
    real.measure(batches[0], "bfloat16")
    section.data["gflop_a_second_of_sound"] = training.unit_flops / 1e9
    section.note(f"Segments of {segment_s:.2f} s; a second of sound takes {training.unit_flops / 1e9:.2f} GFLOP.")


def _notes_step(frames: int, network: nn.Module, batch: int, precision: str) -> Step:
    return notes_step(network, batch, frames, precision)


def _compilations(run: Run, most: int) -> int:
    """Takes from what may be compiled."""
    taken = min(run.compiles, most)
    run.compiles -= taken
    return taken


def exactness(run: Run, section: Section, clock: Clock) -> None:
    """Compares every layer with the processor's in double precision."""
    section.columns = ["layer", *(f"{name}, {way}" for name in TOLERANCES for way in ("forward", "backward")), "within"]
    section.note(
        "Not the test suite: each layer's outputs, buffers and gradients on this device, beside the same layer's in "
        "float64 on the processor; the greatest difference of any value, beside the largest of its tensor. Allowed: "
        + ", ".join(f"{most:g} in {name}" for name, most in TOLERANCES.items())
        + "."
    )
    within = []
    for name in {**LAYERS, **NETWORKS}:
        if run.quick and name in NETWORKS:
            continue
        errors = {}
        for precision in TOLERANCES:
            with rounding(precision):
                errors[precision] = error_of(name, run.device)
        within.append(all(max(error) <= TOLERANCES[precision] for precision, error in errors.items()))
        section.row(name, *(part for error in errors.values() for part in error), "yes" if within[-1] else "NO")
    section.note(f"{sum(within)} of {len(within)} are within what is allowed.")


def compared(run: Run, section: Section, clock: Clock) -> None:
    """Compares our layers with others' and with the real layers."""
    there = [layers.LIMIT, layers.NATIVE, *layers.peers()]
    section.columns = ["layer", "precision", "pass", f"{layers.OURS}, ms", *there]
    section.note(f"Columns: how many times as long as {layers.OURS}; least of rounds, as benchmarks/layers.py has it.")
    for name in layers.PEERS:
        if name not in there:
            section.note(f"{name} is not installed and left out.")
    for precision in PRECISIONS[:1] if run.quick else PRECISIONS[:2]:
        for case in layers.cases(run.quick):
            try:
                with rounding(precision):
                    took = layers.timed(layers.contenders(case), case, run.device, 1 if run.quick else 2)
            except Exception as error:
                section.note(f"{case}: not measured: {one_line(error)}")
                continue
            for which, own, *ratios in layers.rows(took, there):
                section.row(str(case), precision, which, own, *ratios)


def hour(run: Run, section: Section, clock: Clock) -> None:
    """Transcribes an hour of sound."""
    section.columns = ["precision", "s in all", "x real time", "listening, s", "in blocks of 8192, s", "notes"]
    length_s = 10 if run.quick else 3600
    for precision in PRECISIONS:
        if clock.left_s < EAGER_S:
            section.row(precision, LATE)
            continue
        in_half: Precision = "bfloat16" if precision == "bfloat16" else "float32"
        transcriber = load_transcriber(None, str(run.device), in_half, "torch")
        piece = transcriber.samples(find_labelled(run.recordings)[0][0]).samples
        samples = np.resize(piece, length_s * transcriber.config.sample_rate)
        calls: list[Callable[[], Any]] = [
            partial(transcriber.transcribe, samples, transcriber.config.sample_rate),
            partial(infer_notes, transcriber.network, samples, BODY_FRAMES),
            partial(infer_notes, transcriber.network, samples, 16 * BODY_FRAMES),
        ]
        with rounding(precision), torch.inference_mode():
            infer_notes(transcriber.network, piece)
            (found, all_s), (_, listening_s), (_, large_s) = map(_timed, calls)
        section.row(precision, all_s, length_s / all_s, listening_s, large_s, len(found.notes))
    section.note(f"{DEFAULT}, {length_s} s of sound: one recording, repeated. In all: as transcribe() does, in memory.")
    section.note(f"Listening: the network alone, over blocks of {BODY_FRAMES} frames as ever, and of 8192.")


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """A result and how long it took; results are on the processor, so that nothing is still under way."""
    began_s = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began_s


def scored(run: Run, section: Section, clock: Clock) -> None:
    """Scores shipped networks on labelled recordings, in every precision."""
    pairs = find_labelled(run.recordings)
    section.columns = ["network", "precision", *SCORES]
    names = [DEFAULT] if run.quick else [name for name in (DEFAULT, WINDOW_NETWORK) if name in available()]
    for name in names:
        for precision in PRECISIONS:
            in_half: Precision = "bfloat16" if precision == "bfloat16" else "float32"
            transcriber = load_transcriber(name, str(run.device), in_half, "torch")
            with rounding(precision):
                heard = [scorable(infer_labelled(transcriber, *pair), transcriber.checkpoint.decode) for pair in pairs]
            overall = evaluate(heard).overall
            section.row(name, precision, *(f"{overall[key]:.4f}" for key in SCORES.values()))
    section.note(f"{len(pairs)} recording(s): {', '.join(audio.name for audio, _ in pairs)}.")


def kernels(run: Run, section: Section, clock: Clock) -> None:
    """Tells where the steps' time goes."""
    section.columns = ["step", "ms", "kernels", "their ms", "of it products", "device busy"]
    for measured in _kept(run, section, clock):
        activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        with rounding(measured.precision), torch.profiler.profile(activities=activities) as profile:
            for _ in range(3):
                measured.step()
            torch.cuda.synchronize()
        found = [
            event
            for event in profile.key_averages()
            if event.device_type == torch.autograd.DeviceType.CUDA and not event.key.startswith(SPANS)
        ]
        busy_ms = sum(event.self_device_time_total for event in found) / 3000
        product_ms = sum(event.self_device_time_total for event in found if PRODUCTS.search(event.key)) / 3000
        took_ms = 1000 * measured.units / measured.rate
        count = sum(event.count for event in found) // 3
        section.row(measured.name, took_ms, count, busy_ms, product_ms / max(busy_ms, 1e-9), busy_ms / took_ms)
        most = sorted(found, key=lambda event: -event.self_device_time_total)[:12]
        section.data[measured.name] = {event.key[:120]: event.self_device_time_total / 3000 for event in most}


def graphs(run: Run, section: Section, clock: Clock) -> None:
    """Runs the steps as CUDA graphs, without the time that starting their kernels takes."""
    section.columns = ["step", "units/s", "of the same step's, not captured", "paper's schedule, min"]
    for measured in _kept(run, section, clock):
        try:
            with rounding(measured.precision):
                rate = measured.units / seconds_a_call(captured(measured.step), run.device, run.lasting_s / 2)
        except Exception as error:
            section.row(measured.name, f"not measured: {one_line(error)}")
            continue
        minutes = PAPER_WINDOWS / rate / 60 if measured.name.startswith("deep") else None
        section.row(measured.name, rate, rate / measured.rate, minutes)


def _kept(run: Run, section: Section, clock: Clock) -> Iterator[Measured]:
    """Gives the steps that there is time for, on CUDA alone."""
    if not run.cuda:
        section.note("Not measured: needs CUDA.")
        return
    for measured in run.kept:
        if clock.left_s < EAGER_S:
            section.row(measured.name, LATE)
        else:
            yield measured


def arguments_given() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.json and gpu.md")
    parser.add_argument("--budget-s", type=float, default=210, help="seconds in all (default: %(default)s)")
    parser.add_argument("--until", type=float, help="Unix time to end at, where start-up is to count (default: none)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"), help="(default: %(default)s)")
    parser.add_argument("--compiles", type=int, default=5, help="networks compiled, at most (default: %(default)s)")
    parser.add_argument("--compile-s", type=float, default=45, help="seconds for each (default: %(default)s)")
    examples = Path(__file__).parents[1] / "examples"
    parser.add_argument("--recordings", type=Path, default=examples, help="with labels (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="small, to see that it runs; pair with --compiles 0")
    return parser.parse_args()


def main() -> None:
    """Measures section by section."""
    arguments = arguments_given()
    device, budget_s = arguments.device, arguments.budget_s
    if arguments.until:
        budget_s = min(budget_s, arguments.until - time.time())
    clock = Clock(budget_s)
    torch.manual_seed(0)
    run = Run(device, arguments.quick, arguments.compiles, arguments.compile_s, arguments.recordings)
    machine = torch.cuda.get_device_name(device) if run.cuda else platform.processor() or platform.machine()
    about = f"{machine}, {torch.get_num_threads()} threads, torch {torch.__version__}, Python "
    about += f"{platform.python_version()}, {datetime.date.today()}{', --quick: figures mean nothing' * run.quick}."
    report = Report(arguments.out, ["# audiocx on a GPU", "", about], clock)
    # In order of importance, with shares of the time that add up to nearly all of it; what is left is for the last two.
    sections: list[tuple[str, Callable[[Run, Section, Clock], None], float]] = [
        ("What the device can do", products, 0.06),
        ("Training the deep networks", deep, 0.36),
        ("Training the note network", notes, 0.20),
        ("Every layer against float64 on the processor", exactness, 0.08),
        ("Layers beside others'", compared, 0.12),
        ("Transcribing an hour", hour, 0.10),
        ("Scores in each precision", scored, 0.06),
        ("Where a step's time goes", kernels, 0.07),
        ("Steps as CUDA graphs", graphs, 1.00),
    ]
    for title, what, share in sections:
        report.measure(title, partial(what, run), max(share * budget_s, LEAST_SHARE_S))
    print((arguments.out / "gpu.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
