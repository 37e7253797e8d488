"""MusicNet: 330 recordings of chamber music with aligned notes, at 44.1 kHz.

Source: J. Thickstun, Z. Harchaoui and S. Kakade, "Learning features of music from scratch", ICLR 2017;
https://doi.org/10.5281/zenodo.5120004.
Licence: CC BY 4.0 for the labels; the recordings are in the public domain or under Creative Commons licences.
Layout: the folder published in 2021 (``train_data/ID.wav``, ``train_labels/ID.csv``, ``test_data``, ``test_labels`` and
optionally ``musicnet_metadata.csv``), which rendered corpora share, or the older ``musicnet.npz``.
Split: by id, never by folder: "Deep Complex Networks" trains on seven of the ten recordings in ``test_data``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...io.audio import info, read
from ...io.resampling import resample
from ...notes import Note
from ..corpus import Piece, Split
from .musicnet_labels import LABEL_RATE, Label, read_table, to_note
from .musicnet_npz import list_members, read_member

__all__ = ["EXTENDED_TEST_IDS", "IDS", "LABEL_RATE", "TEST_IDS", "VALIDATION_IDS", "find_pieces", "recognise", "split"]

# The splits of C. Trabelsi et al., "Deep complex networks", 2018; its test set is that of Thickstun et al. 2017.
TEST_IDS = (2303, 2382, 1819)
VALIDATION_IDS = (2131, 2384, 1792, 2514, 2567, 1876)
# The recordings in test_data of the archive published in 2021.
EXTENDED_TEST_IDS = (1759, 1819, 2106, 2191, 2298, 2303, 2382, 2416, 2556, 2628)
# All 330 recordings, from musicnet_metadata.csv.
IDS = (
    1727, 1728, 1729, 1730, 1733, 1734, 1735, 1739, 1742, 1749, 1750, 1751, 1752, 1755, 1756, 1757, 1758, 1759,
    1760, 1763, 1764, 1765, 1766, 1768, 1771, 1772, 1773, 1775, 1776, 1777, 1788, 1789, 1790, 1791, 1792, 1793,
    1805, 1807, 1811, 1812, 1813, 1817, 1818, 1819, 1822, 1824, 1828, 1829, 1835, 1859, 1872, 1873, 1876, 1893,
    1916, 1918, 1919, 1922, 1923, 1931, 1932, 1933, 2075, 2076, 2077, 2078, 2079, 2080, 2081, 2082, 2083, 2104,
    2105, 2106, 2112, 2113, 2114, 2116, 2117, 2118, 2119, 2127, 2131, 2138, 2140, 2147, 2148, 2149, 2150, 2151,
    2154, 2155, 2156, 2157, 2158, 2159, 2160, 2161, 2166, 2167, 2168, 2169, 2177, 2178, 2179, 2180, 2186, 2191,
    2194, 2195, 2196, 2198, 2200, 2201, 2202, 2203, 2204, 2207, 2208, 2209, 2210, 2211, 2212, 2213, 2214, 2215,
    2217, 2218, 2219, 2220, 2221, 2222, 2224, 2225, 2227, 2228, 2229, 2230, 2231, 2232, 2234, 2237, 2238, 2239,
    2240, 2241, 2242, 2243, 2244, 2247, 2248, 2282, 2283, 2284, 2285, 2288, 2289, 2292, 2293, 2294, 2295, 2296,
    2297, 2298, 2300, 2302, 2303, 2304, 2305, 2307, 2308, 2310, 2313, 2314, 2315, 2318, 2319, 2320, 2322, 2325,
    2330, 2334, 2335, 2336, 2341, 2342, 2343, 2345, 2346, 2348, 2350, 2357, 2358, 2359, 2364, 2365, 2366, 2368,
    2371, 2372, 2373, 2374, 2376, 2377, 2379, 2381, 2382, 2383, 2384, 2388, 2389, 2390, 2391, 2392, 2393, 2397,
    2398, 2403, 2404, 2405, 2406, 2410, 2411, 2415, 2416, 2417, 2420, 2422, 2423, 2424, 2431, 2432, 2433, 2436,
    2441, 2442, 2443, 2444, 2451, 2462, 2463, 2466, 2471, 2472, 2473, 2476, 2477, 2478, 2480, 2481, 2482, 2483,
    2486, 2487, 2488, 2490, 2491, 2492, 2494, 2497, 2501, 2502, 2504, 2505, 2506, 2507, 2509, 2510, 2512, 2514,
    2516, 2521, 2522, 2523, 2527, 2528, 2529, 2530, 2531, 2532, 2533, 2537, 2538, 2540, 2542, 2550, 2555, 2556,
    2557, 2560, 2562, 2564, 2566, 2567, 2568, 2570, 2571, 2572, 2573, 2575, 2576, 2581, 2582, 2586, 2588, 2590,
    2591, 2593, 2594, 2595, 2596, 2603, 2607, 2608, 2611, 2614, 2618, 2619, 2620, 2621, 2622, 2626, 2627, 2628,
    2629, 2632, 2633, 2659, 2677, 2678,
)  # fmt: skip
METADATA = "musicnet_metadata.csv"
ARCHIVE = "musicnet.npz"
# The labels were aligned by dynamic time warping, and the last notes may end slightly after the recording. A larger
# difference means a wrong recording, a wrong sample rate or a truncated file.
LABEL_OVERRUN_S = 1.0


class _MusicNetPiece(Piece):
    """A recording and its label table."""

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        """Read samples and notes, and check that they fit.

        Args:
            sample_rate: Output sample rate in Hz.

        Returns:
            Samples, float32 [N] in +-1; and the notes, sorted.

        Raises:
            AudioError: The recording cannot be read, or is truncated.
            DataError: The labels cannot be read, or extend past the end of the recording; or its sample rate is below
                ``sample_rate``.
        """
        described = info(self.audio)
        _check_rate(self.audio, described.sample_rate, sample_rate)
        labels = read_table(self.labels)
        _check_end(self, labels, described.duration_s)
        return read(self.audio, sample_rate)[0], sorted(map(to_note, labels))


@dataclass(frozen=True)
class _NpzPiece(Piece):
    """A recording in musicnet.npz, which holds audio and labels."""

    crc: int = field(kw_only=True)
    size_bytes: int = field(kw_only=True)

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        """Read samples and notes, and check that they fit.

        Args:
            sample_rate: Output sample rate in Hz.

        Returns:
            Samples, float32 [N] in +-1; and the notes, sorted.

        Raises:
            DataError: The archive is damaged, the labels extend past the end of the recording, or ``sample_rate`` is
                above 44.1 kHz.
        """
        _check_rate(self.audio, LABEL_RATE, sample_rate)
        samples, labels = read_member(self.audio, self.name)
        if not np.isfinite(samples).all():
            raise DataError(f"{self.audio}, member {self.name}: holds NaN or infinite samples; download it again.")
        _check_end(self, labels, len(samples) / LABEL_RATE)
        return resample(samples, LABEL_RATE, sample_rate), sorted(map(to_note, labels))

    def stamps(self) -> list[Any]:
        """Return the name of the archive, and name, checksum and size of the member.

        Returns:
            Values for JSON.
        """
        return [self.audio.name, self.name, self.crc, self.size_bytes]


def find_pieces(path: str | Path) -> list[Piece]:
    """List the recordings of MusicNet, complete or in part.

    Args:
        path: A folder with train_data, train_labels, test_data and test_labels (any of them may be missing), a folder
            with musicnet.npz, this file itself, or the parent of a folder ``musicnet`` of either kind.

    Returns:
        The pieces, sorted by id: the id as name, the ensemble as source, and the title from musicnet_metadata.csv, if
        it is in the folder or next to it.

    Raises:
        DataError: There are no such files, a recording has no labels or labels have no recording, or an id is unknown
            or occurs twice.
    """
    path = Path(path)
    if path.is_file() and path.suffix == ".npz":
        return _of_archive(path)
    for folder in (path, path / "musicnet"):
        if (folder / "train_data").is_dir() or (folder / "test_data").is_dir():
            return _of_folder(folder)
        if (folder / ARCHIVE).is_file():
            return _of_archive(folder / ARCHIVE)
    raise DataError(
        f"{path}: holds neither train_data or test_data nor {ARCHIVE}; name the folder into which MusicNet's archive "
        f"was unpacked, or {ARCHIVE} itself."
    )


def recognise(folder: Path) -> bool:
    """Return whether a folder holds MusicNet, be it incomplete: such a one is to be reported, not taken for another."""
    names = ("train_data", "test_data", ARCHIVE)
    return folder.name == ARCHIVE or any(
        (folder / inside / name).exists() for inside in ("", "musicnet") for name in names
    )


def split(pieces: Iterable[Piece], extended: bool = False) -> Split:
    """Split by id, whatever the folder of a recording.

    Args:
        pieces: MusicNet or a rendered version of it, complete or in part.
        extended: Test on the ten recordings of test_data in the 2021 archive instead of the three of "Deep Complex
            Networks".

    Returns:
        Training: all other recordings. Validation: the six of "Deep Complex Networks". Test: three or ten.
    """
    result = Split([], [], [])
    for piece in pieces:
        number = int(piece.name)
        if number in (EXTENDED_TEST_IDS if extended else TEST_IDS):
            result.test.append(piece)
        elif number in VALIDATION_IDS:
            result.validation.append(piece)
        else:
            result.train.append(piece)
    return result


def _of_folder(folder: Path) -> list[Piece]:
    audio, labels = _numbered(folder, "data", (".wav", ".flac")), _numbered(folder, "labels", (".csv",))
    if not audio and not labels:
        raise DataError(f"{folder}: holds no recordings; unpack MusicNet's archive into it, or name another folder.")
    described = _check_ids(folder, audio.keys() | labels.keys())
    for present, other, missing in (
        (audio, labels, "labels (ID.csv)"),
        (labels, audio, "recording (ID.wav or ID.flac)"),
    ):
        if unpaired := sorted(present.keys() - other.keys()):
            raise DataError(
                f"{folder}: no {missing} for {_listed(unpaired)}; copy or unpack what is missing, or remove these."
            )
    return [
        _MusicNetPiece(str(number), audio[number], labels[number], *described.get(number, ("unknown", str(number))))
        for number in sorted(audio)
    ]


def _of_archive(path: Path) -> list[Piece]:
    members = {_id(member.name, path): member for member in list_members(path)}
    if not members:
        raise DataError(f"{path}: holds no recordings; download it again.")
    described = _check_ids(path, members)
    return [
        _NpzPiece(
            member.name,
            path,
            path,
            *described.get(number, ("unknown", str(number))),
            crc=member.crc,
            size_bytes=member.size_bytes,
        )
        for number, member in sorted(members.items())
    ]


def _numbered(folder: Path, kind: str, endings: tuple[str, ...]) -> dict[int, Path]:
    """Return the files of train and test folders by id, without hidden files."""
    files: dict[int, Path] = {}
    for side in (folder / f"train_{kind}", folder / f"test_{kind}"):
        for path in sorted(side.iterdir()) if side.is_dir() else []:
            if path.suffix.lower() in endings and not path.name.startswith("."):
                number = _id(path.stem, path)
                if number in files:
                    raise DataError(f"{path}: {files[number]} has the same id; remove one of them.")
                files[number] = path
    return files


def _id(stem: str, path: Path) -> int:
    if not (stem.isascii() and stem.isdecimal()):
        raise DataError(f"{path}: {stem!r} is not a MusicNet id, a number such as {IDS[0]}; rename or remove it.")
    return int(stem)


def _check_ids(place: Path, ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Refuse unknown ids; return ensemble and title of those in the metadata."""
    folder = place if place.is_dir() else place.parent
    candidates = (near / METADATA for near in (folder, folder.resolve().parent))
    metadata = next((path for path in candidates if path.is_file()), None)
    described = _read_metadata(metadata) if metadata else {}
    if unknown := sorted(set(ids) - set(IDS) - described.keys()):
        raise DataError(
            f"{place}: MusicNet has no recording {_listed(unknown)}; remove it, or list it in {METADATA} beside it."
        )
    return described


