"""``audiocx evaluate``: a network's scores on a folder of labelled recordings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..batch.jobs import check_output
from ..errors import AudiocxError, DataError, report, require
from .options import add_model, add_precision

if TYPE_CHECKING:
    from ..music.metrics import Piece
    from ..music.transcriber import Transcriber


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("folder", metavar="FOLDER", help="folder of recordings and label files of the same stem")
    add_model(parser)
    add_precision(parser)
    parser.add_argument("-o", "--output", metavar="FILE.json", help="also write the scores to this JSON file")
    parser.add_argument("--overwrite", action="store_true", help="replace the JSON file if it exists")


def run(arguments: argparse.Namespace) -> int:
    """Score a network on every labelled recording of a folder, and print a table.

    Args:
        arguments: Parsed arguments.

    Returns:
        0 if every recording was scored, else 1.

    Raises:
        AudiocxError: Nothing can be scored: no recordings, no network, the extra ``evaluate`` is not installed.
    """
    from ..api import load_transcriber
    from ..data.labels import find_labelled
    from ..io.atomic_write import atomic_write

    output = None if arguments.output is None else Path(arguments.output)
    if output is not None:
        check_output(output, arguments.overwrite)
    pairs = find_labelled(arguments.folder)
    require("Scoring", "evaluate", "mir_eval", "sklearn")
    from ..music.metrics import evaluate, format_table

    transcriber = load_transcriber(arguments.model, arguments.device, arguments.precision, arguments.runtime)
    pieces = list(_pieces(transcriber, pairs, not arguments.quiet, arguments.debug))
    if not pieces:
        raise DataError(f"{arguments.folder}: none of its recordings could be scored; correct the errors above.")
    scores = evaluate(pieces)
    if not arguments.quiet:
        print(format_table([*scores.rows, scores.overall]))
    if output is not None:
        with atomic_write(output) as temporary:
            temporary.write_text(json.dumps(scores.to_dict(), indent=2) + "\n", encoding="utf-8")
    return 0 if len(pieces) == len(pairs) else 1


def _pieces(transcriber: Transcriber, pairs: list[tuple[Path, Path]], progress: bool, debug: bool) -> Iterator[Piece]:
    """Transcribe one recording after the other; report and leave out those that cannot be used."""
    from ..music.evaluation import infer_labelled, scorable

    for recording, labels in pairs:
        try:
            outputs = infer_labelled(transcriber, recording, labels, progress=progress)
        except AudiocxError as error:
            report(error, debug)
            continue
        yield scorable(outputs, transcriber.checkpoint.decode)
