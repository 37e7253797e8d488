"""Score networks on varied validation windows: python recipes/maps/variations.py FOLDER runs/variations-*.

Average precision over 16 384 random windows of the validation pieces, the same for all networks: as recorded, at other
levels, out of tune, through other frequency responses, with noise. Shows the effect of each variation of the training.
"""

from __future__ import annotations

import argparse

import torch
from prepare import corpus_arguments

from audiocx.cli.scripts import exit_on_errors
from audiocx.data.augment import AugmentConfig
from audiocx.data.corpora import maps
from audiocx.data.training_data import open_stores
from audiocx.data.windows import WindowSampler
from audiocx.models import TranscriberNetwork
from audiocx.music.metrics import average_precision
from audiocx.train.runs import open_trained

VARIATIONS = {
    "as recorded": AugmentConfig(),
    "level +-20 dB": AugmentConfig(gain_db=20.0),
    "tuning +-40 cents": AugmentConfig(detune_cents=40.0),
    "response 6 dB": AugmentConfig(equalizer_db=6.0),
    "noise -30 dB": AugmentConfig(noise_db=-30.0),
}
BATCH, BATCHES = 64, 256


def main() -> None:
    """Score the networks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    corpus_arguments(parser)
    parser.add_argument("networks", nargs="+", help="runs, or checkpoints by name or folder")
    arguments = parser.parse_args()
    _, pieces = maps.split(maps.find_pieces(arguments.folder))
    print(f"| network | {' | '.join(VARIATIONS)} |\n|---{'|---:' * len(VARIATIONS)}|")
    for name in arguments.networks:
        trained = open_trained(name, TranscriberNetwork)
        (store,) = open_stores([pieces], arguments.cache, trained.network.config)
        scores = []
        for augmentation in VARIATIONS.values():
            sampler = WindowSampler(store, trained.network.config.window_samples, BATCH, augmentation=augmentation)
            with torch.inference_mode():
                outputs = [(trained.network(windows), labels) for windows, labels in map(sampler, range(BATCHES))]
            logits, labels = (torch.cat(part).numpy() for part in zip(*outputs, strict=True))
            scores.append(average_precision(logits, labels.astype(bool)))
        print(f"| {trained.name} | {' | '.join(f'{100 * score:.2f}' for score in scores)} |", flush=True)


if __name__ == "__main__":
    with exit_on_errors("variations"):
        main()
