"""Atomic writing of files."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import OutputError


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
    temporary = path.with_name(f".{path.stem[:100]}.{uuid.uuid4().hex[:12]}{path.suffix}")
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
