"""Evaluation of predictors of speech: options, scores.json and figures of the recipes' evaluate.py."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from audiocx.config import to_dict
from audiocx.data.corpora.speech import Split, Utterance
from audiocx.data.store import Store
from audiocx.data.training_data import open_speech_stores, require
from audiocx.io.atomic_write import atomic_write
from audiocx.models import PredictorNetwork
from audiocx.models.predictor_runtime import TorchPredictor
from audiocx.models.runtime import choose_device
from audiocx.plots.figure import save_figure
from audiocx.plots.spectrograms import plot_spectrograms
from audiocx.speech.baselines import BASELINES
from audiocx.speech.evaluation import LevelForecast, baseline_forecast, network_forecast, score_store
from audiocx.stft import HOP_SAMPLES, SPEECH_RATE, log_power_db, stft
from audiocx.train.runs import open_trained, read_experiment

SPLITS = ("validation", "test")
# Divisor of the summed error of a set: the number of its frames, or that of its padded frames.
PADDINGS = {"valid": "over valid frames", "wisdom": "over padded frames, as Wisdom et al. count"}


@dataclass(frozen=True, eq=False)
class Subject:
    """Network or baseline that is scored.

    Attributes:
        name: Name of the run, checkpoint or baseline.
        forecast: Its prediction.
        facts: Facts about it for scores.json.
    """

    name: str
    forecast: LevelForecast
    facts: dict[str, Any]


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the network or baseline.

    Args:
        parser: The command's.
    """
    names = ", ".join(BASELINES)
    parser.add_argument("network", help=f"folder of a run, a checkpoint's name or folder, or a baseline: {names}")


def add_padding(parser: argparse.ArgumentParser) -> None:
    """Add the option that selects the error to show.

    Args:
        parser: Parser of a command that shows errors.
    """
    parser.add_argument(
        "--padding",
        default="valid",
        choices=list(PADDINGS),
        help="the error shown: over valid frames, or over padded ones as in Wisdom et al. 2016 (default: %(default)s)",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of an evaluation.

    Args:
        parser: The command's.
    """
    parser.add_argument("-o", "--output", type=Path, help="folder of the results (default: results/<name>)")
    parser.add_argument(
        "--split", choices=SPLITS, help="speakers to score (default: validation, and test if there is one)"
    )
    add_padding(parser)
    parser.add_argument(
        "--no-resynthesis", dest="resynthesis", action="store_false", help="leave out segmental SNR, PESQ and STOI"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ... (default: %(default)s)")


def evaluate(arguments: argparse.Namespace, corpus: str, split: Split, training: Sequence[Sequence[Utterance]]) -> None:
    """Score a predictor, write scores.json and prediction.png, and print the scores.

    Args:
        arguments: The parsed command line; ``folder`` and ``cache`` are among them.
        corpus: Name of the corpus.
        split: Its parts.
        training: Utterances to which baselines are fitted.

    Raises:
        AudiocxError: The network or the corpus cannot be used, or the results cannot be written.
    """
    chosen = [arguments.split] if arguments.split else [name for name in SPLITS if getattr(split, name)]
    parts = {name: getattr(split, name) for name in chosen or SPLITS[:1]}
    require(arguments.folder, "speakers", **parts)
    subject = _open_subject(arguments, training)
    output: Path = arguments.output or Path("results") / subject.name
    with suppress(OSError):  # atomic_write reports the reason
        output.mkdir(parents=True, exist_ok=True)
    splits: dict[str, Any] = {}
    scores = {"name": subject.name, **subject.facts, "corpus": corpus, "splits": splits}
    stores = open_speech_stores(parts.values(), arguments.cache)
    for (name, utterances), store in zip(parts.items(), stores, strict=True):
        speakers = [utterance.speaker for utterance in utterances]
        splits[name] = score_store(subject.forecast, store, speakers, arguments.resynthesis)
        with atomic_write(output / "scores.json") as temporary:
            temporary.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    save_figure(_picture(subject, stores[-1]), output / "prediction.png")
    # Last: whoever reads it may stop, such as head.
    print("\n".join(_summary(name, own, arguments.padding) for name, own in splits.items()))
    print(f"written to {output}")


def _open_subject(arguments: argparse.Namespace, training: Sequence[Sequence[Utterance]]) -> Subject:
    """Open the network, or fit the baseline to the training utterances."""
    name = arguments.network
    if name in BASELINES:
        stores = (store for part in training for store in open_speech_stores([part], arguments.cache))
        forecast, parameters = baseline_forecast(name, stores)
        return Subject(name, forecast, {"kind": "baseline", "parameters": parameters})
    trained = open_trained(name, PredictorNetwork)
    run = Path(name)
    settings = to_dict(read_experiment(run).train) if (run / "experiment.json").is_file() else None
    facts = {
        "kind": "network",
        "parameters": trained.parameters,
        "frames_seen": trained.frames,
        "model": to_dict(trained.network.config),
        "train": settings,
        "run": None if settings is None else run.as_posix(),
    }
    network = TorchPredictor(trained.network, choose_device(arguments.device))
    return Subject(trained.name, network_forecast(network), facts)


def _summary(split: str, scores: dict[str, Any], padding: str) -> str:
    """Format the scores of a split, overall and by speaker."""
    speakers = scores["by_speaker"]
    lines = [f"{split}: MSE {scores['mse'][padding]:.2f} dB^2 {PADDINGS[padding]}, {scores['utterances']} utterances"]
    if speakers:
        lines[0] += f" of {len(speakers)} speakers"
    for name, label in (("segmental_snr_db", "segmental SNR, dB"), ("pesq", "PESQ"), ("stoi", "STOI")):
        if name in scores and scores[name]["mean"] is not None:
            lines.append(f"  {label}: {scores[name]['mean']:.3f} (mean of {scores[name]['utterances']})")
    lines += [f"  {speaker}: MSE {own['mse']:.2f} dB^2" for speaker, own in speakers.items()]
    return "\n".join(lines)


def _picture(subject: Subject, store: Store) -> Figure:
    """Draw the first utterance of a store, true and predicted."""
    true = stft(store.samples(0))
    true_db, (predicted_db,) = log_power_db(true), subject.forecast([true])
    hop_s = HOP_SAMPLES / SPEECH_RATE
    # Frame 1 is the first that is predicted, and centred on the first sample.
    levels = true_db[1:], predicted_db[:-1]
    return plot_spectrograms(*levels, hop_s, SPEECH_RATE / 2, title=f"{store.names[0]}, by {subject.name}")
