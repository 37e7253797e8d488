"""The command that scores how lost packets are concealed: by networks, and by what takes none."""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ..data.corpora.speech import Split
from ..data.store import Store
from ..io.atomic_write import atomic_write
from ..models import PredictorNetwork
from ..models.running import choose_device
from ..speech.concealment import Forecast, extrapolate_phase, fill, network_forecast
from ..speech.gaps import CROSSFADE_S, crossfade, frame_ranges, sample_ranges
from ..speech.metrics import SpectralError, pesq_mos
from ..stft import HOP_SAMPLES, SPEECH_RATE, log_power_db, stft
from ..train.runs import open_trained
from .corpora import open_speech

__all__ = ["METHODS", "Method", "Tally", "random_gaps", "score_concealment", "score_methods"]

Gaps = Sequence[tuple[float, float]]
# Fills the gaps of samples [N] at 8 kHz.
Method = Callable[[NDArray[np.float32], Gaps], NDArray[np.float32]]

GAPS_MS = (16, 32, 48, 64)
LOST_SHARE = 0.1
# Between two gaps, and before the first one, at least so much is intact.
APART_HOPS = 4
LONGEST_S = 20


def silence(samples: NDArray[np.float32], gaps: Gaps) -> NDArray[np.float32]:
    """Fills gaps with zeros."""
    return crossfade(samples, np.zeros_like(samples), gaps, SPEECH_RATE)


def last_packet(samples: NDArray[np.float32], gaps: Gaps) -> NDArray[np.float32]:
    """Fills each gap with as many samples as were heard last."""
    filled, fade = samples.copy(), round(CROSSFADE_S * SPEECH_RATE)
    for start, stop in sample_ranges(gaps, SPEECH_RATE):
        around = np.arange(start - fade, min(stop + fade, len(samples)))
        length = stop - start
        filled[around] = samples[start - length + (around - start) % length]
    return crossfade(samples, filled, gaps, SPEECH_RATE)


def _again(spectra: Tensor, state: None) -> tuple[Tensor, None]:
    return spectra[:, -1:], state


def _by(forecast: Forecast) -> Method:
    return partial(_fill, forecast=forecast)


def _fill(samples: NDArray[np.float32], gaps: Gaps, forecast: Forecast) -> NDArray[np.float32]:
    return fill(samples, SPEECH_RATE, gaps, forecast)


# What takes no network: its phases are the last frame's own, or those of sinusoids that go on.
METHODS: dict[str, Method] = {
    "silence": silence,
    "the last packet again": last_packet,
    "the last frame again": _by(_again),
    "the last frame, going on turning": _by(extrapolate_phase(_again)),
}


class Tally:
    """The scores of one method on gaps of one length, gathered over utterances."""

    def __init__(self) -> None:
        self.pesq: list[float] = []
        self.error = SpectralError()

    def add(self, true: NDArray[np.float32], concealed: NDArray[np.float32], gaps: Gaps) -> None:
        """Adds an utterance.

        Args:
            true: Samples at 8 kHz, float32 [N].
            concealed: The same with gaps filled.
            gaps: As :func:`random_gaps` gives them.
        """
        score = pesq_mos(true, concealed, SPEECH_RATE)
        if not math.isnan(score):
            self.pesq.append(score)
        lost = torch.cat([torch.arange(*frames) for frames in frame_ranges(gaps, SPEECH_RATE)])
        true_db, concealed_db = (log_power_db(stft(torch.from_numpy(own))[lost]) for own in (true, concealed))
        self.error.add(true_db, concealed_db)

    def to_dict(self) -> dict[str, Any]:
        """Gives what JSON can hold: the mean PESQ over utterances, the MSE over the frames that gaps touch, in dB^2."""
        mean = float(np.mean(self.pesq)) if self.pesq else None
        mse = self.error.mse if self.error.frames else None
        return {"pesq": mean, "utterances": len(self.pesq), "mse": mse, "frames": self.error.frames}


