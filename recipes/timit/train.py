"""Trains a predictor on TIMIT.

    python recipes/timit/train.py recipes/timit/conf/complex-convlstm.toml FOLDER

The run (checkpoints, TensorBoard log) goes to runs/<name of the configuration>; started again, it goes on.
"""

from __future__ import annotations

from prepare import corpus_arguments, stores

from audiocx import recipe
from audiocx.recipe.train import train
from audiocx.train.experiments import PredictorExperiment

if __name__ == "__main__":
    recipe.run("train", lambda: train(__doc__, corpus_arguments, stores, PredictorExperiment))
