"""Table of scored predictors with the figures of the paper's Table 4, and learning curves as in its Figure 4."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from speech_results import PADDINGS, SPLITS, add_padding

from audiocx.config import to_dict
from audiocx.errors import DataError
from audiocx.io.atomic_write import atomic_write
from audiocx.models import PredictorConfig
from audiocx.plots.figure import save_figure
from audiocx.plots.learning_curves import Curve, plot_learning_curves, read_curves
from audiocx.speech.evaluation import SOUND_SCORES

# Mean squared error on TIMIT, validation and test, in the paper's table 4, by architecture and complex or not. It has
# no cgRNN.
PUBLISHED = {
    ("lstm", False): (16.59, 16.98),
    ("urnn", True): (14.56, 14.66),
    ("convlstm", False): (11.10, 12.18),
    ("convlstm", True): (10.78, 11.90),
}
PUBLISHED_CORPUS = "TIMIT"
NAMES = {
    ("lstm", False): "LSTM",
    ("urnn", True): "full-capacity uRNN",
    ("cgrnn", True): "cgRNN",
    ("convlstm", False): "real ConvLSTM",
    ("convlstm", True): "complex ConvLSTM",
}


@dataclass(frozen=True, eq=False)
class Group:
    """A network or a baseline with its scored runs, which differ only in their seed.

    Attributes:
        label: Name of the network or baseline.
        members: Results of evaluate.py for each run.
    """

    label: str
    members: list[dict[str, Any]]

    def values(self, split: str, *keys: str) -> list[float]:
        """Return a score of every member that has it.

        Args:
            split: "validation" or "test".
            keys: Path to the score within the split.

        Returns:
            The scores.
        """
        values: list[Any] = [member["splits"].get(split) for member in self.members]
        for key in keys:
            values = [value and value.get(key) for value in values]
        return [value for value in values if value is not None]


def main(description: str) -> None:
    """Parse the command line, write table and picture, and print the table.

    Args:
        description: The script's docstring, for ``--help``.

    Raises:
        AudiocxError: The results cannot be read or do not belong together, or the table cannot be written.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="folders that evaluate.py wrote")
    parser.add_argument("-o", "--output", type=Path, default=Path("table"), help="folder of table and picture")
    add_padding(parser)
    arguments = parser.parse_args()
    groups = grouped(read_results(arguments.results))
    text = table(groups, arguments.padding)
    with suppress(OSError):  # atomic_write reports the reason
        arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_write(arguments.output / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)
    validation, training = _curves(groups)
    if validation:
        save_figure(plot_learning_curves(validation, training), arguments.output / "learning_curves.png")
    else:
        print("No learning curves: the logs of these runs are not there.")


