"""The older form of MusicNet, ``musicnet.npz``: a zip archive with one pickled member per recording.

Unpickling can run arbitrary code. Therefore every name that these pickles use is mapped to a harmless substitute in
this file, and all other names are refused; the pickle calls neither numpy nor intervaltree.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from ...errors import AudiocxError, DataError
from .musicnet_labels import Label, check_label

__all__ = ["Member", "list_members", "read_member"]

MAX_MEMBER_BYTES = 2**31  # over an hour of float64; a hostile archive of a few kB would fill the memory
_NUMBER = re.compile("[fiu][1248]")


class Member(NamedTuple):
    """A recording in the directory of the archive.

    Attributes:
        name: Id of the recording.
        crc: Checksum of the member.
        size_bytes: Size of the member in bytes.
    """

    name: str
    crc: int
    size_bytes: int


def list_members(path: Path) -> list[Member]:
    """List the recordings of an archive.

    Args:
        path: The .npz file.

    Returns:
        Its members, in their order.

    Raises:
        DataError: The file is missing, truncated or not an archive.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        return [Member(i.filename.removesuffix(".npy"), i.CRC, i.file_size) for i in archive.infolist()]


def read_member(path: Path, name: str) -> tuple[np.ndarray, list[Label]]:
    """Read a recording, without running code from the archive.

    Args:
        path: The .npz file.
        name: Id of the recording.

    Returns:
        Samples at 44.1 kHz, float [N] as stored; and labels, sorted. This form gives score positions in measures, not
        beats, and no durations: start_beat and end_beat are 0.

    Raises:
        DataError: The archive is damaged, or the member holds anything but samples and labels.
    """
    where = f"{path}, member {name}"
    with _reading(where), zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
        if archive.getinfo(f"{name}.npy").file_size > MAX_MEMBER_BYTES:
            raise ValueError(f"more than {MAX_MEMBER_BYTES} bytes")
        _skip_header(stream)
        content = _Unpickler(stream, where).load()
        while stream.read(1 << 20):  # the checksum is verified at the end
            pass
        if not isinstance(content, _Array):
            raise ValueError("no array")
        samples, intervals = content.values()
        if not isinstance(samples, _Array):
            raise ValueError("no samples")
        return samples.numbers(), sorted(_label(interval, where) for interval in intervals)


@contextmanager
def _reading(where: str | Path) -> Iterator[None]:
    """Turn all errors of reading into a DataError."""
    try:
        yield
    except AudiocxError:
        raise
    except FileNotFoundError:
        raise DataError(f"{where}: does not exist; check the spelling and the folder.") from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"{where}: is cut short or damaged ({error or 'it ends too soon'}); download it again."
        ) from error
    except Exception as error:  # damaged pickles raise many kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{where}: is not MusicNet, or damaged ({reason}); download it again.") from error


def _skip_header(stream: IO[bytes]) -> None:
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if not dtype.hasobject or shape != (2,):
        raise ValueError(f"{dtype} {shape} in place of samples and labels")


def _label(interval: tuple[Any, Any, Any], where: str) -> Label:
    begin, end, (instrument, note, _, _, value) = interval
    return check_label(Label(int(begin), int(end), int(instrument), int(note), 0.0, 0.0, _text(value)), where)


class _Dtype:
    """Substitute for numpy.dtype, with name and byte order."""

    def __init__(self, name: str | bytes, align: bool = False, copy: bool = True) -> None:
        self.name = _text(name)
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = _text(state[1])

    def of_numbers(self) -> np.dtype:
        if not _NUMBER.fullmatch(self.name) or self.order not in "<>=|":
            raise ValueError(f"values of type {self.name!r}")
        return np.dtype(self.order + self.name)


class _Array:
    """Substitute for numpy.ndarray, with its bytes or list of objects."""

    shape: tuple[int, ...]
    dtype: _Dtype
    content: Any

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, _, self.content = state

    def numbers(self) -> np.ndarray:
        numbers = np.frombuffer(_bytes(self.content), self.dtype.of_numbers())
        if numbers.dtype.kind != "f" or numbers.shape != self.shape:
            raise ValueError(f"samples of type {numbers.dtype} and shape {self.shape}")
        return numbers

    def values(self) -> list[Any]:
        if not isinstance(self.content, list):
            raise ValueError("no pair of samples and labels")
        return self.content


def _interval(begin: Any, end: Any, data: Any = None) -> tuple[Any, Any, Any]:
    return begin, end, data


def _reconstruct(kind: object, shape: object, code: object) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, content: bytes | str) -> Any:
    return np.frombuffer(_bytes(content), dtype.of_numbers())[0].item()


def _bytes(content: Any) -> bytes:
    return content.encode("latin1") if isinstance(content, str) else content


def _text(content: str | bytes) -> str:
    return content.decode("latin1") if isinstance(content, bytes) else content


def _encode(text: str, encoding: str) -> bytes:
    """Substitute for _codecs.encode, which Python 3 uses for bytes in pickles of Python 2."""
    return text.encode("latin1")


_SUBSTITUTES: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encode,
    ("intervaltree", "IntervalTree"): list,
    ("intervaltree.intervaltree", "IntervalTree"): list,
    ("intervaltree", "Interval"): _interval,
    ("intervaltree.interval", "Interval"): _interval,
}


class _Unpickler(pickle.Unpickler):
    """Unpickler for pickles of Python 2 and 3 that maps names to the substitutes above and refuses all others."""

    def __init__(self, stream: IO[bytes], where: str) -> None:
        # With bytes, samples in pickles of Python 2 are not copied, and no text is decoded wrongly.
        super().__init__(stream, encoding="bytes")
        self._where = where

    def find_class(self, module: str, name: str) -> Any:
        """Return the substitute for a name, or refuse it."""
        if (module, name) not in _SUBSTITUTES:
            raise DataError(
                f"{self._where}: asks to use {module}.{name}, which no MusicNet recording needs, so the file cannot "
                "be trusted; download MusicNet from its publisher."
            )
        return _SUBSTITUTES[module, name]
