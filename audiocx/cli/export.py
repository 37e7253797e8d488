"""``audiocx export``: a network as an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..batch.jobs import check_output
from . import help_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = help_text.EXPORT_EXAMPLES
    about = "a name of 'audiocx models', or its folder (default: the default transcriber)"
    parser.add_argument("model", nargs="?", metavar="NAME|PATH", help=about)
    parser.add_argument("-o", "--output", metavar="FILE.onnx", help="file to write (default: NAME.onnx)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")


def run(arguments: argparse.Namespace) -> int:
    """Write a transcriber as an ONNX file.

    Args:
        arguments: Parsed arguments.

    Returns:
        0.

    Raises:
        AudiocxError: There is no such network, it is not one that is exported, the file cannot be written, or the extra
            ``onnx`` is not installed.
    """
    from ..checkpoints import DEFAULT, load_checkpoint
    from ..models.onnx_export import export_onnx

    checkpoint = load_checkpoint(arguments.model or DEFAULT)
    output = Path(arguments.output or f"{checkpoint.name}.onnx")
    check_output(output, arguments.overwrite)
    export_onnx(checkpoint, output)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    return 0
