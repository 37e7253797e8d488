"""MusicNet's first published form, ``musicnet.npz``: a zip archive with one pickled member a recording.

A pickle can run any code when it is read. Here it gets nothing to run: every name it may use stands for a few harmless
lines of this file, and any other name is refused. Neither numpy nor intervaltree is called by the pickle.
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

_AGAIN = "download it again"
_NUMBER = re.compile("[fiu][1248]")


class Member(NamedTuple):
    """What the archive's directory says of a recording.

    Attributes:
        name: The recording's id.
        crc: Checksum of its bytes.
        size_bytes: Their number.
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
        DataError: It is missing, cut short or no archive.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        return [Member(i.filename.removesuffix(".npy"), i.CRC, i.file_size) for i in archive.infolist()]


def read_member(path: Path, name: str) -> tuple[np.ndarray, list[Label]]:
    """Read one recording; nothing in the archive is run.

    Args:
        path: The .npz file.
        name: The recording's id.

    Returns:
        Its samples at 44.1 kHz, float [N] as stored; its labels, sorted. The older form places notes in the score by
        measures, not beats, and has no lengths there: start_beat and end_beat are 0.

    Raises:
        DataError: The archive is damaged, or holds anything but samples and labels there.
    """
    place = f"{path}, member {name}"
    with _reading(place), zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
        _skip_header(stream)
        content = _Unpickler(stream, place).load()
        while stream.read(1 << 20):  # the checksum is compared at the end
            pass
        if not isinstance(content, _Array):
            raise ValueError("no array")
        samples, intervals = content.values()
        if not isinstance(samples, _Array):
            raise ValueError("no samples")
        return samples.numbers(), sorted(_label(interval, place) for interval in intervals)


@contextmanager
def _reading(place: str | Path) -> Iterator[None]:
    """Turn whatever goes wrong into one sentence."""
    try:
        yield
    except AudiocxError:
        raise
    except FileNotFoundError:
        raise DataError(f"{place}: does not exist; check the spelling and the folder.") from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{place}: is cut short or damaged ({error or 'it ends too soon'}); {_AGAIN}.") from error
    except Exception as error:  # a pickle raises whatever its bytes lead to
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{place}: is not of MusicNet's form, or damaged ({reason}); {_AGAIN}.") from error


def _skip_header(stream: IO[bytes]) -> None:
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if not dtype.hasobject or shape != (2,):
        raise ValueError(f"{dtype} {shape} in place of samples and labels")


def _label(interval: tuple[Any, Any, Any], place: str) -> Label:
    begin, end, (instrument, note, _, _, value) = interval
    return check_label(Label(int(begin), int(end), int(instrument), int(note), 0.0, 0.0, _text(value)), place)


class _Dtype:
    """Stands for numpy.dtype: keeps the name and the byte order."""

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
    """Stands for numpy.ndarray: keeps the bytes, or the list of objects."""

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
    """Stands for _codecs.encode, by which Python 3 writes bytes in the pickles of Python 2."""
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
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
    """Read the pickle of Python 2 or 3, and admits no name beyond those above."""

    def __init__(self, stream: IO[bytes], place: str) -> None:
        # As bytes, the samples of Python 2's pickles are not copied, and no text is decoded wrongly.
        super().__init__(stream, encoding="bytes")
        self._place = place

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name; refuses it otherwise."""
        if (module, name) not in _ADMITTED:
            raise DataError(
                f"{self._place}: asks to use {module}.{name}, which no MusicNet recording needs, so the file is not to "
                "be trusted; download MusicNet from where it is published."
            )
        return _ADMITTED[module, name]
