"""Export of transcribers' runs as checkpoints: decoding tuned on validation pieces and scored there, a model card."""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .. import checkpoints
from ..data.augment import DEGRADATION, AugmentConfig
from ..data.corpus import Piece
from ..data.frame_grids import HOP_SAMPLES
from ..errors import OutputError
from ..kinds import kind_of
from ..music.evaluation import LabelledOutputs, infer_labelled, scorable, tune_decoding
from ..music.metrics import evaluate
from ..music.transcriber import Transcriber
from .experiments import Experiment, NoteExperiment
from .model_cards import CardFacts
from .runs import load_network, read_experiment, recordings_of, seen

__all__ = ["SCORES", "CorpusFacts", "check_replaceable", "export_transcriber", "infer_pieces", "scored_hop"]

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
class CorpusFacts:
    """Facts of a model card about the corpora.

    Attributes:
        corpora: Their names, for the description: "trained on ...".
        data: Training data.
        validation: Validation data.
        licence: Licence of the data, and so of the weights.
        commands: Commands that make the checkpoint again, with {run}, {name} and {config} (the configuration) to be
            filled in.
    """

    corpora: str
    data: str
    validation: str
    licence: str
    commands: str


def check_replaceable(folder: Path) -> None:
    """Make sure that nothing but a checkpoint is in the way of a new one.

    Args:
        folder: The checkpoint.

    Raises:
        OutputError: Something else is there.
    """
    if folder.exists() and not (folder / checkpoints.CONFIG).is_file():
        raise OutputError(f"{folder} exists and is no checkpoint to replace; choose another name.")


def infer_pieces(
    transcriber: Transcriber, pieces: Sequence[Piece], hop_samples: int, degradation: AugmentConfig | None = None
) -> list[LabelledOutputs]:
    """Run a transcriber over pieces, up to decoding; shows a progress bar.

    Args:
        transcriber: The transcriber.
        pieces: Recordings and labels.
        hop_samples: Distance of the frames.
        degradation: Variation of the recordings, random by name; None for none.

    Returns:
        Model outputs and labels.
    """
    return [
        infer_labelled(transcriber, piece.audio, piece.labels, hop_samples, degradation=degradation)
        for piece in tqdm(pieces, "transcribing", disable=None)
    ]


def scored_hop(transcriber: Transcriber) -> int:
    """Return the distance of the frames at which a transcriber is scored.

    Args:
        transcriber: The transcriber.

    Returns:
        Samples: the paper's hop if the network runs at any, else its own.
    """
    return HOP_SAMPLES if transcriber.any_hop else transcriber.hop_samples


def export_transcriber(
    run: Path,
    checkpoint: Path,
    validation: Mapping[str, Sequence[Piece]],
    facts: CorpusFacts,
    *,
    degraded: bool = False,
    machine: str = "a processor with two cores",
    config: str | None = None,
) -> list[str]:
    """Export the best weights of a run as a checkpoint.

    Args:
        run: Folder of the run.
        checkpoint: Folder to write, whose last part is the checkpoint's name; a checkpoint there is replaced.
        validation: Pieces on which the decoding is tuned and scored, by the name of their scores.
        facts: Facts about the corpora for the model card.
        degraded: Tune and score on the same pieces with :data:`audiocx.data.augment.DEGRADATION` too.
        machine: Machine of the training, for the card.
        config: Name of the configuration, for the card; None for the network's usual one.

    Returns:
        The scores, as rows of a Markdown table.

    Raises:
        AudiocxError: There is no run, a piece cannot be read, or the checkpoint cannot be written.
    """
    check_replaceable(checkpoint)
    experiment = read_experiment(run, Experiment, NoteExperiment)
    network = load_network(run / "best.ckpt", experiment.model)
    about: CardFacts = kind_of(experiment).load("card")(experiment, network)
    settings, outputs = _tune(network, validation, degraded)
    scores = _score(outputs, settings)
    rows = [f"| {name} | {' | '.join(f'{overall[key]:.3f}' for key in SCORES)} |" for name, overall in scores.items()]
    card: dict[str, Any] = {
        **vars(facts),
        **about._asdict(),
        "commands": facts.commands.format(run=run.name, name=checkpoint.name, config=config or about.config_name),
        "name": checkpoint.name,
        "description": f"Notes by {about.about}, trained on {facts.corpora}.",
        **_training_facts(run, experiment),
        "machine": machine,
        "date": datetime.date.today().isoformat(),
        "hop": " or ".join(map(str, outputs)),
        "rows": "\n".join(rows),
    }
    figures: dict[str, Any] = {
        **scores,
        card["unit"]: card["seen"],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "date": card["date"],
        # That of the first corpus, for places with room for one figure only.
        "ap": next(iter(scores.values()))["average_precision"],
    }
    if checkpoint.exists():
        shutil.rmtree(checkpoint)
    checkpoints.save_checkpoint(
        network,
        checkpoint,
        decode=settings,
        description=card["description"],
        figures=figures,
        card=CARD.format(**card),
        recordings=recordings_of(run),
    )
    return rows


def _score(outputs: dict[int, dict[str, list[LabelledOutputs]]], settings: Any) -> dict[str, dict[str, Any]]:
    """Return the scores by name and hop, with these decoding settings."""
    return {
        f"{name}, hop {hop}": evaluate(scorable(one, settings) for one in part).overall
        for hop, parts in outputs.items()
        for name, part in parts.items()
    }


def _training_facts(run: Path, experiment: Experiment | NoteExperiment) -> dict[str, Any]:
    """Return the facts of the model card about the training run."""
    start = experiment.train.start
    return {
        "unit": kind_of(experiment).counts,
        "seen": seen(run / "last.ckpt", experiment),
        "best_seen": seen(run / "best.ckpt", experiment),
        "seed": experiment.train.seed,
        "start": start and f", from the weights of `{start}` on",
    }


def _tune(
    network: Any, validation: Mapping[str, Sequence[Piece]], degraded: bool
) -> tuple[Any, dict[int, dict[str, list[LabelledOutputs]]]]:
    """Return the tuned decoding settings, and the outputs on the pieces by hop and name."""
    with tempfile.TemporaryDirectory() as draft:
        # The very weights that are exported, rounded to 16 bits.
        untuned = checkpoints.load_checkpoint(checkpoints.save_checkpoint(network, Path(draft) / "untuned"))
        transcriber: Transcriber = untuned.kind.load("runner")(untuned)
    own = transcriber.hop_samples
    # Older checkpoints name these figures "... disturbed"; nothing reads them by name.
    conditions = {"": None, " degraded": DEGRADATION} if degraded else {"": None}
    outputs = {
        hop: {
            name + condition: infer_pieces(transcriber, pieces, hop, degradation)
            for condition, degradation in conditions.items()
            for name, pieces in validation.items()
        }
        for hop in dict.fromkeys((scored_hop(transcriber), own))
    }
    recordings = [one for part in outputs[own].values() for one in part]
    workers = min(os.cpu_count() or 1, len(recordings))
    tuning = untuned.kind.load("tuning")
    return tune_decoding(recordings, untuned.decode, tuning, workers=workers)[0], outputs
