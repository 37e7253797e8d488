"""The command ``audiocx``: a table of commands, each in a module of its own.

The module of a command has ``add_arguments(parser)`` and ``run(arguments)``, which returns the exit code. None of them
imports anything heavy before it runs, so that ``audiocx --help`` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from .. import __version__
from ..errors import EXIT_INTERRUPTED, AudiocxError, OutputError, printable, report
from . import help_text

__all__ = ["COMMANDS", "build_parser", "main"]

# Name of each command, its line in the list of commands, and its description.
COMMANDS = {
    "transcribe": ("find the notes of recordings", help_text.TRANSCRIBE),
    "listen": ("find notes while they are played", help_text.LISTEN),
    "predict": ("predict the spectra of speech", help_text.PREDICT),
    "conceal": ("fill the gaps of lost packets in speech", help_text.CONCEAL),
    "models": ("list the networks at hand", "List the networks at hand and their scores."),
    "evaluate": ("score a network on labelled recordings", help_text.EVALUATE),
    "train": ("train a network on recordings", help_text.TRAIN),
    "export": ("write a network as an ONNX file", help_text.EXPORT),
    "serve": ("transcribe on a page in the browser", help_text.SERVE),
    "info": ("describe audio files", "Show rate, channels, length and encoding of audio files."),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments after the program's name; None for those of the process.

    Returns:
        The exit code: 0 done, 1 something could not be done, 2 wrong usage (by SystemExit), 130 interrupted.
    """
    if hasattr(sys.stdout, "reconfigure"):  # names of files may hold what the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = build_parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code: int = _module(arguments.command).run(arguments)
        sys.stdout.flush()
        return code
    except AudiocxError as error:
        report(error, arguments.debug)
        return 1
    except KeyboardInterrupt:
        print("audiocx: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # the reader, such as head, has seen enough
            if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO):
                raise
            message = f"The results cannot be printed ({error.strerror}); make room where they go."
            report(OutputError(message), arguments.debug)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails once more, as it flushes it
        return 1


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    print(f"audiocx: warning: {printable(message)}", file=sys.stderr)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with a subparser for each command."""
    parser = argparse.ArgumentParser(
        "audiocx", description=help_text.DESCRIPTION, epilog=help_text.EXAMPLES, formatter_class=_Formatter
    )
    parser.add_argument("--version", action="version", version=f"audiocx {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (summary, description) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=description, formatter_class=_Formatter)
        command.set_defaults(command=name)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        _module(name).add_arguments(command)
    return parser


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples as they are typed."""


def _module(command: str) -> ModuleType:
    return import_module(f".{command}", __name__)
