"""Checkpoints made of runs: decoding tuned on validation pieces, scored there, with a model card."""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .. import checkpoints
from ..api import load_transcriber
from ..data.augment import AugmentConfig
from ..data.corpus import Piece
from ..data.frame_grids import HOP_SAMPLES
from ..errors import OutputError
from ..kinds import kind_of
from ..music.evaluation import DEGRADATION, LabelledOutputs, infer_labelled, scorable, tune_decoding
from ..music.metrics import evaluate
from ..music.transcriber import Transcriber
from ..train.experiments import Experiment, NoteExperiment
from ..train.model_cards import CardFacts
from ..train.runs import load_network, read_experiment, seen

__all__ = ["Facts", "add_arguments", "add_tuning", "check_replaceable", "export", "infer_pieces", "scored_hop"]

SCORES = ("average_precision", "frame_precision", "frame_recall", "frame_f1", "note_f1", "note_offset_f1")

CARD = """\
# {name}

{description}

| | |
|---|---|
| Network | {network} |
| Input | {input} |
| Output | {output} |
| Training data | {data} |
| Validation data | {validation} |
| Licence of the data | {licence} |
| Seen in training | {seen:,} {unit}, seed {seed}{start}; these weights: after {best_seen:,}, the best epoch |
| Machine, date | {machine}, {date} |

## Figures

Frames every {hop} samples over whole pieces. The weights of the best epoch and the decoding settings were chosen on the
validation pieces, so that their figures flatter a little.

| pieces | AP | frame P | frame R | frame F1 | note F1 (50 ms) | note F1 with offset |
|---|---:|---:|---:|---:|---:|---:|
{rows}

## Made by

```
{commands}
```
"""


@dataclass(frozen=True)
class Facts:
    """What a model card says of the corpora.

    Attributes:
        corpora: Their names, for the description: "trained on ...".
        data: What was trained on.
        validation: What was held out to choose by.
        licence: Of the data, and so of the weights.
        commands: How to make the checkpoint again, with {run}, {name} and {config} (the configuration) to be filled in.
    """

    corpora: str
    data: str
    validation: str
    licence: str
    commands: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that every recipe's export has.

    Args:
        parser: Of the command.
    """
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("checkpoint", type=Path, help="folder to write; its last part is the checkpoint's name")
    parser.add_argument("--machine", default="a processor with two cores", help="what it was trained on, for the card")
    parser.add_argument("--config", metavar="NAME", help="its file in conf/, for the card, where it has another")


def add_tuning(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say what decoding is tuned on.

    Args:
        parser: Of a command that exports networks of music.
    """
    parser.add_argument(
        "--disturbed",
        action="store_true",
        help="tune and score the decoding on the same pieces as if recorded elsewhere too: rooms, microphones, noise",
    )


def check_replaceable(folder: Path) -> None:
    """Sees that there is nothing, or a checkpoint, where one is to be written.

    Args:
        folder: The checkpoint.

    Raises:
        OutputError: There is something else.
    """
    if folder.exists() and not (folder / checkpoints.CONFIG).is_file():
        raise OutputError(f"{folder} exists and is no checkpoint to replace; choose another name.")


def infer_pieces(
    transcriber: Transcriber, pieces: Sequence[Piece], hop_samples: int, degradation: AugmentConfig | None = None
) -> list[LabelledOutputs]:
    """Runs a transcriber over pieces, up to decoding.

    Args:
        transcriber: What listens.
        pieces: Recordings and labels, each a file.
        hop_samples: Distance of the frames.
        degradation: How recordings are varied first, each by draws of its own; None for as they are.

    Returns:
        The pieces, heard.
    """
    return [
        infer_labelled(transcriber, piece.audio, piece.labels, hop_samples, degradation=degradation)
        for piece in tqdm(pieces, "hearing", disable=None)
    ]


def scored_hop(transcriber: Transcriber) -> int:
    """Tells at which distance of the frames a transcriber is scored.

    Args:
        transcriber: What listens.

    Returns:
        Samples: the paper's where it can be run at any, else its own.
    """
    return HOP_SAMPLES if transcriber.any_hop else transcriber.checkpoint.hop_samples


