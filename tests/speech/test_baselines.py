"""Baselines of speech prediction: processes that they fit exactly, and causality."""

from __future__ import annotations

import pytest
import torch
from speech_lookalike import speech_like

from audiocx.speech import baselines
from audiocx.speech.baselines import BASELINES, BinMean, LinearPrediction, RepeatLast
from audiocx.stft import BINS, SPEECH_RATE, log_power_db, stft


def levels(name: str, duration_s: float = 2.0) -> torch.Tensor:
    samples = torch.from_numpy(speech_like(name, duration_s, SPEECH_RATE)) / 32768
    return log_power_db(stft(samples))


def error(baseline: baselines.Baseline, true_db: torch.Tensor, first: int = 1) -> float:
    return (baseline(true_db)[first - 1 : -1] - true_db[first:]).square().mean().item()


TRAINING = [levels(name) for name in ("a", "b", "c")]


@pytest.mark.parametrize("name", BASELINES)
def test_predictions_are_causal(name: str) -> None:
    baseline = BASELINES[name]()
    baseline.fit(iter(TRAINING))
    true_db = levels("d")
    predicted = baseline(true_db)
    assert predicted.shape == true_db.shape and predicted.dtype == true_db.dtype
    changed = true_db.clone()
    changed[30:] = torch.randn(changed[30:].shape)
    torch.testing.assert_close(baseline(changed)[:30], predicted[:30], rtol=0, atol=0)
    if name != "mean":
        assert not torch.equal(baseline(changed)[30], predicted[30])
    torch.testing.assert_close(baseline(true_db[:1]), predicted[:1])


def test_repeating_predicts_constant_levels() -> None:
    constant = torch.randn(BINS).expand(20, BINS)
    assert error(RepeatLast(), constant) == 0
    steps = torch.arange(20.0)[:, None].expand(20, BINS)
    assert error(RepeatLast(), steps) == 1


def test_the_mean_is_over_all_predicted_frames() -> None:
    first, second = torch.zeros(3, BINS), torch.zeros(2, BINS)
    first[:, 5] = torch.tensor([100.0, 1.0, 2.0])
    second[:, 5] = torch.tensor([100.0, 6.0])
    mean = BinMean()
    mean.fit(iter([first, second]))
    expected = torch.zeros(4, BINS)
    expected[:, 5] = 3.0
    torch.testing.assert_close(mean(torch.randn(4, BINS)), expected)


def process(frames: int, noise: float) -> torch.Tensor:
    """Each bin depends on itself, its lower neighbour two frames ago, and 3 dB; it begins with silence."""
    generator = torch.Generator().manual_seed(0)
    made = torch.full((frames + 1, BINS), baselines.SILENCE_DB, dtype=torch.float64)
    for t in range(2, frames + 1):
        made[t] = 3 + 0.6 * made[t - 1] + noise * torch.randn(BINS, dtype=torch.float64, generator=generator)
        made[t, 1:] += 0.3 * made[t - 2, :-1]
    return made[1:].float()


def test_linear_prediction_recovers_the_weights_of_a_process() -> None:
    linear = LinearPrediction()
    linear.fit([process(1000, 1.0)])
    # Frames from the oldest on, three bins each, the constant last.
    weights = linear.weights[1:-1, :-1].unflatten(1, (8, 3))
    expected = torch.zeros(8, 3, dtype=torch.float64)
    expected[7, 1], expected[6, 0] = 0.6, 0.3
    torch.testing.assert_close(weights.mean(0), expected, rtol=0, atol=0.02)
    assert error(linear, process(500, 1.0), 100) == pytest.approx(1, abs=0.1)


def test_linear_prediction_continues_oscillations_exactly() -> None:
    time, phase = torch.arange(400.0, dtype=torch.float64)[:, None], torch.linspace(0, 6, BINS, dtype=torch.float64)
    swinging = 5 * torch.sin(0.3 * time + phase) + 2 * torch.cos(1.1 * time - phase) - 20
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
    silence = torch.full((30, BINS), baselines.SILENCE_DB)
    assert torch.equal(silence[:1], log_power_db(torch.zeros(1, BINS, dtype=torch.complex64)))
    linear = LinearPrediction()
    linear.fit([silence])
    torch.testing.assert_close(linear(silence), silence)
    linear.fit(iter(TRAINING))
    assert linear(-1000 * torch.ones(20, BINS)).min() >= baselines.SILENCE_DB


def test_block_size_does_not_change_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, blocks = LinearPrediction(), LinearPrediction()
    whole.fit(iter(TRAINING))
    predicted = whole(TRAINING[0])
    monkeypatch.setattr(baselines, "REGRESSION_FRAMES", 7)
    blocks.fit(iter(TRAINING))
    torch.testing.assert_close(blocks(TRAINING[0]), predicted, rtol=0, atol=1e-2)
    torch.testing.assert_close(whole(TRAINING[0]), predicted, rtol=0, atol=1e-4)
