from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stub_work
from stub_work import make_network

import audiocx
from audiocx.batch.sources import find_sources
from audiocx.errors import AudioError, ConfigError, OutputError
from audiocx.io.paths import as_path, check_writable, staged, stamp

pytest.importorskip("upath")
# A cluster that is there already takes less time than one for each test.
RAY_ADDRESS = os.environ.get("RAY_ADDRESS", "local")


@pytest.fixture
def store() -> Iterator[str]:
    """A store in memory, which has no folders, as object stores have none."""
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in ("b/a.wav", "b/sub/b.FLAC", "b/cover.jpg", "b/.hidden/c.wav", "b/.d.wav", "bc/e.wav"):
        memory.pipe_file(name, name.encode())
    yield "memory://"
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def found(*names: str) -> list[tuple[str, str]]:
    sources, errors = find_sources(list(names))
    assert not errors
    return [(source.path.name, str(source.subfolder)) for source in sources]


def test_recordings_are_found_at_urls(store: str) -> None:
    both = [("a.wav", "."), ("b.FLAC", "sub")]
    assert found(f"{store}b") == found(f"{store}b/") == found(f"{store}b", f"{store}b/a.wav") == both
    assert found(f"{store}b/*") == both and found(f"{store}b/**/*.FLAC") == both[1:]
    assert found(f"{store}b/sub/b.FLAC") == [("b.FLAC", ".")] and found(f"{store}b/cover.jpg") == [("cover.jpg", ".")]
    assert found(f"{store}*/*.wav") == [("a.wav", "b"), ("e.wav", "bc")]


@pytest.mark.parametrize("name", ["memory://nothing", "memory://nothing/*.wav"])
def test_a_url_without_files_is_an_error(name: str) -> None:
    sources, errors = find_sources([name])
    assert not sources and len(errors) == 1 and str(errors[0]).startswith(f"{name}: holds no audio (.wav, ")


def test_recordings_are_downloaded_and_outputs_uploaded(store: str) -> None:
    source, output = as_path(f"{store}b/a.wav"), as_path(f"{store}out/x/a.mid")
    with staged(source, {"midi": output}) as (here, places):
        assert here.name == "a.wav" and here.read_text() == "b/a.wav"
        places["midi"].write_text("notes")
        assert not output.exists()
    assert output.read_text() == "notes" and not here.exists()
    with pytest.raises(RuntimeError), staged(source, {"midi": output}) as (here, places):
        places["midi"].write_text("half")
        raise RuntimeError
    assert output.read_text() == "notes" and not here.exists()


def test_local_files_are_not_copied(tmp_path: Path) -> None:
    with staged(tmp_path / "a.wav", {"midi": tmp_path / "a.mid"}) as places:
        assert places == (tmp_path / "a.wav", {"midi": tmp_path / "a.mid"})


def test_a_stamp_changes_with_the_file(store: str, tmp_path: Path) -> None:
    file = as_path(f"{store}b/a.wav")
    before = stamp(file)
    assert before[0] == 7 and before == stamp(file)
    file.write_text("another")
    assert stamp(file)[0] == 7 and stamp(file)[1] > before[1]
    for missing in (as_path(f"{store}b/none.wav"), tmp_path / "none.wav"):
        with pytest.raises(OSError):
            stamp(missing)


def test_failed_downloads_and_uploads_are_errors(store: str, tmp_path: Path) -> None:
    missing = as_path(f"{store}b/none.wav")
    with pytest.raises(AudioError, match=r"none\.wav: cannot be downloaded"), staged(missing, {}):
        pass
    (tmp_path / "file").touch()
    folder = as_path(f"file://{tmp_path}/file")
    with pytest.raises(OutputError, match="cannot be written to .*choose another folder with -o"):
        check_writable(folder)
    fetched = staged(as_path(f"{store}b/a.wav"), {"midi": folder / "a.mid"})
    with pytest.raises(OutputError, match=r"a\.mid: cannot be written"), fetched as (_, places):
        places["midi"].write_text("notes")


