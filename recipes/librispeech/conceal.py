"""Score the concealment of lost packets on LibriSpeech: python recipes/librispeech/conceal.py FOLDER NETWORK ...

Drops 10 % of the time of validation utterances in gaps of 16 to 64 ms, has networks and trivial methods fill them, and
prints PESQ and the error of the levels as a table. Writes scores.json. Networks are runs or checkpoints; without any,
only the trivial methods are scored.
"""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from prepare import corpus_arguments, find_split

from audiocx.cli.scripts import exit_on_errors
from audiocx.data.training_data import open_speech_stores
from audiocx.io.atomic_write import atomic_write
from audiocx.models import PredictorNetwork
from audiocx.models.predictor_runtime import TorchPredictor
from audiocx.models.runtime import choose_device
from audiocx.speech.concealment_evaluation import (
    GAPS_MS,
    LONGEST_S,
    LOST_SHARE,
    METHODS,
    network_method,
    score_methods,
)
from audiocx.train.runs import open_trained


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    corpus_arguments(parser)
    parser.add_argument(
        "networks", nargs="*", metavar="NETWORK", help="folder of a run, or a checkpoint's name or folder"
    )
    about = "number of validation utterances, evenly chosen (default: %(default)s)"
    parser.add_argument("--utterances", type=int, default=100, metavar="N", help=about)
    parser.add_argument("--seed", type=int, default=0, help="seed of the gaps (default: %(default)s)")
    about = "folder of the scores (default: %(default)s)"
    parser.add_argument("-o", "--output", type=Path, default=Path("results/conceal"), help=about)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ... (default: %(default)s)")
    arguments = parser.parse_intermixed_args()  # else no network could follow an option
    if arguments.utterances < 1 or arguments.seed < 0:
        parser.error("--utterances must be 1 or more, and --seed 0 or more")
    return arguments


def table(methods: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Format the scores as Markdown that also reads as text: a row for each method."""
    heads = [f"{score}, {gap_ms} ms" for score in ("PESQ", "MSE") for gap_ms in GAPS_MS]
    lines = [f"| gaps filled with | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for name, scores in methods.items():
        values = [scores[str(gap_ms)][score] for score in ("pesq", "mse") for gap_ms in GAPS_MS]
        digits = [2] * len(GAPS_MS) + [1] * len(GAPS_MS)
        cells = ["" if value is None else f"{value:.{places}f}" for value, places in zip(values, digits, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Score networks and trivial methods on validation utterances; never on a test split."""
    arguments = parse()
    device = choose_device(arguments.device)
    networks = {name: open_trained(name, PredictorNetwork).network for name in arguments.networks}
    methods = METHODS | {name: network_method(TorchPredictor(own, device)) for name, own in networks.items()}
    (store,) = open_speech_stores([find_split(arguments.folder).validation], arguments.cache)
    utterances = min(arguments.utterances, len(store.names))
    chosen = np.linspace(0, len(store.names) - 1, utterances).round().astype(int).tolist()
    by_method = score_methods(methods, store, chosen, arguments.seed)
    scores = {
        "kind": "concealment",
        "corpus": "LibriSpeech",
        "split": "validation",
        "utterances": utterances,
        "longest_s": LONGEST_S,
        "lost_share": LOST_SHARE,
        "seed": arguments.seed,
        "methods": {name: {str(ms): own.to_dict() for ms, own in by_ms.items()} for name, by_ms in by_method.items()},
    }
    # Before anything is printed: whoever reads it may stop, such as head.
    with suppress(OSError):  # atomic_write reports the reason
        arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_write(arguments.output / "scores.json") as temporary:
        temporary.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    print(f"{table(scores['methods'])}\nwritten to {arguments.output}")


if __name__ == "__main__":
    with exit_on_errors("conceal"):
        main()
