"""Score a network on MusicNet as the paper does: python recipes/musicnet/evaluate.py runs/deep-complex FOLDER.

Average precision over all (frame, pitch) pairs flattened: 7500 windows of each test recording from sample 11000 on, 128
samples apart, 84 pitches. Also for each recording, each instrument and each number of notes sounding together. Writes
scores.json, curve.npz, precision_recall.png (the paper's figure 2) and prediction.png (its figure 3).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from prepare import corpus_arguments

from audiocx.cli.scripts import exit_on_errors
from audiocx.config import to_dict
from audiocx.data.corpora import musicnet
from audiocx.data.frame_grids import GRIDS
from audiocx.data.training_data import open_stores, require
from audiocx.errors import DataError
from audiocx.io.atomic_write import atomic_write
from audiocx.models import NoteNetwork, TranscriberNetwork
from audiocx.music.frame_evaluation import grid_hop_samples, infer_store, score_frames
from audiocx.music.group_scores import ScoredFrames, format_groups
from audiocx.music.metrics import precision_recall_curve
from audiocx.plots.figure import save_figure
from audiocx.plots.piano_roll import plot_prediction
from audiocx.plots.precision_recall import plot_precision_recall
from audiocx.train.runs import Trained, open_trained

# A0 to G#7; a network of 88 notes has four more above.
PAPER_PITCHES = 84
# Some seconds of a recording, as in figure 3 of the paper.
PASSAGE_FRAMES = 1000


def write(
    recordings: list[ScoredFrames], scores: dict[str, Any], lowest_note: int, frame_rate: float, folder: Path
) -> None:
    """Write scores.json, curve.npz (precision, recall), precision_recall.png and prediction.png.

    Args:
        recordings: Probabilities and labels.
        scores: Content of scores.json.
        lowest_note: MIDI number of the first pitch.
        frame_rate: Frames a second.
        folder: Folder of the files; made when missing.
    """
    with suppress(OSError):  # atomic_write reports the reason
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "scores.json") as temporary:
        temporary.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    probabilities = np.concatenate([recording.probabilities for recording in recordings])
    roll = np.concatenate([recording.roll for recording in recordings])
    precision, recall, _ = precision_recall_curve(probabilities, roll)
    with atomic_write(folder / "curve.npz") as temporary:
        np.savez(temporary, precision=precision, recall=recall)
    curve = {scores["name"]: (precision, recall, scores["average_precision"])}
    save_figure(plot_precision_recall(curve), folder / "precision_recall.png")
    first, passage = recordings[0], slice(0, PASSAGE_FRAMES)
    figure = plot_prediction(first.probabilities[passage], frame_rate, first.roll[passage], lowest_note=lowest_note)
    save_figure(figure, folder / "prediction.png")


def print_scores(scores: dict[str, Any]) -> None:
    """Print the scores, overall and in groups."""
    print(f"AP {100 * scores['average_precision']:.2f} %, frame F1 {100 * scores['frame_f1']:.2f} %")
    if scores["trained_on"] is None:
        print("  (which recordings it was trained on is not recorded)")
    for name, score in scores["recordings"].items():
        marks = {"trained on": scores["trained_on"] or [], "weights chosen by it": scores["chosen_by"]}
        mark = "".join(f" ({words})" for words, ids in marks.items() if name in ids)
        print(f"  {name}: AP {100 * score:.2f} %{mark}")
    for rows in (scores["instruments"], scores["polyphony"]):
        if rows:
            print(f"\n{format_groups(rows)}")


def known_from_training(
    trained: Trained, names: Collection[str], extended: bool, allowed: bool
) -> tuple[list[str] | None, list[str]]:
    """Tell which recordings the network was trained on, and which its weights were chosen by.

    Args:
        trained: The network.
        names: Ids of the recordings to score.
        extended: Whether the extended test set is scored, most of which is usually trained on.
        allowed: Score them all the same.

    Returns:
        Both, sorted; the first None where it is not recorded.

    Raises:
        DataError: It was trained on some, or this is not recorded of an extended test set; and they are not allowed.
    """
    recorded = trained.recordings
    known = None if recorded is None else sorted(recorded & set(names))
    remedy = "train with --extended to keep them out, or score them all the same with --allow-trained"
    if known and not allowed:
        raise DataError(f"{trained.name} was trained on {', '.join(known)} of the recordings to score; {remedy}.")
    if known is None and extended and not allowed:
        raise DataError(f"{trained.name} does not record which of these recordings it was trained on; {remedy}.")
    return known, sorted(trained.chosen_by & set(names))


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="folder of a run, or a checkpoint's name or folder")
    corpus_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, help="folder of the results (default: results/<name of the run>)")
    parser.add_argument("--split", default="test", choices=["test", "validation"], help="recordings to score")
    parser.add_argument(
        "--frames",
        default="paper",
        choices=list(GRIDS),
        help="frames to score: the paper's, those of Thickstun et al. 2018, or whole recordings (default: %(default)s)",
    )
    about = "score recordings that the network was trained on, too, and mark them"
    parser.add_argument("--allow-trained", action="store_true", help=about)
    parser.add_argument("--device", default="cpu", help="cpu, cuda ... (default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    """Evaluate."""
    arguments = parse()
    trained = open_trained(arguments.network, TranscriberNetwork, NoteNetwork)
    config = trained.network.config
    pieces = getattr(musicnet.split(musicnet.find_pieces(arguments.folder), arguments.extended), arguments.split)
    require(arguments.folder, "ids", **{arguments.split: pieces})
    names = [piece.name for piece in pieces]
    trained_on, chosen_by = known_from_training(trained, names, arguments.extended, arguments.allow_trained)
    (store,) = open_stores([pieces], arguments.cache, config)
    pitches = min(PAPER_PITCHES, config.outputs)
    recordings = infer_store(trained.network, store, arguments.frames, pitches, arguments.device)
    scores = {
        "name": trained.name,
        "model": to_dict(config),
        "parameters": trained.parameters,
        "windows": trained.windows,
        "frames_seen": trained.frames,
        "corpus": Path(arguments.folder).name,
        "split": arguments.split + " (extended)" * arguments.extended,
        "frames": arguments.frames,
        "trained_on": trained_on,
        "chosen_by": chosen_by,
        **score_frames(recordings),
    }
    output = arguments.output or Path("results") / trained.name
    frame_rate = config.sample_rate / grid_hop_samples(config, arguments.frames)
    write(recordings, scores, config.lowest_note, frame_rate, output)
    print_scores(scores)
    print(f"\nwritten to {output}")


if __name__ == "__main__":
    with exit_on_errors("evaluate"):
        main()
