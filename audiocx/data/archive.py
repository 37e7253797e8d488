"""Unpacking archives that came from elsewhere: every member is looked at before any of it is written."""

from __future__ import annotations

import gzip
import lzma
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import IO, Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from tqdm import tqdm

from ..errors import DataError
from ..io.atomic_write import atomic_write
from .download import require_room

__all__ = ["extract"]

_CHUNK_BYTES = 2**20
# What the readers of archives raise when the archive is at fault; RuntimeError: an encrypted one.
_DAMAGE = (OSError, EOFError, ValueError, RuntimeError, lzma.LZMAError, zlib.error, tarfile.TarError, BadZipFile)


def extract(archive: str | Path, folder: str | Path, progress: bool = True) -> Path:
    """Unpacks a .tar, .tar.gz or .zip; interrupted and called again, it goes on where it stopped.

    Each file appears whole or not at all. A member that is there already, with the size it should have, is skipped.
    Files get the rights of new files here, whatever the archive says.

    Args:
        archive: The archive.
        folder: Where its members go; made when missing.
        progress: Shows a bar over the archive's bytes.

    Returns:
        The folder.

    Raises:
        DataError: The archive is missing, damaged or cut short (its members up to there stay unpacked); a member would
            lie outside of the folder or is neither a file nor a folder (it is not written, nor what follows it); or
            the disk is too small.
        OutputError: A file cannot be written.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise DataError(f"{archive}: no such archive; download it first.")
    _make_folder(folder)
    total = archive.stat().st_size
    bar = tqdm(total=total, desc=archive.name, unit="B", unit_scale=True, disable=None if progress else True)
    with _reading(archive), bar, open(archive, "rb") as file:
        start = file.read(4)
        file.seek(0)
        zipped, gzipped = start in (b"PK\3\4", b"PK\5\6"), start.startswith(b"\x1f\x8b")
        for member in _zipped(file, archive, folder) if zipped else _tarred(file, gzipped):
            _unpack(member, archive, folder, lambda: bar.update(file.tell() - bar.n))
        bar.update(total - bar.n)
    return folder


class _Member(NamedTuple):
    name: str  # path as the archive has it
    size: int  # bytes, unpacked
    is_file: bool
    is_folder: bool  # neither: a link, a device or the like
    open: Callable[[], Any]  # for reading


def _tarred(file: IO[bytes], gzipped: bool) -> Iterator[_Member]:
    """Yields a tar's members as they come, and fails at the end if it is not the end that a tar has."""
    opened: AbstractContextManager[Any] = gzip.GzipFile(fileobj=file) if gzipped else nullcontext(file)
    with opened as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            contents = partial(tar.extractfile, member)
            yield _Member(member.name, member.size, member.isreg(), member.isdir(), contents)
        # A header cut short or damaged ends tarfile's loop like the block of zeros that should be there. Reading all
        # of the zeros also lets gzip compare its checksum.
        whole = stream.tell() >= tar.offset + tarfile.BLOCKSIZE
        while rest := stream.read(_CHUNK_BYTES):
            whole = whole and not rest.strip(b"\0")
        if not whole:
            raise EOFError("it ends too early")


def _zipped(file: IO[bytes], archive: Path, folder: Path) -> Iterator[_Member]:
    """Yields a zip's members once all of them were found good and to have room."""
    with ZipFile(file) as packed:
        members = []
        for info in packed.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive comes from a system without kinds
            is_file = not info.is_dir() and kind in (0, stat.S_IFREG)
            is_folder = info.is_dir() and kind in (0, stat.S_IFDIR)
            members.append(_Member(info.filename, info.file_size, is_file, is_folder, partial(packed.open, info)))
        targets = [_target(member, archive, folder) for member in members]
        missing = [m.size for m, target in zip(members, targets, strict=True) if not _is_there(m, target)]
        require_room(folder, sum(missing), str(archive))
        yield from members


def _unpack(member: _Member, archive: Path, folder: Path, moved: Callable[[], object]) -> None:
    target = _target(member, archive, folder)
    _make_folder(target if member.is_folder else target.parent)
    if not _is_there(member, target):
        require_room(folder, member.size, str(archive))
        with _reading(archive):
            source = member.open()
        with source, atomic_write(target) as temporary, open(temporary, "wb") as file:
            while chunk := _read(source, archive):
                file.write(chunk)
                moved()
            if file.tell() != member.size:
                raise _damaged(archive, f"{member.name!r} ends too early")
    moved()


def _target(member: _Member, archive: Path, folder: Path) -> Path:
    """Gives the path to which a member goes, if that is inside of the folder."""
    if not member.is_file and not member.is_folder:
        raise _refusal(archive, member, "neither a file nor a folder")
    plain = PureWindowsPath(member.name)  # knows the separators and roots of every system
    if plain.drive or plain.root or ".." in plain.parts or "\0" in member.name:
        raise _refusal(archive, member, "outside of the folder")
    root, target = folder.resolve(), (folder / member.name).resolve()  # through links that were there before
    if root not in target.parents and not (member.is_folder and target == root):
        raise _refusal(archive, member, "outside of the folder")
    return target


def _is_there(member: _Member, target: Path) -> bool:
    return member.is_folder or (target.is_file() and target.stat().st_size == member.size)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror or error}); name another folder.") from error


def _read(source: IO[bytes], archive: Path) -> bytes:
    with _reading(archive):  # or else `replacing` would take the archive's fault for the disk's
        return source.read(_CHUNK_BYTES)


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Turns what an archive's fault raises into a sentence."""
    try:
        yield
    except _DAMAGE as error:
        raise _damaged(archive, error) from error


def _damaged(archive: Path, reason: object) -> DataError:
    return DataError(
        f"{archive} is damaged, cut short, or no .tar, .tar.gz or .zip ({reason}); "
        "delete it and download it again: what was unpacked of it stays."
    )


def _refusal(archive: Path, member: _Member, what: str) -> DataError:
    return DataError(
        f"{archive} has a member {member.name!r} that is {what}, as no corpus has; "
        "do not trust it: delete it and download it again."
    )
