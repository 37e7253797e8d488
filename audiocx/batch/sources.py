"""Finds recordings by files, folders and globs, on the disk or at URLs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path, PurePath

from ..errors import AudioError
from ..io.audio import AUDIO_SUFFIXES
from ..io.inputs import is_pipe
from ..io.opening import AV_SUFFIXES, is_audio_content
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
            folders are left out, and in folders and globs what is not audio by its suffix or, on the disk, its content.

    Returns:
        The recordings, each once, in order; and the errors of names and folders that cannot be used, one of them for
        all the files found that need PyAV, if that is not installed.
    """
    found: dict[str, Source] = {}
    errors: list[AudioError] = []
    not_tried: list[str] = []
    has_av = find_spec("av") is not None
    for name in names:
        errors_before, empty = len(errors), True
        if not is_url(name) and is_pipe(name):
            errors.append(AudioError(f"{name}: is a pipe, which a batch cannot read; name it alone, without --jobs."))
            continue
        for source in _find(name, errors):
            if not has_av and str(source.path) != name and source.path.name.lower().endswith(AV_SUFFIXES):
                not_tried.append(str(source.path))
                empty = False
                continue
            found.setdefault(absolute(source.path), source)
            empty = False
        if empty and len(errors) == errors_before:
            verb = "holds" if os.path.isdir(name) or is_url(name) else "matches"
            suffixes = ", ".join(AUDIO_SUFFIXES)
            errors.append(AudioError(f"{name}: {verb} no audio ({suffixes}); name another folder, or the files."))
    if not_tried:
        files = f"{len(not_tried)} file{'' if len(not_tried) == 1 else 's'}"
        errors.append(
            AudioError(f"{files} not tried, for lack of PyAV: {', '.join(not_tried)}; run pip install 'audiocx[av]'.")
        )
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
            elif _is_audio_file(path):
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
        for file in (Path(path, name) for name in sorted(files)):
            if _is_audio_file(file):
                yield Source(file, Path(path).relative_to(base))


def _is_audio(name: str) -> bool:
    return name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith(".")


def _is_audio_file(path: Path) -> bool:
    """Return whether a file on the disk is audio by its suffix or else by its content."""
    return _is_audio(path.name) or (not path.name.startswith(".") and path.is_file() and is_audio_content(path))
