"""Commands of the recipes run in this process, for the tests of recipes."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

RECIPES = Path(__file__).parents[1] / "recipes"
# A network and a run of the smallest size, for --set.
TINY: dict[str, Any] = {
    "model.window_samples": 256,
    "train.warmup_windows": 0,
    "train.validation_hop_samples": 400,
    "train.ema_decay": 0.0,
}
TRAINING = ("--no-compile", "--quiet", "--accelerator", "cpu", "--devices", "1")


def run_script(script: str, *words: object) -> str:
    """Runs recipes/<script>.py as the command line would; gives what it prints on stdout."""
    path, printed = RECIPES / f"{script}.py", io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.syspath_prepend(path.parent)
        patch.setattr(sys, "argv", [path.name, *map(str, words)])
        for name in ("prepare", "corpora"):  # every recipe has its own
            sys.modules.pop(name, None)
        runpy.run_path(str(path), run_name="__main__")
    return printed.getvalue()


def refusal(script: str, *words: object) -> str:
    """Runs a command that must fail; gives the sentence that it ends with, and exit code 1."""
    with pytest.raises(SystemExit) as ended:
        run_script(script, *words)
    sentence = ended.value.code
    assert isinstance(sentence, str) and "\n" not in sentence
    name = script.rpartition("/")[2]
    assert sentence.startswith(f"{name}: error: ")
    return sentence


def settings(**changes: Any) -> list[str]:
    """Words that change settings, the tiny ones among them; a dot of a key is written as two underscores."""
    values = TINY | {name.replace("__", "."): value for name, value in changes.items()}
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
