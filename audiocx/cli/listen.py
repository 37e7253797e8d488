"""``audiocx listen``: notes while they are played."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ..errors import AudiocxError, ConfigError, OutputError
from ..models.runtime import Runtime
from . import help_text
from .options import number_between, require_formats
from .transcribe import FORMATS

if TYPE_CHECKING:
    from ..io.live_input import LiveInput
    from ..music.live import LiveTranscriber, LiveUpdate
    from ..music.transcription import Transcription
    from ..notes import Note

# Format of an output by its suffix.
SUFFIXES = {**{Path(f"_{suffix}").suffix: name for name, suffix in FORMATS.items()}, ".midi": "midi"}
READ_S = 0.1
# Sound that waits: from here on only final notes are looked for, down to here again.
BEHIND_S, CAUGHT_UP_S = 3.0, 0.5
# A microphone that is muted or forbidden gives zeros.
SILENT_S, SILENT_PEAK = 5.0, 1e-4
SLOW = (
    "behind: this machine is too slow to show notes while they sound; they come when they have ended "
    "(--model notes-complex-small takes less work)"
)
CLEAR_LINE = "\r\x1b[K"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = help_text.LISTEN_EXAMPLES
    about = "an audio file, or - for a WAV stream on standard input (default: the microphone)"
    parser.add_argument("source", nargs="?", metavar="FILE", help=about)
    about = f"write the notes at the end, as the suffix says: {', '.join(SUFFIXES)}; may be given several times"
    parser.add_argument("-o", "--output", action="append", default=[], metavar="FILE", help=about)
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    about = (
        "send the notes to a MIDI output while they sound: a part of its name, virtual for a new port that other "
        "programs connect to (not on Windows), or list to list the outputs"
    )
    parser.add_argument("--midi-port", metavar="NAME|list", help=about)
    about = "the microphone: its number or a part of its name (default: the one that the system prefers)"
    parser.add_argument("--device", metavar="NAME|NUMBER", help=about)
    parser.add_argument("--list-devices", action="store_true", help="list the microphones, and stop")
    about = "stop after this much sound (default: at Ctrl-C, or at the end of the sound)"
    parser.add_argument("--seconds", type=number_between(0, 1e6), metavar="S", help=about)
    about = "note network: a name of 'audiocx models', or its folder; notes-complex-small takes less work"
    parser.add_argument("-m", "--model", metavar="NAME|PATH", help=about)
    about = "what runs the network: auto (default), onnx or torch"
    parser.add_argument("--runtime", choices=get_args(Runtime), default="auto", help=about)
    about = "least probability of a note, in (0, 1)"
    parser.add_argument("--threshold", type=number_between(0, 1), metavar="P", help=about)
    about = "drop notes shorter than this, in milliseconds"
    parser.add_argument("--min-note", type=number_between(0, 10_000), metavar="MS", help=about)
    about = "how many cents above 440 Hz the A4 is, from -100 to 100 (415 Hz: -100, 432: -32, 445: 20; default: 0)"
    parser.add_argument("--tuning", type=read_cents, default=0.0, metavar="CENTS", help=about)
    parser.add_argument("-q", "--quiet", action="store_true", help="print no notes, errors only")


def run(arguments: argparse.Namespace) -> int:
    """Listen, print the notes, and write them at the end.

    Args:
        arguments: Parsed arguments.

    Returns:
        0, after Ctrl-C, too.

    Raises:
        AudiocxError: There is no sound, no network, no MIDI port, or an output cannot be written.
    """
    if arguments.list_devices or arguments.midi_port == "list":
        return _list(arguments.list_devices)
    outputs = _outputs(arguments.output, arguments.overwrite)
    from ..api import load_transcriber
    from ..checkpoints import DEFAULT
    from ..io.midi_port import MidiPort
    from ..music.live import LiveTranscriber

    transcriber = load_transcriber(arguments.model or DEFAULT, runtime=arguments.runtime)
    with ExitStack() as stack:
        stop = stack.enter_context(_until_interrupted())
        port = stack.enter_context(closing(MidiPort(arguments.midi_port))) if arguments.midi_port else None
        source = stack.enter_context(
            closing(_source(arguments.source, arguments.device, transcriber.config.sample_rate))
        )
        live = LiveTranscriber(
            transcriber,
            source.sample_rate,
            arguments.tuning,
            threshold=arguments.threshold,
            min_note_s=None if arguments.min_note is None else arguments.min_note / 1000,
            keep_outputs="npz" in outputs.values(),
        )
        printer = _Printer(arguments.quiet)
        heard: list[Note] = []
        try:
            if arguments.source in (None, "-"):
                printer.note(f"listening to {source.name}; Ctrl-C ends it")
            preview = arguments.source in (None, "-")
            for update in _updates(live, source, printer, stop, arguments.seconds, preview):
                heard += update.notes
                printer.show(update)
                if port:
                    port.update(update.sounding, update.time_s)
        finally:  # whatever happened, what was heard is written
            if live.time_s > 0:
                written = _write(_result(live, sorted(heard), source.name), outputs)
                printer.end(len(heard), live.time_s, source, written)
    return 0


def read_cents(text: str) -> float:
    """Read the value of ``--tuning``.

    Args:
        text: A number of cents.

    Returns:
        Cents above A4 = 440 Hz.

    Raises:
        argparse.ArgumentTypeError: It is no number in the range allowed.
    """
    from ..music.tuning import MAX_CENTS, check_cents

    try:
        return check_cents(float(text))
    except (ValueError, ConfigError):
        span = f"from -{MAX_CENTS:g} to {MAX_CENTS:g}"
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of cents {span}") from None


def _list(devices: bool) -> int:
    """Print the microphones or the MIDI outputs."""
    if devices:
        from ..io.live_input import input_devices

        found = input_devices()
        for number, name, channels, rate, is_default in found:
            print(f"{number:3}  {name} ({channels} in, {rate:g} Hz){'  default' if is_default else ''}")
    else:
        from ..io.midi_port import midi_outputs

        found = midi_outputs()  # type: ignore[assignment]
        print("\n".join(map(str, found)), end="\n" if found else "")
    if not found:
        print(f"audiocx: there is no {'microphone' if devices else 'MIDI output'}; connect one", file=sys.stderr)
    return 0


def _outputs(paths: list[str], overwrite: bool) -> dict[Path, str]:
    """Return the format of each file to write; refuse, before anything is played, what cannot be written."""
    outputs = {}
    for path in map(Path, paths):
        name = SUFFIXES.get(path.suffix.lower())
        if name is None:
            raise ConfigError(f"{path}: names no format; choose one of the suffixes {', '.join(SUFFIXES)}.")
        require_formats([name])
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists; choose another name, or replace it with --overwrite.")
        if not path.parent.is_dir():
            raise OutputError(f"{path}: its folder does not exist; make it first, or choose another.")
        outputs[path] = name
    return outputs


def _source(source: str | None, device: str | None, rate: int) -> LiveInput:
    """Open the microphone, standard input, or a file, of which the samples come at the rate of the network."""
    from ..io import audio
    from ..io.live_input import Microphone, StreamInput, wav_blocks

    if source is None:
        return Microphone(device)
    if source == "-":
        return StreamInput("stdin", *wav_blocks(sys.stdin.buffer, "stdin"))
    return StreamInput(source, rate, audio.stream(source, rate))


def _updates(
    live: LiveTranscriber,
    source: LiveInput,
    printer: _Printer,
    stop: threading.Event,
    seconds: float | None,
    preview: bool,
) -> Iterator[LiveUpdate]:
    """Yield what is known after each block, and at the end of the sound or at Ctrl-C."""
    peak, behind, stopped = 0.0, False, False
    left = None if seconds is None else round(seconds * source.sample_rate)
    while not stopped and left != 0:
        stopped = stop.is_set()
        block = None if stopped and source.waits else source.read(READ_S)
        if block is None:
            break
        block = block[:left]
        left = None if left is None else left - len(block)
        before_s, behind_s = live.time_s, source.backlog_s + len(block) / source.sample_rate
        if not source.waits and behind != (behind_s > (CAUGHT_UP_S if behind else BEHIND_S)):
            behind = not behind
            printer.say(f"{behind_s:.0f} s {SLOW}" if behind else "caught up")
        yield live.push(block, preview and not behind)
        peak = max(peak, float(abs(block).max(initial=0.0)))
        if before_s < SILENT_S <= live.time_s and peak < SILENT_PEAK:
            printer.say(f"{source.name} is silent; check that it is on, and that this program may use it")
    printer.status("")
    yield live.finish()


@contextmanager
def _until_interrupted() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C sets, once; a second Ctrl-C interrupts as usual."""
    stop = threading.Event()
    before: dict[signal.Signals, Any] = {}

    def interrupted(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            before[each] = signal.signal(each, interrupted)
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _result(live: LiveTranscriber, notes: list[Note], name: str) -> Transcription:
    import numpy as np

    from ..music.transcription import Transcription

    config = live.config
    probabilities, onsets = np.zeros((0, config.outputs), np.float32), None
    with suppress(ConfigError, ValueError):  # not kept, or not finished
        outputs = live.outputs()
        probabilities, onsets = outputs.probabilities, outputs.onsets
    return Transcription(
        notes, probabilities, live.frame_rate, config.lowest_note, live.time_s, name, onsets, live.tuning_cents
    )


def _write(result: Transcription, outputs: dict[Path, str]) -> list[Path]:
    """Write the outputs; if one cannot be written, a MIDI file among the temporary files keeps what was heard."""
    lost, written = None, []
    for path, name in outputs.items():
        try:
            getattr(result, f"to_{name}")(path)
            written.append(path)
        except AudiocxError as error:
            lost = error
    if lost:
        saved = Path(tempfile.mkdtemp(prefix="audiocx-"), "heard.mid")
        try:
            result.to_midi(saved)
        except OutputError:
            shutil.rmtree(saved.parent, ignore_errors=True)
            raise lost from None
        raise OutputError(f"{lost} What was heard is in {saved}.") from lost
    return written


class _Printer:
    """Prints the notes: in a terminal with those that sound below, in a pipe plain lines."""

    def __init__(self, quiet: bool) -> None:
        from ..notes import note_name

        self._note_name, self._quiet, self._begun = note_name, quiet, False
        self._line = "" if quiet or not sys.stdout.isatty() else CLEAR_LINE

    def show(self, update: LiveUpdate) -> None:
        """Print the notes that have ended, and those that sound."""
        if self._quiet:
            return
        if update.notes and not self._begun:
            print(f"{self._line} onset_s  length_s  note  midi  velocity")
            self._begun = True
        for note in update.notes:
            times_s = f"{note.onset_s:8.3f}  {note.duration_s:8.3f}"
            name = self._note_name(note.midi_note)
            print(f"{self._line}{times_s}  {name:>4}  {note.midi_note:4}  {note.velocity:8}")
        held = sorted({note.midi_note for note in update.sounding if note.offset_s >= update.time_s})
        names = " ".join(map(self._note_name, held))
        self.status(f"{update.time_s:8.1f}  {names}"[: shutil.get_terminal_size().columns - 1])
        sys.stdout.flush()

    def status(self, text: str) -> None:
        """Show a line that is replaced by the next; terminals only."""
        if self._line:
            print(f"{self._line}{text}", end="", flush=True)

    def note(self, text: str) -> None:
        """Print a line beside the notes, unless it is to be quiet."""
        if not self._quiet:
            self.say(text)

    def say(self, text: str) -> None:
        """Print a warning."""
        self.status("")
        print(f"audiocx: {text}", file=sys.stderr)

    def end(self, notes: int, duration_s: float, source: LiveInput, written: list[Path]) -> None:
        """Print what was done, and what was lost."""
        if source.overruns:
            self.say(f"warning: the sound card has lost samples {source.overruns} times; close other programs")
        if source.lost_s:
            self.say(f"warning: {source.lost_s:.1f} s of sound were lost, for this machine is too slow")
        files = f" -> {', '.join(map(str, written))}" if written else ""
        counted = f"{notes} note{'' if notes == 1 else 's'} in {duration_s:.1f} s of sound"
        self.note(f"{source.name}: {counted}{files}")
