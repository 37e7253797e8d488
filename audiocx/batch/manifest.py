"""Manifest of a batch: the status of each recording, so that an interrupted run continues where it stopped.

A manifest is a file of JSON lines, one record a line. A run appends a record when a recording is begun and another when
it is done or has failed, and the newest counts; a run that ends leaves one record for each recording, if the disk has
room for that. Paths below the manifest's own folder are relative to it, all others are absolute, or URLs. A record that
the disk has no room for is taken back, so that the file stays readable; a manifest that is removed during a run is
written again, whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__
from ..errors import DataError, OutputError
from ..io.atomic_write import atomic_write, remove_leftovers
from ..io.paths import absolute, as_path, is_url, stamp

if sys.platform != "win32":
    import fcntl

__all__ = ["BEGUN", "DONE", "FAILED", "Manifest", "fingerprint"]

BEGUN, DONE, FAILED = "begun", "done", "failed"
_CHUNK_BYTES = 2**20
_PREFIX = b'{"file": "'  # of every line


class _Known(NamedTuple):
    """The part of a recording's newest record that is kept in memory."""

    status: str
    stamp: tuple[int, int] | None
    sha256: str | None
    made_by: str
    outputs: tuple[str, ...]
    offset: int


class Manifest:
    """A manifest, locked for one run; used as a context.

    Args:
        path: The file; created if it does not exist.
        made_by: Command, network and settings that the results depend on, as plain values. Records of another "command"
            are kept apart.

    Raises:
        DataError: The file is not a manifest.
        OutputError: It cannot be written, or another run is writing to it.
    """

    def __init__(self, path: str | Path, made_by: dict[str, Any]) -> None:
        self.path = Path(os.path.abspath(path))
        self._root = os.path.join(self.path.parent, "")
        self._made_by, self._made_by_text = made_by, _canonical(made_by)
        self._known: dict[tuple[str, str], _Known] = {}
        self._owners: dict[str, str] = {}
        self._stale = False
        self._end = 0  # of the last whole record
        self._removed = False  # while the run was going on

    def __enter__(self) -> Manifest:
        self._file = self._open()
        try:
            self._read()
            remove_leftovers(self.path)
            self._compact_if_possible()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._compact_if_possible()
        finally:
            self._file.close()

    def lost(self) -> list[str]:
        """Return the recordings that are recorded as done but lack an output, if the manifest was removed meanwhile."""
        if not self._removed and self._is_at_path(self._file):
            return []
        return [
            file
            for (command, file), known in self._known.items()
            if command == self._made_by["command"] and known.status == DONE
            if not all(is_url(name) or (self.path.parent / name).is_file() for name in known.outputs)
        ]

    def was_begun(self, source: Path) -> bool:
        """Return whether a run was stopped while it worked on a recording."""
        known = self._known.get(self._key(source))
        return known is not None and known.status == BEGUN

    def is_done(self, source: Path, outputs: Iterable[Path]) -> bool:
        """Return whether a recording is done: with the same network and settings, not changed since, its outputs there.

        Args:
            source: The recording. It is read only if its size or time of change differs from the record.
            outputs: The files wanted from it.

        Returns:
            Whether it needs no work.
        """
        known = self._known.get(self._key(source))
        if known is None or known.status != DONE or known.made_by != self._made_by_text:
            return False
        if not all(self._name(path) in known.outputs and path.is_file() for path in outputs):
            return False
        try:
            if stamp(source) == known.stamp:
                return True
            current = fingerprint(source)
        except OSError:
            return False
        if current["sha256"] != known.sha256:
            return False
        record = {**json.loads(self._line(known)), **current}  # touched or copied: the record takes the new time
        with suppress(OutputError):  # it is read again the next time
            self._append(record)
        return True

    def owner(self, output: Path) -> Path | None:
        """Return the recording that a file was made from.

        Args:
            output: Any file.

        Returns:
            The recording; None if the file is in no record.
        """
        name = self._owners.get(self._name(output))
        return None if name is None else as_path(name if is_url(name) else self.path.parent / name)

    def owns(self, source: Path, output: Path) -> bool:
        """Return whether a file was made from a recording, and so may be replaced.

        Args:
            source: The recording.
            output: Any file.

        Returns:
            Whether it is among the recording's outputs.
        """
        return self._owners.get(self._name(output)) == self._name(source)

    def write(self, source: Path, status: str, outputs: Iterable[Path], **values: Any) -> None:
        """Append a record; from then on the end of this process cannot lose it.

        Args:
            source: The recording.
            status: ``BEGUN``, ``DONE`` or ``FAILED``.
            outputs: The files that have been, or will be, made from it.
            **values: Further plain values to record.

        Raises:
            OutputError: The manifest cannot be written.
        """
        self._append(
            {
                "file": self._name(source),
                "status": status,
                **values,
                "outputs": [self._name(path) for path in outputs],
                "made_by": self._made_by,
                "audiocx": __version__,
                "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            }
        )

    def _key(self, source: Path) -> tuple[str, str]:
        return self._made_by["command"], self._name(source)

    def _name(self, path: Path) -> str:
        name = absolute(path)
        return name[len(self._root) :].replace(os.sep, "/") if name.startswith(self._root) else name

    def _open(self) -> FileIO:
        """Open the file to append to it, and lock it where the file system can; the lock ends with the process."""
        while True:
            try:
                file = open(self.path, "a+b", buffering=0)  # noqa: SIM115 (open for the whole run)
            except OSError as error:
                raise OutputError(
                    f"{self.path}: cannot be written ({error.strerror}); name another manifest with --manifest."
                ) from error
            self._lock(file)
            if self._is_at_path(file):
                return file
            file.close()  # another run has just ended, and replaced it

    def _lock(self, file: FileIO) -> None:
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise OutputError(
                f"{self.path}: another run is writing to it; wait until it ends, or name another with --manifest."
            ) from None
        except OSError:  # some network file systems have no locks
            pass

    def _is_at_path(self, file: FileIO) -> bool:
        """Return whether a file has not been removed, renamed or replaced; inodes are not told by all file systems."""
        return os.fstat(file.fileno()).st_nlink > 0 and self.path.exists()

    def _read(self) -> None:
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n") and _PREFIX.startswith(line[: len(_PREFIX)]):  # cut off by a kill
                    self._stale = True
                    break
                try:
                    self._update(json.loads(line), self._end)
                except (ValueError, TypeError, KeyError, AttributeError):
                    raise DataError(
                        f"{self.path}, line {number}: is no record of a manifest; delete the line, or name another "
                        "manifest with --manifest."
                    ) from None
                self._end += len(line)

    def _line(self, known: _Known) -> bytes:
        """Return a record; from the open file, which may be at its path no more."""
        with open(self._file.fileno(), "rb", closefd=False) as file:
            file.seek(known.offset)
            return file.readline()

    def _update(self, record: dict[str, Any], offset: int) -> None:
        """Take in a record; it replaces an older one of the same recording."""
        key = record["made_by"]["command"], record["file"]
        stamp = (record["bytes"], record["modified_ns"]) if {"bytes", "modified_ns"} <= record.keys() else None
        made_by, outputs = sys.intern(_canonical(record["made_by"])), tuple(record["outputs"])
        known = _Known(record["status"], stamp, record.get("sha256"), made_by, outputs, offset)
        older = self._known.get(key)
        if older:
            self._stale = True
            for name in older.outputs:
                self._owners.pop(name, None)
        self._known[key] = known
        self._owners.update(dict.fromkeys(outputs, key[1]))

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record).encode() + b"\n"
        try:
            if not self._is_at_path(self._file):
                self._removed = True
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._compact()
            if os.fstat(self._file.fileno()).st_size != self._end:  # a line that a kill or a full disk has cut off
                self._file.truncate(self._end)
            _write(self._file, line)
        except (OSError, OutputError) as error:
            with suppress(OSError):
                self._file.truncate(self._end)
            reason = getattr(error.__cause__ or error, "strerror", None) or error
            raise OutputError(
                f"{self.path}: cannot be written ({reason}); make room, then run the same command again."
            ) from error
        self._update(record, self._end)
        self._end += len(line)

    def _compact_if_possible(self) -> None:
        """Rewrite the file if that changes it; where there is no room for that, its records do as they are."""
        if self._stale or not self._is_at_path(self._file):
            with suppress(OutputError):
                self._compact()

    def _compact(self) -> None:
        """Rewrite the file with only the newest record of each recording; old and new one stay locked meanwhile."""
        newest, end, new = sorted(self._known.items(), key=lambda item: item[1].offset), 0, None
        offsets: list[int] = []
        try:
            with atomic_write(self.path) as temporary:
                new = open(temporary, "a+b", buffering=0)  # noqa: SIM115 (open for the rest of the run)
                self._lock(new)
                with open(self._file.fileno(), "rb", closefd=False) as old:
                    for _, known in newest:
                        old.seek(known.offset)
                        line = old.readline()
                        _write(new, line)
                        offsets.append(end)
                        end += len(line)
                if sys.platform == "win32":  # where open files cannot be renamed
                    new.close()
                    self._file.close()
        except BaseException:
            if new is not None:
                new.close()
            if self._file.closed:
                self._file = self._open()
            raise
        self._file.close()
        self._file = self._open() if new.closed else new
        self._known = {key: known._replace(offset=offset) for (key, known), offset in zip(newest, offsets, strict=True)}
        self._end, self._stale = end, False


def _write(file: FileIO, content: bytes) -> None:
    """Write all of a text: a disk that fills up takes a part first, and then refuses the rest."""
    while content:
        written = file.write(content)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        content = content[written:]


def fingerprint(path: Path, seen: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return the size, time of change and hash of a file.

    Args:
        path: The file.
        seen: For a copy, the :func:`audiocx.io.paths.stamp` of the original before it was copied.

    Returns:
        "bytes", "modified_ns" (nanoseconds since 1970) and "sha256", hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    size_bytes, modified_ns = seen or stamp(path)  # before the content, so that a write meanwhile counts as a change
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return {"bytes": size_bytes, "modified_ns": modified_ns, "sha256": digest.hexdigest()}


def _canonical(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