@pytest.mark.parametrize(
    ("name", "said"), [("nosuch://a/b.wav", "install the fsspec file system"), ("s3:", None), ("a:/b.wav", None)]
)
def test_urls_and_paths_are_distinguished(name: str, said: str | None) -> None:
    if said is None:
        assert as_path(name) == Path(name)
        return
    with pytest.raises(ConfigError, match=said):
        as_path(name)


def test_without_universal_pathlib_the_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(ConfigError, match=r"pip install 'audiocx\[cloud\]'"):
        as_path("s3://bucket/a.wav")


class TestBatch:
    """At file:// URLs, which several processes can see."""

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
        monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
        for name in ("music/a.wav", "music/sub/b.flac", "music/bad-1.wav"):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(name)

    def run(self, *words: str) -> int:
        return stub_work.run([*words, "-m", str(make_network(Path("network")))])

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in Path("m.jsonl").read_text().splitlines()]

    def test_from_store_to_store(self, capsys: pytest.CaptureFixture[str]) -> None:
        here = f"file://{Path.cwd()}"
        words = [f"{here}/music", "-o", f"{here}/out", "--manifest", "m.jsonl", "--jobs", "2"]
        assert self.run(*words) == 1
        out, err = capsys.readouterr()
        assert "3 files: 2 done" in out and f"error: {here}/music/bad-1.wav: is bad; mend it." in err
        assert Path("out/sub/b.mid").read_text() == "music/sub/b.flac"
        assert sorted(path.name for path in Path("out").rglob("*")) == ["a.mid", "b.mid", "sub"]
        told = {record["file"]: record for record in self.records()}
        record = told[f"{here}/music/a.wav"]
        assert record["status"] == "done" and record["outputs"] == [f"{here}/out/a.mid"]
        assert record["bytes"] == 11 and len(record["sha256"]) == 64
        Path("music/bad-1.wav").rename("music/good.wav")
        Path("music/a.wav").write_text("music/A.wav")
        assert self.run(*words) == 0
        assert "3 files: 2 done" in capsys.readouterr().out and Path("out/a.mid").read_text() == "music/A.wav"
        assert self.run(*words) == 0
        assert "0 done, 3 were done before" in capsys.readouterr().out

    @pytest.mark.slow
    def test_on_ray(self) -> None:
        pytest.importorskip("ray")
        here, root = f"file://{Path.cwd()}", Path(audiocx.__file__).parents[1]
        words = [
            f"{here}/music",
            "-o",
            f"{here}/out",
            "--manifest",
            "m.jsonl",
            "-m",
            str(make_network(Path("network"))),
        ]
        # As a program of its own, so that Ray takes the work along with it.
        command = [sys.executable, stub_work.__file__, *words, "--engine", "ray", "--address", RAY_ADDRESS]
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(root)}, text=True, capture_output=True)
        assert done.returncode == 1 and "3 files: 2 done" in done.stdout, done.stderr
        assert Path("out/sub/b.mid").read_text() == "music/sub/b.flac"
        assert {record["status"] for record in self.records()} == {"done", "failed"}

    def test_files_that_are_not_ours_are_kept(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("out").mkdir()
        Path("out/a.mid").write_text("mine")
        here = f"file://{Path.cwd()}"
        assert self.run(f"{here}/music/a.wav", "-o", f"{here}/out", "--manifest", "m.jsonl") == 1
        assert "exists already" in capsys.readouterr().err and Path("out/a.mid").read_text() == "mine"

    def test_a_manifest_lies_on_the_disk(self) -> None:
        with pytest.raises(ConfigError, match="name a file on the disk with --manifest"):
            self.run("music", "-o", f"file://{Path.cwd()}/out")

    def test_a_url_makes_a_batch(self) -> None:
        asked = [["s3://bucket/a.wav"], ["a.wav", "-o", "s3://bucket"], ["a.wav"]]
        assert [stub_work.parsed(words)[1].keeps_manifest for words in asked] == [True, True, False]
