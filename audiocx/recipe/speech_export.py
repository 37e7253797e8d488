"""Checkpoints made of predictors' runs: scored on the utterances held out, with a model card."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import checkpoints
from ..config import to_dict
from ..data.corpora.speech import Utterance
from ..data.store import Store
from ..errors import DataError
from ..models import PredictorConfig, PredictorNetwork
from ..train.experiments import PredictorExperiment
from ..train.runs import load_network, read_experiment, seen
from .export import Facts, check_replaceable
from .export import add_arguments as add_export_arguments
from .speech_score import network_forecast, score_store
from .speech_table import NAMES, PUBLISHED

__all__ = ["add_arguments", "export"]

CARD = """\
# {name}

{description}

| | |
|---|---|
| Network | {network} |
| Input | complex spectra of 8000 Hz mono, 129 bins: 256 samples under a Hann window, every 128 samples (16 ms) |
| Output | the spectrum of the next frame |
| Training data | {data} |
| Validation data | {validation} |
| Licence of the data | {licence} |
| Seen in training | {frames:,} frames, seed {seed}{start}; these weights: after {best_frames:,}, the best epoch |
| Machine, date | {machine}, {date} |

## Figures

Mean squared error of the log power spectrum, 10 log10(1e-5 + |X|^2), each frame predicted from those before it. The
weights of the best epoch were chosen on the validation utterances, so that their figure flatters a little.

| utterances | MSE (dB^2), over valid frames | over padded frames, as Wisdom et al. 2016 count |
|---|---:|---:|
{rows}
{siblings}
## Made by

```
{commands}
```
"""
SIBLINGS = (
    "\nTrained {count} times, with the seeds {seeds}: {each}; mean {mean:.2f}, standard deviation {spread:.2f} dB^2.\n"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that the export of every predictor has.

    Args:
        parser: Of the command.
    """
    add_export_arguments(parser)
    about = "runs that differ in nothing but the seed, to tell mean and spread in the card"
    parser.add_argument("--seeds", type=Path, nargs="+", default=[], metavar="RUN", help=about)


def export(arguments: argparse.Namespace, utterances: Sequence[Utterance], store: Store, facts: Facts) -> None:
    """Exports the best weights of a run.

    Args:
        arguments: Those of :func:`add_arguments`.
        utterances: Those held out.
        store: Theirs.
        facts: For the card.

    Raises:
        AudiocxError: There is no run, one of the seeds' runs is another network's, or the checkpoint cannot be written.
    """
    check_replaceable(arguments.checkpoint)
    experiment = read_experiment(arguments.run, PredictorExperiment)
    siblings = {run: _sibling(run, experiment, arguments.run) for run in arguments.seeds}
    best = arguments.run / "best.ckpt"
    network = load_network(best, experiment.model)
    scores = _score(network, utterances, store)
    mse_by_seed = {experiment.train.seed: scores["mse"]["valid"]} | {
        other.train.seed: _score(load_network(run / "best.ckpt", other.model), utterances, store)["mse"]["valid"]
        for run, other in siblings.items()
    }
    figures: dict[str, Any] = {
        "mse": scores["mse"]["valid"],
        "mse_wisdom": scores["mse"]["wisdom"],
        "mse_by_seed": {str(seed): mse for seed, mse in mse_by_seed.items()},
        "frames": seen(arguments.run / "last.ckpt", experiment),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "date": datetime.date.today().isoformat(),
    }
    description = (
        f"Predicts the next frame of speech by the {_kind(experiment.model)} of {_source(experiment.model)}, trained "
        f"on {facts.corpora}."
    )
    row = f"| validation | {figures['mse']:.2f} | {figures['mse_wisdom']:.2f} |"
    card = _card(arguments, experiment, facts, figures, description, row, seen(best, experiment))
    if arguments.checkpoint.exists():
        shutil.rmtree(arguments.checkpoint)
    checkpoints.save_checkpoint(network, arguments.checkpoint, description=description, figures=figures, card=card)
    print((row + _siblings(mse_by_seed)).rstrip())


def _sibling(run: Path, experiment: PredictorExperiment, own: Path) -> PredictorExperiment:
    """Opens a run that must differ in its seed, and in nothing else."""
    other = read_experiment(run, PredictorExperiment)
    train = dataclasses.replace(other.train, seed=experiment.train.seed)
    if other.train.seed == experiment.train.seed or dataclasses.replace(other, train=train) != experiment:
        raise DataError(f"{run} does not differ from {own} in the seed alone; leave it out of --seeds.")
    return other


def _score(network: PredictorNetwork, utterances: Sequence[Utterance], store: Store) -> dict[str, Any]:
    speakers = [utterance.speaker for utterance in utterances]
    return score_store(network_forecast(network), store, speakers, resynthesis=False)


def _card(
    arguments: argparse.Namespace,
    experiment: PredictorExperiment,
    facts: Facts,
    figures: dict[str, Any],
    description: str,
    row: str,
    best_frames: int | None,
) -> str:
    """Writes the model card."""
    seed, start = experiment.train.seed, experiment.train.start
    names = {"run": arguments.run.name, "name": arguments.checkpoint.name, "seed": seed}
    commands = facts.commands.format(**names, config=arguments.config or arguments.run.name)
    return CARD.format(
        **vars(facts) | {"commands": commands},
        name=arguments.checkpoint.name,
        description=description,
        network=f"{_kind(experiment.model)}, {figures['parameters']:,} parameters{_settings(experiment.model)}",
        frames=figures["frames"],
        best_frames=best_frames,
        seed=seed,
        start=start and f", from the weights of `{start}` on",
        machine=arguments.machine,
        date=figures["date"],
        rows=row,
        siblings=_siblings({int(name): mse for name, mse in figures["mse_by_seed"].items()}),
    )


def _kind(model: PredictorConfig) -> str:
    return NAMES[model.architecture, model.complex]


def _source(model: PredictorConfig) -> str:
    """Where the kind of network comes from."""
    sources = {"urnn": "Wisdom et al. 2016", "cgrnn": "Wolter and Yao 2018"}
    return sources.get(model.architecture, "Deep Complex Networks")


def _settings(model: PredictorConfig) -> str:
    """Names what differs from the paper's network of the kind, or from the plain one."""
    plain = to_dict(PredictorConfig(model.architecture, model.complex))
    changes = [f"{name} {value}" for name, value in to_dict(model).items() if value != plain[name]]
    whose = "in the paper" if (model.architecture, model.complex) in PUBLISHED else "by default"
    return f"; other than {whose}: {', '.join(changes)}" if changes else f", as {whose}"


def _siblings(mse_by_seed: dict[int, float]) -> str:
    """Tells mean and spread over seeds, if there are several."""
    if len(mse_by_seed) < 2:
        return ""
    values = list(mse_by_seed.values())
    return SIBLINGS.format(
        count=len(values),
        seeds=", ".join(map(str, mse_by_seed)),
        each=", ".join(f"{mse:.2f}" for mse in values),
        mean=statistics.mean(values),
        spread=statistics.stdev(values),
    )
