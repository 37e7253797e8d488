"""Command-line options of the recipes' export.py."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every recipe's export has.

    Args:
        parser: The command's.
    """
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("checkpoint", type=Path, help="folder to write; its last part is the checkpoint's name")
    about = "machine of the training, for the card"
    parser.add_argument("--machine", default="a processor with two cores", help=about)
    about = "name of the configuration in conf/, for the card, if it is not the usual one"
    parser.add_argument("--config", metavar="NAME", help=about)


def add_tuning_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that select the recordings on which the decoding is tuned.

    Args:
        parser: Parser of a command that exports networks of music.
    """
    about = "tune and score the decoding on degraded recordings of the same pieces too: rooms, microphones, noise"
    parser.add_argument("--degraded", "--disturbed", dest="degraded", action="store_true", help=about)
