"""``audiocx models`` and ``audiocx info``: what is there."""

from __future__ import annotations

import argparse

from ..errors import AudiocxError
from . import report


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
    from .. import pretrained

    rows, code = [], 0
    for name, folder in pretrained.available().items():
        try:
            card = pretrained.read_config(folder)
        except AudiocxError as error:
            report(error, arguments.debug)
            code = 1
            continue
        size_mb = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6
        average_precision = card.get("figures", {}).get("ap")
        score = "-" if average_precision is None else f"{average_precision:.3f}"
        mark = "*" if name == pretrained.DEFAULT else " "
        rows.append((mark, name, score, f"{size_mb:.0f} MB", str(card.get("description", ""))))
    if rows:
        _print_table([(" ", "name", "AP", "size", "what it is"), *rows])
        print("* is the default; AP: average precision on its validation recordings, as its model card tells")
    return code


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _info(arguments: argparse.Namespace) -> int:
    """Print a line an audio file."""
    from .. import audio

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
