"""Compare evaluated runs with the paper's Table 3: python recipes/musicnet/table.py results/* -o table.

Takes folders that evaluate.py wrote. Writes table.md, precision_recall.png (figure 2, a curve for each network) and
prediction.png (figure 3, of the best network), and prints the table.
"""

from __future__ import annotations

import argparse
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from audiocx.cli.scripts import exit_on_errors
from audiocx.config import from_dict
from audiocx.errors import DataError
from audiocx.io.atomic_write import atomic_write
from audiocx.models import TranscriberConfig
from audiocx.models.configs import FrontEndName
from audiocx.plots.figure import save_figure
from audiocx.plots.precision_recall import plot_precision_recall

# Average precision on MusicNet in the paper's table 3, in per cent, by architecture and complex or not.
PUBLISHED = {("shallow", False): 66.1, ("shallow", True): 66.0, ("deep", False): 69.6, ("deep", True): 72.9}
# That of others, whose networks are not exactly ours of that kind.
OTHERS = (
    ("Thickstun et al. 2016", "shallow real", 67.8),
    ("Yang et al. 2020", "transformer complex", 74.2),
    ("Thickstun et al. 2018", "translation-invariant real", 76.5),
    ("Thickstun et al. 2018", "its widest network", 77.3),
)


def read_scores(folder: Path) -> dict[str, Any]:
    """Read the results of evaluate.py by the name of their folder: a run may have been scored more than once."""
    try:
        scores: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        scores["name"] = folder.resolve().name
        with np.load(folder / "curve.npz") as curve:
            scores["curve"] = (curve["precision"], curve["recall"], scores["average_precision"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} holds no scores ({error}); name folders that evaluate.py wrote.") from None
    return scores


def published(model: dict[str, Any]) -> str:
    """Return the paper's figure for a network; nothing for one that the paper does not have, such as an ablation."""
    figure = PUBLISHED.get((str(model.get("architecture")), model["complex"]))
    if figure is None:
        return ""
    free = {name: model[name] for name in ("architecture", "complex", "sample_rate", "outputs")}
    front_end: FrontEndName = "raw" if model["architecture"] == "shallow" else "spectrum"
    # Parsed, since results of earlier versions lack newer settings.
    paper = TranscriberConfig(front_end=front_end, **free)
    return f"{figure:.1f}" if from_dict(TranscriberConfig, model) == paper else ""


def row(scores: dict[str, Any]) -> str:
    """Return a network's row of the table."""
    model = scores["model"]
    arithmetic = "complex" if model["complex"] else "real"
    kind = f"{model['architecture']} {arithmetic}" if "architecture" in model else f"note network, {arithmetic}"
    windows = "?" if scores["windows"] is None else f"{scores['windows']:,}"
    ours = f"{100 * scores['average_precision']:.1f}"
    if scores.get("trained_on"):
        ours += f" (trained on {len(scores['trained_on'])} of {len(scores['recordings'])})"
    cells = [scores["name"], kind, model.get("front_end", ""), *_layers(model), str(model["sample_rate"])]
    cells += [f"{scores['parameters']:,}", windows, ours, published(model)]
    return f"| {' | '.join(cells)} |"


def _layers(model: dict[str, Any]) -> tuple[str, str]:
    """Return the normalisation and the activation that a network has."""
    norm, activation = model.get("norm", ""), model.get("activation", "")
    if model.get("architecture") == "shallow":
        norm = "none"
    elif not model["complex"] and norm in ("whitening", "naive"):
        norm = "batch"
    return norm, activation if model["complex"] else "relu"


def table(networks: list[dict[str, Any]]) -> str:
    """Format the scores as Markdown that also reads as text."""
    best_last = sorted(networks, key=lambda scores: scores["average_precision"])
    conditions = sorted({f"{scores['corpus']}, {scores['split']}, frames: {scores['frames']}" for scores in networks})
    head = [
        "| run | network | front end | norm | activation | rate, Hz | parameters | windows | AP, % | published, % |",
        "|---|---|---|---|---|---:|---:|---:|---:|---:|",
    ]
    others = [f"| *{source}* | {network} |  |  |  |  |  |  |  | {figure:.1f} |" for source, network, figure in OTHERS]
    return "\n".join([*head, *map(row, best_last), *others, "", f"Scored on: {'; '.join(conditions)}."]) + "\n"


def main() -> None:
    """Write the table and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="folders that evaluate.py wrote")
    parser.add_argument("-o", "--output", type=Path, default=Path("table"), help="folder of table and pictures")
    arguments = parser.parse_args()
    networks = [read_scores(folder) for folder in arguments.results]
    text = table(networks)
    with suppress(OSError):  # atomic_write reports the reason
        arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_write(arguments.output / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    curves = {scores["name"]: scores["curve"] for scores in networks}
    save_figure(plot_precision_recall(curves), arguments.output / "precision_recall.png")
    best = max(range(len(networks)), key=lambda index: networks[index]["average_precision"])
    with atomic_write(arguments.output / "prediction.png") as temporary:
        shutil.copyfile(arguments.results[best] / "prediction.png", temporary)
    print(text)


if __name__ == "__main__":
    with exit_on_errors("table"):
        main()
