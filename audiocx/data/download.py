"""Fetching large files: interrupted, they go on where they stopped; whole and verified, they get their name.

While a file comes it is ``<name>.part``, with ``<name>.part.json`` beside it telling of which file it is the
beginning. Its own name is given only after its size and checksum were found right, so that whatever has the name is
whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from tqdm import tqdm

from .. import __version__
from ..errors import DataError
from ..io.atomic_write import atomic_write

__all__ = ["Remote", "fetch", "require_room"]

# Left free on the disk: for what other programs write meanwhile.
RESERVE_BYTES = 256 * 2**20
# A server that says nothing for so long has gone.
TIMEOUT_S = 60.0
# Waits before trying again, as long as no try gets further than those before it.
BACKOFF_S = (1.0, 4.0, 15.0)
# The statuses of a request refused that may do better the next time: request timeout, too many requests.
_PASSING = (408, 429)
# Large enough that calls cost nothing, small enough that the bar moves on a slow line.
_CHUNK_BYTES = 2**18


@dataclass(frozen=True)
class Remote:
    """A file to fetch, with what its publisher says of it.

    Attributes:
        url: Where it lies.
        name: What to call it here; no folder.
        md5: Its MD5, hexadecimal, where published.
        size: Bytes, where published.
    """

    url: str
    name: str
    md5: str | None = None
    size: int | None = None


def fetch(remote: Remote, folder: str | Path, progress: bool = True) -> Path:
    """Downloads a file, or what is missing of it, and verifies it; what is there already is taken as it is.

    Args:
        remote: The file.
        folder: Where it goes; made when missing.
        progress: Shows a bar.

    Returns:
        The file: whole, with the size and the checksum that were published.

    Raises:
        DataError: The server cannot be reached or refuses, the connection breaks off for good, what comes is not what
            was published, the disk is full or cannot be written, or another process is downloading the same.
    """
    folder = Path(folder)
    path, part = folder / remote.name, folder / f"{remote.name}.part"
    if _is_there(remote, path):
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{remote.name}.lock", timeout=0):
            if not _is_there(remote, path):  # another process may have just finished
                _download(remote, part, progress)
                _verify(remote, part, progress)
                os.replace(part, path)
                _forget(part)
    except Timeout:
        raise DataError(f"{path}: another process is downloading it; wait until it has finished.") from None
    except OSError as error:  # what the network raises is a DataError by now
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be written ({reason}); make room there or name another folder.") from error
    return path


def require_room(folder: Path, needed: int, what: str) -> None:
    """Checks that a folder's disk holds so much more, and a reserve.

    Args:
        folder: Existing folder.
        needed: Bytes.
        what: For whom; begins the message.

    Raises:
        DataError: It does not.
    """
    free = shutil.disk_usage(folder).free
    if needed + RESERVE_BYTES > free:
        raise DataError(
            f"{what}: needs {_bytes(needed)} and {_bytes(RESERVE_BYTES)} to spare, but {folder} has {_bytes(free)} "
            "free; make room there or name another folder."
        )


def _is_there(remote: Remote, path: Path) -> bool:
    if not path.exists():
        return False
    if remote.size not in (None, path.stat().st_size):
        raise DataError(
            f"{path} has {path.stat().st_size} bytes, not the {remote.size} that were published; "
            "move it away and run the command again to download it."
        )
    return True


class _Dropped(Exception):
    """A connection that came to nothing, or ended early: worth another try."""


class _Origin(NamedTuple):
    """Of which file a .part is the beginning."""

    url: str
    validator: str | None  # its ETag or else its time of change, as the server gives it
    total: int | None  # bytes of the whole

    def agrees(self, other: _Origin) -> bool:
        """Tells whether nothing that both know speaks against their being the same file."""
        return all(a == b for a, b in zip(self, other, strict=True) if a is not None and b is not None)


def _download(remote: Remote, part: Path, progress: bool) -> None:
    """Fills the .part, over as many connections as it takes while they bring anything."""
    furthest, tries, first = _size(part), 0, True
    while True:
        try:
            return _receive(remote, part, progress)
        except _Dropped as dropped:
            here = _size(part)
            tries = 0 if here > furthest else tries
            furthest = max(furthest, here)
            # Whoever has no network learns it at once; whoever had one a moment ago may have it again.
            if tries == len(BACKOFF_S) or (first and isinstance(dropped.__cause__, urllib.error.URLError)):
                raise DataError(
                    f"{remote.url}: {dropped}, with {_bytes(here)} downloaded; "
                    "check the connection and run the command again to go on from there."
                ) from dropped
        time.sleep(BACKOFF_S[tries])
        tries, first = tries + 1, False


def _receive(remote: Remote, part: Path, progress: bool) -> None:
    """Takes what one connection gives: the rest of the .part, or the whole if the server has no rest to give."""
    origin = _remembered(part)
    if origin is None or origin.url != remote.url:
        _forget(part)
        origin = None
    here = _size(part)
    if origin and here and here == origin.total:
        return
    with _ask(remote.url, here, origin) as response:
        offered, start = _offer(response, remote.url)
        if response.status == 416 and offered.total == here:
            return  # there is no rest: it is all here
        resumed = here > 0 and start == here and origin is not None and origin.agrees(offered)
        if resumed or start == 0:
            return _store(response, offered, start, remote, part, progress)
    _forget(part)  # the file has changed, or the server counts differently
    _receive(remote, part, progress)


def _ask(url: str, here: int, origin: _Origin | None) -> Any:
    """Opens a connection for what follows byte ``here``; a refusal of that range (416) is an answer like others."""
    headers = {"User-Agent": f"audiocx/{__version__}"}
    if here and origin:
        headers["Range"] = f"bytes={here}-"
        if origin.validator:
            headers["If-Range"] = origin.validator
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and "Range" in headers:
            return error
        error.close()
        answer = f"the server answers {error.code} {error.reason}"
        if error.code < 500 and error.code not in _PASSING:
            raise DataError(f"{url}: {answer}; see whether it has moved, and download it by hand.") from error
        raise _Dropped(answer) from error
    except (OSError, HTTPException) as error:
        raise _Dropped(f"there is no connection ({getattr(error, 'reason', error)})") from error


def _offer(response: Any, url: str) -> tuple[_Origin, int]:
    """Gives what a response says of the file, and the byte at which its body starts, -1 if it has none of the file."""
    etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    # A weak ETag promises the same meaning, not the same bytes.
    validator = modified if etag is None or etag.startswith("W/") else etag
    if response.status not in (206, 416):
        return _Origin(url, validator, response.length), 0
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", response.headers.get("Content-Range", "").strip())
    start, total = found.groups() if found else (None, None)
    return _Origin(url, validator, int(total) if total else None), int(start) if start else -1


def _store(response: Any, offered: _Origin, start: int, remote: Remote, part: Path, progress: bool) -> None:
    total = offered.total
    if remote.size is not None and total not in (None, remote.size):
        raise DataError(
            f"{remote.url}: the server offers {total} bytes, not the {remote.size} that were published; see whether "
            "it has moved, and download it by hand."
        )
    if total is not None:
        require_room(part.parent, total - start, remote.url)
    with _bar(remote.name, total, start, progress) as bar, open(part, "ab" if start else "wb") as file:
        if not start:  # only now that the old beginning is gone
            with atomic_write(_memory(part)) as memory:
                memory.write_text(json.dumps(offered._asdict()), encoding="utf-8")
        while chunk := _read(response):
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and _size(part) < total:
        raise _Dropped("the connection broke off")


def _read(response: Any) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise _Dropped(f"the connection broke off ({error})") from error


def _verify(remote: Remote, part: Path, progress: bool) -> None:
    size, md5 = _size(part), None
    if remote.size in (None, size) and remote.md5 is not None:
        md5 = _md5(part, progress)
    if remote.size in (None, size) and (remote.md5 is None or md5 == remote.md5.lower()):
        return
    _forget(part)
    wrong = f"its MD5 is {md5}, not {remote.md5}" if md5 else f"it has {size} bytes, not {remote.size}"
    raise DataError(f"{remote.url}: what came is not what was published ({wrong}); run the command again.")


def _md5(path: Path, progress: bool) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with _bar("verifying", _size(path), 0, progress) as bar, open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def _bar(what: str, total: int | None, start: int, progress: bool) -> tqdm:
    off = None if progress else True  # None: only where someone is looking
    return tqdm(desc=what, total=total, initial=start, unit="B", unit_scale=True, disable=off)


def _memory(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _remembered(part: Path) -> _Origin | None:
    try:
        return _Origin(**json.loads(_memory(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none, or not of our writing: then nothing is known of the .part
        return None


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _memory(part).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _bytes(count: int) -> str:
    return f"{tqdm.format_sizeof(count)}B"