def random_gaps(samples: int, gap_ms: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Draws gaps that make up a tenth of the time, any arrangement being as likely as any other.

    Args:
        samples: Length of the utterance at 8 kHz.
        gap_ms: Length of each gap, a multiple of 16.
        rng: Draws.

    Returns:
        Start and end of each, in seconds, in order, in whole hops of 128 samples; 64 ms or more lie before each.
    """
    hops, long = samples // HOP_SAMPLES, gap_ms * SPEECH_RATE // (1000 * HOP_SAMPLES)
    count = min(round(LOST_SHARE * hops / long), hops // (long + APART_HOPS))
    free = hops - count * (long + APART_HOPS)
    starts = np.sort(rng.integers(0, free + 1, count)) + np.arange(count) * (long + APART_HOPS) + APART_HOPS
    hop_s = HOP_SAMPLES / SPEECH_RATE
    return [(start * hop_s, (start + long) * hop_s) for start in starts.tolist()]


def score_methods(
    methods: dict[str, Method], store: Store, chosen: Sequence[int], seed: int = 0
) -> dict[str, dict[int, Tally]]:
    """Loses packets of utterances, conceals them by each method, and scores the result; shows a bar.

    Args:
        methods: By name.
        store: At 8 kHz.
        chosen: Utterances, by their index; of each 20 s at most.
        seed: Of the gaps, which are the same for all methods.

    Returns:
        The scores by method and length of the gaps in ms.

    Raises:
        ConfigError: The package pesq is missing.
    """
    tallies = {name: {gap_ms: Tally() for gap_ms in GAPS_MS} for name in methods}
    steps = [(index, gap_ms) for index in chosen for gap_ms in GAPS_MS]
    for index, gap_ms in tqdm(steps, "concealing", disable=None):
        true = store.samples(index)[: LONGEST_S * SPEECH_RATE]
        # By name: whatever else is chosen, an utterance loses the same.
        rng = np.random.default_rng([seed, gap_ms, zlib.crc32(store.names[index].encode())])
        if not (gaps := random_gaps(len(true), gap_ms, rng)):
            continue
        lost = true.copy()
        for start, stop in sample_ranges(gaps, SPEECH_RATE):
            lost[start:stop] = 0
        for name, method in methods.items():
            tallies[name][gap_ms].add(true, method(lost, gaps), gaps)
    return tallies


def score_concealment(
    description: str,
    corpus: str,
    add_corpora: Callable[[argparse.ArgumentParser], None],
    parts: Callable[[argparse.Namespace], Split],
) -> None:
    """Scores as the command line says, on validation utterances; never on a test split.

    Args:
        description: What ``--help`` says first.
        corpus: Its name.
        add_corpora: Adds the arguments that name the corpora; ``cache`` is among them.
        parts: Splits the corpus.

    Raises:
        AudiocxError: A network or the corpus cannot be used, or the scores cannot be written.
    """
    arguments = _parsed(description, add_corpora)
    device = choose_device(arguments.device)
    networks = {name: open_trained(name, PredictorNetwork).network.to(device) for name in arguments.networks}
    methods = METHODS | {name: _by(network_forecast(network)) for name, network in networks.items()}
    (store,) = open_speech([parts(arguments).validation], arguments.cache)
    utterances = min(arguments.utterances, len(store.names))
    chosen = np.linspace(0, len(store.names) - 1, utterances).round().astype(int).tolist()
    tallies = score_methods(methods, store, chosen, arguments.seed)
    scores = {
        "kind": "concealment",
        "corpus": corpus,
        "split": "validation",
        "utterances": utterances,
        "longest_s": LONGEST_S,
        "lost_share": LOST_SHARE,
        "seed": arguments.seed,
        "methods": {name: {str(ms): own.to_dict() for ms, own in by_ms.items()} for name, by_ms in tallies.items()},
    }
    print(_table(scores["methods"]))
    output: Path = arguments.output
    with suppress(OSError):  # what is written there says why not
        output.mkdir(parents=True, exist_ok=True)
    with atomic_write(output / "scores.json") as temporary:
        temporary.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    print(f"written to {output}")


def _parsed(description: str, add_corpora: Callable[[argparse.ArgumentParser], None]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_corpora(parser)
    parser.add_argument(
        "networks", nargs="*", metavar="NETWORK", help="folder of a run, or a checkpoint's name or folder"
    )
    chosen = "how many of the validation utterances, evenly chosen (default: %(default)s)"
    parser.add_argument("--utterances", type=int, default=100, metavar="N", help=chosen)
    parser.add_argument("--seed", type=int, default=0, help="of the gaps (default: %(default)s)")
    where = "folder of the scores (default: %(default)s)"
    parser.add_argument("-o", "--output", type=Path, default=Path("results/conceal"), help=where)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ... (default: %(default)s)")
    arguments = parser.parse_intermixed_args()  # else no network could follow an option
    if arguments.utterances < 1 or arguments.seed < 0:
        parser.error("--utterances must be 1 or more, and --seed 0 or more")
    return arguments


def _table(methods: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Markdown that also reads as text: a row for each method."""
    heads = [f"{score}, {gap_ms} ms" for score in ("PESQ", "MSE") for gap_ms in GAPS_MS]
    lines = [f"| gaps filled with | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for name, scores in methods.items():
        found = [scores[str(gap_ms)][score] for score in ("pesq", "mse") for gap_ms in GAPS_MS]
        digits = [2] * len(GAPS_MS) + [1] * len(GAPS_MS)
        cells = ["" if value is None else f"{value:.{places}f}" for value, places in zip(found, digits, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
