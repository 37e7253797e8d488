"""``audiocx evaluate``: a network's scores on a folder of labelled recordings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AudiocxError, ConfigError, DataError, OutputError
from . import report

if TYPE_CHECKING:
    from ..inference import Transcriber
    from ..metrics import Piece


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
        from ..metrics import evaluate, format_table
    except ImportError as error:
        raise _not_installed(error) from error
    from ..inference import load

    output = None if arguments.output is None else Path(arguments.output)
    if output is not None:
        _check_output(output, arguments.overwrite)
    pairs = _labelled(Path(arguments.folder))
    transcriber = load(arguments.model, arguments.device)
    failures: list[Path] = []
    pieces = list(_pieces(transcriber, pairs, arguments, failures))
    if not pieces:
        raise DataError(f"{arguments.folder}: none of its recordings could be scored; mend them as told above.")
    try:
        scores = evaluate(pieces)
    except ImportError as error:
        raise _not_installed(error) from error
    if not arguments.quiet:
        print(format_table([*scores.rows, scores.overall]))
    if output is not None:
        from ..files import replacing

        with replacing(output) as temporary:
            temporary.write_text(json.dumps(scores.to_dict(), indent=2) + "\n", encoding="utf-8")
    return 1 if failures else 0


def _not_installed(error: ImportError) -> ConfigError:
    return ConfigError(f"Scoring needs {error.name}, which is not installed; run pip install 'audiocx[train]'.")


def _check_output(path: Path, overwrite: bool) -> None:
    """Refuse a JSON file that exists, or that has no folder to lie in, before any work."""
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; replace it with --overwrite, or choose another name.")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: its folder does not exist; make it first.")


def _labelled(folder: Path) -> list[tuple[Path, Path]]:
    """Recordings and their label files, in order of name."""
    try:
        from ..data.maps import AUDIO_ENDINGS, LABEL_ENDINGS, find_labels
    except ImportError as error:
        raise _not_installed(error) from error

    if not folder.is_dir():
        raise DataError(f"{folder}: is not a folder; name one that holds recordings and their label files.")
    recordings = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_ENDINGS)
    pairs = [(recording, labels) for recording in recordings if (labels := find_labels(recording))]
    if not pairs:
        raise DataError(
            f"{folder}: holds no recording with a label file of its name beside it; add one, such as song.mid for "
            f"song.wav ({', '.join(LABEL_ENDINGS)})."
        )
    return pairs


def _pieces(
    transcriber: Transcriber, pairs: list[tuple[Path, Path]], arguments: argparse.Namespace, failures: list[Path]
) -> Iterator[Piece]:
    """Transcribe one recording after the other, reporting and leaving out what cannot be used."""
    import numpy as np

    from ..data.maps import read_labels
    from ..metrics import Piece
    from ..notes import notes_to_roll

    for recording, labels in pairs:
        try:
            reference = read_labels(labels)
            result = transcriber.transcribe(recording, progress=not arguments.quiet)
        except AudiocxError as error:
            report(error, arguments.debug)
            failures.append(recording)
            continue
        frames, pitches = result.probabilities.shape
        roll = notes_to_roll(reference, np.arange(frames) / result.frame_rate, result.lowest_note, pitches)
        threshold = transcriber.checkpoint.decode.threshold
        yield Piece(recording.stem, result.probabilities, roll, reference, result.notes, threshold)
