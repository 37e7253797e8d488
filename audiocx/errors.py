"""Errors in the input or the settings, as opposed to defects of the code.

Every message is one sentence that names the file or setting and the remedy. The command line prints the message only;
any exception that is not an :class:`AudiocxError` is a defect of audiocx and keeps its traceback.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec

EXIT_INTERRUPTED = 130  # exit code that a shell reports for Ctrl-C: 128 + SIGINT
# Control characters, line breaks, marks that reverse the order of writing, and bytes of file names that are no UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


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


def printable(text: object) -> str:
    r"""Escape what a line of text cannot hold: control characters, line breaks, and bytes of names that are no UTF-8.

    Args:
        text: The text, or a path.

    Returns:
        Valid Unicode in one line.

    >>> print(printable("caf\udce9\n\x1b.wav"))
    caf\xe9\n\x1b.wav
    """
    return _UNPRINTABLE.sub(_escaped, str(text))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(match[0])[1:-1]


def unexpected(what: object, error: BaseException) -> AudiocxError:
    """Return the error to report in place of one that nobody thought of, so that other files can go on.

    Args:
        what: The file that was worked on.
        error: The exception, a defect of audiocx or of what it uses, or a lack of memory.

    Returns:
        One sentence.
    """
    import traceback

    reason = " ".join("".join(traceback.format_exception_only(error)).split())
    wrapped = AudiocxError(
        f"{what}: failed unexpectedly ({reason}); try it alone, with --debug, and report what that prints."
    )
    wrapped.__cause__ = error
    return wrapped


def report(error: AudiocxError, debug: bool = False) -> None:
    """Print an error to stderr: its message, in one line, after the traceback if wanted.

    Args:
        error: The error.
        debug: Print the traceback, too.
    """
    if debug:
        import traceback

        traceback.print_exception(error)
    print(f"audiocx: error: {printable(error)}", file=sys.stderr)
