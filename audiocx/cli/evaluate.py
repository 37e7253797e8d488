"""``audiocx evaluate``: a network's scores on a folder of labelled recordings."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..batch.jobs import check_output
from ..errors import AudiocxError, DataError, OutputError, report, require
from . import help_text
from .options import add_model, add_precision

if TYPE_CHECKING:
    from ..music.metrics import Piece
    from ..music.transcriber import Transcriber

SCORES, TABLE = "scores.json", "table.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = help_text.EVALUATE_EXAMPLES
    parser.add_argument("folder", metavar="FOLDER", help="recordings and label files, in subfolders too")
    about = "only the recordings of this part, by the column split of a listing, such as MAESTRO's: test"
    parser.add_argument("--split", metavar="NAME", help=about)
    add_model(parser)
    add_precision(parser)
    parser.add_argument("-o", "--output", metavar="FILE.json", help="also write the scores to this JSON file")
    about = f"also write {SCORES}, {TABLE}, and what was scored: of each recording an .npz and a .csv of the notes"
    parser.add_argument("--save", metavar="DIR", help=about)
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def run(arguments: argparse.Namespace) -> int:
    """Score a network on every labelled recording of a folder, write the scores, and print a table.

    Args:
        arguments: Parsed arguments.

    Returns:
        0 if every labelled recording was scored, else 1.

    Raises:
        AudiocxError: Nothing can be scored: no recordings, no network, the extra ``evaluate`` is not installed.
    """
    from ..api import load_transcriber
    from ..checkpoints import identify
    from ..config import to_dict
    from ..data.labels import find_audio, find_labelled

    folder = Path(arguments.folder)
    output, save = (None if name is None else Path(name) for name in (arguments.output, arguments.save))
    if output is not None:
        check_output(output, arguments.overwrite)
    if save is not None:
        _make_folder(save)
        check_output(save / SCORES, arguments.overwrite)
    pairs = find_labelled(folder, arguments.split)
    require("Scoring", "evaluate", "mir_eval", "sklearn")
    from ..music.metrics import evaluate, format_table

    unlabelled = [] if arguments.split else sorted(set(find_audio(folder)) - {recording for recording, _ in pairs})
    transcriber = load_transcriber(arguments.model, arguments.device, arguments.precision, arguments.runtime)
    pieces, sources = _score(transcriber, folder, pairs, save, not arguments.quiet, arguments.debug)
    if not pieces:
        raise DataError(f"{arguments.folder}: none of its recordings could be scored; correct the errors above.")
    scores = evaluate(pieces)
    table = format_table([*scores.rows, scores.overall])
    content: dict[str, Any] = {
        "network": identify(transcriber.checkpoint.folder),
        "decode": to_dict(transcriber.checkpoint.decode),
        "overall": scores.overall,
        "pieces": [row | source for row, source in zip(scores.rows, sources, strict=True)],
        "without_labels": [path.relative_to(folder).as_posix() for path in unlabelled],
    }
    # Before anything is printed: whoever reads it may stop, such as head.
    for path in (output, save and save / SCORES):
        _write(path, json.dumps(content, indent=2))
    _write(save and save / TABLE, table)
    if not arguments.quiet:
        print("\n".join([*map(_line, sources), *_left_out(content["without_labels"]), table]))
    return 0 if len(pieces) == len(pairs) else 1


def _score(
    transcriber: Transcriber,
    folder: Path,
    pairs: Sequence[tuple[Path, Path]],
    save: Path | None,
    progress: bool,
    debug: bool,
) -> tuple[list[Piece], list[dict[str, Any]]]:
    """Transcribe one recording after the other; report and leave out those that cannot be used."""
    from ..io.note_tables import write_csv
    from ..music.evaluation import infer_labelled, save_piece, scorable

    pieces, sources = [], []
    for recording, labels in pairs:
        name = recording.relative_to(folder)
        try:
            labelled = infer_labelled(transcriber, recording, labels, progress=progress)
        except AudiocxError as error:
            report(error, debug)
            continue
        piece = scorable(labelled, transcriber.checkpoint.decode)
        if save is not None:
            saved = save / f"{name}.npz"
            _make_folder(saved.parent)
            save_piece(piece, labelled.outputs, saved)
            write_csv(piece.estimated, save / f"{name}.csv")
        pieces.append(piece)
        sources.append(_source(folder, recording, labels, len(piece.reference)))
    return pieces, sources


def _source(folder: Path, recording: Path, labels: Path, notes: int) -> dict[str, Any]:
    """Return which labels a recording was scored by, as JSON can hold it."""
    from ..data.labels import label_files, label_format

    audio, taken, *ignored = (
        Path(os.path.relpath(path, folder)).as_posix()  # labels may lie beside the folder, as MusicNet's
        for path in (recording, labels, *(path for path in label_files(recording) if path != labels))
    )
    return {"audio": audio, "labels": taken, "format": label_format(labels), "notes": notes, "ignored": ignored}


def _line(source: dict[str, Any]) -> str:
    ignored = f"; ignored: {', '.join(source['ignored'])}" if source["ignored"] else ""
    return f"{source['audio']}: {source['notes']} notes of {source['labels']} ({source['format']}){ignored}"


def _left_out(names: Sequence[str]) -> list[str]:
    return [f"without labels, and left out: {', '.join(names)}"] if names else []


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror}); choose another folder.") from None


def _write(path: Path | None, text: str) -> None:
    from ..io.atomic_write import atomic_write

    if path is not None:
        with atomic_write(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
