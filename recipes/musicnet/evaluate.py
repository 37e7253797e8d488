"""Scores a network on MusicNet as the paper does: python recipes/musicnet/evaluate.py runs/deep-complex FOLDER.

Average precision over all (frame, pitch) pairs flattened: 7500 windows of each test recording from sample 11000 on, 128
samples apart, 84 pitches. Also for each recording, each instrument and each number of notes sounding together. Writes
scores.json, curve.npz, precision_recall.png (the paper's figure 2) and prediction.png (its figure 3).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from prepare import corpus_arguments, parts

from audiocx import recipe
from audiocx.data.frame_grids import GRIDS
from audiocx.errors import DataError
from audiocx.models import NoteNetwork, TranscriberNetwork
from audiocx.recipe.corpora import open_stores
from audiocx.recipe.score import hop_of, infer_store, report, summarise
from audiocx.train.runs import open_trained

# A0 to G#7; a network of 88 notes has four more above.
PAPER_PITCHES = 84


def main() -> None:
    """Evaluates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="folder of a run, or a checkpoint's name or folder")
    corpus_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, help="folder of the results (default: results/<name of the run>)")
    parser.add_argument("--split", default="test", choices=["test", "validation"], help="which recordings")
    parser.add_argument(
        "--frames",
        default="paper",
        choices=list(GRIDS),
        help="which frames: the paper's, those of Thickstun et al. 2018, or whole recordings (default: %(default)s)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda ... (default: %(default)s)")
    arguments = parser.parse_args()
    trained = open_trained(arguments.network, TranscriberNetwork, NoteNetwork)
    config = trained.network.config
    pieces = getattr(parts(arguments), arguments.split)
    if not pieces:
        raise DataError(f"{arguments.folder}: holds no recording for {arguments.split}; add some of its ids.")
    (store,) = open_stores([pieces], arguments.cache, config)
    pitches = min(PAPER_PITCHES, config.outputs)
    heard = infer_store(trained.network, store, arguments.frames, pitches, arguments.device)
    facts = {"split": arguments.split + " (extended)" * arguments.extended, "frames": arguments.frames}
    scores = summarise(heard, trained, corpus=Path(arguments.folder).name, **facts)
    output = arguments.output or Path("results") / trained.name
    frame_rate = config.sample_rate / hop_of(config, arguments.frames)
    report(heard, scores, config.lowest_note, frame_rate, output)


if __name__ == "__main__":
    recipe.run("evaluate", main)
