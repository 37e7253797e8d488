"""Evaluation of predictors of speech."""

from __future__ import annotations

import numpy as np
import pytest

from audiocx.kinds import build
from audiocx.models import PredictorConfig
from audiocx.models.predictor_runtime import TorchPredictor
from audiocx.speech import evaluation
from audiocx.stft import BINS, log_power_db


def test_utterances_side_by_side_and_in_blocks_are_predicted_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "FRAMES_PER_CALL", 7)
    network, rng = TorchPredictor(build(PredictorConfig(hidden=2)).eval()), np.random.default_rng(0)
    spectra = [rng.standard_normal((frames, BINS)).astype(np.complex64) for frames in (5, 7, 30)]
    together = evaluation.network_forecast(network)(spectra)
    for true, levels in zip(spectra, together, strict=True):
        alone = log_power_db(network.forecast(true[None])[0][0, :, 0])
        np.testing.assert_allclose(levels, alone, atol=1e-3)
