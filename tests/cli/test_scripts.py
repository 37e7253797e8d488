"""Error handling of scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import audiocx

SCRIPT = """
from audiocx.cli.scripts import exit_on_errors
with exit_on_errors("evaluate"):
    print("scores")
"""


def test_a_closed_pipe_ends_a_script_without_a_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONPATH": str(Path(audiocx.__file__).parents[1])}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    assert done.returncode == 1 and done.stderr == b""
