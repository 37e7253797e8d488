"""Lays scored predictors beside the paper's Table 4: python recipes/librispeech/table.py results/* -o table.

Takes folders that evaluate.py wrote. Writes table.md and, of runs whose logs are there, learning_curves.png (figure 4),
and prints the table. Runs that differ in nothing but their seed share a row.
"""

from __future__ import annotations

from audiocx import recipe
from audiocx.recipe.speech_table import tabulate

if __name__ == "__main__":
    recipe.run("table", lambda: tabulate(__doc__))