def export(arguments: argparse.Namespace, validation: dict[str, Sequence[Piece]], facts: Facts) -> None:
    """Exports the best weights of a run.

    Args:
        arguments: Those of :func:`add_arguments` and :func:`add_tuning`.
        validation: Pieces to tune the decoding on, by the name under which their scores stand.
        facts: For the card.

    Raises:
        AudiocxError: There is no run, a piece cannot be heard, or the checkpoint cannot be written.
    """
    check_replaceable(arguments.checkpoint)
    experiment = read_experiment(arguments.run, Experiment, NoteExperiment)
    network = load_network(arguments.run / "best.ckpt", experiment.model)
    kind = kind_of(experiment)
    about: CardFacts = kind.load("card")(experiment, network)
    settings, heard = _hear_and_tune(network, validation, arguments.disturbed)
    scores = {
        f"{name}, hop {hop}": evaluate(scorable(one, settings) for one in part).overall
        for hop, parts in heard.items()
        for name, part in parts.items()
    }
    description = f"Notes by {about.about}, trained on {facts.corpora}."
    rows = [f"| {name} | {' | '.join(f'{overall[key]:.3f}' for key in SCORES)} |" for name, overall in scores.items()]
    card = _card(experiment, about, arguments, facts) | {
        "description": description,
        "hop": " or ".join(map(str, heard)),
        "rows": "\n".join(rows),
    }
    figures: dict[str, Any] = {
        **scores,
        str(kind.counts): card["seen"],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "date": card["date"],
        # The first corpus's stands for all where there is room for one figure.
        "ap": next(iter(scores.values()))["average_precision"],
    }
    if arguments.checkpoint.exists():
        shutil.rmtree(arguments.checkpoint)
    checkpoints.save_checkpoint(
        network,
        arguments.checkpoint,
        decode=settings,
        description=description,
        figures=figures,
        card=CARD.format(**card),
    )
    print("\n".join(rows))


def _card(experiment: Any, about: CardFacts, arguments: argparse.Namespace, facts: Facts) -> dict[str, Any]:
    """What stands in the model card, but for the scores."""
    train, name = experiment.train, arguments.checkpoint.name
    config = arguments.config or about.config_name
    commands = facts.commands.format(run=arguments.run.name, name=name, config=config)
    return {
        **vars(facts),
        **about._asdict(),
        "commands": commands,
        "name": name,
        "unit": kind_of(experiment).counts,
        "seen": seen(arguments.run / "last.ckpt", experiment),
        "best_seen": seen(arguments.run / "best.ckpt", experiment),
        "seed": train.seed,
        "start": train.start and f", from the weights of `{train.start}` on",
        "machine": arguments.machine,
        "date": datetime.date.today().isoformat(),
    }


def _hear_and_tune(
    network: Any, validation: dict[str, Sequence[Piece]], elsewhere: bool
) -> tuple[Any, dict[int, dict[str, list[LabelledOutputs]]]]:
    """Gives the decoding settings, and the pieces heard, by hop and by name."""
    with tempfile.TemporaryDirectory() as draft:
        # The very weights that are shipped, rounded to 16 bits.
        transcriber = load_transcriber(checkpoints.save_checkpoint(network, Path(draft) / "untuned"))
    own = transcriber.checkpoint.hop_samples
    conditions = {"": None, " disturbed": DEGRADATION} if elsewhere else {"": None}
    heard = {
        hop: {
            name + condition: infer_pieces(transcriber, pieces, hop, degradation)
            for condition, degradation in conditions.items()
            for name, pieces in validation.items()
        }
        for hop in dict.fromkeys((scored_hop(transcriber), own))
    }
    recordings = [one for part in heard[own].values() for one in part]
    workers = min(os.cpu_count() or 1, len(recordings))
    tuning = transcriber.checkpoint.kind.load("tuning")
    return tune_decoding(recordings, transcriber.checkpoint.decode, tuning, workers=workers)[0], heard
