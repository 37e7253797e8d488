"""Writes the validation pieces of MAPS as if recorded elsewhere: python recipes/maps/disturb.py FOLDER disturbed.

Each sounds in a random room, by another microphone and with noise, as evaluate.py --disturbed hears it: recordings with
labels beside them, for programs that read files, such as those of benchmarks/transcribe.py.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from tqdm import tqdm

from audiocx import recipe
from audiocx.data.augment import degraded
from audiocx.data.corpora import maps
from audiocx.io import audio
from audiocx.music.evaluation import DEGRADATION

SAMPLE_RATE = 11025


def main() -> None:
    """Writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the MAPS folder")
    parser.add_argument("output", type=Path, help="folder to write; made when missing")
    arguments = parser.parse_args()
    _, validation = maps.split(maps.find_pieces(arguments.folder))
    arguments.output.mkdir(parents=True, exist_ok=True)
    for piece in tqdm(validation, "disturbing", disable=None):
        samples, rate = audio.read(piece.audio, SAMPLE_RATE)
        heard = degraded(samples, rate, DEGRADATION, piece.audio.stem)
        audio.write(arguments.output / f"{piece.audio.stem}.wav", heard, rate, "FLOAT")
        shutil.copyfile(piece.labels, arguments.output / piece.labels.name)
    print(f"{len(validation)} pieces in {arguments.output}")


if __name__ == "__main__":
    recipe.run("disturb", main)
