"""Train on renders and pianos: python recipes/musicnet_em/train.py CONFIG FOLDER MAPS.

The run (checkpoints, TensorBoard log) goes to runs/<name of the configuration>; started again, it continues.
"""

from __future__ import annotations

import argparse

from corpora import corpus_arguments, find_data

from audiocx.cli.scripts import exit_on_errors
from audiocx.cli.train import add_config, add_options, options_of, print_best, read_experiment
from audiocx.train.fit import fit_recordings


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config(parser)
    corpus_arguments(parser)
    add_options(parser)
    arguments = parser.parse_args()
    experiment = read_experiment(arguments, "transcriber", "notes")
    data = find_data(arguments.folder, arguments.maps)
    print_best(fit_recordings(experiment, data, cache=arguments.cache, **options_of(arguments)))


if __name__ == "__main__":
    with exit_on_errors("train"):
        main()
