"""The command ``audiocx``: a thin table of commands over the public functions.

Nothing heavy is imported here, so that ``audiocx --help`` answers at once; each command lives in a module of its own
whose ``run`` is called with the parsed arguments.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib import import_module

from .. import __version__
from ..errors import AudiocxError
from . import help_text, train

__all__ = ["CONCEAL_FORMATS", "FORMATS", "PREDICTION_FORMATS", "main", "report"]

FORMATS = {  # what --format takes, and how the file's name ends; the recording itself may be STEM.wav
    "midi": ".mid",
    "csv": ".csv",
    "json": ".json",
    "npz": ".npz",
    "png": ".png",
    "wav": ".notes.wav",
}
PREDICTION_FORMATS = {name: f".prediction.{name}" for name in ("json", "npz", "png", "wav")}
CONCEAL_FORMATS = {name: f".concealed.{name}" for name in ("wav", "png")}
INTERRUPTED = 130  # what a shell gives for Ctrl-C: 128 + SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments after the program's name; None for those of the process.

    Returns:
        The exit code: 0 done, 1 something could not be done, 2 wrong usage (by SystemExit), 130 interrupted.
    """
    arguments = _parser().parse_args(argv)
    try:
        code: int = import_module(f".{arguments.module}", __name__).run(arguments)
        sys.stdout.flush()
        return code
    except AudiocxError as error:
        report(error, arguments.debug)
        return 1
    except KeyboardInterrupt:
        print("audiocx: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def report(error: AudiocxError, debug: bool) -> None:
    """Print what went wrong to stderr: one sentence, or the whole traceback.

    Args:
        error: What was raised.
        debug: Print the traceback too.
    """
    if debug:
        traceback.print_exception(error)
    print(f"audiocx: error: {error}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "audiocx", description=help_text.DESCRIPTION, epilog=help_text.EXAMPLES, formatter_class=_Formatter
    )
    parser.add_argument("--version", action="version", version=f"audiocx {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_transcribe(
        _command(commands, "transcribe", "transcribe", "find the notes of recordings", help_text.TRANSCRIBE)
    )
    _add_predict(_command(commands, "predict", "predict", "predict the spectra of speech", help_text.PREDICT))
    _add_conceal(_command(commands, "conceal", "conceal", "fill the gaps of lost packets in speech", help_text.CONCEAL))
    _command(commands, "models", "describe", "list the networks at hand", "List the networks at hand and their scores.")
    _add_evaluate(
        _command(commands, "evaluate", "evaluate", "score a network on labelled recordings", help_text.EVALUATE)
    )
    about = "Train a network as a .toml file describes it. A run continues when its command is given again."
    train.add_arguments(_command(commands, "train", "train", "train a network on your recordings", about))
    _add_export(_command(commands, "export", "export", "write a network as an ONNX file", help_text.EXPORT))
    about = "Show rate, channels, length and encoding of audio files."
    _add_files(_command(commands, "info", "describe", "describe audio files", about))
    return parser


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples as they are typed."""


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, module: str, summary: str, about: str
) -> argparse.ArgumentParser:
    """Add a command with the options all of them have."""
    parser = commands.add_parser(name, help=summary, description=about, formatter_class=_Formatter)
    parser.set_defaults(command=name, module=module)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _add_files(parser: argparse.ArgumentParser, about: str = "an audio file") -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help=about)


def _add_archive(parser: argparse.ArgumentParser) -> None:
    """Add the recordings, which may be an archive, and how to work through that."""
    _add_files(
        parser,
        "audio files, folders of them (searched with subfolders), globs in quotes, or URLs of these",
    )
    about = "work on so many recordings at a time, in processes that share the cores (default: 1)"
    parser.add_argument("-j", "--jobs", type=_count, default=1, metavar="N", help=about)
    about = "what runs the jobs: this machine (local, the default) or a Ray cluster (ray)"
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help=about)
    about = "the Ray cluster: auto, HOST:6379, or local for one of this machine alone (default: Ray's own choice)"
    parser.add_argument("--address", metavar="ADDRESS", help=about)
    about = "note what became of each, do only what is missing or changed (default: DIR/manifest.jsonl for archives)"
    parser.add_argument("--manifest", metavar="FILE.jsonl", help=about)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--model", metavar="NAME|PATH", help="network: a name of 'audiocx models', or its folder")
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def _add_precision(parser: argparse.ArgumentParser) -> None:
    about = "compute in float32 (default), or in bfloat16, which pays on GPUs and on processors with AMX"
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help=about)


def _add_outputs(parser: argparse.ArgumentParser, known: Iterable[str], default: list[str]) -> None:
    parser.add_argument("-o", "--output", metavar="DIR", help="folder or URL to write to (default: this folder)")
    formats = f"what to write, with commas: {', '.join(known)} (default: {', '.join(default) or 'nothing'})"
    parser.add_argument("-f", "--format", type=_names_of(known), default=default, metavar="LIST", help=formats)
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist")


def _add_transcribe(parser: argparse.ArgumentParser) -> None:
    parser.epilog = help_text.TRANSCRIBE_EXAMPLES
    _add_archive(parser)
    _add_model(parser)
    _add_precision(parser)
    _add_outputs(parser, FORMATS, ["midi"])
    parser.add_argument("--sonify", action="store_true", help="also write the notes as sound: adds wav to --format")
    parser.add_argument("--list", action="store_true", help="also print the notes")
    parser.add_argument("--threshold", type=_between(0, 1), metavar="P", help="least probability of a note, in (0, 1)")
    parser.add_argument(
        "--min-note", type=_between(0, 10_000), metavar="MS", help="drop notes shorter than this, in milliseconds"
    )
    parser.add_argument(
        "--tempo", type=_between(4, 1000), default=120.0, metavar="BPM",
        help="tempo the MIDI file states; notes keep their time (default: 120)",
    )  # fmt: skip
    about = (
        "find the beats and move the notes in the MIDI file to the nearest of so many places a beat: 4 (if no number "
        "is given) for sixteenths, 3 for triplets, 12 for both; its tempos follow the beats as played, found near "
        "--tempo. Other formats keep the times played"
    )
    parser.add_argument("--quantize", type=_divisions, nargs="?", const=4, metavar="N", help=about)
    about = (
        "tuning of the recording: auto (default) estimates it and makes up for all but a few cents; or how many cents "
        "its A4 is above 440 Hz, from -100 to 100 (415 Hz: -100, 432: -32, 445: 20); 0 leaves it alone"
    )
    parser.add_argument("--tuning", type=_cents, metavar="auto|CENTS", help=about)


def _divisions(text: str) -> int:
    from .transcribe import read_divisions

    return read_divisions(text)


def _cents(text: str) -> float | None:
    from .transcribe import read_tuning

    return read_tuning(text)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.epilog = help_text.PREDICT_EXAMPLES
    _add_archive(parser)
    _add_model(parser)
    _add_outputs(parser, PREDICTION_FORMATS, [])


def _add_conceal(parser: argparse.ArgumentParser) -> None:
    parser.epilog = help_text.CONCEAL_EXAMPLES
    _add_archive(parser)
    about = "where sound is missing, in seconds, or a file that tells; of every FILE (default: where there are zeros)"
    parser.add_argument("--gaps", type=_gaps, metavar="START-END,...|FILE.txt", help=about)
    _add_model(parser)
    _add_outputs(parser, CONCEAL_FORMATS, ["wav"])


def _gaps(text: str) -> list[tuple[float, float]]:
    from .conceal import read_gaps

    return read_gaps(text)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="folder of recordings and label files of the same stem")
    _add_model(parser)
    _add_precision(parser)
    parser.add_argument("-o", "--output", metavar="FILE.json", help="also write the scores to this JSON file")
    parser.add_argument("--overwrite", action="store_true", help="replace the JSON file if it exists")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.epilog = help_text.EXPORT_EXAMPLES
    about = "a name of 'audiocx models', or its folder (default: the default transcriber)"
    parser.add_argument("model", nargs="?", metavar="NAME|PATH", help=about)
    parser.add_argument("-o", "--output", metavar="FILE.onnx", help="file to write (default: NAME.onnx)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")


class _names_of:  # noqa: N801 (used as a function)
    """Converts an option to a list of names, all of them known."""

    def __init__(self, known: Iterable[str]) -> None:
        self.known = list(known)

    def __call__(self, text: str) -> list[str]:
        names = [name.strip().lower() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in self.known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(
                f"unknown format {', '.join(unknown) or text!r}; choose from {', '.join(self.known)}"
            )
        return list(dict.fromkeys(names))


class _between:  # noqa: N801 (used as a function)
    """Converts an option to a number strictly between two others."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __call__(self, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not self.low < number < self.high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number between {self.low} and {self.high}")
        return number
