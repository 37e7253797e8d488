"""Errors in the input or the settings, as opposed to defects of the code.

Every message is one sentence that names the file or setting and the remedy. The command line prints the message only;
any exception that is not an :class:`AudiocxError` is a defect of audiocx and keeps its traceback.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

EXIT_INTERRUPTED = 130  # exit code that a shell reports for Ctrl-C: 128 + SIGINT


class AudiocxError(Exception):
    """Base class of all errors; the message names the remedy."""


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
    """A training run that failed, such as by diverging."""


def require(purpose: str, extra: str, *packages: str) -> None:
    """Check that the packages of an extra are installed, before any work is done.

    Args:
        purpose: What needs them, the subject of the message.
        extra: The extra of audiocx that brings them.
        packages: The names by which they are imported.

    Raises:
        ConfigError: One is missing.

    >>> require("Flying", "wings", "feathers")
    Traceback (most recent call last):
    audiocx.errors.ConfigError: Flying needs feathers, which is not installed; run pip install 'audiocx[wings]'.
    """
    for package in packages:
        if find_spec(package) is None:
            raise ConfigError(f"{purpose} needs {package}, which is not installed; run pip install 'audiocx[{extra}]'.")


def report(error: AudiocxError, debug: bool = False) -> None:
    """Print an error to stderr: its message, after the traceback if wanted.

    Args:
        error: The error.
        debug: Print the traceback, too.
    """
    if debug:
        import traceback

        traceback.print_exception(error)
    print(f"audiocx: error: {error}", file=sys.stderr)
