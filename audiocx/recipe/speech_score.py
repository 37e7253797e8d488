"""The command that scores predictors of speech: runs, checkpoints and trivial baselines on one scale."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from ..config import to_dict
from ..data.corpora.speech import Split
from ..data.store import Store
from ..errors import DataError
from ..io.atomic_write import atomic_write
from ..models import PredictorNetwork
from ..models.running import choose_device
from ..plots.figure import save_figure
from ..plots.spectrograms import plot_spectrograms
from ..speech.baselines import BASELINES
from ..speech.metrics import SpectralError, magnitudes, pesq_mos, resynthesize, segmental_snr_db, stoi
from ..stft import HOP_SAMPLES, SPEECH_RATE, log_power_db, stft
from ..train.runs import open_trained, read_experiment
from .corpora import open_speech

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PADDINGS", "SOUNDS", "Forecast", "Subject", "add_padding", "evaluate", "network_forecast", "score_store"]

# Gives the levels that follow those of several utterances: complex spectra [T, F] each in, levels [T, F] each out.
Forecast = Callable[[Sequence[Tensor]], list[Tensor]]
Stores = Callable[[argparse.Namespace], tuple[list[Store], list[Store]]]

SPLITS = ("validation", "test")
# By what a set's error is divided: the frames that there are, or those that it has when padded.
PADDINGS = {"valid": "over valid frames", "wisdom": "over padded frames, as Wisdom et al. count"}
SOUNDS = {"segmental_snr_db": segmental_snr_db, "pesq": pesq_mos, "stoi": stoi}
# Utterances that go through a network side by side, of about one length, and frames that do in one call: 300 MB.
BATCH = 16
BLOCK_FRAMES = 64


@dataclass(frozen=True, eq=False)
class Subject:
    """What is scored.

    Attributes:
        name: Of the run, checkpoint or baseline.
        forecast: What it predicts.
        facts: What scores.json says of it.
    """

    name: str
    forecast: Forecast
    facts: dict[str, Any]


def evaluate(
    description: str,
    corpus: str,
    add_corpora: Callable[[argparse.ArgumentParser], None],
    parts: Callable[[argparse.Namespace], Split],
    stores: Stores,
) -> None:
    """Scores as the command line says.

    Args:
        description: What ``--help`` says first.
        corpus: Its name.
        add_corpora: Adds the arguments that name the corpora; ``folder`` is among them, and ``cache``.
        parts: Splits the corpus.
        stores: Opens what is trained on, for the baselines.

    Raises:
        AudiocxError: The network or the corpora cannot be used, or the results cannot be written.
    """
    arguments = _parsed(description, add_corpora)
    split = parts(arguments)
    chosen = [arguments.split] if arguments.split else [name for name in SPLITS if getattr(split, name)]
    for name in chosen or SPLITS[:1]:
        if not getattr(split, name):
            raise DataError(f"{arguments.folder}: holds no recording for {name}; add some of its speakers.")
    subject = _subject(arguments, stores)
    scores = {"name": subject.name, **subject.facts, "corpus": corpus, "splits": {}}
    output: Path = arguments.output or Path("results") / subject.name
    opened = open_speech([getattr(split, name) for name in chosen], arguments.cache)
    for name, store in zip(chosen, opened, strict=True):
        speakers = [utterance.speaker for utterance in getattr(split, name)]
        scores["splits"][name] = score_store(subject.forecast, store, speakers, arguments.resynthesis)
        print(_summary(name, scores["splits"][name], arguments.padding))
    with suppress(OSError):  # what is written there says why not
        output.mkdir(parents=True, exist_ok=True)
    with atomic_write(output / "scores.json") as temporary:
        temporary.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    save_figure(_picture(subject, opened[-1]), output / "prediction.png")
    print(f"written to {output}")


def _parsed(description: str, add_corpora: Callable[[argparse.ArgumentParser], None]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(BASELINES)
    parser.add_argument("network", help=f"folder of a run, a checkpoint's name or folder, or a baseline: {names}")
    add_corpora(parser)
    parser.add_argument("-o", "--output", type=Path, help="folder of the results (default: results/<name>)")
    parser.add_argument(
        "--split", choices=SPLITS, help="which speakers (default: validation, and test if there is one)"
    )
    add_padding(parser)
    parser.add_argument(
        "--no-resynthesis", dest="resynthesis", action="store_false", help="leave out segmental SNR, PESQ and STOI"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ... (default: %(default)s)")
    return parser.parse_args()


def add_padding(parser: argparse.ArgumentParser) -> None:
    """Adds the option that says which error is shown.

    Args:
        parser: Of a command that shows errors.
    """
    parser.add_argument(
        "--padding",
        default="valid",
        choices=list(PADDINGS),
        help="the error shown: over valid frames, or over padded ones as in Wisdom et al. 2016 (default: %(default)s)",
    )


def _subject(arguments: argparse.Namespace, stores: Stores) -> Subject:
    """Opens the network, or fits the baseline to what is trained on."""
    name = arguments.network
    if name in BASELINES:
        baseline = BASELINES[name]()
        if baseline.parameters:
            baseline.fit(_levels(stores(arguments)[0]))
        facts = {"kind": "baseline", "parameters": baseline.parameters}
        return Subject(name, lambda spectra: [baseline(log_power_db(own)) for own in spectra], facts)
    trained = open_trained(name, PredictorNetwork)
    run = Path(name)
    training = to_dict(read_experiment(run).train) if (run / "experiment.json").is_file() else None
    facts = {
        "kind": "network",
        "parameters": trained.parameters,
        "frames_seen": trained.frames,
        "model": to_dict(trained.network.config),
        "train": training,
        "run": None if training is None else run.as_posix(),
    }
    return Subject(trained.name, network_forecast(trained.network, arguments.device), facts)


def _levels(stores: Iterable[Store]) -> Iterator[Tensor]:
    for store in stores:
        for index in tqdm(range(len(store.names)), "fitting", disable=None):
            yield log_power_db(stft(torch.from_numpy(store.samples(index))))


def network_forecast(network: PredictorNetwork, device: str = "auto") -> Forecast:
    """Makes a network predict levels, several utterances at a time, in blocks that hand on its state.

    Args:
        network: In evaluation mode.
        device: Where it runs: "auto", "cpu", "cuda" ...

    Returns:
        What predicts.

    Raises:
        ConfigError: The device is not there.
    """
    where = choose_device(device)
    network = network.to(where)

    @torch.inference_mode()
    def forecast(spectra: Sequence[Tensor]) -> list[Tensor]:
        state, blocks = None, []
        for block in pad_sequence(list(spectra), batch_first=True).split(BLOCK_FRAMES, dim=1):
            predicted, state = network(block.to(where), state)
            blocks.append(log_power_db(predicted).cpu())
        levels = torch.cat(blocks, dim=1)
        return [own[: len(true)] for own, true in zip(levels, spectra, strict=True)]

    return forecast


def score_store(
    forecast: Forecast, store: Store, speakers: Sequence[str], resynthesis: bool = True, progress: bool = True
) -> dict[str, Any]:
    """Scores predictions of all utterances of a store.

    Args:
        forecast: What predicts.
        store: At 8000 Hz.
        speakers: Of each utterance; "" where not known.
        resynthesis: Also scores the sound of the predicted magnitudes with the true phases.
        progress: Shows a bar.

    Returns:
        What JSON can hold: the number of utterances and frames; ``mse`` in dB^2, "valid" and "wisdom"; of each of
        ``segmental_snr_db``, ``pesq`` and ``stoi`` the mean over utterances and the number of those that can be scored;
        the same ``by_speaker`` and ``by_utterance``.

    Raises:
        ConfigError: A package that scores sound is missing.
    """
    rows: dict[int, dict[str, Any]] = {}
    error = SpectralError()
    order = np.argsort(store.lengths, kind="stable").tolist()
    with tqdm(total=len(order), desc="scoring", unit="utterances", disable=None if progress else True) as bar:
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            samples = [torch.from_numpy(store.samples(index)) for index in chosen]
            spectra = [stft(own) for own in samples]
            for index, wave, true, predicted_db in zip(chosen, samples, spectra, forecast(spectra), strict=True):
                true_db = log_power_db(true)
                own = SpectralError()
                for gathered in (own, error):
                    gathered.add(true_db[1:], predicted_db[:-1])
                rows[index] = {"name": store.names[index], "frames": own.frames, "mse": own.mse}
                if resynthesis:
                    rows[index] |= _sound(wave, true, predicted_db)
                bar.update()
    by_utterance = [rows[index] | {"speaker": speakers[index]} for index in sorted(rows)]
    return {
        "utterances": error.utterances,
        "frames": error.frames,
        "mse": {"valid": error.mse, "wisdom": error.padded_mse},
        **_mean_sounds(by_utterance),
        "by_speaker": _by_speaker(by_utterance),
        "by_utterance": by_utterance,
    }


def _sound(samples: Tensor, true: Tensor, predicted_db: Tensor) -> dict[str, float | None]:
    """How the prediction of one utterance sounds; None for what cannot be scored."""
    heard = resynthesize(magnitudes(predicted_db), true, len(samples)).numpy()
    scores = {name: score(samples.numpy(), heard, SPEECH_RATE) for name, score in SOUNDS.items()}
    return {name: None if math.isnan(score) else score for name, score in scores.items()}


def _mean_sounds(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of each score of sound its mean over the utterances that have it, and their number."""
    scored = {name: [row[name] for row in rows if row[name] is not None] for name in SOUNDS if name in rows[0]}
    return {
        name: {"mean": float(np.mean(values)) if values else None, "utterances": len(values)}
        for name, values in scored.items()
    }


