"""``audiocx evaluate``: a network's scores on a folder of labelled recordings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..batch.jobs import check_output
from ..errors import AudiocxError, ConfigError, DataError
from ..io.atomic_write import atomic_write
from . import report

if TYPE_CHECKING:
    from ..music.metrics import Piece
    from ..music.transcriber import Transcriber


def run(arguments: argparse.Namespace) -> int:
    """Score a network on every labelled recording of a folder, and print a table.

    Args:
        arguments: What the parser made of the command line.

    Returns:
        0 if every recording was scored, else 1.

    Raises:
        AudiocxError: Nothing can be scored: no recordings, no network, the extra ``train`` is not installed.
    """
    try:
        import intervaltree  # noqa: F401 (of the labels)
        import mir_eval  # noqa: F401 (of the scores)
    except ImportError as error:
        raise ConfigError(
            f"Scoring needs {error.name}, which is not installed; run pip install 'audiocx[train]'."
        ) from error
    from ..api import load_transcriber
    from ..data.labels import find_labelled
    from ..music.metrics import evaluate, format_table

    output = None if arguments.output is None else Path(arguments.output)
    if output is not None:
        check_output(output, arguments.overwrite)
    pairs = find_labelled(arguments.folder)
    pieces = list(_pieces(load_transcriber(arguments.model, arguments.device, arguments.precision), pairs, arguments))
    if not pieces:
        raise DataError(f"{arguments.folder}: none of its recordings could be scored; mend them as told above.")
    scores = evaluate(pieces)
    if not arguments.quiet:
        print(format_table([*scores.rows, scores.overall]))
    if output is not None:
        with atomic_write(output) as temporary:
            temporary.write_text(json.dumps(scores.to_dict(), indent=2) + "\n", encoding="utf-8")
    return 0 if len(pieces) == len(pairs) else 1


def _pieces(transcriber: Transcriber, pairs: list[tuple[Path, Path]], arguments: argparse.Namespace) -> Iterator[Piece]:
    """Transcribe one recording after the other, reporting and leaving out what cannot be used."""
    from ..music.evaluation import infer_labelled, scorable

    for recording, labels in pairs:
        try:
            heard = infer_labelled(transcriber, recording, labels, progress=not arguments.quiet)
        except AudiocxError as error:
            report(error, arguments.debug)
            continue
        yield scorable(heard, transcriber.checkpoint.decode)
