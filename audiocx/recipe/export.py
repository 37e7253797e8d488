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

from .. import pretrained
from ..data.corpus import Piece
from ..data.frames import HOP_SAMPLES
from ..errors import OutputError
from ..evaluation import Heard, hear, scorable, tune_decoding
from ..experiment import Experiment
from ..inference import Transcriber, load_transcriber
from ..metrics import evaluate
from ..models import TranscriberNetwork
from ..notes import DecodeSettings
from ..runs import load_network, read_experiment, windows_seen

__all__ = ["Facts", "add_arguments", "check_replaceable", "export", "hear_pieces"]

# Frames of a finished checkpoint: 23 ms apart, half as many as in the paper's evaluation; notes lose nothing by it.
SHIPPED_HOP_SAMPLES = 256
SCORES = ("average_precision", "frame_precision", "frame_recall", "frame_f1", "note_f1", "note_offset_f1")

CARD = """\
# {name}

{description}

| | |
|---|---|
| Network | {network} |
| Input | {rate} Hz mono, windows of {window} samples ({window_ms:.0f} ms) |
| Output | the probability of each of {outputs} notes from MIDI {lowest} on at the window's centre |
| Training data | {data} |
| Validation data | {validation} |
| Licence of the data | {licence} |
| Seen in training | {windows:,} windows, seed {seed}{start}; these weights: after {best_windows:,}, the best epoch |
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


def check_replaceable(folder: Path) -> None:
    """Sees that there is nothing, or a checkpoint, where one is to be written.

    Args:
        folder: The checkpoint.

    Raises:
        OutputError: There is something else.
    """
    if folder.exists() and not (folder / pretrained.CONFIG).is_file():
        raise OutputError(f"{folder} exists and is no checkpoint to replace; choose another name.")


def hear_pieces(transcriber: Transcriber, pieces: Sequence[Piece], hop_samples: int) -> list[Heard]:
    """Runs a transcriber over pieces, up to decoding.

    Args:
        transcriber: What listens.
        pieces: Recordings and labels, each a file.
        hop_samples: Distance of the frames.

    Returns:
        The pieces, heard.
    """
    return [hear(transcriber, p.audio, p.labels, hop_samples) for p in tqdm(pieces, "hearing", disable=None)]


def export(arguments: argparse.Namespace, validation: dict[str, Sequence[Piece]], facts: Facts) -> None:
    """Exports the best weights of a run.

    Args:
        arguments: Those of :func:`add_arguments`.
        validation: Pieces to tune the decoding on, by the name under which their scores stand.
        facts: For the card.

    Raises:
        AudiocxError: There is no run, a piece cannot be heard, or the checkpoint cannot be written.
    """
    check_replaceable(arguments.checkpoint)
    experiment = read_experiment(arguments.run, Experiment)
    best = arguments.run / "best.ckpt"
    network = load_network(best, experiment.model)
    settings, shipped, fine = _hear_and_tune(network, validation)
    lowest = experiment.model.lowest_note
    scores = {
        f"{name}, hop {hop}": evaluate(scorable(one, settings, lowest) for one in heard[name]).overall
        for hop, heard in ((HOP_SAMPLES, fine), (SHIPPED_HOP_SAMPLES, shipped))
        for name in validation
    }
    windows, best_windows = (windows_seen(path, experiment.train) for path in (arguments.run / "last.ckpt", best))
    kind = f"{experiment.model.architecture} {'complex' if experiment.model.complex else 'real'}"
    description = f"Notes by the {kind} network of Deep Complex Networks, trained on {facts.corpora}."
    parameters = sum(parameter.numel() for parameter in network.parameters())
    start = experiment.train.start and f", from the weights of `{experiment.train.start}` on"
    rows = [f"| {name} | {' | '.join(f'{overall[key]:.3f}' for key in SCORES)} |" for name, overall in scores.items()]
    date = datetime.date.today().isoformat()
    card = CARD.format(
        **vars(facts)
        | {
            "commands": facts.commands.format(
                run=arguments.run.name, name=arguments.checkpoint.name, config=kind.replace(" ", "-")
            )
        },
        name=arguments.checkpoint.name,
        description=description,
        network=f"{kind}, {parameters:,} parameters, front end: {experiment.model.front_end}",
        rate=experiment.model.sample_rate,
        window=experiment.model.window_samples,
        window_ms=1000 * experiment.model.window_samples / experiment.model.sample_rate,
        outputs=experiment.model.outputs,
        lowest=lowest,
        windows=windows,
        best_windows=best_windows,
        seed=experiment.train.seed,
        start=start,
        machine=arguments.machine,
        date=date,
        hop=f"{HOP_SAMPLES} or {SHIPPED_HOP_SAMPLES}",
        rows="\n".join(rows),
    )
    figures: dict[str, Any] = {**scores, "windows": windows, "parameters": parameters, "date": date}
    # The first corpus's stands for all where there is room for one figure.
    figures["ap"] = next(iter(scores.values()))["average_precision"]
    if arguments.checkpoint.exists():
        shutil.rmtree(arguments.checkpoint)
    pretrained.export(network, arguments.checkpoint, settings, SHIPPED_HOP_SAMPLES, description, figures, card)
    print("\n".join(rows))


def _hear_and_tune(
    network: TranscriberNetwork, validation: dict[str, Sequence[Piece]]
) -> tuple[DecodeSettings, dict[str, list[Heard]], dict[str, list[Heard]]]:
    """Gives the decoding settings, and the pieces heard at the shipped hop and at the paper's."""
    with tempfile.TemporaryDirectory() as draft:
        # The very weights that are shipped, rounded to 16 bits.
        untuned = pretrained.export(network, Path(draft) / "untuned", DecodeSettings(), HOP_SAMPLES, "not tuned yet")
        transcriber = load_transcriber(untuned)
    shipped = {name: hear_pieces(transcriber, pieces, SHIPPED_HOP_SAMPLES) for name, pieces in validation.items()}
    recordings = [heard for part in shipped.values() for heard in part]
    workers = min(os.cpu_count() or 1, len(recordings))
    settings, _ = tune_decoding(recordings, network.config.lowest_note, workers=workers)
    fine = {name: hear_pieces(transcriber, pieces, HOP_SAMPLES) for name, pieces in validation.items()}
    return settings, shipped, fine
