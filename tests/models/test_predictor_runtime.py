"""Predictors in onnxruntime and in PyTorch: the same forecasts, however frames are cut."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import audiocx
from audiocx.kinds import build
from audiocx.models import PredictorConfig
from audiocx.models.onnx_export import step_model, to_onnx
from audiocx.models.predictor_runtime import OnnxPredictor, TorchPredictor
from audiocx.stft import BINS

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="needs the extra onnx: onnx, onnxscript and onnxruntime",
)

CONFIGS = [
    PredictorConfig(hidden=3, kernel=5, layers=2, front_end="compressed", level=True, position=2, skip=True),
    PredictorConfig(complex=False, hidden=3, front_end="increment", level=True, skip=True, ahead=2),
    PredictorConfig("lstm", complex=False, hidden=5, layers=2),
    PredictorConfig("urnn", hidden=4, front_end="increment", ahead=3),
    PredictorConfig("cgrnn", hidden=4, front_end="compressed"),
]


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda config: f"{config.architecture}-{config.front_end}")
def both(request: pytest.FixtureRequest) -> tuple[OnnxPredictor, TorchPredictor]:
    torch.manual_seed(0)
    network = build(request.param).eval()
    return OnnxPredictor(request.param, to_onnx(step_model(network)), "small"), TorchPredictor(network)


def spectra(batch: int, frames: int) -> np.ndarray:
    """Noise from loud to silent, with a silent frame and a silent bin."""
    rng = np.random.default_rng(0)
    levels = np.logspace(1, -4, frames)[:, None]
    made = levels * (rng.standard_normal((batch, frames, BINS)) + 1j * rng.standard_normal((batch, frames, BINS)))
    made[:, 1:2], made[..., 5] = 0, 0
    return made.astype(np.complex64)


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 30), (3, 9)])
def test_both_runtimes_forecast_the_same(both: tuple[OnnxPredictor, TorchPredictor], batch: int, frames: int) -> None:
    x = spectra(batch, frames)
    (found, _), (expected, _) = (predictor.forecast(x) for predictor in both)
    assert found.shape == expected.shape == (batch, frames, both[0].config.ahead, BINS)
    assert found.dtype == expected.dtype == np.complex64
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("cuts", [[1], [4, 5], [7]])
def test_the_state_carries_over_any_cut(both: tuple[OnnxPredictor, TorchPredictor], cuts: list[int]) -> None:
    x = spectra(2, 12)
    for predictor in both:
        whole, _ = predictor.forecast(x)
        state, parts = None, []
        for part in np.split(x, cuts, axis=1):
            ahead, state = predictor.forecast(part, state)
            parts.append(ahead)
        np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_a_state_may_be_used_twice(both: tuple[OnnxPredictor, TorchPredictor]) -> None:
    x = spectra(1, 8)
    for predictor in both:
        _, state = predictor.forecast(x[:, :4])
        once, twice = (predictor.forecast(x[:, 4:], state)[0] for _ in range(2))
        np.testing.assert_array_equal(once, twice)


def test_predicting_and_concealing_load_no_torch(tmp_path: Path) -> None:
    config = PredictorConfig(hidden=2)
    (tmp_path / "model.onnx").write_bytes(to_onnx(step_model(build(config).eval())))
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # importing it fails
        "from pathlib import Path\n"
        "from types import SimpleNamespace\n"
        "import numpy as np\n"
        "import audiocx.speech.baselines, audiocx.speech.concealment_evaluation\n"
        "from audiocx.models.configs import PredictorConfig\n"
        "from audiocx.speech.concealment import fill, network_forecast\n"
        "from audiocx.speech.evaluation import score_store\n"
        "from audiocx.speech.predictor import Predictor\n"
        f"content = Path({str(tmp_path / 'model.onnx')!r}).read_bytes()\n"
        "checkpoint = SimpleNamespace(config=PredictorConfig(hidden=2), onnx=content, network=None, name='small')\n"
        "predictor = Predictor(checkpoint)\n"
        "samples = np.random.default_rng(0).uniform(-0.1, 0.1, 4000).astype(np.float32)\n"
        "assert np.isfinite(predictor.predict(samples, 8000).resynthesis()).all()\n"
        "assert np.isfinite(fill(samples, 8000, [(0.2, 0.25)], network_forecast(predictor.network))).all()\n"
    )
    root = Path(audiocx.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
