"""``audiocx info``: rate, channels, length and encoding of audio files."""

from __future__ import annotations

import argparse

from ..batch.jobs import said
from ..errors import AudiocxError, printable, report, unexpected
from .options import add_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_files(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each audio file.

    Args:
        arguments: Parsed arguments.

    Returns:
        0 if every file could be described, else 1.
    """
    from ..io import audio

    code = 0
    for path in arguments.files:
        try:
            about = audio.info(path)
        except Exception as error:
            report(error if isinstance(error, AudiocxError) else unexpected(path, error), arguments.debug)
            code = 1
            continue
        channels = f"{about.channels} channel{'' if about.channels == 1 else 's'}"
        length = f"{about.duration_s:.2f} s, {about.sample_rate} Hz, {channels}, {about.frames} frames"
        print(f"{printable(about.path)}: {length}, {about.format} {about.subtype}{said(about.remarks)}")
    return code
