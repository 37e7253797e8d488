"""What audiocx raises when its input, not its code, is at fault.

Every message is one sentence a user can act on: it names the file and the remedy. The command line prints the
message alone; anything that is not an :class:`AudiocxError` is a defect of audiocx and keeps its traceback.
"""

from __future__ import annotations

import sys
import traceback

EXIT_INTERRUPTED = 130  # exit code that a shell reports for Ctrl-C: 128 + SIGINT


class AudiocxError(Exception):
    """Base of all errors with a remedy in the sentence."""


class AudioError(AudiocxError):
    """An audio file that cannot be read or written, or holds no usable sound."""


class CheckpointError(AudiocxError):
    """A checkpoint that is missing, damaged, or not of audiocx's format."""


class ConfigError(AudiocxError, ValueError):
    """A configuration with an unknown key or a value out of range."""


class DataError(AudiocxError):
    """A corpus folder, label file or prepared store that cannot be used."""


class OutputError(AudiocxError):
    """A result that cannot be written, or would overwrite one that exists."""


class TrainingError(AudiocxError):
    """A training that has led nowhere."""


def report(error: AudiocxError, debug: bool = False) -> None:
    """Print an error to stderr: its sentence, or the whole traceback.

    Args:
        error: The error.
        debug: Print the traceback, too.
    """
    if debug:
        traceback.print_exception(error)
    print(f"audiocx: error: {error}", file=sys.stderr)
