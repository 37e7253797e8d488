"""Atomic writing of files."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import OutputError

__all__ = ["atomic_write", "remove_leftovers"]

# File systems take 255 bytes for a name; no format of a file has a longer suffix than this.
MAX_STEM_BYTES, MAX_SUFFIX_BYTES, ID_DIGITS = 100, 50, 12


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, and rename it to ``path`` when the block ends without an error.

    The rename is atomic: other processes see either the old file or the complete new one. If the block raises, even by
    Ctrl-C, the temporary file is removed and ``path`` stays as it was.

    Args:
        path: File to write; the temporary file has the same suffix.

    Yields:
        The path to write to.

    Raises:
        OutputError: The folder is missing or cannot be written, or ``path`` is a folder.
    """
    path = Path(path)
    temporary = path.with_name(_temporary_name(path, uuid.uuid4().hex[:ID_DIGITS]))
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); choose another folder, or make room in this one."
        ) from error
    finally:
        with suppress(OSError):  # nothing was written if the folder itself is out of reach
            temporary.unlink(missing_ok=True)


def remove_leftovers(path: str | Path) -> None:
    """Remove the temporary files of :func:`atomic_write` that processes killed while writing to a path have left.

    Args:
        path: The path; nobody else may be writing to it.
    """
    path = Path(path)
    before, after = re.escape(_temporary_name(path, "\0")).split(re.escape("\0"))
    leftover = re.compile(f"{before}[0-9a-f]{{{ID_DIGITS}}}{after}")
    with suppress(OSError):
        for name in filter(leftover.fullmatch, os.listdir(path.parent)):
            with suppress(OSError):
                path.with_name(name).unlink()


def _temporary_name(path: Path, unique: str) -> str:
    stem, suffix = path.stem, path.suffix
    if len(os.fsencode(suffix)) > MAX_SUFFIX_BYTES:
        suffix = ""
    while len(os.fsencode(stem)) > MAX_STEM_BYTES:
        stem = stem[:-1]
    return f".{stem}.{unique}{suffix}"
