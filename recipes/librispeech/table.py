"""Compare scored predictors with the paper's Table 4: python recipes/librispeech/table.py results/* -o table.

Takes folders that evaluate.py wrote. Writes table.md and, for runs with logs, learning_curves.png (figure 4), and
prints the table. Runs that differ only in their seed share a row.
"""

from __future__ import annotations

import sys
from pathlib import Path

from audiocx.cli.scripts import exit_on_errors

sys.path.insert(0, str(Path(__file__).parents[1] / "common"))
from speech_table import main  # noqa: E402

if __name__ == "__main__":
    with exit_on_errors("table"):
        main(__doc__)
