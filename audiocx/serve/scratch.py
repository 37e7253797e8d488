"""The temporary folder of a server, which another removes at its start if the server was killed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from ..errors import OutputError

__all__ = ["ScratchFolder"]

PREFIX = "audiocx-serve-"
NEW_S = 60.0  # a folder that is newer may be one that its server is about to lock


class ScratchFolder:
    """A temporary folder, locked while its server lives; removes those that killed servers have left.

    Attributes:
        path: The folder.

    Raises:
        OutputError: There is no folder for temporary files.
    """

    def __init__(self) -> None:
        try:
            self._folder = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        except OSError as error:
            raise OutputError(
                f"There is no folder for temporary files ({error.strerror}); set the environment variable TMPDIR."
            ) from error
        self.path = self._folder.name
        self._lock = _locked(self.path)
        for other in Path(self.path).parent.glob(f"{PREFIX}*"):
            _remove_if_abandoned(other)

    def remove(self) -> None:
        """Remove the folder with all files."""
        self._folder.cleanup()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(path: str | Path) -> int | None:
    """Lock a folder until the process ends, however it ends; None if another holds it or the system cannot."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_if_abandoned(path: Path) -> None:
    try:
        status = path.lstat()
    except OSError:
        return
    if sys.platform == "win32" or status.st_uid != os.getuid() or time.time() - status.st_mtime < NEW_S:
        return
    lock = _locked(path)
    if lock is not None:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)
