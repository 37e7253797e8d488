"""Train a recurrent network on a synthetic problem.

    python recipes/synthetic/train.py recipes/synthetic/conf/memory-cgrnn.toml

The run (checkpoints, TensorBoard log) goes to runs/<name of the configuration>; started again, it continues. It ends
when the problem is solved. Sequences are generated as they are needed: there is nothing to prepare.
"""

from __future__ import annotations

import argparse

import sequence_experiment  # noqa: F401 (registers the kind "sequence")

from audiocx.cli.scripts import exit_on_errors
from audiocx.cli.train import add_config, add_options, options_of, print_best, read_experiment
from audiocx.train.loop import fit


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config(parser)
    add_options(parser)
    arguments = parser.parse_args()
    print_best(fit(read_experiment(arguments, "sequence"), (), (), **options_of(arguments)))


if __name__ == "__main__":
    with exit_on_errors("train"):
        main()
