"""Score a predictor on LibriSpeech: python recipes/librispeech/evaluate.py runs/complex-convlstm FOLDER.

The mean squared error of the levels of every frame predicted from those before it; segmental SNR, PESQ and STOI of the
predicted magnitudes with the true phases; all this by utterance and by speaker. In place of a run, a checkpoint or a
trivial baseline can be named, which is fitted to the training part. Writes scores.json and prediction.png.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from prepare import corpus_arguments, find_extra, find_split

from audiocx.cli.scripts import exit_on_errors

sys.path.insert(0, str(Path(__file__).parents[1] / "common"))
from speech_results import add_network, add_options, evaluate  # noqa: E402


def main() -> None:
    """Evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_network(parser)
    corpus_arguments(parser)
    add_options(parser)
    arguments = parser.parse_args()
    split = find_split(arguments.folder)
    evaluate(arguments, "LibriSpeech", split, [split.train, *find_extra(arguments.extra, split.validation).values()])


if __name__ == "__main__":
    with exit_on_errors("evaluate"):
        main()
