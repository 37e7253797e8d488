"""The older form of MusicNet, musicnet.npz: the same recordings, and no code of the archive is run."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from musicnet_lookalike import labels_of, npy_of, piece_of, refused, samples_of, tree_of, write_folder, write_npz

from audiocx.data.corpora import musicnet
from audiocx.data.corpora.musicnet_labels import to_note
from audiocx.errors import DataError

IDS = (1727, 2303, 2131, 1759)


@pytest.mark.parametrize("python2", [False, True])
def test_both_forms_have_the_same_content(tmp_path: Path, python2: bool) -> None:
    archive = write_npz(tmp_path / "musicnet.npz", IDS, python2=python2)
    folder = write_folder(tmp_path / "musicnet", IDS)
    for old, new in zip(musicnet.find_pieces(archive), musicnet.find_pieces(folder), strict=True):
        assert old.name == new.name
        for rate in (11_000, 44_100):
            (old_samples, old_notes), (new_samples, new_notes) = old.load(rate), new.load(rate)
            assert old_notes == new_notes and old_samples.dtype == np.float32
            np.testing.assert_allclose(old_samples, new_samples, atol=4 / 32768)
    with pytest.raises(DataError, match="has a sample rate of 44100 Hz"):
        musicnet.find_pieces(archive)[0].load(48_000)


def test_archives_of_numpy_are_read(tmp_path: Path) -> None:
    pair = np.empty(2, object)
    pair[:] = [samples_of(labels_of(1727)), tree_of(labels_of(1727))]
    np.savez(tmp_path / "stored.npz", **{"1727": pair})
    np.savez_compressed(tmp_path / "smaller.npz", **{"1727": pair})
    for name in ("stored.npz", "smaller.npz"):
        samples, notes = piece_of(tmp_path / name).load(44_100)
        assert np.array_equal(samples, pair[0]) and notes == sorted(map(to_note, labels_of(1727)))


def test_stamps_change_with_the_content(tmp_path: Path) -> None:
    first = write_npz(tmp_path / "musicnet.npz", IDS, 0.6)
    before = [piece.stamps() for piece in musicnet.find_pieces(first)]
    (tmp_path / "copy").mkdir()
    copy = shutil.copyfile(first, tmp_path / "copy" / "musicnet.npz")
    os.utime(copy, (0, 0))
    assert [piece.stamps() for piece in musicnet.find_pieces(copy)] == before
    write_npz(first, IDS, 0.7)
    after = [piece.stamps() for piece in musicnet.find_pieces(first)]
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert len({str(stamps) for stamps in after}) == len(IDS)


class Call:
    """An object that pickles as a call of any function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


def archive_of(folder: Path, member: bytes) -> Path:
    with zipfile.ZipFile(folder / "musicnet.npz", "w") as archive:
        archive.writestr("1727.npy", member)
    return folder / "musicnet.npz"


@pytest.mark.parametrize("python2", [False, True])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, r"(posix|nt)\.system"),
        (eval, r"(builtins|__builtin__)\.eval"),
        (getattr, r"(builtins|__builtin__)\.getattr"),
        (np.fromfile, r"numpy.*\.fromfile"),
        (pickle.loads, r"_?pickle\.loads"),
    ],
)
def test_a_pickle_that_would_run_code_is_refused(
    tmp_path: Path, function: object, name: str, nested: bool, python2: bool
) -> None:
    content: object = Call(function, f"touch {tmp_path / 'run'}")
    if nested:
        pair = np.empty(2, object)
        pair[:] = [samples_of([]), content]
        content = pair
    piece = piece_of(archive_of(tmp_path, npy_of(content, python2)))
    with pytest.raises(DataError, match=rf"member 1727: asks to use {name}, which no MusicNet recording needs"):
        piece.load(11_025)
    assert not (tmp_path / "run").exists()


def pair_of(samples: object, labels: object) -> np.ndarray:
    pair = np.empty(2, object)
    pair[:] = [samples, labels]
    return pair


GOOD = samples_of(labels_of(1727))


@pytest.mark.parametrize(
    "content",
    [
        "text",
        GOOD,
        [GOOD, tree_of(labels_of(1727))],
        pair_of("text", tree_of([])),
        pair_of((GOOD * 32767).astype(np.int16), tree_of([])),
        pair_of(GOOD.reshape(2, -1), tree_of([])),
        pair_of(GOOD.astype(complex), tree_of([])),
        pair_of(GOOD * np.nan, tree_of([])),
        pair_of(GOOD, 5),
        pair_of(GOOD, GOOD),
        pair_of(GOOD, [(0, 1, (1, 60))]),
        pair_of(GOOD, [(0, 1, ("x", 60, 0.0, 0.0, "Quarter"))]),
        pair_of(GOOD, [(5, 1, (1, 60, 0.0, 0.0, "Quarter"))]),
        pair_of(GOOD, [(0, 1, (1, 128, 0.0, 0.0, "Quarter"))]),
        pair_of(GOOD, [(0, 1, (0, 60, 0.0, 0.0, "Quarter"))]),
        pair_of(GOOD, [(10**6, 10**6 + 1, (1, 60, 0.0, 0.0, "Quarter"))]),
    ],
    ids=str,
)
def test_other_members_are_refused(tmp_path: Path, content: object) -> None:
    piece = piece_of(archive_of(tmp_path, npy_of(content)))
    with pytest.raises(DataError, match="musicnet.npz.*1727"):
        piece.load(11_025)


def test_members_without_two_objects_are_refused(tmp_path: Path) -> None:
    for member in (b"", b"text", npy_of(pair_of(GOOD, tree_of([])))[:200]):
        piece = piece_of(archive_of(tmp_path, member))
        with pytest.raises(DataError, match="member 1727: .*download it again"):
            piece.load(11_025)
    np.savez(tmp_path / "plain.npz", **{"1727": GOOD})
    with pytest.raises(DataError, match="float32 .* in place of samples and labels"):
        piece_of(tmp_path / "plain.npz").load(11_025)


def test_archives_that_would_fill_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_npz(tmp_path / "musicnet.npz", [1727], 0.6)
    piece_of(archive).load(11_025)
    monkeypatch.setattr("audiocx.data.corpora.musicnet_npz.MAX_MEMBER_BYTES", 1000)
    with pytest.raises(DataError, match="more than 1000 bytes"):
        piece_of(archive).load(11_025)


def test_members_without_an_id_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "musicnet.npz", "w"):
        pass
    refused(tmp_path, "holds no recordings; download it again")
    refused(write_npz(tmp_path / "a.npz", [1], 0.6), "MusicNet has no recording 1;")
    np.savez(tmp_path / "b.npz", samples=np.zeros(3))
    refused(tmp_path / "b.npz", "'samples' is not a MusicNet id")


def test_truncated_and_corrupted_archives_are_refused(tmp_path: Path) -> None:
    content = write_npz(tmp_path / "musicnet.npz", [1727], 0.6).read_bytes()
    path = tmp_path / "damaged.npz"
    for cut in (0, 10, len(content) // 2, len(content) - 30, len(content) - 1):
        path.write_bytes(content[:cut])
        refused(path, "damaged.npz: is cut short or damaged")
    rng = np.random.default_rng(0)
    header = 30 + len("1727.npy")
    data = range(header, header + zipfile.ZipFile(tmp_path / "musicnet.npz").infolist()[0].file_size)
    for place in [header + 130, header + 200, *rng.choice(data, 40).tolist()]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged.npz.*1727"):
            piece_of(path).load(11_025)
