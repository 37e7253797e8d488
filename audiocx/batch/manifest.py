"""What became of each recording of an archive, so that a run which was cut off goes on where it stopped.

A manifest is a file of JSON lines, a record each. During a run records are added at its end, one when a recording is
begun and one when it is done with, and the newest counts; a run that ends leaves one for each recording. Paths below
the manifest's own folder are relative to it, all others absolute, or URLs.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from .. import __version__
from ..errors import DataError, OutputError
from ..io.atomic_write import atomic_write
from ..io.paths import absolute, as_path, is_url, stamp

if sys.platform != "win32":
    import fcntl

__all__ = ["BEGUN", "DONE", "FAILED", "Manifest", "fingerprint"]

BEGUN, DONE, FAILED = "begun", "done", "failed"
_CHUNK_BYTES = 2**20
_BEGINNING = b'{"file": "'


class _Known(NamedTuple):
    """What is kept in memory of a recording's newest record."""

    status: str
    stamp: tuple[int, int] | None
    sha256: str | None
    made_by: str
    outputs: tuple[str, ...]
    offset: int


class Manifest:
    """The manifest of a run, open for it alone; used as a context.

    Args:
        path: The file; it is made if it is not there.
        made_by: What decides the results apart from the recording, as plain values; its "command" tells the records of
            one command from those of another.

    Raises:
        DataError: The file is no manifest.
        OutputError: It cannot be written, or another run is writing to it.
    """

    def __init__(self, path: str | Path, made_by: dict[str, Any]) -> None:
        self.path = Path(os.path.abspath(path))
        self._root = os.path.join(self.path.parent, "")
        self._made_by, self._way = made_by, _canonical(made_by)
        self._known: dict[tuple[str, str], _Known] = {}
        self._owners: dict[str, str] = {}
        self._stale = False

    def __enter__(self) -> Manifest:
        self._file = self._open()
        try:
            self._read()
            self._compact()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._compact()
        finally:
            self._file.close()

    def is_done(self, source: Path, outputs: Iterable[Path]) -> bool:
        """Tell whether a recording needs no work: done before in the same way, not changed since, its outputs there.

        Args:
            source: The recording. It is read only if its size or its time is not what the manifest says.
            outputs: The files wanted from it.

        Returns:
            Whether it is done.
        """
        known = self._known.get(self._key(source))
        if known is None or known.status != DONE or known.made_by != self._way:
            return False
        if not all(self._name(path) in known.outputs and path.is_file() for path in outputs):
            return False
        try:
            if stamp(source) == known.stamp:
                return True
            found = fingerprint(source)
        except OSError:
            return False
        if found["sha256"] != known.sha256:
            return False
        with open(self.path, "rb") as file:  # touched, or copied: the record learns the new time
            file.seek(known.offset)
            self._append({**json.loads(file.readline()), **found})
        return True

    def owner(self, output: Path) -> Path | None:
        """Give the recording that a file was made from.

        Args:
            output: Any file.

        Returns:
            The recording; None if no record tells of the file.
        """
        name = self._owners.get(self._name(output))
        return None if name is None else as_path(name if is_url(name) else self.path.parent / name)

    def owns(self, source: Path, output: Path) -> bool:
        """Tell whether a file was made from a recording, so that it may be made anew.

        Args:
            source: The recording.
            output: Any file.

        Returns:
            Whether a record says so.
        """
        return self._owners.get(self._name(output)) == self._name(source)

    def write(self, source: Path, status: str, outputs: Iterable[Path], **values: Any) -> None:
        """Add a record, which is safe from the end of this process from then on.

        Args:
            source: The recording.
            status: ``BEGUN``, ``DONE`` or ``FAILED``.
            outputs: The files that were, or are about to be, made from it.
            **values: What else to record, plain values.

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

    def _open(self) -> BinaryIO:
        """Open the file to add to it, and lock it where that can be done; the lock ends with the process."""
        try:
            file = open(self.path, "ab")  # noqa: SIM115 (it stays open for the run)
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror}); name another manifest with --manifest."
            ) from error
        if sys.platform != "win32":
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise OutputError(
                    f"{self.path}: another run is writing to it; wait for its end, or name another with --manifest."
                ) from None
            except OSError:  # some network file systems have no locks
                pass
        return file

    def _read(self) -> None:
        with open(self.path, "rb") as file:
            offset = 0
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n") and _BEGINNING.startswith(line[: len(_BEGINNING)]):  # cut off by a kill
                    self._stale = True
                    break
                try:
                    self._learn(json.loads(line), offset)
                except (ValueError, TypeError, KeyError, AttributeError):
                    raise DataError(
                        f"{self.path}, line {number}: is no record of a manifest; remove the line, or name another "
                        "manifest with --manifest."
                    ) from None
                offset += len(line)

    def _learn(self, record: dict[str, Any], offset: int) -> None:
        """Take note of a record; it replaces an older one of the recording."""
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
        offset = self._file.tell()
        try:
            self._file.write(json.dumps(record).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            self._stale = True  # the line may be there in part
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror}); make room, then give the same command again."
            ) from error
        self._learn(record, offset)

    def _compact(self) -> None:
        """Keep the newest record of each recording alone."""
        if not self._stale:
            return
        self._file.close()
        with atomic_write(self.path) as temporary, open(temporary, "wb") as new, open(self.path, "rb") as old:
            for key, known in sorted(self._known.items(), key=lambda item: item[1].offset):
                old.seek(known.offset)
                self._known[key] = known._replace(offset=new.tell())
                new.write(old.readline())
        self._stale = False
        self._file = self._open()


def fingerprint(path: Path, seen: tuple[int, int] | None = None) -> dict[str, Any]:
    """Tell a file's content from any other.

    Args:
        path: The file.
        seen: Of a copy, what :func:`audiocx.io.paths.stamp` said of the original before it was copied.

    Returns:
        Its "bytes", "modified_ns" (nanoseconds since 1970) and "sha256", hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    size_bytes, modified_ns = seen or stamp(path)  # before its content: what is written meanwhile is seen as a change
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return {"bytes": size_bytes, "modified_ns": modified_ns, "sha256": digest.hexdigest()}


def _canonical(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
