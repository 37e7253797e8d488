"""MusicNet, recordings of chamber music with aligned notes (Thickstun, Harchaoui & Kakade 2017).

It is read in both published forms: the folder of 2021 (``train_data/ID.wav``, ``train_labels/ID.csv``, ``test_data``,
``test_labels`` and perhaps ``musicnet_metadata.csv``), which renders share, and the older ``musicnet.npz``. Who trains
and who tests is decided by id, never by folder: of the ten recordings in ``test_data``, the paper trains on seven.
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

__all__ = ["EXTENDED_TEST_IDS", "IDS", "LABEL_RATE", "TEST_IDS", "VALIDATION_IDS", "find_pieces", "split"]

# Trabelsi et al. 2018, after Thickstun et al. 2017 for the test.
TEST_IDS = (2303, 2382, 1819)
VALIDATION_IDS = (2131, 2384, 1792, 2514, 2567, 1876)
# Those in test_data of the 2021 archive.
EXTENDED_TEST_IDS = (1759, 1819, 2106, 2191, 2298, 2303, 2382, 2416, 2556, 2628)
# All 330 recordings, as musicnet_metadata.csv lists them.
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
AUDIO_ENDINGS = (".wav", ".flac")
METADATA = "musicnet_metadata.csv"
ARCHIVE = "musicnet.npz"
# Labels are aligned to the recording by dynamic time warping, and the last notes may outlast its end a little. More
# than this is the wrong recording, a wrong rate or a cut file.
LABEL_OVERRUN_S = 1.0


class _MusicNetPiece(Piece):
    """A recording and its table."""

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        """Read samples and notes, and sees that they fit.

        Args:
            sample_rate: Hz, to which the recording is resampled.

        Returns:
            The samples, float32 [N] in +-1; the notes, sorted.

        Raises:
            AudioError: The recording cannot be read, or is cut short.
            DataError: The labels cannot be read, or run past the recording's end; its rate is below the one asked for.
        """
        described = info(self.audio)
        _check_rate(self.audio, described.sample_rate, sample_rate)
        labels = read_table(self.labels)
        _check_end(self, labels, described.duration_s)
        return read(self.audio, sample_rate)[0], sorted(map(to_note, labels))


@dataclass(frozen=True)
class _NpzPiece(Piece):
    """A recording in musicnet.npz, which is both its audio and its labels."""

    crc: int = field(kw_only=True)
    size_bytes: int = field(kw_only=True)

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        """Read samples and notes, and sees that they fit.

        Args:
            sample_rate: Hz, to which the recording is resampled.

        Returns:
            The samples, float32 [N] in +-1; the notes, sorted.

        Raises:
            DataError: The archive is damaged, the labels run past the recording's end, or the rate is above 44.1 kHz.
        """
        _check_rate(self.audio, LABEL_RATE, sample_rate)
        samples, labels = read_member(self.audio, self.name)
        if not np.isfinite(samples).all():
            raise DataError(f"{self.audio}, member {self.name}: holds NaN or infinite samples; download it again.")
        _check_end(self, labels, len(samples) / LABEL_RATE)
        return resample(samples, LABEL_RATE, sample_rate), sorted(map(to_note, labels))

    def stamps(self) -> list[Any]:
        """Return what changes when the recording does: the archive's name, the member's checksum and size.

        Returns:
            What JSON can hold.
        """
        return [self.audio.name, self.name, self.crc, self.size_bytes]


def find_pieces(path: str | Path) -> list[Piece]:
    """List the recordings of MusicNet, whole or in part.

    Args:
        path: A folder with train_data, train_labels, test_data and test_labels (any of them may be missing), one that
            holds musicnet.npz, that file itself, or the folder around a folder ``musicnet`` of either kind.

    Returns:
        The pieces, sorted by id: the id as name, the ensemble as source; the title from musicnet_metadata.csv, where
        that lies in the folder or beside it.

    Raises:
        DataError: There is nothing of the kind, a recording has no labels or labels no recording, or an id is unknown
            or there twice.
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


def split(pieces: Iterable[Piece], extended: bool = False) -> Split:
    """Split by id, so that no recording is both trained and tested on, wherever its file lies.

    Args:
        pieces: MusicNet, whole or in part, or renders of it.
        extended: Tests on the ten recordings of the 2021 archive's test_data instead of the paper's three.

    Returns:
        Training: all that are in neither of the others. Validation: the paper's six. Test: three or ten. A side is
        empty where none of its recordings are among the pieces.
    """
    parted = Split([], [], [])
    for piece in pieces:
        number = int(piece.name)
        if number in (EXTENDED_TEST_IDS if extended else TEST_IDS):
            parted.test.append(piece)
        elif number in VALIDATION_IDS:
            parted.validation.append(piece)
        else:
            parted.train.append(piece)
    return parted


def _of_folder(folder: Path) -> list[Piece]:
    audio, labels = _numbered(folder, "data", AUDIO_ENDINGS), _numbered(folder, "labels", (".csv",))
    if not audio and not labels:
        raise DataError(f"{folder}: holds no recordings; unpack MusicNet's archive into it, or name another folder.")
    described = _check_ids(folder, audio.keys() | labels.keys())
    for found, other, missing in ((audio, labels, "labels (ID.csv)"), (labels, audio, "recording (ID.wav or ID.flac)")):
        if alone := sorted(found.keys() - other.keys()):
            raise DataError(
                f"{folder}: no {missing} for {_listed(alone)}; copy or unpack what is missing, or remove these."
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
    """Return the files of both sides by id; hidden ones are other programs'."""
    found: dict[int, Path] = {}
    for side in (folder / f"train_{kind}", folder / f"test_{kind}"):
        for path in sorted(side.iterdir()) if side.is_dir() else []:
            if path.suffix.lower() in endings and not path.name.startswith("."):
                number = _id(path.stem, path)
                if number in found:
                    raise DataError(f"{path}: {found[number]} has the same id; remove one of them.")
                found[number] = path
    return found


def _id(stem: str, path: Path) -> int:
    if not (stem.isascii() and stem.isdecimal()):
        raise DataError(f"{path}: {stem!r} is no MusicNet id, a number such as {IDS[0]}; rename or remove it.")
    return int(stem)


def _check_ids(place: Path, ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Refuse unknown ids; gives ensemble and title of those the metadata lists."""
    folder = place if place.is_dir() else place.parent
    found = (near / METADATA for near in (folder, folder.resolve().parent))
    metadata = next((path for path in found if path.is_file()), None)
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
    most = 5  # enough to see what is wrong
    return ", ".join(map(str, ids[:most])) + (f" and {len(ids) - most} more" if len(ids) > most else "")


def _check_rate(audio: Path, own_rate: int, sample_rate: int) -> None:
    if own_rate < sample_rate:
        raise DataError(
            f"{audio}: has {own_rate} samples a second, fewer than the {sample_rate} asked for; ask for a lower rate, "
            "or get or render the recording at a higher one."
        )


def _check_end(piece: Piece, labels: list[Label], length_s: float) -> None:
    for label in labels:
        start_s, end_s = label.start_time / LABEL_RATE, label.end_time / LABEL_RATE
        if start_s >= length_s or end_s > length_s + LABEL_OVERRUN_S:
            raise DataError(
                f"{piece.labels}: a label of recording {piece.name}, from {start_s:.3f} to {end_s:.3f} s, lies past "
                f"the end of its audio, which lasts {length_s:.3f} s; get both files anew, from one place."
            )
