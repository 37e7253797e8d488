"""``audiocx transcribe``: the notes of recordings."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..batch.jobs import Done, Job, Task, noted, said, speed
from ..errors import ConfigError
from . import help_text
from .options import (
    add_batch,
    add_model,
    add_outputs,
    add_precision,
    batch_options,
    make_folders,
    number_between,
    run_batch,
)

if TYPE_CHECKING:
    from ..api import Transcriber
    from ..io.audio import Recording
    from ..notes import Note

FORMATS = {  # format -> suffix of the file; the recording itself may be STEM.wav
    "midi": ".mid",
    "csv": ".csv",
    "json": ".json",
    "npz": ".npz",
    "png": ".png",
    "wav": ".notes.wav",
    "musicxml": ".musicxml",
    "svg": ".svg",
    "pdf": ".pdf",
}
SCORES = ("musicxml", "svg", "pdf")
# Options that influence the results.
SETTINGS = ("precision", "format", "sonify", "threshold", "min_note", "tempo", "quantize", "tuning")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = help_text.TRANSCRIBE_EXAMPLES
    add_batch(parser)
    add_model(parser)
    add_precision(parser)
    add_outputs(parser, FORMATS, ["midi"])
    parser.add_argument("--sonify", action="store_true", help="also write the notes as sound: adds wav to --format")
    parser.add_argument("--list", action="store_true", help="also print the notes")
    about = "least probability of a note, in (0, 1)"
    parser.add_argument("--threshold", type=number_between(0, 1), metavar="P", help=about)
    about = "drop notes shorter than this, in milliseconds"
    parser.add_argument("--min-note", type=number_between(0, 10_000), metavar="MS", help=about)
    about = (
        "tempo the MIDI file states; notes keep their time (default: 120); for --quantize and scores, the tempo near "
        "which beats are searched (default: any)"
    )
    parser.add_argument("--tempo", type=number_between(4, 1000), metavar="BPM", help=about)
    about = (
        "find the beats and move the notes in the MIDI file to the nearest of N grid points a beat: 4 (if no number is "
        "given) for sixteenths, 3 for triplets, 12 for both; its tempos follow the beats as played, and it "
        "states metre and key. Scores (musicxml, svg, pdf) have their own grid; other formats keep the times played"
    )
    parser.add_argument("--quantize", type=read_divisions, nargs="?", const=4, metavar="N", help=about)
    about = (
        "tuning of the recording: auto (default) estimates it and corrects all but a few cents; or how many cents its "
        "A4 is above 440 Hz, from -100 to 100 (415 Hz: -100, 432: -32, 445: 20); 0 corrects nothing"
    )
    parser.add_argument("--tuning", type=read_tuning, metavar="auto|CENTS", help=about)


def run(arguments: argparse.Namespace) -> int:
    """Transcribe recordings.

    Args:
        arguments: Parsed arguments.

    Returns:
        0 if every recording was transcribed, else 1.

    Raises:
        AudiocxError: Nothing can be done at all: no output folder, no network, no device.
    """
    from ..checkpoints import DEFAULT
    from ..io.midi import DEFAULT_TEMPO_BPM

    formats = dict.fromkeys([*arguments.format, *(["wav"] if arguments.sonify else [])])
    searches_beats = arguments.quantize is not None or any(name in SCORES for name in formats)
    tempo_bpm = DEFAULT_TEMPO_BPM if arguments.tempo is None and not searches_beats else arguments.tempo
    task = TranscribeTask(
        model=arguments.model or DEFAULT,
        device=arguments.device,
        runtime=arguments.runtime,
        settings={**{name: getattr(arguments, name) for name in SETTINGS}, "tempo": tempo_bpm},
        precision=arguments.precision,
        threshold=arguments.threshold,
        min_note_s=None if arguments.min_note is None else arguments.min_note / 1000,
        tempo_bpm=tempo_bpm,
        divisions=arguments.quantize,
        tuning_cents=arguments.tuning,
        list_notes=arguments.list,
    )
    return run_batch(task, batch_options(arguments, {name: FORMATS[name] for name in formats}))


def read_tuning(text: str) -> float | None:
    """Read the value of ``--tuning``.

    Args:
        text: ``auto`` or a number of cents.

    Returns:
        Cents above A4 = 440 Hz; None to estimate them.

    Raises:
        argparse.ArgumentTypeError: It is neither.

    >>> read_tuning("-31.8")
    -31.8
    """
    from ..music.tuning import MAX_CENTS, check_cents

    try:
        return None if text == "auto" else check_cents(float(text))
    except (ValueError, ConfigError):
        span = f"from -{MAX_CENTS:g} to {MAX_CENTS:g}"
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number of cents {span}") from None


def read_divisions(text: str) -> int:
    """Read the value of ``--quantize``.

    Args:
        text: A whole number.

    Returns:
        Grid points a beat.

    Raises:
        argparse.ArgumentTypeError: It is not a whole number in the range allowed.

    >>> read_divisions("3")
    3
    """
    from ..music.beats import DIVISIONS

    if text not in map(str, DIVISIONS):
        span = f"from {DIVISIONS[0]} to {DIVISIONS[-1]}"
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {span}; without one, write the files first")
    return int(text)


@dataclass(frozen=True)
class TranscribeTask(Task["Transcriber"]):
    """Transcribes music.

    Attributes:
        threshold: Least probability of a note; None for the checkpoint's.
        min_note_s: Shorter notes are dropped, in seconds; None for the checkpoint's.
        tempo_bpm: Tempo of the MIDI file, or near which beats are searched; None for 120 and any.
        divisions: Grid points a beat for the notes of the MIDI file; None to keep their times.
        tuning_cents: Tuning of the recordings, in cents above A4 = 440 Hz; None to estimate it.
        list_notes: Print the notes, too.
    """

    threshold: float | None
    min_note_s: float | None
    tempo_bpm: float | None
    divisions: int | None
    tuning_cents: float | None
    list_notes: bool
    command: ClassVar[str] = "transcribe"

    def load(self) -> Transcriber:
        """Load the transcriber."""
        from ..api import load_transcriber

        return load_transcriber(self.model, self.device, self.precision, self.runtime)

    def read(self, network: Transcriber, job: Job) -> Recording:
        """Read a recording at the network's rate."""
        return network.samples(job.source)

    def work(self, network: Transcriber, job: Job, progress: bool) -> Done:
        """Transcribe one recording and write the outputs."""
        from ..music.tuning import a4_hz

        began_s = time.perf_counter()
        result = network.transcribe(
            job.input,
            threshold=self.threshold,
            min_note_s=self.min_note_s,
            tuning=self.tuning_cents,
            progress=progress,
        )
        make_folders(job)
        for name, path in job.outputs.items():
            if name == "midi":
                result.to_midi(path, tempo_bpm=self.tempo_bpm, quantize=self.divisions)
            elif name in SCORES:
                getattr(result, f"to_{name}")(path, tempo_bpm=self.tempo_bpm)
            else:
                getattr(result, f"to_{name}")(path)
        took_s = job.read_s + time.perf_counter() - began_s
        counted = (
            f"{len(result.notes)} note{'' if len(result.notes) == 1 else 's'} in {result.duration_s:.1f} s of sound"
        )
        counted += f", A4 at {a4_hz(result.tuning_cents):.0f} Hz" if result.tuning_cents else ""
        counted += said(result.remarks)
        written = ", ".join(map(str, job.outputs.values()))
        return Done(
            f"{job.source}: {counted} ({speed(took_s, result.duration_s)}) -> {written}",
            {**noted(result.remarks), "duration_s": round(result.duration_s, 3), "notes": len(result.notes)},
            _table(result.notes) if self.list_notes else "",
        )


def _table(notes: list[Note]) -> str:
    """Return the notes as a table: onset and length in seconds, name, MIDI number, velocity."""
    from ..notes import note_name

    lines = [" onset_s  length_s  note  midi  velocity"]
    for note in notes:
        times_s = f"{note.onset_s:8.3f}  {note.duration_s:8.3f}"
        lines.append(f"{times_s}  {note_name(note.midi_note):>4}  {note.midi_note:4}  {note.velocity:8}")
    return "\n".join(lines)
