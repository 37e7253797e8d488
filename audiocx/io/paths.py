"""Where recordings lie and results go: on the disk, or at a URL, such as s3://bucket/folder, that fsspec knows.

A location on the disk is a Path; one at a URL is a UPath (of universal_pathlib), which has of a Path's methods all that
are used here, so that both go by the one type. Reading and writing audio is done on the disk alone: :func:`staged`
brings a recording there and its results back.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import AudioError, ConfigError, OutputError

__all__ = ["absolute", "check_store", "has_signs", "is_url", "located", "stamp", "staged", "walk_url"]

# What has folders that must be there before a file is written; object stores have none, and would make a bucket.
_WITH_FOLDERS = {"file", "local", "ftp", "hdfs", "sftp", "smb", "ssh", "webhdfs"}


def is_url(location: str | Path) -> bool:
    """Tells URLs from paths.

    >>> is_url("s3://bucket/a.wav"), is_url("music/a.wav")
    (True, False)
    """
    return "://" in str(location)


def has_signs(name: str) -> bool:
    """Tells whether a name has the signs of a glob.

    >>> has_signs("music/*.wav"), has_signs("music")
    (True, False)
    """
    return any(sign in name for sign in "*?[")


def located(name: str | Path) -> Path:
    """Gives the location that a name means.

    Args:
        name: A path or a URL.

    Returns:
        A Path, or a UPath.

    Raises:
        ConfigError: It is a URL and what opens such URLs is not installed, or there is nothing that does.
    """
    if not is_url(name):
        return Path(name)
    try:
        from upath import UPath
    except ImportError as error:
        raise ConfigError(f"{name}: URLs need universal_pathlib; run pip install 'audiocx[cloud]'.") from error
    try:
        location: Any = UPath(name)
        location.fs  # noqa: B018 - imports what opens it
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"{name}: cannot be opened ({_reason(error)}); install what fsspec needs for such URLs (s3fs for s3://, "
            "gcsfs for gs://, adlfs for az://), or check the URL."
        ) from error
    return location


def absolute(location: str | Path) -> str:
    """Gives the name that means the same from everywhere.

    >>> absolute("s3://bucket/a.wav")
    's3://bucket/a.wav'
    """
    return str(location) if is_url(location) else os.path.abspath(location)


def stamp(location: Path) -> tuple[int, int]:
    """Tells whether a file may have changed, without reading it.

    Args:
        location: Of the file.

    Returns:
        Its size in bytes, and when it was changed, in nanoseconds since 1970 (0 where that is not known).

    Raises:
        OSError: There is no such file, or it is out of reach.
    """
    if not is_url(location):
        status = os.stat(location)
        return status.st_size, status.st_mtime_ns
    store, path = _store(location)
    try:
        size_bytes = store.size(path)
        try:
            return size_bytes, round(store.modified(path).timestamp() * 1e9)
        except NotImplementedError:
            return size_bytes, 0
    except OSError:
        raise
    except Exception as error:  # each store has its own
        raise OSError(f"{location}: {_reason(error)}") from error


def walk_url(url: str) -> Iterator[tuple[Path, PurePosixPath]]:
    """Goes through what lies at a URL.

    Args:
        url: Of a file, of a folder, which is searched with its subfolders, or with the signs of a glob.

    Yields:
        Each file in order, and the folder it lies in as seen from the one that is named. Hidden ones are left out.

    Raises:
        AudioError: The URL cannot be listed.
        ConfigError: See :func:`located`.
    """
    store, path = _store(located(url))
    try:
        base, named = PurePosixPath(path), [path]
        if has_signs(path):
            base, named = PurePosixPath(*takewhile(lambda part: not has_signs(part), base.parts)), store.glob(path)
        files = sorted(file for one in named for file in store.find(one))  # which of a file finds itself
        if files == [path]:
            base = base.parent
    except Exception as error:  # each store has its own
        raise AudioError(f"{url}: cannot be listed ({_reason(error)}); check the URL and your rights.") from error
    for name in dict.fromkeys(files):
        place = PurePosixPath(name).relative_to(base)
        if not any(part.startswith(".") for part in place.parts):
            yield located(store.unstrip_protocol(name)), place.parent


def check_store(folder: Path) -> None:
    """Tries to write to a folder at a URL.

    Args:
        folder: The folder.

    Raises:
        OutputError: It cannot be written to.
    """
    store, path = _store(folder)
    trial = f"{path.rstrip('/')}/.audiocx-{uuid.uuid4().hex[:12]}"
    try:
        _make_folder(store, trial)
        store.pipe_file(trial, b"")
        store.rm_file(trial)
    except Exception as error:  # each store has its own
        raise OutputError(
            f"{folder}: cannot be written to ({_reason(error)}); check the URL and your rights, or choose another "
            "folder with -o."
        ) from error


@contextmanager
def staged(source: Path, outputs: Mapping[str, Path]) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Gives a recording and the files to write from it a place on the disk, for as long as they are worked on.

    What lies at a URL is fetched first. What is to go to one is sent there once the block has ended well: object stores
    show each of them whole or not at all.

    Args:
        source: The recording.
        outputs: The files, by format.

    Yields:
        Where both are on the disk.

    Raises:
        AudioError: The recording cannot be fetched.
        OutputError: A file cannot be sent.
    """
    if not any(map(is_url, (source, *outputs.values()))):
        yield source, dict(outputs)
        return
    with tempfile.TemporaryDirectory(prefix="audiocx-") as folder:
        fetched = source
        if is_url(source):
            fetched = Path(folder, source.name)
            store, path = _store(source)
            try:
                store.get_file(path, str(fetched))
            except Exception as error:  # each store has its own
                raise AudioError(f"{source}: cannot be fetched ({_reason(error)}); check the URL.") from error
        made = Path(folder, "made")
        made.mkdir()
        places = {name: made / path.name if is_url(path) else path for name, path in outputs.items()}
        yield fetched, places
        for name, output in outputs.items():
            if is_url(output):
                _send(places[name], output)


def _send(file: Path, output: Path) -> None:
    store, path = _store(output)
    try:
        _make_folder(store, path)
        store.put_file(str(file), path)
    except Exception as error:  # each store has its own
        raise OutputError(f"{output}: cannot be written ({_reason(error)}); check your rights.") from error


def _make_folder(store: Any, path: str) -> None:
    protocols = {store.protocol} if isinstance(store.protocol, str) else set(store.protocol)
    if protocols & _WITH_FOLDERS:
        store.makedirs(str(PurePosixPath(path).parent), exist_ok=True)


def _store(location: Any) -> tuple[Any, str]:
    """The file system of fsspec that a URL belongs to, and the path that it knows it by."""
    return location.fs, location.path


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
