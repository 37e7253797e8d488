"""Evaluation of packet loss concealment: by networks, and by methods that need none."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..data.store import Store
from ..models.predictor_runtime import RunnablePredictor
from ..stft import HOP_SAMPLES, SPEECH_RATE, log_power_db, stft
from .concealment import Forecast, Spectra, extrapolate_phase, fill, network_forecast
from .gaps import CROSSFADE_S, crossfade, frame_ranges, sample_ranges
from .metrics import SpectralError, pesq_mos

__all__ = ["METHODS", "ConcealmentScore", "Method", "network_method", "random_gaps", "score_methods"]

Gaps = Sequence[tuple[float, float]]
# Fills the gaps of samples [N] at 8 kHz.
Method = Callable[[NDArray[np.float32], Gaps], NDArray[np.float32]]

GAPS_MS = (16, 32, 48, 64)
LOST_SHARE = 0.1
# Hops of 16 ms that are intact between two gaps and before the first, at least.
APART_HOPS = 4
LONGEST_S = 20


def silence(samples: NDArray[np.float32], gaps: Gaps) -> NDArray[np.float32]:
    """Fill gaps with zeros."""
    return crossfade(samples, np.zeros_like(samples), gaps, SPEECH_RATE)


def last_packet(samples: NDArray[np.float32], gaps: Gaps) -> NDArray[np.float32]:
    """Fill each gap by repeating as many samples as lie right before it."""
    filled, fade = samples.copy(), round(CROSSFADE_S * SPEECH_RATE)
    for start, stop in sample_ranges(gaps, SPEECH_RATE):
        around = np.arange(start - fade, min(stop + fade, len(samples)))
        length = stop - start
        filled[around] = samples[start - length + (around - start) % length]
    return crossfade(samples, filled, gaps, SPEECH_RATE)


def network_method(network: RunnablePredictor) -> Method:
    """Return the concealment method that fills gaps with a network's predictions.

    Args:
        network: The network.

    Returns:
        The method.
    """
    return partial(_fill, forecast=network_forecast(network))


def _fill(samples: NDArray[np.float32], gaps: Gaps, forecast: Forecast) -> NDArray[np.float32]:
    return fill(samples, SPEECH_RATE, gaps, forecast)


def _repeat_frame(spectra: Spectra, state: None) -> tuple[Spectra, None]:
    return spectra[:, -1:], state


# Methods without a network. The phases are those of the last frame, or those of sinusoids that go on.
METHODS: dict[str, Method] = {
    "silence": silence,
    "the last packet again": last_packet,
    "the last frame again": partial(_fill, forecast=_repeat_frame),
    "the last frame, going on extrapolate_phase": partial(_fill, forecast=extrapolate_phase(_repeat_frame)),
}


class ConcealmentScore:
    """The score of one method on gaps of one length, accumulated over utterances."""

    def __init__(self) -> None:
        self.pesq: list[float] = []
        self.error = SpectralError()

    def add(self, true: NDArray[np.float32], concealed: NDArray[np.float32], gaps: Gaps) -> None:
        """Add an utterance.

        Args:
            true: Samples at 8 kHz, float32 [N].
            concealed: The same with gaps filled.
            gaps: Start and end of each in seconds, as from :func:`random_gaps`.
        """
        score = pesq_mos(true, concealed, SPEECH_RATE)
        if not math.isnan(score):
            self.pesq.append(score)
        lost = np.concatenate([np.arange(*frames) for frames in frame_ranges(gaps, SPEECH_RATE)])
        true_db, concealed_db = (log_power_db(stft(own)[lost]) for own in (true, concealed))
        self.error.add(true_db, concealed_db)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: mean PESQ over utterances, and MSE in dB^2 over the frames that gaps touch."""
        mean = float(np.mean(self.pesq)) if self.pesq else None
        mse = self.error.mse if self.error.frames else None
        return {"pesq": mean, "utterances": len(self.pesq), "mse": mse, "frames": self.error.frames}


def random_gaps(samples: int, gap_ms: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Draw gaps that make up a tenth of the time, every arrangement being equally likely.

    Args:
        samples: Length of the utterance at 8 kHz.
        gap_ms: Length of each gap, a multiple of 16.
        rng: Random generator.

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
) -> dict[str, dict[int, ConcealmentScore]]:
    """Drop packets of utterances, conceal them by each method, and score the results; shows a progress bar.

    Args:
        methods: By name.
        store: At 8 kHz.
        chosen: Indices of the utterances; at most 20 s of each are used.
        seed: Seed of the gaps, which are the same for all methods.

    Returns:
        The scores by method and length of the gaps in ms.

    Raises:
        ConfigError: The package pesq is not installed.
    """
    scores = {name: {gap_ms: ConcealmentScore() for gap_ms in GAPS_MS} for name in methods}
    steps = [(index, gap_ms) for index in chosen for gap_ms in GAPS_MS]
    for index, gap_ms in tqdm(steps, "concealing", disable=None):
        true = store.samples(index)[: LONGEST_S * SPEECH_RATE]
        # Seeded by name: an utterance has the same gaps whatever else is chosen.
        rng = np.random.default_rng([seed, gap_ms, zlib.crc32(store.names[index].encode())])
        if not (gaps := random_gaps(len(true), gap_ms, rng)):
            continue
        lost = true.copy()
        for start, stop in sample_ranges(gaps, SPEECH_RATE):
            lost[start:stop] = 0
        for name, method in methods.items():
            scores[name][gap_ms].add(true, method(lost, gaps), gaps)
    return scores
