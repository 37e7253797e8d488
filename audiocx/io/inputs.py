"""Sources of recordings as files on the disk: names, standard input and other pipes, bytes, open files.

Pipes, contents and open files are copied to a temporary file, for decoders go back and forth in a file.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import AudioError, OutputError

__all__ = ["MAX_PIPE_BYTES", "STDIN", "as_file", "is_array", "is_pipe", "stem"]

STDIN = "/dev/stdin"
MAX_PIPE_BYTES = 4 * 2**30  # 6.7 hours of CD quality; a pipe that never ends would fill the disk
_COPY_BYTES = 2**20
_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/(?:self|\d+)/fd)/(\d+)")  # what a shell makes of <(command)


def is_array(source: Any) -> bool:
    """Return whether something is an array of samples, of NumPy or another library."""
    return isinstance(source, list) or (hasattr(source, "__array__") and source.ndim > 0)


def is_pipe(source: str | os.PathLike[str]) -> bool:
    """Return whether a name is that of a pipe, which can be read only once: "-", /dev/stdin, a FIFO.

    Standard input that comes from a file (``< song.wav``) is no pipe.
    """
    name = os.fspath(source)
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode if name in ("-", STDIN) else os.stat(name).st_mode
    except (OSError, ValueError, AttributeError):  # no standard input, or no such file
        return name in ("-", STDIN)
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (name in ("-", STDIN) and not stat.S_ISREG(mode))


def stem(source: str | Path) -> str:
    """Return the name for the outputs of a recording, without a suffix.

    >>> stem("music/song.wav"), stem("-"), stem("/dev/fd/63")
    ('song', 'stdin', 'pipe63')
    """
    name = str(source)  # URLs are no local paths
    if match := _DESCRIPTOR.fullmatch(name):
        return f"pipe{match[1]}"
    return "stdin" if name == "-" else Path(name).stem


@contextmanager
def as_file(source: Any) -> Iterator[tuple[Path, str]]:
    """Provide a recording as a file on the disk.

    Args:
        source: Name of a file or pipe ("-" is standard input), the content of a file as bytes, or an open binary file,
            which is read from its position on.

    Yields:
        The file, and what to call it in messages.

    Raises:
        AudioError: It is of another type, a device or a terminal, cannot be read, or is too long for a pipe.
        OutputError: The disk is too full for the copy.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        with _folder() as folder:
            path = Path(folder, "bytes")
            _write(path, [source], "bytes")
            yield path, "bytes"
    elif hasattr(source, "read"):
        given = getattr(source, "name", None)
        name = given if isinstance(given, str) and given else "stream"
        with _folder() as folder:
            path = Path(folder, "stream").with_suffix(_suffix(name))
            _write(path, _chunks(source, name), name)
            yield path, name
    elif not isinstance(source, (str, os.PathLike)):
        raise AudioError(
            f"A recording is a file, its content, samples, or samples with their rate, not {type(source).__name__}."
        )
    elif is_pipe(source):
        name = STDIN if source == "-" else os.fspath(source)
        with _folder() as folder, _opened_pipe(name) as pipe:
            path = Path(folder, "pipe").with_suffix(_suffix(name))
            _write(path, _chunks(pipe, name), name)
            yield path, name
    else:
        name = STDIN if source == "-" else os.fspath(source)
        if _is_device(name):
            raise AudioError(f"{name}: is a device, not a file; record it first, and name the file.")
        yield Path(name), name


def _suffix(name: str) -> str:
    suffix = Path(name).suffix  # by which PyAV knows formats without a header
    return suffix if re.fullmatch(r"\.\w{1,8}", suffix) else ""


def _folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="audiocx-")
    except OSError as error:
        raise _cannot_copy("The recording", error) from error


def _is_device(name: str) -> bool:
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


@contextmanager
def _opened_pipe(name: str) -> Iterator[BinaryIO]:
    try:
        if name == STDIN:
            if sys.stdin is None or sys.stdin.isatty():
                raise AudioError(f"{name}: is a terminal; pipe a recording into audiocx, or name a file.")
            yield sys.stdin.buffer
        else:
            with open(name, "rb") as file:
                yield file
    except OSError as error:
        raise AudioError(f"{name}: cannot be read ({error.strerror}); write it to a file first.") from error


def _chunks(file: Any, name: str) -> Iterator[Any]:
    total = 0
    while True:
        try:
            chunk = file.read(_COPY_BYTES)
        except (OSError, ValueError) as error:
            raise AudioError(f"{name}: cannot be read ({error}); write it to a file first.") from error
        if not chunk:
            return
        if isinstance(chunk, str):
            raise AudioError(f'{name}: is open as text; open it in binary mode, "rb".')
        total += len(chunk)
        if total > MAX_PIPE_BYTES:
            raise AudioError(f"{name}: is longer than {MAX_PIPE_BYTES >> 30} GiB, the most for a pipe; name a file.")
        yield chunk


def _write(path: Path, chunks: Any, name: str) -> None:
    try:
        with open(path, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
    except OSError as error:
        raise _cannot_copy(name, error) from error


def _cannot_copy(name: str, error: OSError) -> OutputError:
    return OutputError(
        f"{name}: cannot be copied to {tempfile.gettempdir()} ({error.strerror}); free some space, or set the "
        "environment variable TMPDIR to another folder."
    )