def _read_metadata(path: Path) -> dict[int, tuple[str, str]]:
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            return {
                int(row["id"]): (
                    row["ensemble"] or "unknown",
                    f"{row['composer']}: {row['composition']}: {row['movement']}",
                )
                for row in csv.DictReader(file)
            }
    except (OSError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: is not MusicNet's table of recordings ({error}); download it again.") from error


def _listed(ids: list[int]) -> str:
    most = 5
    return ", ".join(map(str, ids[:most])) + (f" and {len(ids) - most} more" if len(ids) > most else "")


def _check_rate(audio: Path, own_rate: int, sample_rate: int) -> None:
    if own_rate < sample_rate:
        raise DataError(
            f"{audio}: has a sample rate of {own_rate} Hz, below the requested {sample_rate} Hz; choose a lower rate, "
            "or get or render the recording at a higher one."
        )


def _check_end(piece: Piece, labels: list[Label], length_s: float) -> None:
    for label in labels:
        start_s, end_s = label.start_time / LABEL_RATE, label.end_time / LABEL_RATE
        if start_s >= length_s or end_s > length_s + LABEL_OVERRUN_S:
            raise DataError(
                f"{piece.labels}: a label of recording {piece.name}, from {start_s:.3f} to {end_s:.3f} s, lies past "
                f"the end of its audio, which lasts {length_s:.3f} s; get both files again, from one source."
            )
