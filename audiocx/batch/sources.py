"""The recordings that a command line names: files, folders and globs, on the disk or at URLs."""

from __future__ import annotations

import argparse
import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePath

from ..errors import AudioError, ConfigError
from ..io.paths import absolute, is_glob, is_url, walk_url

__all__ = ["SUFFIXES", "Source", "find_sources", "is_archive"]

# Of the formats that libsndfile reads; headerless and rare ones are taken where they are named as files.
SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc"),
    *(".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".nist", ".voc"),
)


@dataclass(frozen=True)
class Source:
    """A recording, and where it stands in the archive.

    Attributes:
        path: The file; see :mod:`audiocx.io.paths`.
        place: Folder, relative to the one that was named, in which its outputs belong.
    """

    path: Path
    place: PurePath


def is_archive(arguments: argparse.Namespace) -> bool:
    """Tell whether a command line is about an archive: more than a few files, to be gone on with if it is cut off.

    Args:
        arguments: With ``files``, ``jobs``, ``engine``, ``address`` and ``manifest``.

    Returns:
        Whether a folder, a glob, a URL, several jobs, Ray or a manifest is named.

    Raises:
        ConfigError: There is an address, and nothing that it could be of.
    """
    if arguments.address is not None and arguments.engine != "ray":
        raise ConfigError("--address names a Ray cluster; add --engine ray, or leave it out.")
    asked = arguments.jobs > 1 or arguments.engine == "ray" or arguments.manifest is not None
    if any(map(is_url, filter(None, [arguments.output, *arguments.files]))):
        return True
    return asked or any(os.path.isdir(name) or _is_glob(name) for name in arguments.files)


def find_sources(names: list[str]) -> tuple[list[Source], list[AudioError]]:
    """List the recordings of an archive.

    Args:
        names: Files, folders, which are searched with their subfolders, and globs. Hidden files and folders are left
            out, and of folders and globs all that does not end as audio does.

    Returns:
        The recordings, each once, in order; and what is wrong with names or folders.
    """
    found: dict[str, Source] = {}
    errors: list[AudioError] = []
    for name in names:
        refused, none = len(errors), True
        for source in _find(name, errors):
            found.setdefault(absolute(source.path), source)
            none = False
        if none and len(errors) == refused:
            what = "holds" if os.path.isdir(name) or is_url(name) else "matches"
            endings = ", ".join(SUFFIXES)
            errors.append(AudioError(f"{name}: {what} no audio ({endings}); name another folder, or the files."))
    return list(found.values()), errors


def _is_glob(name: str) -> bool:
    return is_glob(name) and not os.path.lexists(name)


def _find(name: str, errors: list[AudioError]) -> Iterator[Source]:
    if is_url(name):
        yield from _find_at_url(name, errors)
    elif os.path.isdir(name):
        yield from _walk(Path(name), Path(name), errors)
    elif _is_glob(name):
        base = Path(*takewhile(lambda part: not is_glob(part), Path(name).parts))
        for path in map(Path, sorted(glob.glob(name, recursive=True))):
            if path.is_dir():
                yield from _walk(path, base, errors)
            elif _is_audio(path.name):
                yield Source(path, path.parent.relative_to(base))
    else:
        yield Source(Path(name), Path())


def _find_at_url(url: str, errors: list[AudioError]) -> Iterator[Source]:
    try:
        for path, place in walk_url(url):
            if _is_audio(path.name) or str(path).endswith(url):  # a file that is named is taken whatever its name
                yield Source(path, place)
    except AudioError as error:
        errors.append(error)


def _walk(folder: Path, base: Path, errors: list[AudioError]) -> Iterator[Source]:
    def refused(error: OSError) -> None:
        errors.append(AudioError(f"{error.filename}: cannot be opened ({error.strerror}); check its permissions."))

    for place, folders, files in os.walk(folder, onerror=refused):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(filter(_is_audio, files)):
            yield Source(Path(place, name), Path(place).relative_to(base))


def _is_audio(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
