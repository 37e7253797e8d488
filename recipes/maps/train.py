"""Train a transcriber on MAPS: python recipes/maps/train.py recipes/maps/conf/deep-complex.toml FOLDER.

The run (checkpoints, TensorBoard log) goes to runs/<name of the configuration>; started again, it continues.
"""

from __future__ import annotations

import argparse

from prepare import corpus_arguments

from audiocx.cli.scripts import exit_on_errors
from audiocx.cli.train import add_config, add_options, options_of, print_best, read_experiment
from audiocx.data.training_data import find_training_data
from audiocx.train.fit import fit_recordings


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config(parser)
    corpus_arguments(parser)
    add_options(parser)
    arguments = parser.parse_args()
    experiment = read_experiment(arguments, "transcriber", "notes")
    data = find_training_data([arguments.folder], speech=False, corpus="maps")
    print_best(fit_recordings(experiment, data, cache=arguments.cache, **options_of(arguments)))


if __name__ == "__main__":
    with exit_on_errors("train"):
        main()
