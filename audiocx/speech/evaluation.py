"""Evaluation of predictors of speech: networks and trivial baselines on one scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..data.store import Store
from ..models.predictor_runtime import FRAMES_PER_CALL, RunnablePredictor
from ..stft import BINS, SPEECH_RATE, log_power_db, stft
from .baselines import BASELINES
from .metrics import SpectralError, magnitudes, pesq_mos, resynthesize, segmental_snr_db, stoi

__all__ = ["SOUND_SCORES", "LevelForecast", "baseline_forecast", "network_forecast", "score_store"]

# Predicts the levels that follow those of several utterances: complex spectra [T, F] each in, levels [T, F] each out.
LevelForecast = Callable[[Sequence[NDArray[np.complex64]]], list[NDArray[np.float32]]]

SOUND_SCORES = {"segmental_snr_db": segmental_snr_db, "pesq": pesq_mos, "stoi": stoi}
# Utterances of similar length that are predicted as a batch: 300 MB.
BATCH_UTTERANCES = 16


def baseline_forecast(name: str, training: Iterable[Store]) -> tuple[LevelForecast, int]:
    """Fit a trivial baseline.

    Args:
        name: A key of :data:`audiocx.speech.baselines.BASELINES`.
        training: Stores of the training utterances, at 8000 Hz; only read by baselines that have parameters.

    Returns:
        Its prediction, and the number of its parameters.
    """
    baseline = BASELINES[name]()
    if baseline.parameters:
        baseline.fit(
            log_power_db(stft(store.samples(index)))
            for store in training
            for index in tqdm(range(len(store.names)), "fitting", disable=None)
        )
    return lambda spectra: [baseline(log_power_db(own)) for own in spectra], baseline.parameters


def network_forecast(network: RunnablePredictor) -> LevelForecast:
    """Return a network's prediction of levels, several utterances at a time, in blocks that pass on its state.

    Args:
        network: The network.

    Returns:
        The prediction.
    """

    def forecast(spectra: Sequence[NDArray[np.complex64]]) -> list[NDArray[np.float32]]:
        state, blocks = None, []
        padded = np.zeros((len(spectra), max(map(len, spectra)), BINS), np.complex64)
        for row, own in zip(padded, spectra, strict=True):
            row[: len(own)] = own
        for start in range(0, padded.shape[1], FRAMES_PER_CALL):
            ahead, state = network.forecast(padded[:, start : start + FRAMES_PER_CALL], state)
            blocks.append(log_power_db(ahead[:, :, 0]))
        levels = np.concatenate(blocks, axis=1)
        return [own[: len(true)] for own, true in zip(levels, spectra, strict=True)]

    return forecast


def score_store(
    forecast: LevelForecast, store: Store, speakers: Sequence[str], resynthesis: bool = True, progress: bool = True
) -> dict[str, Any]:
    """Score the predictions of all utterances of a store.

    Args:
        forecast: The prediction.
        store: At 8000 Hz.
        speakers: Speaker of each utterance; "" where not known.
        resynthesis: Also score the sound of the predicted magnitudes with the true phases.
        progress: Show a progress bar.

    Returns:
        What JSON can hold: the number of utterances and frames; ``mse`` in dB^2, "valid" and "wisdom"; for each of
        ``segmental_snr_db``, ``pesq`` and ``stoi`` the mean over utterances and the number of those that can be scored;
        the same ``by_speaker`` and ``by_utterance``.

    Raises:
        ConfigError: A package that scores sound is not installed.
    """
    rows: dict[int, dict[str, Any]] = {}
    error = SpectralError()
    order = np.argsort(store.lengths, kind="stable").tolist()
    with tqdm(total=len(order), desc="scoring", unit="utterances", disable=None if progress else True) as bar:
        for start in range(0, len(order), BATCH_UTTERANCES):
            chosen = order[start : start + BATCH_UTTERANCES]
            samples = [store.samples(index) for index in chosen]
            spectra = [stft(own) for own in samples]
            for index, wave, true, predicted_db in zip(chosen, samples, spectra, forecast(spectra), strict=True):
                true_db = log_power_db(true)
                own = SpectralError()
                for total in (own, error):
                    total.add(true_db[1:], predicted_db[:-1])
                rows[index] = {"name": store.names[index], "frames": own.frames, "mse": own.mse}
                if resynthesis:
                    rows[index] |= _score_sound(wave, true, predicted_db)
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


def _score_sound(
    samples: NDArray[np.float32], true: NDArray[np.complex64], predicted_db: NDArray[np.float32]
) -> dict[str, float | None]:
    """Score the sound of the prediction of one utterance; None for scores that are not defined."""
    sound = resynthesize(magnitudes(predicted_db), true, len(samples))
    scores = {name: score(samples, sound, SPEECH_RATE) for name, score in SOUND_SCORES.items()}
    return {name: None if math.isnan(score) else score for name, score in scores.items()}


def _mean_sounds(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average each score of sound over the utterances that have it, and count these."""
    scored = {name: [row[name] for row in rows if row[name] is not None] for name in SOUND_SCORES if name in rows[0]}
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
