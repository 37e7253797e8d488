"""Score a network on validation renders with a vibrato: python recipes/musicnet_em/vibrato.py MODEL FOLDER.

Soundfonts hold notes steady, where strings, winds and voices have a vibrato. Here all notes of a recording share one
vibrato, which players do not; it shows how far a network relies on steady notes.
"""

from __future__ import annotations

import argparse

from audiocx.api import load_transcriber
from audiocx.cli.scripts import exit_on_errors
from audiocx.data.augment import AugmentConfig
from audiocx.data.corpora import musicnet
from audiocx.errors import DataError
from audiocx.music.evaluation import scorable
from audiocx.music.metrics import evaluate
from audiocx.train.export import infer_pieces, scored_hop

COLUMNS = {"AP": "average_precision", "frame F1": "frame_f1", "note F1": "note_f1", "with offset": "note_offset_f1"}


def main() -> None:
    """Score the network and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a checkpoint: a name of 'audiocx models', or its folder")
    parser.add_argument("folder", help="the renders: the folder that render.py wrote")
    about = "deepest vibratos, in cents to either side; each recording gets a random part of it (default: 0 25 50 75)"
    parser.add_argument("--cents", type=float, nargs="+", default=[0.0, 25.0, 50.0, 75.0], help=about)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    arguments = parser.parse_args()
    pieces = musicnet.split(musicnet.find_pieces(arguments.folder)).validation
    if not pieces:
        raise DataError(f"{arguments.folder}: holds none of the validation ids; render more of them.")
    transcriber = load_transcriber(arguments.model, arguments.device)
    print(f"| vibrato up to, cents | {' | '.join(COLUMNS)} |\n|---:|{'---:|' * len(COLUMNS)}", flush=True)
    for cents in arguments.cents:
        labelled = infer_pieces(transcriber, pieces, scored_hop(transcriber), AugmentConfig(vibrato_cents=cents))
        overall = evaluate([scorable(one, transcriber.checkpoint.decode) for one in labelled]).overall
        print(f"| {cents:g} | {' | '.join(f'{overall[key]:.3f}' for key in COLUMNS.values())} |", flush=True)


if __name__ == "__main__":
    with exit_on_errors("vibrato"):
        main()
