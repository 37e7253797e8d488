"""``audiocx export``: a network as an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..batch.jobs import check_output
from ..errors import printable, require
from . import help_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = help_text.EXPORT_EXAMPLES
    about = "a name of 'audiocx models', or its folder (default: the default transcriber)"
    parser.add_argument("model", nargs="?", metavar="NAME|PATH", help=about)
    parser.add_argument("-o", "--output", metavar="FILE.onnx", help="file to write (default: NAME.onnx)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    about = "add the ONNX form to the network's own folder, so that audiocx runs it without PyTorch"
    parser.add_argument("--in-place", action="store_true", help=about)


def run(arguments: argparse.Namespace) -> int:
    """Write a transcriber as an ONNX file, or add the ONNX form to a checkpoint.

    Args:
        arguments: Parsed arguments.

    Returns:
        0.

    Raises:
        AudiocxError: There is no such network, it is not one that is exported, the file cannot be written, or the extra
            ``onnx`` is not installed.
    """
    from ..checkpoints import DEFAULT, add_onnx, load_checkpoint

    require("Exporting", "onnx", "torch", "onnx", "onnxscript")
    name = arguments.model or DEFAULT
    if arguments.in_place:
        output = add_onnx(name)
    else:
        checkpoint = load_checkpoint(name)
        output = Path(arguments.output or f"{checkpoint.name}.onnx")
        check_output(output, arguments.overwrite)
        from ..models.onnx_export import export_onnx  # once the output is known to be free: it takes seconds

        export_onnx(checkpoint, output)
    print(f"{printable(output)}: {output.stat().st_size / 1e6:.1f} MB")
    return 0
