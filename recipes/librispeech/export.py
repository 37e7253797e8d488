"""Export a run as a checkpoint: python recipes/librispeech/export.py runs/NAME pretrained/NAME FOLDER --extra FOLDER.

Takes the weights of best.ckpt, scores them on the speakers held out, and writes weights, configuration and model card.
The card calls what lies in the extra folders Speech Commands.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prepare import corpus_arguments, find_extra, find_split

from audiocx import checkpoints
from audiocx.cli.scripts import exit_on_errors
from audiocx.config import to_dict
from audiocx.data.corpora.speech import Utterance
from audiocx.data.store import Store
from audiocx.data.training_data import open_speech_stores
from audiocx.errors import DataError
from audiocx.models import PredictorConfig, PredictorNetwork
from audiocx.models.predictor_runtime import TorchPredictor
from audiocx.models.runtime import choose_device
from audiocx.speech.evaluation import network_forecast, score_store
from audiocx.train.experiments import PredictorExperiment
from audiocx.train.export import CorpusFacts, check_replaceable
from audiocx.train.runs import load_network, read_experiment, seen

sys.path.insert(0, str(Path(__file__).parents[1] / "common"))
from export_options import add_export_options  # noqa: E402
from speech_table import NAMES, PUBLISHED  # noqa: E402

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
LIBRISPEECH = "CC BY 4.0 (LibriSpeech: Panayotov et al. 2015)"
SPEECH_COMMANDS = "Apache-2.0 (Speech Commands: Warden 2018)"
MADE_BY = """\
python recipes/librispeech/train.py recipes/librispeech/conf/{config}.toml FOLDER%(extra)s \\
    --run runs/{run} --set train.seed={seed}
python recipes/librispeech/export.py runs/{run} pretrained/{name} FOLDER%(extra)s
# FOLDER is LibriSpeech's train-clean-100%(which)s. Scored again by:
python recipes/librispeech/evaluate.py {name} FOLDER --split validation"""


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_export_options(parser)
    about = "runs that differ only in the seed, for mean and spread in the card"
    parser.add_argument("--seeds", type=Path, nargs="+", default=[], metavar="RUN", help=about)
    corpus_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Export."""
    arguments = parse()
    split = find_split(arguments.folder)
    extra = find_extra(arguments.extra, split.validation)
    train, validation, *more = open_speech_stores([split.train, split.validation, *extra.values()], arguments.cache)
    amounts = [_amount("LibriSpeech (train-clean-100)", split.train, train)]
    amounts += [_amount("Speech Commands", *both) for both in zip(extra.values(), more, strict=True)]
    extra_words = {"extra": " --extra COMMANDS", "which": ", COMMANDS Speech Commands"}
    facts = CorpusFacts(
        corpora="LibriSpeech and Speech Commands" if extra else "LibriSpeech",
        data="; ".join(amounts),
        validation=f"{_amount('LibriSpeech', split.validation, validation)}, none of them in the training data",
        licence=", ".join([LIBRISPEECH, *[SPEECH_COMMANDS] * bool(extra)]) + "; the weights are free for any use",
        commands=MADE_BY % (extra_words if extra else dict.fromkeys(extra_words, "")),
    )
    print(export(arguments, split.validation, validation, facts))


def _amount(corpus: str, utterances: list[Utterance], store: Store) -> str:
    speakers = len({utterance.speaker for utterance in utterances} - {""})
    by = f" by {speakers} speakers" if speakers else ""
    hours = store.lengths.sum() / store.sample_rate / 3600
    return f"{corpus}: {len(utterances)} recordings{by}, {hours:.2f} h"


def export(arguments: argparse.Namespace, utterances: Sequence[Utterance], store: Store, facts: CorpusFacts) -> str:
    """Export the best weights of a run.

    Args:
        arguments: The parsed command line.
        utterances: Those held out.
        store: Their store.
        facts: Facts about the corpora for the card.

    Returns:
        The scores, a row of the card's table, and their spread over seeds.

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
    return (row + _siblings(mse_by_seed)).rstrip()


def _sibling(run: Path, experiment: PredictorExperiment, own: Path) -> PredictorExperiment:
    """Open a run that must differ from another in its seed only."""
    other = read_experiment(run, PredictorExperiment)
    train = dataclasses.replace(other.train, seed=experiment.train.seed)
    if other.train.seed == experiment.train.seed or dataclasses.replace(other, train=train) != experiment:
        raise DataError(f"{run} does not differ from {own} in the seed alone; leave it out of --seeds.")
    return other


def _score(network: PredictorNetwork, utterances: Sequence[Utterance], store: Store) -> dict[str, Any]:
    speakers = [utterance.speaker for utterance in utterances]
    runnable = TorchPredictor(network, choose_device("auto"))
    return score_store(network_forecast(runnable), store, speakers, resynthesis=False)


def _card(
    arguments: argparse.Namespace,
    experiment: PredictorExperiment,
    facts: CorpusFacts,
    figures: dict[str, Any],
    description: str,
    row: str,
    best_frames: int | None,
) -> str:
    """Return the model card."""
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
    """Return the paper that the kind of network is from."""
    sources = {"urnn": "Wisdom et al. 2016", "cgrnn": "Wolter and Yao 2018"}
    return sources.get(model.architecture, "Deep Complex Networks")


def _settings(model: PredictorConfig) -> str:
    """List the settings that differ from the paper's network of the kind, or from the defaults."""
    plain = to_dict(PredictorConfig(model.architecture, model.complex))
    changes = [f"{name} {value}" for name, value in to_dict(model).items() if value != plain[name]]
    source = "in the paper" if (model.architecture, model.complex) in PUBLISHED else "by default"
    return f"; other than {source}: {', '.join(changes)}" if changes else f", as {source}"


def _siblings(mse_by_seed: dict[int, float]) -> str:
    """Format mean and spread over seeds, if there are several."""
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


if __name__ == "__main__":
    with exit_on_errors("export"):
        main()
