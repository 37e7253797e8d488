from __future__ import annotations

from pathlib import Path

import pytest

from audiocx.errors import OutputError
from audiocx.io.atomic_write import atomic_write, remove_leftovers


def test_the_file_appears_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        assert not path.exists() and temporary.parent == tmp_path and temporary.suffix == ".txt"
        temporary.write_text("whole")
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "a.txt", tmp_path / "none" / "a.txt", tmp_path / "folder"):
        with pytest.raises(OutputError, match=str(path)), atomic_write(path) as temporary:
            temporary.write_text("text")
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["file", "folder"]


@pytest.mark.parametrize(
    "name", ["x" * 250 + ".mid", "\u00e9" * 125, "\U0001f3b9" * 60 + ".notes.wav", "a." + "b" * 250]
)
def test_temporary_files_fit_where_the_file_does(tmp_path: Path, name: str) -> None:
    with atomic_write(tmp_path / name) as temporary:
        temporary.write_text("text")
    assert (tmp_path / name).read_text() == "text"


def test_leftovers_of_this_file_alone_are_removed(tmp_path: Path) -> None:
    kept = [
        tmp_path / name for name in ("a.mid", ".b.0123456789ab.mid", ".a.0123456789ab.wav", ".a.mine.mid", ".a+.mid")
    ]
    for path in [*kept, tmp_path / ".a.0123456789ab.mid", tmp_path / ".a.ba9876543210.mid"]:
        path.touch()
    remove_leftovers(tmp_path / "a.mid")
    remove_leftovers(tmp_path / "nowhere" / "a.mid")
    assert sorted(tmp_path.iterdir()) == sorted(kept)
