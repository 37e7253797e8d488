"""The command audiocx serve: its address, its end, and what it refuses."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from audiocx.cli import main


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_ends_without_a_trace(how: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "audiocx", "serve", "--device", "cpu", "--allow-remote"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", process.stdout.readline())
        assert found
        with urllib.request.urlopen(found[0]) as answer:
            assert answer.status == 200
        assert list(tmp_path.glob("audiocx*"))
        with urllib.request.urlopen(found[0].replace("/?", "/api/models?")) as answer:
            assert b"notes-complex" in answer.read()
    finally:
        process.send_signal(how)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == (0 if how == signal.SIGINT else -how)
    assert "Traceback" not in errors and not list(tmp_path.glob("audiocx*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "add --allow-remote"),
        (["--host", "no.such.name.invalid"], "no address 'no.such.name.invalid'"),
        (["--host", "192.0.2.1", "--allow-remote"], "cannot be served at 192.0.2.1"),
        (["--model", "librispeech-tuned-complex"], "predicts speech"),
        (["--model", "nothing"], "nothing"),
        (["--device", "cuda:99", "--runtime", "onnx"], "cannot use the device"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *arguments]) == 1
    errors = capsys.readouterr().err
    assert said in errors and errors.count("\n") == 1


def test_a_port_that_is_taken_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--port", str(taken.getsockname()[1])]) == 1
    assert "choose another --port" in capsys.readouterr().err


def test_without_its_extra_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("audiocx.errors.find_spec", lambda name: None)
    assert main(["serve"]) == 1
    assert "run pip install 'audiocx[serve]'" in capsys.readouterr().err
