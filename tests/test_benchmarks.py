"""The comparison with other programs measures what it says, for each network by itself."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiocx.midi import write_csv
from audiocx.notes import Note

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "transcribe.py"


@pytest.fixture
def benchmark() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_memory_is_that_of_the_command_alone(benchmark: dict[str, Any]) -> None:
    hold = "x = bytearray({}); x[::4096] = x[::4096]"
    (_, little), (_, much) = (
        benchmark["timed"]([sys.executable, "-S", "-c", hold.format(size)]) for size in (1, 80_000_000)
    )
    assert 60 < much - little < 100


def test_the_least_time_and_the_peak_of_all_rounds_are_kept(
    benchmark: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = iter([(3.0, 10.0), (9.0, 5.0), (2.0, 8.0), (8.0, 6.0)])
    monkeypatch.setitem(benchmark["speeds"].__globals__, "timed", lambda _: next(results))
    assert benchmark["speeds"]({"a": ["one"], "b": ["two"]}, 2) == {"a": (2.0, 10.0), "b": (8.0, 6.0)}


def test_every_network_has_its_own_line(
    benchmark: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    sine_file: Callable[..., Path],
    tiny_checkpoint: Path,
    tiny_notes: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recording = sine_file()
    write_csv([Note(0.0, 69, 1.0)], recording.with_suffix(".csv"))
    ran: list[list[str]] = []
    space = benchmark["main"].__globals__
    monkeypatch.setitem(space, "timed", lambda arguments: (ran.append(arguments), (1.25, 300.0))[1])
    monkeypatch.setattr(space["importlib"].util, "find_spec", lambda _: None)
    models = [str(tiny_checkpoint), str(tiny_notes)]
    folder = str(recording.parent)
    monkeypatch.setattr(sys, "argv", ["transcribe.py", folder, "--seconds", "2", "-m", models[0], "-m", models[1]])
    benchmark["main"]()
    heading, _, first, second = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert heading == "| network | frame AP | frame F1 | note F1 | with offset | wall s | peak MB |"
    # The one hears an A in everything, which is right here; the other was never trained.
    assert first == f"| {models[0]} | 1.000 | 1.000 | 1.000 | 1.000 | 1.2 | 300 |"
    assert second.startswith(f"| {models[1]} | .") and second.endswith(" | 1.2 | 300 |")
    assert [arguments[-1] for arguments in ran] == models * 3
