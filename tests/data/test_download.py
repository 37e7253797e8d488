"""Downloads from a server on this machine, in all the ways in which they go wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from audiocx.data import download
from audiocx.data.download import Remote, fetch
from audiocx.errors import DataError

CONTENT = np.random.default_rng(0).bytes(700_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@dataclass
class Site:
    """What the server has and how it behaves, and what it was asked for."""

    content: bytes = CONTENT
    etag: str | None = '"first"'
    modified: str | None = None
    ranges: bool = True
    honours_if_range: bool = True
    says_length: bool = True
    status: int = 200
    drops: list[int] = field(default_factory=list)  # bytes given to each request in turn; then all
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)  # Range, If-Range
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        self.asked.append((wanted, condition))
        if self.status != 200:
            handler.send_error(self.status)
            return
        fresh = condition in (None, self.etag, self.modified) or not self.honours_if_range
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges and fresh else 0
        total = len(self.content)
        handler.send_response(200 if not start else 206 if start < total else 416)
        if start:
            have = f"{start}-{total - 1}" if start < total else "*"
            handler.send_header("Content-Range", f"bytes {have}/{total}")
        for name, value in (("ETag", self.etag), ("Last-Modified", self.modified)):
            if value:
                handler.send_header(name, value)
        if self.says_length:
            handler.send_header("Content-Length", str(max(total - start, 0)))
        handler.end_headers()
        end = start + self.drops.pop(0) if self.drops else total
        handler.wfile.write(self.content[start:end])


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "BACKOFF_S", (0.0, 0.0))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        site.url = f"http://127.0.0.1:{server.server_port}/corpus.bin"
        yield site
        server.shutdown()


def remote(site: Site, **known: Any) -> Remote:
    return Remote(site.url, "corpus.bin", **{"md5": MD5, "size": len(CONTENT), **known})


def leave(folder: Path, site: Site, part: bytes, **memory: Any) -> None:
    """Leaves behind what an interrupted download does."""
    (folder / "corpus.bin.part").write_bytes(part)
    known = {"url": site.url, "validator": '"first"', "total": len(CONTENT), **memory}
    (folder / "corpus.bin.part.json").write_text(json.dumps(known))


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_file_comes_whole_and_only_once(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    path = fetch(remote(site, md5=MD5.upper()), folder)
    assert path == folder / "corpus.bin" and path.read_bytes() == CONTENT and visible(folder) == ["corpus.bin"]
    assert fetch(remote(site), folder) == path and site.asked == [(None, None)]


@pytest.mark.parametrize("known", [{"size": None}, {"md5": None}, {"md5": None, "size": None}])
@pytest.mark.parametrize("says_length", [True, False])
def test_what_is_not_published_is_not_asked_for(
    site: Site, tmp_path: Path, known: dict[str, None], says_length: bool
) -> None:
    site.says_length = says_length
    assert fetch(remote(site, **known), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("etag", "modified", "condition"),
    [
        ('"first"', "Mon, 01 Jan 2024 00:00:00 GMT", '"first"'),
        ('W/"weak"', "Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 GMT"),
        (None, None, None),
    ],
)
def test_a_dropped_connection_goes_on_where_it_stopped(
    site: Site, tmp_path: Path, etag: str | None, modified: str | None, condition: str | None
) -> None:
    site.etag, site.modified, site.drops = etag, modified, [300_000, 100_000]
    assert fetch(remote(site), tmp_path).read_bytes() == CONTENT
    assert site.asked == [(None, None), ("bytes=300000-", condition), ("bytes=400000-", condition)]


def test_any_number_of_drops_is_borne_while_it_gets_on(site: Site, tmp_path: Path) -> None:
    site.drops = [50_000] * 13
    assert fetch(remote(site), tmp_path).read_bytes() == CONTENT and len(site.asked) == 14


def test_a_connection_that_brings_nothing_ends_in_a_sentence_and_the_next_run_goes_on(
    site: Site, tmp_path: Path
) -> None:
    site.drops = [250_000, 0, 0]
    with pytest.raises(DataError, match=r"broke off.* 250.?kB .*run the command again to go on"):
        fetch(remote(site), tmp_path)
    assert visible(tmp_path) == ["corpus.bin.part", "corpus.bin.part.json"]
    assert fetch(remote(site), tmp_path).read_bytes() == CONTENT
    assert [wanted for wanted, _ in site.asked] == [None] + 3 * ["bytes=250000-"]
    assert visible(tmp_path) == ["corpus.bin"]


def test_a_server_without_ranges_starts_over_and_does_not_go_on_for_ever(site: Site, tmp_path: Path) -> None:
    site.ranges, site.drops = False, [400_000]
    assert fetch(remote(site), tmp_path).read_bytes() == CONTENT and len(site.asked) == 2
    site.drops = [400_000] * 9
    with pytest.raises(DataError, match="broke off"):
        fetch(remote(site), tmp_path / "again")


@pytest.mark.parametrize("honours_if_range", [True, False])
def test_a_file_changed_meanwhile_starts_over(site: Site, tmp_path: Path, honours_if_range: bool) -> None:
    leave(tmp_path, site, bytes(300_000), validator='"older"')
    site.honours_if_range = honours_if_range
    assert fetch(remote(site, md5=None), tmp_path).read_bytes() == CONTENT
    assert site.asked[0] == ("bytes=300000-", '"older"')


@pytest.mark.parametrize("memory", [{"url": "http://elsewhere"}, {"unknown": 1}, None])
def test_a_part_of_something_unknown_starts_over(site: Site, tmp_path: Path, memory: dict[str, Any] | None) -> None:
    leave(tmp_path, site, bytes(300_000), **memory or {})
    if memory is None:
        (tmp_path / "corpus.bin.part.json").unlink()
    assert fetch(remote(site, md5=None), tmp_path).read_bytes() == CONTENT and site.asked == [(None, None)]


def test_a_part_that_is_all_there_is_verified_without_a_download(site: Site, tmp_path: Path) -> None:
    leave(tmp_path, site, CONTENT)
    assert fetch(remote(site), tmp_path).read_bytes() == CONTENT and not site.asked
    (tmp_path / "corpus.bin").unlink()
    leave(tmp_path, site, CONTENT, total=None)  # then the server tells that there is no rest
    assert fetch(remote(site), tmp_path).read_bytes() == CONTENT
    assert site.asked == [(f"bytes={len(CONTENT)}-", '"first"')]


def test_a_part_longer_than_the_file_starts_over(site: Site, tmp_path: Path) -> None:
    leave(tmp_path, site, CONTENT + b"more")
    assert fetch(remote(site), tmp_path).read_bytes() == CONTENT and len(site.asked) == 2


def test_a_wrong_checksum_leaves_nothing_behind(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{site.url}.*MD5 is {MD5}, not 0123.*again"):
        fetch(remote(site, md5="0123"), tmp_path)
    assert visible(tmp_path) == []


def test_a_wrong_size_is_told_before_the_download_or_after_it(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="offers 700000 bytes, not the 12 that were published"):
        fetch(remote(site, size=12), tmp_path)
    site.says_length = False
    with pytest.raises(DataError, match="has 700000 bytes, not 12"):
        fetch(remote(site, size=12), tmp_path)
    assert visible(tmp_path) == []


def test_a_file_of_that_name_but_another_size_is_never_overwritten(site: Site, tmp_path: Path) -> None:
    (tmp_path / "corpus.bin").write_text("mine")
    with pytest.raises(DataError, match="4 bytes, not the 700000.*move it away"):
        fetch(remote(site), tmp_path)
    assert (tmp_path / "corpus.bin").read_text() == "mine" and not site.asked


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (403, 1), (500, 1)])
def test_a_refusal_is_told_at_once(site: Site, tmp_path: Path, status: int, asked: int) -> None:
    site.status = status
    with pytest.raises(DataError, match=f"{site.url}.*answers {status}"):
        fetch(remote(site), tmp_path)
    assert len(site.asked) == asked and visible(tmp_path) == []


def test_a_failing_server_is_tried_again_in_the_middle_and_a_refusing_one_is_not(site: Site, tmp_path: Path) -> None:
    answer = site.answer

    def fail_once_begun(handler: BaseHTTPRequestHandler) -> None:
        site.status = 200 if len(site.asked) != 1 else status
        answer(handler)

    site.answer = fail_once_begun  # type: ignore[method-assign]
    status, site.drops = 503, [300_000]
    assert fetch(remote(site), tmp_path).read_bytes() == CONTENT and len(site.asked) == 3
    status, site.drops, site.asked = 404, [300_000], []
    with pytest.raises(DataError, match="answers 404"):
        fetch(remote(site), tmp_path / "again")
    assert len(site.asked) == 2


def test_no_network_is_told_at_once(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "BACKOFF_S", (3600.0,))
    with socket.socket() as unused:  # bound, but not listening
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/corpus.bin"
        with pytest.raises(DataError, match=f"{url}.*no connection.*check the connection"):
            fetch(Remote(url, "corpus.bin"), tmp_path)


def test_a_silent_server_does_not_hold_us(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DataError, match="timed out"):
        fetch(Remote(f"http://127.0.0.1:{silent.getsockname()[1]}/", "corpus.bin"), tmp_path)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The bytes free on every disk above the reserve; set ``free`` to change them."""
    disk = SimpleNamespace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=disk.free + download.RESERVE_BYTES))
    return disk


