"""Trains a recurrent network on a synthetic problem.

    python recipes/synthetic/train.py recipes/synthetic/conf/memory-cgrnn.toml

The run (checkpoints, TensorBoard log) goes to runs/<name of the configuration>; started again, it goes on. It ends when
the problem is solved. Sequences are drawn as they are needed: there is nothing to prepare.
"""

from __future__ import annotations

from audiocx import recipe
from audiocx.recipe.train import train
from audiocx.train.experiments import SequenceExperiment

if __name__ == "__main__":
    recipe.run("train", lambda: train(__doc__, lambda _: None, lambda _: (), SequenceExperiment))
