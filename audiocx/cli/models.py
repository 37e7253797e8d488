"""``audiocx models``: the networks at hand and their scores."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import AudiocxError, printable, report, unexpected

HEADER = (" ", "name", "kind", "score", "size", "description")
LEGEND = """\
* is the default of its kind
AP: average precision of the frames of a network that transcribes, MSE: mean squared error of a predictor in dB^2,
each on its validation recordings, as in its model card"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no arguments of its own."""


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each network, without loading any.

    Args:
        arguments: Parsed arguments.

    Returns:
        0 if every network could be described, else 1.
    """
    from .. import checkpoints

    rows, code = [], 0
    for name, folder in checkpoints.available().items():
        try:
            card = checkpoints.read_config(folder)
            score, size = _score(card), _size(folder)
        except Exception as error:
            report(error if isinstance(error, AudiocxError) else unexpected(folder, error), arguments.debug)
            code = 1
            continue
        mark = "*" if name in (checkpoints.DEFAULT, checkpoints.DEFAULT_PREDICTOR) else " "
        name, kind, about = map(printable, (name, card.get("kind", "-"), card.get("description", "-")))
        rows.append((mark, name, kind, score, size, about))
    if rows:
        _print_table([HEADER, *sorted(rows, key=lambda row: row[2], reverse=True)])
        print(LEGEND)
    return code


def _score(card: dict[str, Any]) -> str:
    figures = card.get("figures", {})
    for name, form in (("ap", "AP {:.3f}"), ("mse", "MSE {:.2f}")):
        if name in figures:
            return form.format(figures[name])
    return "-"


def _size(folder: Path) -> str:
    size_mb = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6
    return f"{size_mb:.0f} MB" if size_mb >= 1 else f"{1000 * size_mb:.0f} kB"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
