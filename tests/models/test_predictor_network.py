"""Predictors: parameter counts, streaming, causality, compression of magnitudes, phase increments."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from audiocx.kinds import build
from audiocx.models import PredictorConfig, PredictorNetwork
from audiocx.models.predictor_network import compress, expand
from audiocx.models.speech_transform import log_power_db, stft
from audiocx.stft import BINS

SMALL = [
    PredictorConfig(hidden=4),
    PredictorConfig(hidden=4, complex=False),
    PredictorConfig("lstm", complex=False, hidden=5),
    PredictorConfig(
        hidden=3, layers=2, kernel=5, front_end="compressed", level=True, position=2, skip=True, forget_bias=1.0
    ),
    PredictorConfig(complex=False, hidden=3, layers=2, front_end="compressed", level=True, position=1),
    PredictorConfig(complex=False, hidden=3, front_end="compressed", level=True, skip=True),
    PredictorConfig("lstm", complex=False, hidden=5, layers=2, front_end="compressed"),
    PredictorConfig(hidden=3, front_end="increment", level=True, skip=True, ahead=3),
    PredictorConfig(complex=False, hidden=3, front_end="increment", skip=True, ahead=2),
    PredictorConfig("lstm", complex=False, hidden=5, front_end="increment", ahead=2),
    PredictorConfig("urnn", hidden=5),
    PredictorConfig("urnn", hidden=4, layers=2, front_end="increment", ahead=2),
    PredictorConfig("cgrnn", hidden=4),
    PredictorConfig("cgrnn", hidden=3, layers=2, front_end="compressed", ahead=2),
]


def spectra(*shape: int) -> Tensor:
    return torch.randn(*shape, BINS, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


def network(config: PredictorConfig) -> PredictorNetwork:
    torch.manual_seed(0)
    return build(config)


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (PredictorConfig(), 88_442),
        (PredictorConfig(complex=False), 87_194),
        (PredictorConfig("lstm", complex=False), 135_548),
        (PredictorConfig("urnn"), 134_808),
        (PredictorConfig("cgrnn"), 87_794),
    ],
)
def test_parameter_counts(config: PredictorConfig, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in network(config).parameters()) == parameters


@pytest.mark.parametrize("config", SMALL)
def test_single_steps_equal_the_whole_sequence(config: PredictorConfig) -> None:
    predictor, x = network(config), spectra(2, 7)
    with torch.no_grad():
        whole, last = predictor(x)
        state, frames = None, []
        for frame in x.unbind(1):
            prediction, state = predictor.step(frame, state)
            frames.append(prediction)
    torch.testing.assert_close(torch.stack(frames, 1), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("architecture", ["urnn", "cgrnn"])
def test_complex_recurrent_networks_process_complex_spectra(architecture: Any) -> None:
    """The readout maps real and imaginary part of the state to those of every bin."""
    predictor, x = network(PredictorConfig(architecture, hidden=4)), spectra(2, 5)
    core: Any = predictor.core
    state = core.layers[0](x)[0]
    parts = core.readout(torch.cat([state.real, state.imag], -1))
    assert state.is_complex() and state.shape == (2, 5, 4)
    torch.testing.assert_close(predictor(x)[0], torch.complex(parts[..., ::2], parts[..., 1::2]))


@pytest.mark.parametrize("config", SMALL)
def test_predictions_are_causal(config: PredictorConfig) -> None:
    predictor, x = network(config), spectra(1, 6)
    other = x.clone()
    other[:, 4:] = 0
    before, after = predictor(x)[0], predictor(other)[0]
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:], after[:, 4:])


@pytest.mark.parametrize("config", SMALL)
def test_every_parameter_has_a_gradient(config: PredictorConfig) -> None:
    predictor, x = network(config), spectra(2, 5)
    loss = (log_power_db(predictor(x)[0][:, :-1]) - log_power_db(x[:, 1:])).square().mean()
    loss.backward()
    for name, parameter in predictor.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


@pytest.mark.parametrize("config", SMALL)
def test_silence_has_finite_outputs_and_gradients(config: PredictorConfig) -> None:
    predictor = network(config)
    prediction = log_power_db(predictor(torch.zeros(1, 4, BINS, dtype=torch.complex64))[0])
    prediction.square().mean().backward()
    assert prediction.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in predictor.parameters())


def test_expand_inverts_compress() -> None:
    x = spectra(20) * torch.logspace(-4, 2, 20).unsqueeze(1)
    pairs = torch.view_as_real(x)
    torch.testing.assert_close(expand(compress(pairs)), pairs, rtol=1e-3, atol=1e-6)
    packed = torch.view_as_complex(compress(pairs))
    # The phase is kept; magnitudes from silence to the loudest are between 0 and about 2.
    torch.testing.assert_close(packed.angle(), x.angle(), rtol=0, atol=1e-4)
    assert float(packed.abs().max()) < 2.5


def testcompressed_extremes_are_finite() -> None:
    assert expand(torch.full((3, 2), 1e6)).isfinite().all()
    assert compress(torch.zeros(3, 2)).eq(0).all()


@pytest.mark.parametrize("frequency_hz", [500.0, 1012.3, 3000.0])
def test_repeating_the_phase_increment_predicts_a_tone(frequency_hz: float) -> None:
    config = PredictorConfig(hidden=2, front_end="increment", skip=True, ahead=4)
    repeats = network(config)
    with torch.no_grad():
        for parameter in repeats.core.parameters():
            parameter.zero_()
        readout = repeats.core.readout.weight_real  # type: ignore[union-attr]
        readout[:, -1] = 1.0  # the input, after the hidden maps
    tone = stft(0.5 * torch.sin(2 * torch.pi * frequency_hz * torch.arange(4000) / 8000)[None])[:, 3:-3]
    forecast, _ = repeats.forecast(tone)
    for ahead in range(4):
        true = tone[:, 2 + ahead :]
        # The first frame's increment is not known yet.
        predicted = forecast[:, 1 : 1 + true.shape[1], ahead]
        assert (predicted - true).abs().max() < 1e-2 * true.abs().max()


def test_forward_returns_the_first_forecast_frame() -> None:
    several = network(PredictorConfig(hidden=3, ahead=3))
    x = spectra(2, 6)
    forecast, _ = several.forecast(x)
    assert forecast.shape == (2, 6, 3, 129) and forecast.dtype == torch.complex64
    assert torch.equal(several(x)[0], forecast[:, :, 0])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"architecture": "gru"}, "architecture is one of 'convlstm', 'lstm'"),
        ({"architecture": "lstm"}, "set complex = false"),
        ({"architecture": "urnn", "complex": False}, "the urnn is complex"),
        ({"architecture": "cgrnn", "complex": False}, "the cgrnn is complex"),
        ({"architecture": "lstm", "complex": False, "level": True}, "belong to the ConvLSTM"),
        ({"architecture": "cgrnn", "skip": True}, "belong to the ConvLSTM"),
        ({"kernel": 4}, "kernel must be odd"),
        ({"hidden": 0}, "hidden must be a number in"),
        ({"position": -1}, "position must be a number in"),
    ],
)
def test_invalid_settings_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PredictorConfig(**settings)  # type: ignore[arg-type]
