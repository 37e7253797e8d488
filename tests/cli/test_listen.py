"""``audiocx listen``: from a file, a pipe and a microphone."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from fake_sound import FakeMidi, FakeSoundDevice, install_sound
from tiny_notes import RATE, recording

import audiocx
from audiocx.cli import main
from audiocx.io import midi, note_tables
from audiocx.io.live_input import LiveInput
from audiocx.music.live import LiveTranscriber
from audiocx.notes import Note

SOUND = recording(64 * 120)


@pytest.fixture
def listen(tiny_notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command, in a new folder with song.wav."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", SOUND, RATE, subtype="FLOAT")
    return ["listen", "-m", str(tiny_notes), "--runtime", "torch"]


@pytest.fixture
def expected(tiny_notes: Path) -> list[Note]:
    return audiocx.load(tiny_notes, "cpu", runtime="torch").transcribe(SOUND, RATE, tuning=0).notes


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> FakeSoundDevice:
    """A microphone that hears the sound at twice the rate, until Ctrl-C."""
    card = install_sound(monkeypatch)
    card.sound = np.repeat(SOUND, 2)
    card.end = lambda: os.kill(os.getpid(), signal.SIGINT)
    return card


def rows(printed: str) -> list[tuple[int, float]]:
    """Pitch and onset of each printed note."""
    words = [line.split() for line in printed.splitlines()]
    return [(int(word[3]), float(word[0])) for word in words if len(word) == 5 and word[0] != "onset_s"]


def test_a_file_gives_the_notes_of_transcribe(
    listen: list[str], expected: list[Note], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = ["-o", "a.mid", "-o", "a.csv", "-o", "a.json", "-o", "a.npz", "-o", "a.wav"]
    assert main([*listen, "song.wav", *outputs]) == 0
    printed, said = capsys.readouterr()
    found, wanted = (sorted(pairs) for pairs in (rows(printed), [(n.midi_note, n.onset_s) for n in expected]))
    assert [pitch for pitch, _ in found] == [pitch for pitch, _ in wanted]
    assert [onset_s for _, onset_s in found] == pytest.approx([onset_s for _, onset_s in wanted], abs=1e-3)
    assert f"song.wav: {len(expected)} notes in 1.0 s of sound -> a.mid, a.csv" in said and "listening" not in said
    assert [note.midi_note for note in note_tables.read_table("a.csv")] == [note.midi_note for note in expected]
    assert len(midi.read_midi("a.mid")) == len(expected) and soundfile.info("a.wav").duration > 0.9
    with np.load("a.npz") as archive:
        assert archive["probabilities"].shape == archive["onsets"].shape == (120, 12)


def test_a_pipe_is_read_as_it_comes(
    listen: list[str], expected: list[Note], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(Path("song.wav").read_bytes())))
    assert main([*listen, "-"]) == 0
    printed, said = capsys.readouterr()
    assert len(rows(printed)) == len(expected) and "listening to stdin; Ctrl-C ends it" in said
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"no sound at all")))
    assert main([*listen, "-", "-o", "none.mid"]) == 1
    assert "stdin: is no WAV stream" in capsys.readouterr().err and not Path("none.mid").exists()


def test_ctrl_c_ends_the_microphone_and_writes(
    listen: list[str], card: FakeSoundDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    card.overflow_at = 3
    before = signal.getsignal(signal.SIGINT)
    assert main([*listen, "-o", "heard.csv"]) == 0
    printed, said = capsys.readouterr()
    assert "listening to Fake microphone" in said and "in 1.0 s of sound -> heard.csv" in said
    assert "lost samples 1 times" in said
    with open("heard.csv") as file:
        assert len(list(csv.reader(file))) == len(rows(printed)) + 1 > 10
    assert signal.getsignal(signal.SIGINT) is before and card.closed == 1


def test_a_second_ctrl_c_does_not_wait(
    listen: list[str], card: FakeSoundDevice, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LiveTranscriber, "finish", lambda self: os.kill(os.getpid(), signal.SIGINT))
    assert main([*listen, "-o", "heard.mid"]) == 130
    assert Path("heard.mid").exists() and capsys.readouterr().err.endswith("audiocx: interrupted\n")


def test_a_microphone_that_is_unplugged_ends_the_sound(
    listen: list[str], card: FakeSoundDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    card.end = None
    assert main([*listen, "--seconds", "100", "-o", "heard.mid", "-q"]) == 0
    assert Path("heard.mid").exists() and capsys.readouterr() == ("", "")


def test_seconds_bound_the_sound(listen: list[str], card: FakeSoundDevice, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*listen, "--seconds", "0.5", "song.wav"]) == 0
    assert "in 0.5 s of sound" in capsys.readouterr().err


def test_a_terminal_shows_what_sounds(
    listen: list[str], card: FakeSoundDevice, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(listen) == 0
    lines = capsys.readouterr().out.split("\r\x1b[K")
    assert any(line.split()[0].startswith("0.") and line.split()[1:] for line in lines if "  " in line)


def test_notes_go_to_a_midi_port(
    listen: list[str], card: FakeSoundDevice, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = FakeMidi(monkeypatch)
    assert main([*listen, "--midi-port", "list"]) == 0
    assert capsys.readouterr().out == "Synth A 14:0\nSynth B 15:0\n"
    assert main([*listen, "--midi-port", "Synth A", "-q"]) == 0
    sounding = set()
    for kind, pitch, _ in port.sent:
        (sounding.add if kind == "note_on" else sounding.remove)(pitch)
    assert port.sent and not sounding and port.closed


def test_devices_are_listed(card: FakeSoundDevice, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", "--list-devices"]) == 0
    assert capsys.readouterr().out == "  1  Fake microphone (2 in, 16000 Hz)  default\n"
    card.channels = 0
    assert main(["listen", "--list-devices"]) == 0
    assert "no microphone; connect one" in capsys.readouterr().err
    assert main(["listen"]) == 1
    assert "error: There is no microphone" in capsys.readouterr().err


def test_a_silent_microphone_is_said(
    listen: list[str], card: FakeSoundDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    card.sound = np.zeros(6 * 16000, np.float32)
    assert main(listen) == 0
    assert "Fake microphone is silent; check that it is on" in capsys.readouterr().err


def test_a_machine_that_is_too_slow_is_said(
    listen: list[str], card: FakeSoundDevice, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    card.sound = np.tile(np.repeat(SOUND, 2), 40)  # all at once: 38 s, of which 30 may wait
    slow = {"time": 0}
    read = LiveInput.read

    def late(self: LiveInput, timeout_s: float) -> np.ndarray | None:
        slow["time"] += 1
        while slow["time"] == 1 and not self.lost_s:
            pass
        return read(self, timeout_s)

    monkeypatch.setattr(LiveInput, "read", late)
    assert main([*listen, "-o", "heard.mid"]) == 0
    said = capsys.readouterr().err
    assert "s behind: this machine is too slow" in said
    assert "s of sound were lost, for this machine is too slow" in said and Path("heard.mid").exists()


def test_what_cannot_be_written_is_refused_before_anything_is_played(
    listen: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("audiocx.errors.find_spec", lambda name: None if name == "verovio" else True)
        assert main([*listen, "song.wav", "-o", "a.pdf"]) == 1
    assert "audiocx[score]" in capsys.readouterr().err and not Path("a.pdf").exists()
    Path("old.mid").write_bytes(b"old")
    for path, sentence in (
        ("old.mid", "exists; choose another name, or replace it with --overwrite"),
        ("a.foo", "names no format; choose one of the suffixes .mid, .csv"),
        ("no/a.mid", "its folder does not exist"),
    ):
        assert main([*listen, "song.wav", "-o", path]) == 1
        assert sentence in capsys.readouterr().err
    assert Path("old.mid").read_bytes() == b"old"
    assert main([*listen, "song.wav", "-o", "old.mid", "--overwrite", "-q"]) == 0
    assert midi.read_midi("old.mid")
    with pytest.raises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as said:
        main([*listen, "song.wav", "--tuning", "auto"])
    assert "not a number of cents from -100 to 100" in said.getvalue()


def test_nothing_is_lost_if_the_disk_is_full(
    listen: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    replace = os.replace

    def full(source: str, target: str) -> None:
        if Path(target).parent == Path():
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("os.replace", full)
    assert main([*listen, "song.wav", "-o", "heard.mid"]) == 1
    said = capsys.readouterr().err
    (saved,) = (tmp_path / "tmp").glob("audiocx-*/heard.mid")
    assert (
        f"No space left on device); choose another folder, or make room in this one. What was heard is in {saved}"
        in said
    )
    assert midi.read_midi(saved) and not Path("heard.mid").exists()


def test_sound_that_breaks_off_is_written_first(listen: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("long.wav", np.tile(SOUND, 30), RATE)
    Path("long.wav").write_bytes(Path("long.wav").read_bytes()[:200_000])
    assert main([*listen, "missing.wav", "-o", "none.mid"]) == 1
    assert "missing.wav: does not exist" in capsys.readouterr().err and not Path("none.mid").exists()
    assert main([*listen, "long.wav", "-o", "heard.mid"]) == 1
    assert "long.wav: is cut short" in capsys.readouterr().err
