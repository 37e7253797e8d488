"""Scores how lost packets are concealed, on LibriSpeech: python recipes/librispeech/conceal.py FOLDER NETWORK ...

Loses 10 % of the time of validation utterances in gaps of 16 to 64 ms, has networks and trivial methods fill them, and
prints PESQ and the error of the levels as a table. Writes scores.json. Networks are runs or checkpoints; without any,
the trivial methods alone are scored.
"""

from __future__ import annotations

from prepare import corpus_arguments, parts

from audiocx import recipe
from audiocx.recipe.speech_conceal import score_concealment

if __name__ == "__main__":
    recipe.run("conceal", lambda: score_concealment(__doc__, "LibriSpeech", corpus_arguments, parts))
