"""Lays runs side by side: python recipes/synthetic/table.py runs/memory-* runs/adding-* -o table.

Takes folders that train.py wrote. Writes table.md (steps to solve each problem) and learning_curves.png (all curves in
one picture, with the baselines), and prints the table. Runs that differ in nothing but their seed share a row.
"""

from __future__ import annotations

from audiocx import recipe
from audiocx.recipe.sequence_table import tabulate

if __name__ == "__main__":
    recipe.run("table", lambda: tabulate(__doc__))
