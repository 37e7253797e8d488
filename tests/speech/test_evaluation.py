"""Evaluation of predictors of speech."""

from __future__ import annotations

import pytest
import torch

from audiocx.kinds import build
from audiocx.models import PredictorConfig
from audiocx.speech import evaluation
from audiocx.stft import BINS, log_power_db


def test_utterances_side_by_side_and_in_blocks_are_predicted_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "FRAMES_PER_CALL", 7)
    network = build(PredictorConfig(hidden=2)).eval()
    spectra = [torch.randn(frames, BINS, dtype=torch.complex64) for frames in (5, 7, 30)]
    together = evaluation.network_forecast(network, "cpu")(spectra)
    for true, levels in zip(spectra, together, strict=True):
        with torch.inference_mode():
            alone = log_power_db(network(true[None])[0][0])
        torch.testing.assert_close(levels, alone, rtol=0, atol=1e-3)