def _by_speaker(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    speakers: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        speakers.setdefault(row["speaker"], []).append(row)
    return {
        speaker: {
            "utterances": len(own),
            "frames": sum(row["frames"] for row in own),
            "mse": float(np.average([row["mse"] for row in own], weights=[row["frames"] for row in own])),
            **_mean_sounds(own),
        }
        for speaker, own in sorted(speakers.items())
        if speaker
    }


def _summary(split: str, scores: dict[str, Any], padding: str) -> str:
    """Says what a split's scores are, and by speaker."""
    speakers = scores["by_speaker"]
    said = [f"{split}: MSE {scores['mse'][padding]:.2f} dB^2 {PADDINGS[padding]}, {scores['utterances']} utterances"]
    if speakers:
        said[0] += f" of {len(speakers)} speakers"
    for name, label in (("segmental_snr_db", "segmental SNR, dB"), ("pesq", "PESQ"), ("stoi", "STOI")):
        if name in scores and scores[name]["mean"] is not None:
            said.append(f"  {label}: {scores[name]['mean']:.3f} (mean of {scores[name]['utterances']})")
    said += [f"  {speaker}: MSE {own['mse']:.2f} dB^2" for speaker, own in speakers.items()]
    return "\n".join(said)


def _picture(subject: Subject, store: Store) -> Figure:
    """The first utterance of a store, true and predicted."""
    true = stft(torch.from_numpy(store.samples(0)))
    true_db, (predicted_db,) = log_power_db(true), subject.forecast([true])
    hop_s = HOP_SAMPLES / SPEECH_RATE
    # Frame 1 is the first that is predicted, and centred on the first sample.
    levels = true_db[1:].numpy(), predicted_db[:-1].numpy()
    return plot_spectrograms(*levels, hop_s, SPEECH_RATE / 2, title=f"{store.names[0]}, by {subject.name}")
