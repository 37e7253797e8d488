"""Write degraded recordings of the validation pieces of MAPS: python recipes/maps/disturb.py FOLDER degraded.

Each is in a random room, through another microphone and with noise, exactly as in evaluate.py --degraded. The labels
are copied beside the recordings, for programs that read files, such as those of benchmarks/transcribe.py.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from tqdm import tqdm

from audiocx.cli.scripts import exit_on_errors
from audiocx.data.augment import DEGRADATION, degraded
from audiocx.data.corpora import maps
from audiocx.io import audio

SAMPLE_RATE = 11025


def main() -> None:
    """Write the recordings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the MAPS folder")
    parser.add_argument("output", type=Path, help="folder to write; made when missing")
    arguments = parser.parse_args()
    _, validation = maps.split(maps.find_pieces(arguments.folder))
    arguments.output.mkdir(parents=True, exist_ok=True)
    for piece in tqdm(validation, "degrading", disable=None):
        samples, rate = audio.read(piece.audio, SAMPLE_RATE)
        varied = degraded(samples, rate, DEGRADATION, piece.audio.stem)
        audio.write(arguments.output / f"{piece.audio.stem}.wav", varied, rate, "FLOAT")
        shutil.copyfile(piece.labels, arguments.output / piece.labels.name)
    print(f"{len(validation)} pieces in {arguments.output}")


if __name__ == "__main__":
    with exit_on_errors("disturb"):
        main()
