"""Paths of local files and URLs of object stores, such as s3://bucket/folder, through fsspec.

Local files are Paths, URLs are UPaths (universal_pathlib); both are annotated as Path, whose methods they share. Audio
is read and written locally only: :func:`staged` downloads a recording and uploads the results.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import AudioError, ConfigError, OutputError

__all__ = [
    "absolute",
    "as_path",
    "check_writable",
    "file_name",
    "is_glob",
    "is_url",
    "native_name",
    "stamp",
    "staged",
    "walk_url",
]

MAX_NAME_BYTES = 255  # of a file's name, on all usual file systems

# File systems whose folders must exist before a file is written; object stores have none, and would create a bucket.
_WITH_FOLDERS = {"file", "local", "ftp", "hdfs", "sftp", "smb", "ssh", "webhdfs"}


def is_url(location: str | Path) -> bool:
    """Return whether a location is a URL.

    >>> is_url("s3://bucket/a.wav"), is_url("music/a.wav")
    (True, False)
    """
    return "://" in str(location)


def is_glob(name: str) -> bool:
    """Return whether a name is a glob pattern.

    >>> is_glob("music/*.wav"), is_glob("music")
    (True, False)
    """
    return any(character in name for character in "*?[")


def file_name(stem: str, suffix: str) -> str:
    """Return the name of a file; a stem that would make it too long is cut, and told from others by its hash.

    Args:
        stem: Such as that of a recording, of up to 255 bytes.
        suffix: What to add.

    Returns:
        A name of at most 255 bytes.

    >>> file_name("song", ".notes.wav"), len(file_name("é" * 125, ".notes.wav").encode())
    ('song.notes.wav', 255)
    """
    if len(os.fsencode(stem + suffix)) <= MAX_NAME_BYTES:
        return stem + suffix
    end = f"~{hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]}{suffix}"
    while len(os.fsencode(stem + end)) > MAX_NAME_BYTES:
        stem = stem[:-1]
    return stem + end


def native_name(path: str | Path) -> str | bytes:
    """Return a path for libraries that encode names strictly: in bytes if it cannot be encoded so."""
    try:
        str(path).encode(sys.getfilesystemencoding())
    except UnicodeEncodeError:
        return os.fsencode(path)
    return str(path)


def as_path(name: str | Path) -> Path:
    """Convert a path or URL to a Path or UPath.

    Args:
        name: A path or a URL.

    Returns:
        A Path, or a UPath.

    Raises:
        ConfigError: The fsspec file system for this kind of URL is not installed, or does not exist.
    """
    if not is_url(name):
        return Path(name)
    try:
        from upath import UPath
    except ImportError as error:
        raise ConfigError(f"{name}: URLs need universal_pathlib; run pip install 'audiocx[cloud]'.") from error
    try:
        location: Any = UPath(name)
        location.fs  # noqa: B018 - imports the file system
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"{name}: cannot be opened ({_reason(error)}); install the fsspec file system for it (s3fs for s3://, "
            "gcsfs for gs://, adlfs for az://), or check the URL."
        ) from error
    return location


def absolute(location: str | Path) -> str:
    """Return an absolute path, or the URL itself.

    >>> absolute("s3://bucket/a.wav")
    's3://bucket/a.wav'
    """
    return str(location) if is_url(location) else os.path.abspath(location)


def stamp(location: Path) -> tuple[int, int]:
    """Return size and modification time of a file, by which a change is noticed without reading it.

    Args:
        location: Path or URL of the file.

    Returns:
        Size in bytes; modification time in nanoseconds since 1970, 0 where it is unknown.

    Raises:
        OSError: The file does not exist or cannot be reached.
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
    except Exception as error:  # stores raise errors of their own
        raise OSError(f"{location}: {_reason(error)}") from error


def walk_url(url: str) -> Iterator[tuple[Path, PurePosixPath]]:
    """List the files at a URL.

    Args:
        url: URL of a file, of a folder (searched with its subfolders), or a glob pattern.

    Yields:
        Each file, sorted, with the relative path of its folder below the given one. Hidden files are left out.

    Raises:
        AudioError: The URL cannot be listed.
        ConfigError: See :func:`as_path`.
    """
    store, path = _store(as_path(url))
    try:
        base, matches = PurePosixPath(path), [path]
        if is_glob(path):
            base, matches = PurePosixPath(*takewhile(lambda part: not is_glob(part), base.parts)), store.glob(path)
        files = sorted(file for match in matches for file in store.find(match))  # find returns a file itself
        if files == [path]:
            base = base.parent
    except Exception as error:  # stores raise errors of their own
        raise AudioError(f"{url}: cannot be listed ({_reason(error)}); check the URL and your rights.") from error
    for name in dict.fromkeys(files):
        relative = PurePosixPath(name).relative_to(base)
        if not any(part.startswith(".") for part in relative.parts):
            yield as_path(store.unstrip_protocol(name)), relative.parent


def check_writable(folder: Path) -> None:
    """Check that a folder at a URL can be written to.

    Args:
        folder: The folder, a UPath.

    Raises:
        OutputError: It cannot be written to.
    """
    store, path = _store(folder)
    trial = f"{path.rstrip('/')}/.audiocx-{uuid.uuid4().hex[:12]}"
    try:
        _make_folder(store, trial)
        store.pipe_file(trial, b"")
        store.rm_file(trial)
    except Exception as error:  # stores raise errors of their own
        raise OutputError(
            f"{folder}: cannot be written to ({_reason(error)}); check the URL and your rights, or choose another "
            "folder with -o."
        ) from error


@contextmanager
def staged(source: Path, outputs: Mapping[str, Path]) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Provide local paths for a recording and its outputs while it is processed.

    A recording at a URL is downloaded first. Outputs at a URL are uploaded when the block ends without an error; object
    stores make each of them visible atomically.

    Args:
        source: Path or URL of the recording.
        outputs: Paths or URLs of the outputs, by format.

    Yields:
        Local path of the recording, and local paths of the outputs by format.

    Raises:
        AudioError: The recording cannot be downloaded.
        OutputError: An output cannot be uploaded.
    """
    if not any(map(is_url, (source, *outputs.values()))):
        yield source, dict(outputs)
        return
    with tempfile.TemporaryDirectory(prefix="audiocx-") as folder:
        local = source
        if is_url(source):
            local = Path(folder, file_name(source.stem, source.suffix))
            store, path = _store(source)
            try:
                store.get_file(path, str(local))
            except Exception as error:  # stores raise errors of their own
                raise AudioError(f"{source}: cannot be downloaded ({_reason(error)}); check the URL.") from error
        output_folder = Path(folder, "outputs")
        output_folder.mkdir()
        local_outputs = {name: output_folder / path.name if is_url(path) else path for name, path in outputs.items()}
        yield local, local_outputs
        for name, output in outputs.items():
            if is_url(output):
                _upload(local_outputs[name], output)


def _upload(file: Path, output: Path) -> None:
    store, path = _store(output)
    try:
        _make_folder(store, path)
        store.put_file(str(file), path)
    except Exception as error:  # stores raise errors of their own
        raise OutputError(f"{output}: cannot be written ({_reason(error)}); check your rights.") from error


def _make_folder(store: Any, path: str) -> None:
    protocols = {store.protocol} if isinstance(store.protocol, str) else set(store.protocol)
    if protocols & _WITH_FOLDERS:
        store.makedirs(str(PurePosixPath(path).parent), exist_ok=True)


def _store(location: Any) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and its path there."""
    return location.fs, location.path


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
