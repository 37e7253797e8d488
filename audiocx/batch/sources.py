"""Finds recordings by files, folders and globs, on the disk or at URLs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePath

from ..errors import AudioError
from ..io.audio import AUDIO_SUFFIXES
from ..io.paths import absolute, is_glob, is_url, walk_url
from .jobs import names_pattern

__all__ = ["Source", "find_sources"]


@dataclass(frozen=True)
class Source:
    """A recording and its subfolder in the batch.

    Attributes:
        path: The file; see :mod:`audiocx.io.paths`.
        subfolder: Folder of the recording relative to the folder that was named; its outputs go to the same subfolder.
    """

    path: Path
    subfolder: PurePath


def find_sources(names: Iterable[str]) -> tuple[list[Source], list[AudioError]]:
    """List the recordings of a batch.

    Args:
        names: Files, folders, which are searched with their subfolders, globs, or URLs of these. Hidden files and
            folders are left out, and in folders and globs all files without a suffix of audio.

    Returns:
        The recordings, each once, in order; and the errors of names and folders that cannot be used.
    """
    found: dict[str, Source] = {}
    errors: list[AudioError] = []
    for name in names:
        errors_before, empty = len(errors), True
        for source in _find(name, errors):
            found.setdefault(absolute(source.path), source)
            empty = False
        if empty and len(errors) == errors_before:
            verb = "holds" if os.path.isdir(name) or is_url(name) else "matches"
            suffixes = ", ".join(AUDIO_SUFFIXES)
            errors.append(AudioError(f"{name}: {verb} no audio ({suffixes}); name another folder, or the files."))
    return list(found.values()), errors


def _find(name: str, errors: list[AudioError]) -> Iterator[Source]:
    if is_url(name):
        yield from _find_at_url(name, errors)
    elif os.path.isdir(name):
        yield from _walk(Path(name), Path(name), errors)
    elif names_pattern(name):
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
        for path, subfolder in walk_url(url):
            if _is_audio(path.name) or str(path).endswith(url):  # a file that is named is taken whatever its suffix
                yield Source(path, subfolder)
    except AudioError as error:
        errors.append(error)


def _walk(folder: Path, base: Path, errors: list[AudioError]) -> Iterator[Source]:
    def on_error(error: OSError) -> None:
        errors.append(AudioError(f"{error.filename}: cannot be opened ({error.strerror}); check its permissions."))

    for path, folders, files in os.walk(folder, onerror=on_error):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(filter(_is_audio, files)):
            yield Source(Path(path, name), Path(path).relative_to(base))


def _is_audio(name: str) -> bool:
    return name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith(".")
