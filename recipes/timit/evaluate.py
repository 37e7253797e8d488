"""Scores a predictor on TIMIT: python recipes/timit/evaluate.py runs/complex-convlstm FOLDER.

The mean squared error of the levels of every frame predicted from those before it; segmental SNR, PESQ and STOI of the
predicted magnitudes with the true phases; all this by utterance and by speaker. In place of a run, a checkpoint or a
trivial baseline can be named, which is fitted to what is trained on. Writes scores.json and prediction.png.
"""

from __future__ import annotations

from prepare import corpus_arguments, parts, stores

from audiocx import recipe
from audiocx.recipe.speech_score import evaluate

if __name__ == "__main__":
    recipe.run("evaluate", lambda: evaluate(__doc__, "TIMIT", corpus_arguments, parts, stores))
