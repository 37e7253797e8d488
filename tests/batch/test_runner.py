from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import stub_work
from stub_work import make_network

import audiocx
from audiocx.batch.local_engine import LocalEngine
from audiocx.batch.pool import run_pool
from audiocx.batch.sources import find_sources
from audiocx.cli import main
from audiocx.errors import AudiocxError, ConfigError
from audiocx.io import midi
from audiocx.models.runtime import core_count
from audiocx.music.transcription import Transcription

SineFile = Callable[..., Path]
ROOT = Path(audiocx.__file__).parents[1]
# A cluster that is there already takes less time than one for each test.
RAY = ("--engine", "ray", "--address", os.environ.get("RAY_ADDRESS", "local"))


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def processes_do_not_import_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new process imports the main module of its parent, which takes longer than all it does here."""
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)


def make(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)


def run(*words: str, jobs: int = 1) -> int:
    return stub_work.run([*words, "-o", "out", "-m", str(make_network(Path("network"))), "--jobs", str(jobs)])


def records() -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in Path("out/manifest.jsonl").read_text().splitlines()]
    return {Path(line["file"]).relative_to(Path.cwd()).as_posix(): line for line in lines}


def statuses() -> dict[str, str]:
    return {name: record["status"] for name, record in records().items()}


def tries(name: str, counter: str = ".tries") -> int:
    path = Path(name).with_suffix(counter)
    return len(path.read_text()) if path.exists() else 0


def outputs() -> list[str]:
    return sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file())


def test_bad_files_and_dead_processes_lose_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    bad = ["bad-1.wav", "breaks-1.wav", "kills-1.wav"]
    make("music/a/b.wav", "music/c/b.FLAC", "music/killsonce-1.wav", *(f"music/{name}" for name in bad))
    make("music/cover.jpg", "music/.hidden.wav", "music/.Trash/a.wav")
    assert run("music", jobs=2) == 1
    good = {"music/a/b.wav", "music/c/b.FLAC", "music/killsonce-1.wav"}
    assert statuses() == {**dict.fromkeys(good, "done"), **{f"music/{name}": "failed" for name in bad}}
    assert outputs() == ["a/b.mid", "c/b.mid", "killsonce-1.mid", "manifest.jsonl"]
    assert [tries(f"music/{name}") for name in ("killsonce-1.wav", *bad)] == [2, 1, 1, 2]
    out, err = capsys.readouterr()
    assert out.startswith("6 files: 3 done (3.0 h of sound, ") and "3 failed: see out/manifest.jsonl" in out
    assert sorted(line.split(": ")[2] for line in err.splitlines()) == [f"music/{name}" for name in bad]
    assert "was killed by signal 9" in err and "nobody thought of" in err and "Traceback" not in err
    one = records()["music/a/b.wav"]
    assert one["duration_s"] == 3600.0 and one["notes"] == 7 and one["bytes"] == 13 and len(one["sha256"]) == 64
    assert one["made_by"]["weights_sha256"] == "1" and one["made_by"]["settings"] == {"threshold": None, "tempo": None}
    assert "is bad" in records()["music/bad-1.wav"]["error"]

    assert run("music") == 1
    assert [tries(name) for name in sorted(good)] == [1, 1, 2] and tries("music/bad-1.wav") == 2
    assert ": 0 done, 3 were done before, 3 failed" in capsys.readouterr().out


def test_a_crash_costs_only_the_recording_in_progress() -> None:
    make("music/a.wav", "music/killswhenread-1.wav", "music/next.wav", "music/z.wav")
    assert run("music") == 0
    assert [tries(f"music/{name}.wav") for name in ("a", "killswhenread-1", "next", "z")] == [1, 2, 1, 1]
    assert tries("music/next.wav", ".reads") == 2  # by the process that died, and by the next one
    assert set(statuses().values()) == {"done"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_fails_while_read_ahead_fails_alone(jobs: int, capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = ["readkills-1.wav", "unreadable-1.wav"], ["a.wav", "b.wav", "s.wav", "z.wav"]
    make(*(f"music/{name}" for name in [*bad, *good]))
    assert run("music", jobs=jobs) == 1
    assert statuses() == {f"music/{name}": "failed" if name in bad else "done" for name in [*bad, *good]}
    assert [tries(f"music/{name}") for name in bad] == [0, 0] and tries("music/readkills-1.wav", ".reads") <= 3
    assert "is unreadable; mend it." in records()["music/unreadable-1.wav"]["error"]
    assert sorted(line.split(": ")[2] for line in capsys.readouterr().err.splitlines()) == [
        f"music/{name}" for name in bad
    ]
    assert [Path(f"out/{name}").with_suffix(".mid").read_text() for name in good] == [f"music/{name}" for name in good]


def test_one_recording_is_read_ahead_and_no_more() -> None:
    make("music/zz.wav")
    running = Running()
    until_s = time.monotonic() + 20
    while not tries("music/z.wav", ".reads"):
        assert time.monotonic() < until_s
        time.sleep(0.01)
    time.sleep(0.2)
    assert tries("music/z.wav") == tries("music/zz.wav", ".reads") == 0
    make("music/waits-1.go")
    assert running.end()[0] == 0
    assert [tries(f"music/{name}.wav", ".reads") for name in ("a", "b", "waits-1", "z", "zz")] == [1] * 5


def test_only_what_is_missing_or_changed_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    make("music/a.wav", "music/b.wav", "music/c.wav", "music/d.wav")
    make("out/c.mid")
    assert run("music", "-q") == 1  # c.mid is not ours
    assert Path("out/c.mid").read_text() == "out/c.mid" and "--overwrite" in capsys.readouterr().err
    Path("music/a.wav").write_text("other")
    Path("out/b.mid").unlink()
    os.utime("music/d.wav", ns=(1, 1))
    assert run("music", "--overwrite") == 0
    assert [tries(f"music/{name}.wav") for name in "abcd"] == [2, 2, 1, 1]
    assert Path("out/a.mid").read_text() == "other" and Path("out/c.mid").read_text() == "music/c.wav"
    assert "4 files: 3 done" in capsys.readouterr().out and set(statuses().values()) == {"done"}
    for change in (["--threshold", "0.5"], ["--threshold", "0.5", "--list"]):
        assert run("music/?.wav", *change) == 0
    assert tries("music/a.wav") == 3


def test_another_network_does_everything_anew() -> None:
    make("music/a.wav")
    for sha256, expected in (("1", 1), ("1", 1), ("2", 2)):
        assert stub_work.run(["music", "-m", str(make_network(Path("network"), sha256))]) == 0
        assert tries("music/a.wav") == expected


def test_two_recordings_never_share_an_output(capsys: pytest.CaptureFixture[str]) -> None:
    make("music/a.flac", "music/a.wav", "more/a.wav")
    for _ in range(2):
        assert run("music", "more", "--overwrite") == 1
        assert capsys.readouterr().err.count("would write out/a.mid, as ") == 2
        assert Path("out/a.mid").read_text() == "music/a.flac"
    Path("music/a.flac").unlink()
    assert run("music", "--overwrite") == 0  # converted, say
    assert Path("out/a.mid").read_text() == "music/a.wav"


def test_outputs_are_not_processed_as_recordings(capsys: pytest.CaptureFixture[str]) -> None:
    make("a.wav")
    words = [".", "-m", str(make_network(Path("network")))]
    for before in ("", ", 1 was done before"):
        code = stub_work.run(words, {"wav": ".notes.wav"})
        out = capsys.readouterr().out
        assert code == 0 and out.startswith("1 file: ") and before in out
    assert sorted(path.name for path in Path().glob("*.wav")) == ["a.notes.wav", "a.wav"]


def test_files_with_a_manifest_go_where_they_always_went(capsys: pytest.CaptureFixture[str]) -> None:
    make("music/a.wav", "music/b.xyz")
    make_network(Path("network"))
    words = ["music/a.wav", "music/b.xyz", "missing.wav", "-m", "network", "--manifest", "list.jsonl", "--list"]
    assert stub_work.run(words) == 1
    out, err = capsys.readouterr()
    assert Path("a.mid").exists() and Path("b.mid").exists() and Path("list.jsonl").exists()
    assert "missing.wav: does not exist" in err and "listing\nmusic/a.wav: done\n" in out


@pytest.mark.parametrize(("device", "said"), [("none", "no such network; take another"), ("kills", "fewer --jobs")])
def test_processes_that_cannot_begin_end_the_run(device: str, said: str) -> None:
    make("music/a.wav", "music/b.wav")
    with pytest.raises(AudiocxError, match=said):
        run("music", "--device", device)
    assert outputs() == ["manifest.jsonl"]


def begin(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, stub_work.__file__, "music", "-o", "out", "-m", str(make_network(Path("network")))]
    return subprocess.Popen(
        [*command, *words], env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


class Running:
    """The command in a process of its own, with two recordings done and the third waiting."""

    def __init__(self, *words: str) -> None:
        make("music/a.wav", "music/b.wav", "music/waits-1.wav", "music/z.wav")
        self.process = begin(*words)
        until_s = time.monotonic() + 60
        while not tries("music/waits-1.wav"):
            assert self.process.poll() is None and time.monotonic() < until_s
            time.sleep(0.01)

    def end(self) -> tuple[int, str, str]:
        # the pipes end when all processes that have them have ended: the workers, too
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


def finish() -> None:
    make("music/waits-1.go")
    assert run("music") == 0
    assert [tries(f"music/{name}.wav") for name in ("a", "b", "waits-1", "z")] == [1, 1, 2, 1]
    assert set(statuses().values()) == {"done"} and len(statuses()) == 4


def test_kill_9_of_the_main_process_and_rerun() -> None:
    running = Running()
    running.process.kill()
    assert running.end()[0] == -signal.SIGKILL
    with open("out/manifest.jsonl", "ab") as file:
        file.write(b'{"file": "/somewh')
    make("out/waits-1.mid")  # as if killed between the output and the record
    finish()
    assert Path("out/waits-1.mid").read_text() == "music/waits-1.wav"


@pytest.mark.parametrize("words", [(), pytest.param(RAY, marks=pytest.mark.slow)], ids=["local", "ray"])
def test_ctrl_c_stops_everything_and_says_how_to_go_on(words: tuple[str, ...]) -> None:
    if words:
        pytest.importorskip("ray")
    running = Running(*words)
    os.killpg(running.process.pid, signal.SIGINT)
    code, out, err = running.end()
    assert code == 130 and out == "" and err.count("\n") == 1
    assert err.startswith("audiocx: interrupted (4 files: 2 done") and "the same command goes on" in err
    begun = {"music/waits-1.wav": "begun", "music/z.wav": "begun"}  # the last one waited, and was perhaps read
    assert statuses() == {"music/a.wav": "done", "music/b.wav": "done", **begun}
    assert outputs() == ["a.mid", "b.mid", "manifest.jsonl"]
    finish()


def test_a_full_disk_costs_the_recordings_it_has_no_room_for(
    full_disk: Callable[[int], AbstractContextManager[None]], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"music/{letter}.wav" for letter in "abcdefghijkl"]
    make(*names)
    Path("music/a.wav").write_text(7000 * "a")
    with full_disk(6000):  # of that output, and of the manifest
        assert run("music") == 1
    out, err = capsys.readouterr()
    assert "Traceback" not in err and 2 <= err.count("\n") == err.count("make room") < 12
    done = [name for name, status in statuses().items() if status == "done"]
    assert "a.mid: cannot be written (File too large)" in err and "manifest.jsonl: cannot be written" in err
    assert 0 < len(done) == 12 - err.count("\n") and f"12 files: {len(done)} done" in out
    assert run("music") == 0
    assert set(statuses().values()) == {"done"} and [tries(name) for name in done] == [1] * len(done)
    assert outputs() == [f"{letter}.mid" for letter in "abcdefghijkl"] + ["manifest.jsonl"]


def test_a_folder_that_is_removed_during_a_run() -> None:
    running = Running()
    shutil.rmtree("out")
    make("music/waits-1.go")
    code, out, err = running.end()
    assert code == 1 and "4 files: 2 done" in out and "2 failed" in out
    assert (
        err.count("\n") == 1 and "out: was removed during the run, with what was made from " in err and "1 more" in err
    )
    assert run("music") == 0
    assert outputs() == ["a.mid", "b.mid", "manifest.jsonl", "waits-1.mid", "z.mid"]
    assert [tries(f"music/{name}.wav") for name in ("a", "b", "waits-1", "z")] == [2, 2, 1, 1]


def test_half_written_outputs_of_a_killed_run_are_removed() -> None:
    running = Running()
    running.process.kill()
    running.end()
    Path("out/.waits-1.0123456789ab.mid").write_text("half")
    finish()
    assert outputs() == ["a.mid", "b.mid", "manifest.jsonl", "waits-1.mid", "z.mid"]


def test_a_defect_costs_one_of_a_few_files(
    sine_file: SineFile, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Transcription.to_midi

    def to_midi(self: Transcription, path: Path, **options: Any) -> None:
        if path.name == "a.mid":
            raise ValueError("what nobody\nthought of")
        write(self, path, **options)

    monkeypatch.setattr(Transcription, "to_midi", to_midi)
    files = [str(sine_file(name, duration_s=0.2).name) for name in ("a.wav", "b.wav")]
    assert main(["transcribe", *files, "-m", str(tiny_checkpoint)]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("audiocx: error: a.wav: failed unexpectedly (ValueError: what nobody thought of)")
    assert err.count("\n") == 1 and "b.wav: " in out and Path("b.mid").exists() and not Path("a.mid").exists()
    assert main(["transcribe", files[0], "-m", str(tiny_checkpoint), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
def test_ray_loses_nothing_else_either() -> None:
    pytest.importorskip("ray")
    bad = ["bad-1.wav", "breaks-1.wav", "kills-1.wav"]
    make("music/a/b.wav", "music/killsonce-1.wav", *(f"music/{name}" for name in bad))
    process = begin(*RAY, "--jobs", str(1 + (os.cpu_count() or 1)))  # one more than it has places for
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "5 files: 2 done (2.0 h of sound, " in out  # after what Ray says of the dead
    good = {"music/a/b.wav", "music/killsonce-1.wav"}
    assert statuses() == {**dict.fromkeys(good, "done"), **{f"music/{name}": "failed" for name in bad}}
    assert [tries(f"music/{name}") for name in ("killsonce-1.wav", *bad)] == [2, 1, 1, 2]
    assert sorted(line.split(": ")[2] for line in err.splitlines()) == [f"music/{name}" for name in bad]
    assert outputs() == ["a/b.mid", "killsonce-1.mid", "manifest.jsonl"]
    assert run("music") == 1  # engines share the manifest
    assert [tries(name) for name in sorted(good)] == [1, 2] and tries("music/bad-1.wav") == 2


@pytest.mark.slow
def test_a_network_that_ray_cannot_load_is_one_sentence() -> None:
    pytest.importorskip("ray")
    make("music/a.wav")
    process = begin(*RAY, "--device", "none")
    assert process.communicate(timeout=120) == ("", "audiocx: error: no such network; take another.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--engine", "ray"], r"pip install 'audiocx\[ray\]'"), (["--address", "auto"], "add --engine ray")],
)
def test_ray_that_is_absent_or_not_asked_for(words: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    make("music/a.wav")
    with pytest.raises(ConfigError, match=said):
        run("music", *words)
    assert outputs() == []


def test_recordings_are_found_in_order_and_once() -> None:
    make("m/b.wav", "m/a/c.flac", "m/a/.x.wav", "m/a/text.txt", "m/.git/d.wav", "m/e.OGG", "single.bin")
    (folder, errors) = find_sources(["m", "single.bin", "m/b.wav"])
    assert [(str(one.path), str(one.subfolder)) for one in folder] == [
        ("m/b.wav", "."), ("m/e.OGG", "."), ("m/a/c.flac", "a"), ("single.bin", "."),
    ]  # fmt: skip
    assert errors == []
    globbed, _ = find_sources(["m/**/*"])
    assert {(str(one.path), str(one.subfolder)) for one in globbed} == {
        ("m/b.wav", "."), ("m/e.OGG", "."), ("m/a/c.flac", "a"),
    }  # fmt: skip
    (one,), _ = find_sources([f"{Path.cwd()}/?/a"])
    assert one.subfolder == Path("m/a")


def test_audio_is_found_by_its_content_too() -> None:
    make("m/text.txt", "m/picture.jpg", "m/.hidden")
    soundfile.write("m/track01", np.zeros(800), 8000, format="WAV")
    soundfile.write("m/track02.bak", np.zeros(800), 8000, format="FLAC")
    soundfile.write("m/track03.dat", np.zeros(8000), 8000, format="MP3")
    soundfile.write("m/.track04", np.zeros(800), 8000, format="WAV")
    for names in (["m"], ["m/*"]):
        found, errors = find_sources(names)
        assert [one.path.name for one in found] == ["track01", "track02.bak", "track03.dat"] and errors == []


def test_files_for_which_pyav_is_missing_are_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    make("m/a.wav", "m/b.m4a", "m/c/d.WMA", "e.mp4")
    found, errors = find_sources(["m", "e.mp4"])
    if find_spec("av"):
        assert len(found) == 4 and errors == []
    monkeypatch.setattr("audiocx.batch.sources.find_spec", lambda name: None)
    found, (error,) = find_sources(["m", "e.mp4"])
    assert [one.path.name for one in found] == ["a.wav", "e.mp4"]  # a file that is named is tried
    assert re.search(r"^2 files not tried.*m/b\.m4a, m/c/d\.WMA; run pip install 'audiocx\[av\]'", str(error))


@pytest.mark.parametrize("name", ["empty", "text", "*.wav"])
def test_nothing_to_do_is_one_sentence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    make("text/a.txt")
    assert main(["transcribe", name, "-o", "out"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"audiocx: error: {name}: ") and err.count("\n") == 1 and " no audio (" in err
    assert outputs() == []


@pytest.mark.parametrize(
    ("recordings", "cores", "words", "expected"),
    [
        (40, 2, [], 2),
        (40, 64, [], 4),
        (40, 1, [], 1),
        (8, 64, [], 2),
        (7, 64, [], 1),
        (1, 64, [], 1),
        (7, 2, ["--jobs", "5"], 5),
        (2, 2, ["--jobs", "5"], 2),
        (40, 64, ["--runtime", "torch"], 1),
    ],
)
def test_jobs_are_as_many_as_are_fast(
    recordings: int, cores: int, words: list[str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(*(f"music/{index}.wav" for index in range(recordings)))
    network = make_network(Path("network"))
    card = json.loads((network / "config.json").read_text())
    (network / "config.json").write_text(json.dumps({**card, "onnx": {}}))
    make("network/model.onnx")
    monkeypatch.setattr("audiocx.batch.runner.thread_count", lambda: cores)

    class Started(AudiocxError): ...

    def start(_: object, processes: int) -> None:
        raise Started(str(processes))

    monkeypatch.setattr("audiocx.batch.local_engine.LocalEngine", start)
    with pytest.raises(Started, match=f"^{expected}$"):
        stub_work.run(["music", "-o", "out", "-m", str(network), "--device", "cpu", *words])


@pytest.mark.parametrize("wanted", ["1", "1000"])
def test_processes_share_the_cores_whatever_a_profile_asks_for(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    answers = run_pool(LocalEngine(stub_work.Threads, 2), range(2), 2)
    share = 1 if wanted == "1" else max(1, core_count() // 2)
    assert [threads for _, threads in answers] == [share, share]


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1.5"])
def test_jobs_are_counted(jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["transcribe", "a.wav", "--jobs", jobs])
    assert exit_info.value.code == 2 and "is not a whole number of 1 or more" in capsys.readouterr().err


def test_with_a_network(sine_file: SineFile, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sine_file("a.wav")
    Path("b.wav").write_text("no music")
    command = ["transcribe", ".", "-m", str(tiny_checkpoint), "-o", "out"]
    assert main(command) == 1
    out, err = capsys.readouterr()
    assert "2 files: 1 done (1.0 s of sound, " in out and "1 failed" in out and err.count("\n") == 1 and "b.wav" in err
    Path("b.wav").unlink()
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("1 file: 0 done, 1 was done before -> ")
    assert [note.midi_note for note in midi.read_midi("out/a.mid")] == [69]
    record = records()["a.wav"]
    assert record["notes"] == 1 and record["duration_s"] == 1.0 and record["made_by"]["checkpoint"] == "tiny"
    # Any change here makes all recordings of old manifests due again.
    assert record["made_by"]["settings"] == {
        "precision": "float32", "format": ["midi"], "sonify": False, "threshold": None, "min_note": None,
        "tempo": 120.0, "quantize": None, "tuning": None,
    }  # fmt: skip