def test_a_small_disk_is_told_before_the_download(site: Site, tmp_path: Path, free: SimpleNamespace) -> None:
    free.free = 399_999
    with pytest.raises(DataError, match=r"needs 700.?kB .*free; make room"):
        fetch(remote(site), tmp_path)
    assert visible(tmp_path) == []
    leave(tmp_path, site, CONTENT[:300_000])
    with pytest.raises(DataError, match=r"needs 400.?kB"):
        fetch(remote(site), tmp_path)
    free.free = 400_000  # what is here already needs no room
    assert fetch(remote(site), tmp_path).read_bytes() == CONTENT


def test_two_at_once_do_not_mix(site: Site, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".corpus.bin.lock"), pytest.raises(DataError, match="another process"):
        fetch(remote(site), tmp_path)
    assert fetch(remote(site), tmp_path).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file.*cannot be written"):
        fetch(remote(site), tmp_path / "file" / "folder")


class Bar:
    """A tqdm that only counts."""

    made: list[Bar] = []

    def __init__(self, total: int, initial: int = 0, **_: Any) -> None:
        self.total, self.initial, self.n = total, initial, initial
        Bar.made.append(self)

    def update(self, n: int) -> None:
        self.n += n
        assert 0 <= self.n <= self.total

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_bars_begin_at_what_is_there_and_end_full(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bar, "made", [])
    monkeypatch.setattr(download, "tqdm", Bar)
    leave(tmp_path, site, CONTENT[:300_000])
    fetch(remote(site), tmp_path)
    assert [(bar.initial, bar.n) for bar in Bar.made] == [(300_000, 700_000), (0, 700_000)]
