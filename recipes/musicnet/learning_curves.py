"""Draw learning curves of runs: python recipes/musicnet/learning_curves.py runs/paper-* -o learning_curves.png.

Binary cross-entropy of validation and training, and the validation's average precision with the epoch whose weights
count. Prints that epoch, and the last one, of each run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from audiocx.cli.scripts import exit_on_errors
from audiocx.plots.figure import FAINT, LINE_COLOURS, new_figure, save_figure
from audiocx.plots.learning_curves import draw_learning_curves, read_curves


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders that train.py wrote")
    parser.add_argument("-o", "--output", type=Path, default=Path("learning_curves.png"), help="default: %(default)s")
    arguments = parser.parse_args()
    names = [run.resolve().name for run in arguments.runs]
    losses = dict(zip(names, (read_curves(run, "loss") for run in arguments.runs), strict=True))
    figure = new_figure(10.0, 4.6)
    left, right = figure.subplots(1, 2)
    validation, training = ({name: [pair[part]] for name, pair in losses.items()} for part in (0, 1))
    draw_learning_curves(left, validation, training, number_format=".4f")
    left.set(xlabel="steps", ylabel="binary cross-entropy")
    for index, (name, run) in enumerate(zip(names, arguments.runs, strict=True)):
        steps, scores = read_curves(run, "ap")[0]
        best = int(np.argmax(scores))
        colour = LINE_COLOURS[index % len(LINE_COLOURS)]
        right.plot(steps, 100 * scores, color=colour)
        right.plot(steps[best], 100 * scores[best], "o", color=colour)
        print(
            f"{name}: best validation AP {100 * scores[best]:.2f} % after epoch {best + 1} of {len(steps)} "
            f"({steps[best] + 1:,} steps); last {100 * scores[-1]:.2f} %"
        )
    right.set(xlabel="steps", ylabel="validation AP, %")
    right.grid(color=FAINT, linewidth=0.6)
    right.spines[["top", "right"]].set_visible(False)
    save_figure(figure, arguments.output)
    print(f"written to {arguments.output}")


if __name__ == "__main__":
    with exit_on_errors("learning_curves"):
        main()