def read_results(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Read results of evaluate.py.

    Args:
        folders: Folders of results.

    Returns:
        The scores of each, named by its folder: a run may have been scored more than once.

    Raises:
        DataError: A folder holds none, or they are not of the same utterances.
    """
    scored = []
    for folder in folders:
        try:
            scores: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
            if scores.get("kind") == "concealment":  # written by conceal.py
                continue
            scores["name"], _ = folder.resolve().name, scores["splits"].items()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{folder} holds no scores of speech ({error}); name folders that evaluate.py wrote."
            ) from None
        scored.append(scores)
    if not scored:
        raise DataError(f"{folders[0]} holds scores of concealment only; name folders that evaluate.py wrote.")
    scored_on: dict[str, tuple[Any, str]] = {}
    for scores in scored:
        for split, part in scores["splits"].items():
            utterances = scores["corpus"], [(row["name"], row["frames"]) for row in part["by_utterance"]]
            before, first = scored_on.setdefault(split, (utterances, scores["name"]))
            if utterances != before:
                raise DataError(
                    f"{first} and {scores['name']} were not scored on the same utterances for {split}; score "
                    "them again."
                )
    return scored


def grouped(scored: Sequence[dict[str, Any]]) -> list[Group]:
    """Group runs that differ only in their seed.

    Args:
        scored: Scores, from :func:`read_results`.

    Returns:
        The groups, in the order of their first members.
    """
    groups: dict[str, Group] = {}
    for scores in scored:
        if scores["kind"] == "baseline":
            key, label = scores["name"], scores["name"].replace("-", " ")
        else:
            training = {name: value for name, value in (scores["train"] or {}).items() if name != "seed"}
            key, label = json.dumps([scores["model"], training], sort_keys=True), _label(scores["model"])
        groups.setdefault(key, Group(label, [])).members.append(scores)
    labels = [group.label for group in groups.values()]
    # Equal networks that were trained differently are told apart by the name of a run.
    return [
        Group(f"{group.label} ({group.members[0]['name']})", group.members) if labels.count(group.label) > 1 else group
        for group in groups.values()
    ]


def _label(model: dict[str, Any]) -> str:
    """Name a network, with the settings that differ from the paper's."""
    plain = to_dict(PredictorConfig())
    changes = [f"{key} {value}" for key, value in model.items() if plain.get(key) != value]
    others = [change for change in changes if change.split()[0] not in ("architecture", "complex")]
    return ", ".join([NAMES[model["architecture"], model["complex"]], *others])


def table(groups: Sequence[Group], padding: str = "valid") -> str:
    """Format the groups, the best last, and below them the other networks of the paper.

    Args:
        groups: The runs, from :func:`grouped`.
        padding: "valid" or "wisdom"; see :class:`audiocx.speech.metrics.SpectralError`.

    Returns:
        Markdown that also reads as text: a row for each group, with the mean over its runs and, for several, the
        standard deviation; below, a row for each run.
    """

    def error(group: Group) -> float:
        means = [np.mean(values) for split in SPLITS if (values := group.values(split, "mse", padding))]
        return float(means[-1])

    head = [
        "| predictor | runs | parameters | validation | test | published validation | test | SNR, dB | PESQ | STOI |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines = [*head, *(_row(group, padding) for group in sorted(groups, key=error, reverse=True))]
    ours = {_in_paper(group) for group in groups}
    theirs = {NAMES[kind]: figures for kind, figures in PUBLISHED.items() if kind not in ours}
    lines += [f"| {name} |  |  |  |  | {one:.2f} | {other:.2f} |  |  |  |" for name, (one, other) in theirs.items()]
    lines += ["", _legend(groups, padding)]
    several = [group for group in groups if len(group.members) > 1]
    if several:
        lines += ["", "| run | seed | validation | test |", "|---|---:|---:|---:|"]
        lines += [_run_row(member, padding) for group in several for member in group.members]
    return "\n".join(lines) + "\n"


def _row(group: Group, padding: str) -> str:
    kind = _in_paper(group)
    published = PUBLISHED[kind] if kind else None
    sounds = [
        next((mean for split in SPLITS[::-1] if (mean := _mean(group.values(split, sound, "mean"), digits))), "")
        for sound, digits in zip(SOUND_SCORES, (2, 2, 3), strict=True)
    ]
    cells = [
        group.label,
        str(len(group.members)),
        f"{group.members[0]['parameters']:,}",
        *(_mean(group.values(split, "mse", padding), 2) for split in SPLITS),
        *([f"{figure:.2f}" for figure in published] if published else ["", ""]),
        *sounds,
    ]
    return f"| {' | '.join(cells)} |"


def _in_paper(group: Group) -> tuple[str, bool] | None:
    """Return (architecture, complex) of a network of the paper; None for others and for baselines."""
    model = group.members[0].get("model")
    if model is None:
        return None
    kind = model["architecture"], model["complex"]
    plain = to_dict(PredictorConfig(*kind))
    return kind if kind in PUBLISHED and model == plain else None


def _run_row(scores: dict[str, Any], padding: str) -> str:
    alone = Group("", [scores])
    seed = (scores.get("train") or {}).get("seed", "")
    errors = [_mean(alone.values(split, "mse", padding), 2) for split in SPLITS]
    return f"| {scores['name']} | {seed} | {' | '.join(errors)} |"


def _mean(values: Sequence[float], digits: int) -> str:
    """Format their mean, and their standard deviation if there are several."""
    if not values:
        return ""
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def _legend(groups: Sequence[Group], padding: str) -> str:
    first: dict[str, dict[str, Any]] = {}
    for member in (member for group in groups for member in group.members):
        first = {**member["splits"], **first}
    corpus = groups[0].members[0]["corpus"]
    counts = ", ".join(f"{first[split]['utterances']} utterances for {split}" for split in SPLITS if split in first)
    sentences = [f"MSE of 10 log10(1e-5 + |X|^2) in dB^2, {PADDINGS[padding]}, on {corpus}: {counts}."]
    if corpus != PUBLISHED_CORPUS:
        sentences.append(
            f"The published figures are of {PUBLISHED_CORPUS} and cannot be compared with those on {corpus}."
        )
    sentences.append("SNR (segmental), PESQ and STOI: of the predicted magnitudes with the true phases.")
    if any(len(group.members) > 1 for group in groups):
        sentences.append("Of several runs: mean ± standard deviation.")
    return " ".join(sentences)


def _curves(groups: Sequence[Group]) -> tuple[dict[str, list[Curve]], dict[str, list[Curve]]]:
    """Read the learning curves of the runs whose logs are there."""
    validation: dict[str, list[Curve]] = {}
    training: dict[str, list[Curve]] = {}
    for group in groups:
        for run in (member["run"] for member in group.members if member.get("run")):
            if (Path(run) / "log").is_dir():
                validating, learning = read_curves(run)
                validation.setdefault(group.label, []).append(validating)
                training.setdefault(group.label, []).append(learning)
    return validation, training
