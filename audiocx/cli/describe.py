"""``audiocx models`` and ``audiocx info``: what is there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import AudiocxError
from . import report

HEADER = (" ", "name", "kind", "score", "size", "what it is")
LEGEND = """\
* is the default of its kind
AP: average precision of the frames of a network that transcribes, MSE: mean squared error of a predictor in dB^2,
each on its validation recordings, as its model card tells"""


def run(arguments: argparse.Namespace) -> int:
    """Describe networks or audio files.

    Args:
        arguments: What the parser made of the command line.

    Returns:
        0 if everything could be described, else 1.
    """
    return _models(arguments) if arguments.command == "models" else _info(arguments)


def _models(arguments: argparse.Namespace) -> int:
    """Print a line a network, without loading any."""
    from .. import checkpoints

    rows, code = [], 0
    for name, folder in checkpoints.available().items():
        try:
            card = checkpoints.read_config(folder)
        except AudiocxError as error:
            report(error, arguments.debug)
            code = 1
            continue
        mark = "*" if name in (checkpoints.DEFAULT, checkpoints.DEFAULT_PREDICTOR) else " "
        kind, about = (str(card.get(key, "-")) for key in ("kind", "description"))
        rows.append((mark, name, kind, _score(card), _size(folder), about))
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


def _info(arguments: argparse.Namespace) -> int:
    """Print a line an audio file."""
    from ..io import audio

    code = 0
    for path in arguments.files:
        try:
            about = audio.info(path)
        except AudiocxError as error:
            report(error, arguments.debug)
            code = 1
            continue
        channels = f"{about.channels} channel{'' if about.channels == 1 else 's'}"
        print(
            f"{about.path}: {about.duration_s:.2f} s, {about.sample_rate} Hz, {channels}, {about.frames} frames, "
            f"{about.format} {about.subtype}"
        )
    return code
