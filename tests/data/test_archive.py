"""The unpacking of archives: whole, cut short, begun before, and malicious."""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from audiocx.data import archive
from audiocx.data.archive import extract
from audiocx.data.download import RESERVE_BYTES
from audiocx.errors import AudiocxError, DataError

NOISE = np.random.default_rng(0).bytes(400_000)

FILES = {
    "corpus/train/1.wav": NOISE[:150_000],
    "corpus/train/2.wav": NOISE[150_000:],
    "corpus/empty.csv": b"",
    "corpus/labels.csv": b"a,b\n" * 1000,
}


def pack(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("corpus/", b"")
            for name, content in files.items():
                packed.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        folder = tarfile.TarInfo("corpus")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def unpacked(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


kinds = pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])


@kinds
def test_an_archive_is_unpacked_whole(tmp_path: Path, kind: str) -> None:
    folder = extract(pack(tmp_path / f"a.{kind}", FILES), tmp_path / "new" / "folder", progress=False)
    assert folder == tmp_path / "new" / "folder" and unpacked(folder) == FILES


@kinds
def test_the_bar_ends_full(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = []

    class Bar(archive.tqdm):  # type: ignore[misc]
        def __init__(self, **how: object) -> None:
            super().__init__(**{**how, "disable": False, "file": io.StringIO()})
            bars.append(self)

    monkeypatch.setattr(archive, "tqdm", Bar)
    packed = pack(tmp_path / f"a.{kind}", FILES)
    extract(packed, tmp_path / "folder")
    assert [(bar.n, bar.total) for bar in bars] == [(packed.stat().st_size,) * 2]


@kinds
def test_only_what_is_missing_is_written(tmp_path: Path, kind: str) -> None:
    packed, folder = pack(tmp_path / f"a.{kind}", FILES), tmp_path / "folder"
    extract(packed, folder)
    (folder / "corpus/train/2.wav").write_bytes(FILES["corpus/train/2.wav"][:100])
    (folder / "corpus/empty.csv").unlink()
    before = {path: path.stat().st_ino for path in (folder / "corpus/train/1.wav", folder / "corpus/labels.csv")}
    extract(packed, folder)
    assert unpacked(folder) == FILES and all(path.stat().st_ino == number for path, number in before.items())


@kinds
def test_an_archive_cut_short_anywhere_is_told_and_then_completed(tmp_path: Path, kind: str) -> None:
    whole = pack(tmp_path / f"a.{kind}", FILES)
    content = whole.read_bytes()
    ends = [3, 300, 1024, 100_000, 200_000, len(content) - 9]
    if kind == "tar":  # ... within a header, between two members, before the block of zeros that ends it
        with tarfile.open(whole) as tar:
            headers = [member.offset for member in tar]
        ends[-1:] = [headers[2], headers[2] + 100, headers[-1], headers[-1] + 512 + 4096]
    for number, end in enumerate(ends):
        short, folder = tmp_path / f"{number}.{kind}", tmp_path / str(number)
        short.write_bytes(content[:end])
        with pytest.raises(DataError, match=f"{number}.{kind} is damaged, cut short.*download it again"):
            extract(short, folder)
        assert unpacked(folder).items() <= FILES.items()  # nothing half-written
        extract(whole, folder)
        assert unpacked(folder) == FILES


@kinds
def test_a_changed_byte_is_told(tmp_path: Path, kind: str) -> None:
    packed = pack(tmp_path / f"a.{kind}", FILES)
    content = bytearray(packed.read_bytes())
    if kind == "tar":  # has no checksum but its headers'
        content[512 + 3] ^= 1
    else:
        content[100_000] ^= 1
    packed.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        extract(packed, tmp_path / "folder")


def test_gzip_is_read_to_its_checksum(tmp_path: Path) -> None:
    content = bytearray(pack(tmp_path / "a.tar.gz", FILES).read_bytes())
    content[-8] ^= 1  # the checksum itself: all members are right
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        extract(tmp_path / "a.tar.gz", tmp_path / "folder")


@pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>" * 100, gzip.compress(b"no tar" * 1000), b"PK"])
def test_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match="or no .tar, .tar.gz or .zip"):
        extract(tmp_path / "a.tar.gz", tmp_path / "folder")
    with pytest.raises(DataError, match="b.zip: no such archive"):
        extract(tmp_path / "b.zip", tmp_path / "folder")


OUTSIDE = ["../evil", "corpus/../../evil", "/evil", "C:\\evil", "C:evil", "..\\evil", "\\\\host\\share\\evil", "."]


@kinds
@pytest.mark.parametrize("name", OUTSIDE)
def test_no_member_leaves_the_folder(tmp_path: Path, kind: str, name: str) -> None:
    packed = pack(tmp_path / f"a.{kind}", {name: b"evil"})
    with pytest.raises(DataError, match="a member .* outside of the folder"):
        extract(packed, tmp_path / "folder")
    assert not list(tmp_path.rglob("*evil*")) and not Path("/evil").exists()
    assert not unpacked(tmp_path / "folder")


@kinds
def test_no_member_goes_through_a_link(tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "folder" / "corpus").mkdir(parents=True)
    (tmp_path / "folder" / "corpus" / "train").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(DataError, match="corpus/train/1.wav.* outside of the folder"):
        extract(pack(tmp_path / f"a.{kind}", FILES), tmp_path / "folder")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_tar_may_hold_only_files_and_folders(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo("corpus/evil")
        member.type, member.linkname = kind, "../../secret"
        tar.addfile(member)
    with pytest.raises(DataError, match="'corpus/evil' that is neither a file nor a folder"):
        extract(tmp_path / "a.tar", tmp_path / "folder")
    assert not list((tmp_path / "folder").iterdir())


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR])
@pytest.mark.parametrize("name", ["corpus/evil", "corpus/evil/"])
def test_a_zip_may_hold_only_files_and_folders(tmp_path: Path, kind: int, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("corpus/good", b"good")
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        packed.writestr(info, b"../../secret" if name[-1] != "/" else b"")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        extract(tmp_path / "a.zip", tmp_path / "folder")
    assert not list((tmp_path / "folder").iterdir())  # all are looked at before the first is written


@kinds
def test_a_small_disk_is_told_before_a_member_is_written(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, folder = pack(tmp_path / f"a.{kind}", FILES), tmp_path / "folder"
    free = RESERVE_BYTES + 200_000  # room for the first, not for the second, nor for both
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(DataError, match="make room"):
        extract(packed, folder)
    assert set(unpacked(folder)) == (set() if kind == "zip" else {"corpus/train/1.wav"})


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "corpus").write_text("mine")
    with pytest.raises(AudiocxError, match="corpus: cannot be made"):
        extract(pack(tmp_path / "a.tar", FILES), tmp_path / "folder")
    assert unpacked(tmp_path / "folder") == {"corpus": b"mine"}
