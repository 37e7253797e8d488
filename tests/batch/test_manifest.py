from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from audiocx.batch.manifest import BEGUN, DONE, FAILED, Manifest, fingerprint
from audiocx.errors import DataError, OutputError

MADE_BY = {"command": "transcribe", "settings": {"threshold": None}}


def manifest(folder: Path, **changes: Any) -> Manifest:
    return Manifest(folder / "manifest.jsonl", {**MADE_BY, **changes})


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


@pytest.fixture
def song(tmp_path: Path) -> Path:
    (tmp_path / "song.wav").write_bytes(b"sound")
    (tmp_path / "song.mid").write_bytes(b"notes")
    return tmp_path / "song.wav"


def done(song: Path, **values: Any) -> None:
    with manifest(song.parent) as kept:
        kept.write(song, BEGUN, [song.with_suffix(".mid")])
        kept.write(song, DONE, [song.with_suffix(".mid")], **{**fingerprint(song), **values})


def is_done(song: Path, suffix: str = ".mid", **changes: Any) -> bool:
    with manifest(song.parent, **changes) as kept:
        return kept.is_done(song, [song.with_suffix(suffix)])


def test_a_run_leaves_one_record_a_file(song: Path) -> None:
    done(song, notes=3)
    done(song, notes=4)
    (record,) = records(song.parent)
    assert record["file"] == "song.wav" and record["status"] == "done" and record["outputs"] == ["song.mid"]
    assert record["notes"] == 4 and record["bytes"] == 5 and record["made_by"] == MADE_BY
    assert record["sha256"] == hashlib.sha256(b"sound").hexdigest()


def test_a_recording_is_done_until_something_changes(song: Path) -> None:
    assert not is_done(song)
    done(song)
    assert is_done(song)
    assert not is_done(song, settings={"threshold": 0.5})
    assert not is_done(song, command="predict")
    song.with_suffix(".csv").write_bytes(b"of another command")
    assert not is_done(song, ".csv")
    song.with_suffix(".mid").unlink()
    assert not is_done(song)


def test_a_touched_file_is_read_once_and_a_changed_one_is_due(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done(song, notes=3)
    os.utime(song, ns=(1, 1))
    assert is_done(song)
    (record,) = records(song.parent)
    assert record["modified_ns"] == 1 and record["notes"] == 3
    with monkeypatch.context() as patch:
        patch.setattr("audiocx.batch.manifest.fingerprint", lambda _: pytest.fail("it was read again"))
        assert is_done(song)
    song.write_bytes(b"noise")
    assert not is_done(song)
    song.unlink()
    assert not is_done(song)


def test_a_record_without_size_and_time_is_decided_by_the_content(song: Path) -> None:
    done(song)
    (record,) = records(song.parent)
    path = song.parent / "manifest.jsonl"
    path.write_text(json.dumps({name: record[name] for name in record if name not in ("bytes", "modified_ns")}) + "\n")
    assert is_done(song)
    assert records(song.parent)[0]["bytes"] == 5


def test_outputs_belong_to_their_recording(song: Path, tmp_path: Path) -> None:
    other, output = tmp_path / "other.wav", tmp_path / "song.mid"
    done(song)
    with manifest(tmp_path) as kept:
        assert kept.owner(output) == song and kept.owns(song, output) and not kept.owns(other, output)
        kept.write(song, FAILED, [])
        assert kept.owner(output) is None
        kept.write(other, BEGUN, [output])
    with manifest(tmp_path) as kept:
        assert kept.owner(output) == other


def test_paths_outside_the_folder_are_absolute(song: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with manifest(tmp_path / "out") as kept:
        kept.write(song, BEGUN, [tmp_path / "out" / "a" / "song.mid"])
    (record,) = records(tmp_path / "out")
    assert record["file"] == str(song) and record["outputs"] == ["a/song.mid"]


@pytest.mark.parametrize("kept_bytes", [1, 9, 40, -1])
def test_a_last_line_cut_off_by_a_kill_is_forgotten(song: Path, kept_bytes: int) -> None:
    done(song)
    path = song.parent / "manifest.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole.replace(b"song.wav", b"next.wav")[:-1][:kept_bytes])
    assert is_done(song)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"MThd\0\0\0\6", b"{}\n", b"[1]\n", b'{"file": "a.wav"}\n', b"onset,offset\n1,2"])
def test_a_file_that_is_no_manifest_is_not_changed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="line 1: is no record"), manifest(tmp_path):
        pass
    assert path.read_bytes() == content


def test_two_runs_do_not_share_a_manifest(tmp_path: Path) -> None:
    with manifest(tmp_path), pytest.raises(OutputError, match="another run"), manifest(tmp_path):
        pass
    with manifest(tmp_path):
        pass


def test_a_manifest_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="--manifest"), manifest(tmp_path / "missing"):
        pass


def test_a_full_disk_leaves_whole_records(song: Path, full_disk: Callable[[int], AbstractContextManager[None]]) -> None:
    path = song.parent / "manifest.jsonl"
    with manifest(song.parent) as kept:
        kept.write(song, BEGUN, [song.with_suffix(".mid")])
        kept.write(song, DONE, [song.with_suffix(".mid")], **fingerprint(song))
        before = path.read_bytes()
        with full_disk(len(before) + 20), pytest.raises(OutputError, match="make room"):
            kept.write(song.with_name("next.wav"), BEGUN, [])
        assert path.read_bytes() == before
        kept.write(song.with_name("other.wav"), BEGUN, [])
        assert path.read_bytes().startswith(before)
    assert [record["file"] for record in records(song.parent)] == ["song.wav", "other.wav"]


@pytest.mark.parametrize("torn", [b"", b'{"file": "next'])
def test_a_manifest_that_cannot_be_rewritten_is_read_as_it_is(
    song: Path, torn: bytes, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    done(song, notes=3)
    path = song.parent / "manifest.jsonl"
    twice = 2 * path.read_bytes()
    path.write_bytes(twice + torn)
    with full_disk(10), manifest(song.parent) as kept:
        assert kept.is_done(song, [song.with_suffix(".mid")])
    assert path.read_bytes().startswith(twice) and sorted(os.listdir(song.parent)) == [
        "manifest.jsonl", "song.mid", "song.wav",
    ]  # fmt: skip
    with full_disk(len(twice) + 700), manifest(song.parent) as kept:
        path.chmod(0o600)
        kept.write(song.with_name("other.wav"), BEGUN, [])
    assert [record["file"] for record in records(song.parent)] == ["song.wav", "other.wav"]


def test_a_manifest_that_is_removed_is_written_again(song: Path) -> None:
    out = song.parent / "out"
    out.mkdir()
    (out / "song.mid").touch()
    with manifest(out) as kept:
        kept.write(song, DONE, [out / "song.mid"], **fingerprint(song))
        assert kept.lost() == []
        shutil.rmtree(out)
        assert kept.lost() == [str(song)]
        kept.write(song.with_name("other.wav"), BEGUN, [])
        assert kept.lost() == [str(song)]
    assert [Path(record["file"]).name for record in records(out)] == ["song.wav", "other.wav"]
    with manifest(out) as kept:
        assert not kept.is_done(song, [out / "song.mid"]) and kept.was_begun(song.with_name("other.wav"))


def test_half_written_files_of_a_killed_run_are_removed(song: Path) -> None:
    done(song)
    for name in (".manifest.0123456789ab.jsonl", ".manifest.mine.jsonl"):
        (song.parent / name).touch()
    with manifest(song.parent):
        pass
    assert ".manifest.mine.jsonl" in os.listdir(song.parent) and len(os.listdir(song.parent)) == 4
