"""Score a checkpoint on the validation pieces of MAPS: python recipes/maps/evaluate.py NAME FOLDER -o results.

Writes scores.json, precision_recall.png (the paper's figure 2) and prediction.png (its figure 3) and prints a table.
"""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from audiocx.api import load_transcriber
from audiocx.cli.scripts import exit_on_errors
from audiocx.data.augment import DEGRADATION
from audiocx.data.corpora import maps
from audiocx.io.atomic_write import atomic_write
from audiocx.music.evaluation import scorable
from audiocx.music.metrics import Evaluation, Piece, evaluate, format_table, precision_recall_curve
from audiocx.plots.figure import save_figure
from audiocx.plots.piano_roll import plot_prediction
from audiocx.plots.precision_recall import plot_precision_recall
from audiocx.train.export import infer_pieces, scored_hop

PASSAGE_S = (10.0, 25.0)


def draw(
    name: str, pieces: list[Piece], evaluation: Evaluation, lowest_note: int, frame_rate: float, folder: Path
) -> None:
    """Draw the precision-recall curve over all pieces, and a passage of the first.

    Args:
        name: The network's name.
        pieces: Scored pieces.
        evaluation: Their scores.
        lowest_note: MIDI number of the first pitch.
        frame_rate: Frames a second.
        folder: Folder of the pictures.
    """
    probabilities = np.concatenate([piece.probabilities for piece in pieces])
    precision, recall, _ = precision_recall_curve(probabilities, np.concatenate([piece.roll for piece in pieces]))
    curve = {name: (precision, recall, evaluation.overall["average_precision"])}
    save_figure(plot_precision_recall(curve), folder / "precision_recall.png")
    first = pieces[0]
    start_s, end_s = PASSAGE_S if len(first.probabilities) >= PASSAGE_S[1] * frame_rate else (0.0, None)
    figure = plot_prediction(first.probabilities, frame_rate, first.reference, start_s, end_s, lowest_note)
    save_figure(figure, folder / "prediction.png")


def main() -> None:
    """Evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a checkpoint: a name of 'audiocx models', or its folder")
    parser.add_argument("folder", help="the MAPS folder")
    parser.add_argument("-o", "--output", type=Path, default=Path("results"), help="folder of the results")
    parser.add_argument("--hop", type=int, help="samples from frame to frame (default: 128, or a note network's own)")
    about = "degrade the recordings first: rooms, microphones, noise"
    parser.add_argument("--degraded", "--disturbed", dest="degraded", action="store_true", help=about)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    arguments = parser.parse_args()
    transcriber = load_transcriber(arguments.model, arguments.device)
    _, validation = maps.split(maps.find_pieces(arguments.folder))
    hop = scored_hop(transcriber) if arguments.hop is None else arguments.hop
    labelled = infer_pieces(transcriber, validation, hop, DEGRADATION if arguments.degraded else None)
    pieces = [scorable(one, transcriber.checkpoint.decode) for one in labelled]
    evaluation = evaluate(pieces)
    with suppress(OSError):  # atomic_write reports the reason
        arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_write(arguments.output / "scores.json") as temporary:
        temporary.write_text(json.dumps(evaluation.to_dict(), indent=2) + "\n", encoding="utf-8")
    outputs = labelled[0].outputs
    draw(transcriber.checkpoint.name, pieces, evaluation, outputs.lowest_note, outputs.frame_rate, arguments.output)
    print(format_table([*evaluation.rows, evaluation.overall]))


if __name__ == "__main__":
    with exit_on_errors("evaluate"):
        main()
