"""Scores a checkpoint on the validation pieces of MAPS: python recipes/maps/evaluate.py NAME FOLDER -o results.

Writes scores.json, precision_recall.png (the paper's figure 2) and prediction.png (its figure 3) and prints a table.
"""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from audiocx import recipe
from audiocx.api import load_transcriber
from audiocx.data.corpora import maps
from audiocx.io.atomic_write import atomic_write
from audiocx.music.evaluation import DEGRADATION, scorable
from audiocx.music.metrics import Evaluation, Piece, evaluate, format_table, precision_recall_curve
from audiocx.plots.figure import save_figure
from audiocx.plots.piano_roll import plot_prediction
from audiocx.plots.precision_recall import plot_precision_recall
from audiocx.recipe.export import infer_pieces, scored_hop

PASSAGE_S = (10.0, 25.0)


def draw(
    name: str, pieces: list[Piece], evaluation: Evaluation, lowest_note: int, frame_rate: float, folder: Path
) -> None:
    """Draws the precision-recall curve over all pieces, and a passage of the first.

    Args:
        name: Of the network.
        pieces: What was scored.
        evaluation: Their scores.
        lowest_note: MIDI number of the first pitch.
        frame_rate: Frames a second.
        folder: Where the pictures go.
    """
    probabilities = np.concatenate([piece.probabilities for piece in pieces])
    precision, recall, _ = precision_recall_curve(probabilities, np.concatenate([piece.roll for piece in pieces]))
    curve = {name: (precision, recall, evaluation.overall["average_precision"])}
    save_figure(plot_precision_recall(curve), folder / "precision_recall.png")
    first = pieces[0]
    passage_s = PASSAGE_S if len(first.probabilities) >= PASSAGE_S[1] * frame_rate else (0.0, None)
    figure = plot_prediction(first.probabilities, frame_rate, first.reference, *passage_s, lowest_note)
    save_figure(figure, folder / "prediction.png")


def main() -> None:
    """Evaluates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a checkpoint: a name of 'audiocx models', or its folder")
    parser.add_argument("folder", help="the MAPS folder")
    parser.add_argument("-o", "--output", type=Path, default=Path("results"), help="folder of the results")
    parser.add_argument("--hop", type=int, help="samples from frame to frame (default: 128, or a note network's own)")
    parser.add_argument(
        "--disturbed", action="store_true", help="the pieces as if recorded elsewhere: rooms, microphones, noise"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    arguments = parser.parse_args()
    transcriber = load_transcriber(arguments.model, arguments.device)
    _, validation = maps.split(maps.find_pieces(arguments.folder))
    hop = scored_hop(transcriber) if arguments.hop is None else arguments.hop
    heard = infer_pieces(transcriber, validation, hop, DEGRADATION if arguments.disturbed else None)
    pieces = [scorable(one, transcriber.checkpoint.decode) for one in heard]
    evaluation = evaluate(pieces)
    print(format_table([*evaluation.rows, evaluation.overall]))
    with suppress(OSError):  # what is written there says why not
        arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_write(arguments.output / "scores.json") as temporary:
        temporary.write_text(json.dumps(evaluation.to_dict(), indent=2) + "\n", encoding="utf-8")
    evidence = heard[0].evidence
    draw(transcriber.checkpoint.name, pieces, evaluation, evidence.lowest_note, evidence.frame_rate, arguments.output)


if __name__ == "__main__":
    recipe.run("evaluate", main)
