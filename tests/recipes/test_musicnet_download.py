"""MusicNet's download, from a server on this machine."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from musicnet_lookalike import write_folder
from recipe_runs import RECIPES, run_script

from audiocx.data.corpora import musicnet
from audiocx.errors import DataError


class Server(SimpleHTTPRequestHandler):
    requests: list[str] = []

    def log_message(self, format: str, *args: object) -> None:
        self.requests.append(str(args[0]))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The folder that the server offers: a corpus of three recordings, its archive beside it."""
    folder = write_folder(tmp_path / "published" / "musicnet", [1727, 2131, 2303], 0.6)
    with tarfile.open(folder / "musicnet.tar.gz", "w:gz") as tar:
        for name in ("train_data", "train_labels", "test_data", "test_labels"):
            tar.add(folder / name, f"musicnet/{name}")
    return folder


@pytest.fixture
def recipe(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The recipe's module, pointed at the server."""
    monkeypatch.syspath_prepend(RECIPES / "musicnet")
    import download

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "ARCHIVE_BYTES", 10**6)
    monkeypatch.setattr(download, "CONTENTS_BYTES", 10**6)
    sums = {name: hashlib.md5((published / name).read_bytes()).hexdigest() for name in download.MD5}
    monkeypatch.setattr(download, "MD5", sums)
    monkeypatch.setattr(Server, "requests", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(published))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setattr(download, "RECORD", f"http://127.0.0.1:{server.server_port}")
        yield download
        server.shutdown()


def publish(recipe: ModuleType, published: Path, member: tarfile.TarInfo) -> None:
    """Replace the published archive by one of a single member of one byte."""
    with tarfile.open(published / recipe.ARCHIVE, "w:gz") as tar:
        tar.addfile(member, io.BytesIO(b"x"))
    recipe.MD5[recipe.ARCHIVE] = hashlib.md5((published / recipe.ARCHIVE).read_bytes()).hexdigest()


def test_the_corpus_is_downloaded_unpacked_and_prepared(
    recipe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "here"
    words = ("musicnet/prepare", target, "--download", "--cache", tmp_path / "cache")
    printed = run_script(*words)
    assert [line.split(":")[0] for line in printed.splitlines()] == ["train", "validation", "test"]
    assert {path.name for path in target.iterdir()} == {"musicnet", "musicnet.tar.gz", "musicnet_metadata.csv"}
    assert len(Server.requests) == 2
    # Complete, it is not downloaded again.
    monkeypatch.setattr(musicnet, "IDS", (1727, 2131, 2303))
    assert run_script(*words) == printed and len(Server.requests) == 2


def test_an_interrupted_unpacking_is_repeated_without_a_download(recipe: ModuleType, tmp_path: Path) -> None:
    recipe.download(tmp_path / "here")
    wave = tmp_path / "here" / "musicnet" / "train_data" / "1727.wav"
    content = wave.read_bytes()
    wave.unlink()
    recipe.download(tmp_path / "here")
    assert wave.read_bytes() == content and len(Server.requests) == 2


def test_a_damaged_file_is_not_kept(recipe: ModuleType, published: Path, tmp_path: Path) -> None:
    (published / recipe.ARCHIVE).write_bytes(b"damaged")
    with pytest.raises(DataError, match="musicnet.tar.gz.* does not have the published MD5; run the command again"):
        recipe.download(tmp_path / "here")
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["musicnet_metadata.csv"]


def test_a_missing_file_is_named(recipe: ModuleType, published: Path, tmp_path: Path) -> None:
    (published / recipe.ARCHIVE).unlink()
    with pytest.raises(DataError, match="musicnet.tar.gz.* cannot be downloaded .*404.*; check the connection"):
        recipe.download(tmp_path / "here")


@pytest.mark.parametrize(("name", "kind"), [("../outside", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)])
def test_a_hostile_archive_is_refused(
    recipe: ModuleType, published: Path, tmp_path: Path, name: str, kind: bytes
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    member.size = 1 if kind == tarfile.REGTYPE else 0
    publish(recipe, published, member)
    with pytest.raises(DataError, match="not safe to unpack .*; delete it"):
        recipe.download(tmp_path / "here")
    assert not (tmp_path / "outside").exists() and not (tmp_path / "here" / "link").is_symlink()
    assert not (tmp_path / "here" / ".unpacking").exists()


def test_an_archive_cut_short_is_refused(recipe: ModuleType, published: Path, tmp_path: Path) -> None:
    archive = published / recipe.ARCHIVE
    archive.write_bytes(archive.read_bytes()[:1000])
    recipe.MD5[recipe.ARCHIVE] = hashlib.md5(archive.read_bytes()).hexdigest()
    with pytest.raises(DataError, match="is damaged"):
        recipe.download(tmp_path / "here")
    assert not (tmp_path / "here" / "musicnet").exists()


def test_too_small_a_disk_is_refused_before_the_download(
    recipe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(DataError, match="MusicNet needs .* are free; make room there"):
        recipe.download(tmp_path / "here")
    assert not Server.requests
