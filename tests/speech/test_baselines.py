"""Baselines of speech prediction: processes that they fit exactly, and causality."""

from __future__ import annotations

import numpy as np
import pytest
from speech_lookalike import speech_like

from audiocx.speech import baselines
from audiocx.speech.baselines import BASELINES, BinMean, LinearPrediction, RepeatLast
from audiocx.stft import BINS, SPEECH_RATE, log_power_db, stft


def levels(name: str, duration_s: float = 2.0) -> np.ndarray:
    samples = speech_like(name, duration_s, SPEECH_RATE).astype(np.float32) / 32768
    return log_power_db(stft(samples))


def error(baseline: baselines.Baseline, true_db: np.ndarray, first: int = 1) -> float:
    return float(np.square(baseline(true_db)[first - 1 : -1] - true_db[first:]).mean())


RNG = np.random.default_rng(0)
TRAINING = [levels(name) for name in ("a", "b", "c")]


@pytest.mark.parametrize("name", BASELINES)
def test_predictions_are_causal(name: str) -> None:
    baseline = BASELINES[name]()
    baseline.fit(iter(TRAINING))
    true_db = levels("d")
    predicted = baseline(true_db)
    assert predicted.shape == true_db.shape and predicted.dtype == true_db.dtype
    changed = true_db.copy()
    changed[30:] = RNG.standard_normal(changed[30:].shape)
    np.testing.assert_array_equal(baseline(changed)[:30], predicted[:30])
    if name != "mean":
        assert not np.array_equal(baseline(changed)[30], predicted[30])
    np.testing.assert_allclose(baseline(true_db[:1]), predicted[:1], rtol=1e-5)


def test_repeating_predicts_constant_levels() -> None:
    constant = np.tile(RNG.standard_normal(BINS), (20, 1))
    assert error(RepeatLast(), constant) == 0
    steps = np.tile(np.arange(20.0)[:, None], BINS)
    assert error(RepeatLast(), steps) == 1


def test_the_mean_is_over_all_predicted_frames() -> None:
    first, second = np.zeros((3, BINS)), np.zeros((2, BINS))
    first[:, 5] = np.array([100.0, 1.0, 2.0])
    second[:, 5] = np.array([100.0, 6.0])
    mean = BinMean()
    mean.fit(iter([first, second]))
    expected = np.zeros((4, BINS))
    expected[:, 5] = 3.0
    np.testing.assert_allclose(mean(np.ones((4, BINS))), expected)


def process(frames: int, noise: float) -> np.ndarray:
    """Each bin depends on itself, its lower neighbour two frames ago, and 3 dB; it begins with silence."""
    rng, made = np.random.default_rng(0), np.full((frames + 1, BINS), baselines.SILENCE_DB)
    for t in range(2, frames + 1):
        made[t] = 3 + 0.6 * made[t - 1] + noise * rng.standard_normal(BINS)
        made[t, 1:] += 0.3 * made[t - 2, :-1]
    return made[1:].astype(np.float32)


def test_linear_prediction_recovers_the_weights_of_a_process() -> None:
    linear = LinearPrediction()
    linear.fit([process(1000, 1.0)])
    # Frames from the oldest on, three bins each, the constant last.
    weights = linear.weights[1:-1, :-1].reshape(-1, 8, 3)
    expected = np.zeros((8, 3))
    expected[7, 1], expected[6, 0] = 0.6, 0.3
    np.testing.assert_allclose(weights.mean(0), expected, atol=0.02)
    assert error(linear, process(500, 1.0), 100) == pytest.approx(1, abs=0.1)


def test_linear_prediction_continues_oscillations_exactly() -> None:
    time, phase = np.arange(400.0)[:, None], np.linspace(0, 6, BINS)
    swinging = 5 * np.sin(0.3 * time + phase) + 2 * np.cos(1.1 * time - phase) - 20
    linear = LinearPrediction()
    linear.fit([swinging])
    assert error(linear, swinging, 20) < 1e-6 < error(RepeatLast(), swinging, 20)


def test_linear_prediction_is_the_best_baseline_on_its_training_data() -> None:
    fitted = {name: kind() for name, kind in BASELINES.items()}
    for baseline in fitted.values():
        baseline.fit(iter(TRAINING[:1]))
    errors = {name: error(baseline, TRAINING[0]) for name, baseline in fitted.items()}
    assert min(errors, key=errors.__getitem__) == "linear-prediction"


def test_silence_predicts_silence_and_is_the_lowest_level() -> None:
    silence = np.full((30, BINS), baselines.SILENCE_DB, np.float32)
    np.testing.assert_allclose(silence[:1], log_power_db(np.zeros((1, BINS), np.complex64)), rtol=1e-6)
    linear = LinearPrediction()
    linear.fit([silence])
    np.testing.assert_allclose(linear(silence), silence, rtol=1e-5)
    linear.fit(iter(TRAINING))
    assert linear(-1000 * np.ones((20, BINS))).min() >= baselines.SILENCE_DB


def test_block_size_does_not_change_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, blocks = LinearPrediction(), LinearPrediction()
    whole.fit(iter(TRAINING))
    predicted = whole(TRAINING[0])
    monkeypatch.setattr(baselines, "REGRESSION_FRAMES", 7)
    blocks.fit(iter(TRAINING))
    np.testing.assert_allclose(blocks(TRAINING[0]), predicted, atol=1e-2)
    np.testing.assert_allclose(whole(TRAINING[0]), predicted, atol=1e-4)
