"""Packet loss concealment: gaps are filled with forecasts, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import audiocx
from audiocx import checkpoints
from audiocx.api import conceal, load_predictor
from audiocx.errors import AudioError, CheckpointError, ConfigError
from audiocx.kinds import build
from audiocx.models import PredictorConfig, PredictorNetwork
from audiocx.models.predictor_runtime import TorchPredictor
from audiocx.speech.concealment import Forecast, damp_levels, extrapolate_phase, fill, network_forecast, plot
from audiocx.speech.gaps import frame_ranges, sample_ranges
from audiocx.speech.predictor import Predictor
from audiocx.stft import stft

Gaps = list[tuple[float, float]]
RNG = np.random.default_rng(0)


def forecast_of(network: PredictorNetwork) -> Forecast:
    return network_forecast(TorchPredictor(network))


def polar(magnitudes: np.ndarray, phases: np.ndarray) -> np.ndarray:
    return (magnitudes * np.exp(1j * phases)).astype(np.complex64)


def repeating(front_end: Any = "increment", ahead: int = 5, weight: float = 1.0) -> PredictorNetwork:
    """A network that repeats level (to the power of the weight) and phase increment of the last frame."""
    network = build(PredictorConfig(hidden=2, front_end=front_end, skip=True, ahead=ahead)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.core.readout.weight_real[:, -1] = weight  # type: ignore[union-attr, index]
    return network


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "repeating"
    return checkpoints.save_checkpoint(repeating(), folder, description="repeats")


def tones(rate: int = 8000, duration_s: float = 1.0) -> np.ndarray:
    time_s = np.arange(round(rate * duration_s)) / rate
    return sum(0.2 * np.sin(2 * np.pi * freq_hz * time_s + freq_hz) for freq_hz in (310.0, 1215.3, 2500.7)).astype(
        np.float32
    )


def without(samples: np.ndarray, gaps: Gaps, rate: int = 8000, value: float = 0.0) -> np.ndarray:
    lost = samples.copy()
    for start, stop in sample_ranges(gaps, rate):
        lost[start:stop] = value
    return lost


def assert_untouched(concealed: np.ndarray, lost: np.ndarray, gaps: Gaps, rate: int) -> None:
    """Assert equality bit for bit, except in the gaps and 4 ms around them."""
    outside, fade = np.ones(len(lost), bool), round(0.004 * rate)
    for start, stop in sample_ranges(gaps, rate):
        outside[max(0, start - fade) : stop + fade] = False
    assert concealed.dtype == np.float32 and concealed.shape == lost.shape
    assert concealed[outside].tobytes() == lost[outside].tobytes()


def error_in(concealed: np.ndarray, true: np.ndarray, gaps: Gaps, rate: int = 8000) -> float:
    """Root of the energy of the error in the gaps over that of the lost samples."""
    lost = np.concatenate([np.arange(*span) for span in sample_ranges(gaps, rate)])
    return float(np.linalg.norm((concealed - true)[lost]) / np.linalg.norm(true[lost]))


ALIGNED: Gaps = [(0.48, 0.512)]
CASES: dict[str, Gaps] = {
    "whole hops": ALIGNED,
    "anywhere": [(0.4001, 0.4377)],
    "beyond the horizon": [(0.4, 0.496)],
    "soon after another": [(0.4, 0.448), (0.512, 0.56)],
    "no intact frame between": [(0.4, 0.432), (0.444, 0.458)],
    "at the end": [(0.96, 1.0)],
}


# With a perfect forecast, the result is the original.


def decaying() -> np.ndarray:
    """A chirp that grows softer from frame to frame, so that none is louder than the last intact one."""
    time_s = np.arange(8000) / 8000
    return (0.5 * np.exp(-2 * time_s) * np.sin(2 * np.pi * (300 + 500 * time_s) * time_s)).astype(np.float32)


def oracle(true: np.ndarray, ahead: int) -> Forecast:
    """A perfect forecast; its state counts the frames seen so far."""
    frames = np.concatenate([stft(true), np.zeros((ahead, 129), np.complex64)])

    def forecast(spectra: np.ndarray, seen: int | None) -> tuple[np.ndarray, int]:
        now = (seen or 0) + spectra.shape[1]
        return frames[None, now : now + ahead], now

    return forecast


@pytest.mark.parametrize("ahead", [1, 3, 5])
@pytest.mark.parametrize("gaps", [pytest.param(gaps, id=name) for name, gaps in CASES.items()])
def test_a_perfect_forecast_restores_the_recording(gaps: Gaps, ahead: int) -> None:
    true = decaying()
    concealed = fill(without(true, gaps), 8000, gaps, oracle(true, ahead))
    assert_untouched(concealed, without(true, gaps), gaps, 8000)
    np.testing.assert_allclose(concealed, true, atol=2e-5)


def test_the_network_sees_its_own_frames_in_gaps_and_intact_ones_after() -> None:
    """Whatever is forecast, its input is a sequence of all frames: intact ones and its own, each once."""
    gaps: Gaps = [(0.2, 0.25), (0.48, 0.512), (0.6, 0.7)]
    true, seen = tones(), []

    def recording_forecast(spectra: np.ndarray, state: None) -> tuple[np.ndarray, None]:
        seen.append(spectra)
        return 0.9 * spectra[:, -1:].repeat(3, 1), None

    fill(without(true, gaps), 8000, gaps, recording_forecast)
    given, intact = np.concatenate(seen, 1)[0], stft(without(true, gaps))
    ranges, expected = frame_ranges(gaps, 8000), intact.copy()
    for first, after in ranges:
        for frame in range(first, after):
            # All three of a call are alike, and the next call goes on from the last of them.
            expected[frame] = 0.9 ** ((frame - first) // 3 + 1) * expected[first - 1]
    np.testing.assert_allclose(given, expected[: ranges[-1][1]], atol=1e-4)


# With networks.


@pytest.mark.parametrize("front_end", ["increment", "compressed", "linear"])
@pytest.mark.parametrize("gaps", [pytest.param(gaps, id=name) for name, gaps in CASES.items()])
def test_steady_tones_continue(gaps: Gaps, front_end: str) -> None:
    """Phases are extrapolated for networks that do not predict them."""
    true = tones()
    lost = without(true, gaps)
    concealed = fill(lost, 8000, gaps, forecast_of(repeating(front_end, 5 if front_end == "increment" else 1)))
    assert_untouched(concealed, lost, gaps, 8000)
    assert error_in(concealed, true, gaps) < 0.05
    assert np.abs(concealed - true).max() < 0.1  # crossfades do no harm


def test_extrapolated_phases_with_forecast_magnitudes() -> None:
    """With a tenth of the magnitude, tones continue with their phase increments."""
    spectra = stft(tones())[None, 3:20]
    ahead, _ = extrapolate_phase(lambda frames, _: (0.1 * frames[:, -1:] * 1j, None))(spectra[:, :10], None)
    strong = np.abs(spectra[0, 10]) > 1
    np.testing.assert_allclose(10 * ahead[0, 0, strong], spectra[0, 10, strong], rtol=0.05, atol=0.1)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_levels_are_damped(share: float) -> None:
    """Forecasts 20 dB below and at the last level: the difference shrinks by the share, phases are as forecast."""
    spectra = polar(RNG.uniform(0.1, 1, (1, 9, 129)), RNG.standard_normal((1, 9, 129)))
    last, phases = spectra[:, -1:], RNG.standard_normal((1, 2, 129))
    given = polar(np.abs(last) * np.array([0.1, 1.0])[:, None], phases)
    ahead, state = damp_levels(lambda frames, state: (given, (state, frames.shape)), share)(spectra, "before")
    expected = polar(np.abs(last) * np.array([0.1**share, 1.0])[:, None], phases)
    np.testing.assert_allclose(ahead, expected, rtol=1e-4, atol=1e-5)
    assert state == ("before", spectra.shape)


def test_phase_increments_continue_across_calls() -> None:
    forecast, spectra = (
        extrapolate_phase(lambda frames, _: (frames[:, -1:].repeat(2, 1), None)),
        (RNG.standard_normal((1, 9, 129)) + 1j).astype(np.complex64),
    )
    whole, _ = forecast(spectra, None)
    _, state = forecast(spectra[:, :8], None)
    by_parts, _ = forecast(spectra[:, 8:], state)
    np.testing.assert_allclose(by_parts, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_channels_of_any_rate_are_concealed_independently(rate: int) -> None:
    gaps, forecast = [(0.3, 0.35), (0.6004, 0.6321)], forecast_of(repeating())
    both = np.stack([tones(rate), np.roll(tones(rate), 99) * 0.3], axis=1)
    lost = without(both, gaps, rate)
    concealed = fill(lost, rate, gaps, forecast)
    assert_untouched(concealed, lost, gaps, rate)
    assert error_in(concealed, both, gaps, rate) < 0.05
    for channel in (0, 1):
        alone = fill(lost[:, channel], rate, gaps, forecast)
        np.testing.assert_allclose(alone, concealed[:, channel], atol=1e-5)


def test_samples_in_a_gap_are_not_used() -> None:
    gaps, forecast = CASES["anywhere"], forecast_of(repeating())
    quiet, loud = (fill(without(tones(16000), gaps, 16000, value), 16000, gaps, forecast) for value in (0.0, 9.0))
    np.testing.assert_array_equal(quiet, loud)


def test_long_gaps_fade_out_after_100_ms() -> None:
    gaps: Gaps = [(0.32, 0.8)]
    true, lost = tones(), without(tones(), gaps)
    concealed = fill(lost, 8000, gaps, forecast_of(repeating()))
    assert_untouched(concealed, lost, gaps, 8000)
    assert error_in(concealed, true, [(0.32, 0.4)]) < 0.05
    levels = [np.abs(concealed[start : start + 128]).max() for start in range(3328, 4224, 128)]
    assert all(later <= earlier + 1e-3 for earlier, later in zip(levels, levels[1:], strict=False))
    # After 150 ms and half a frame.
    assert levels[-1] == 0 and not concealed[round((0.32 + 0.166) * 8000) : 6400 - 128].any()


def test_a_gap_after_a_long_one_is_concealed_from_the_sound_between() -> None:
    gaps: Gaps = [(0.1, 0.4), (0.6, 0.632)]
    concealed = fill(without(tones(), gaps), 8000, gaps, forecast_of(repeating()))
    assert error_in(concealed, tones(), gaps[1:]) < 0.05


def test_before_any_sound_there_is_silence() -> None:
    """Also in a channel that begins later than the other, and whatever the network forecasts."""

    def forecast_sound(spectra: np.ndarray, state: None) -> tuple[np.ndarray, None]:
        return np.broadcast_to(stft(tones())[20], spectra[:, -1:].shape), None

    both = np.stack([tones(), tones()], axis=1)
    both[:4000, 1] = 0
    gaps: Gaps = [(0.0, 0.05), (0.2, 0.232)]
    concealed = fill(without(both, gaps), 8000, gaps, forecast_sound)
    assert not concealed[:400].any() and not concealed[:4000, 1].any()
    assert np.abs(concealed[1600:1856, 0]).max() > 0.1
    everything = fill(both, 8000, [(0.0, 1.0)], forecast_sound)
    assert not everything.any()


def test_no_frame_is_louder_than_the_last_intact_one() -> None:
    gaps: Gaps = [(0.4, 0.496)]
    diverging = forecast_of(repeating("compressed", 1, weight=1.5))
    concealed = fill(without(tones(), gaps), 8000, gaps, diverging)
    filled = concealed[3200:3968]
    assert 0.1 < np.abs(filled).max() < 2 * np.abs(tones()).max()
    assert np.linalg.norm(filled) < 1.2 * np.linalg.norm(tones()[3200:3968])


@pytest.mark.parametrize("front_end", ["increment", "linear"])
def test_an_untrained_network_changes_nothing_outside_the_gaps(front_end: Any) -> None:
    torch.manual_seed(0)
    network = build(PredictorConfig(hidden=3, front_end=front_end, ahead=2)).eval()
    gaps: Gaps = [(0.2, 0.3), (0.5, 0.9)]
    concealed = fill(without(tones(), gaps), 8000, gaps, forecast_of(network))
    assert_untouched(concealed, without(tones(), gaps), gaps, 8000)
    assert np.isfinite(concealed).all()


# The public function.


def test_a_file_is_concealed_where_it_has_zeros(model: Path, tmp_path: Path) -> None:
    gaps: Gaps = [(0.3, 0.332), (0.6, 0.63)]
    both = np.stack([tones(44100), 0.5 * tones(44100)], axis=1)
    soundfile.write(tmp_path / "call.wav", without(both, gaps, 44100), 44100, subtype="FLOAT")
    found = audiocx.conceal(tmp_path / "call.wav", model=model, device="cpu")
    assert error_in(found, both, gaps, 44100) < 0.05
    loaded = load_predictor(model, "cpu")
    named = conceal(tmp_path / "call.wav", reversed(gaps), loaded)
    np.testing.assert_array_equal(found, named)
    lost, _ = soundfile.read(tmp_path / "call.wav", dtype="float32")
    np.testing.assert_array_equal(conceal(lost, gaps, loaded, sample_rate=44100), named)
    assert_untouched(named, lost, gaps, 44100)
    left = conceal(lost[:, 0], gaps, loaded, sample_rate=44100)
    assert left.shape == (44100,)


def test_overlapping_gaps_are_one(model: Path) -> None:
    loaded, samples = load_predictor(model, "cpu"), tones()
    apart = conceal(samples, [(0.42, 0.45), (0.4, 0.43), (0.41, 0.42)], loaded, sample_rate=8000)
    np.testing.assert_array_equal(apart, conceal(samples, [(0.4, 0.45)], loaded, sample_rate=8000))


def test_a_recording_without_gaps_is_returned_as_it_is_and_no_network_is_loaded() -> None:
    for gaps in (None, []):
        samples = tones()
        concealed = conceal(samples, gaps, "no such network", sample_rate=8000)
        assert concealed.tobytes() == samples.tobytes()


def test_1_sample_is_a_recording(model: Path) -> None:
    assert conceal(np.ones(1), [(0.0, 1 / 8000)], model, "cpu", sample_rate=8000).tolist() == [0.0]


@pytest.mark.parametrize(
    ("samples", "settings", "error", "message"),
    [
        (np.zeros(900), {}, ConfigError, "sample_rate"),
        (np.zeros(0), {"sample_rate": 8000}, AudioError, "not be empty"),
        (np.zeros((0, 2)), {"sample_rate": 8000}, AudioError, "not be empty"),
        (np.zeros((9, 2, 2)), {"sample_rate": 8000}, AudioError, r"\[N\], \[N, C\] or"),
        (np.full(900, np.nan), {"sample_rate": 8000}, AudioError, "NaN or infinite"),
        (np.ones(900), {"sample_rate": 0, "gaps": [(0.01, 0.02)]}, ConfigError, "positive"),
        (np.ones(900), {"sample_rate": 8000, "gaps": [(0.1, 0.2)]}, ConfigError, "samples: the gap from 0.1 to 0.2 s"),
        (np.ones(900), {"sample_rate": 8000, "gaps": [(0.02, 0.01)]}, ConfigError, "a start and a later end"),
        (np.ones(900), {"sample_rate": 8000, "gaps": [(0.01, 0.02)], "model": "none"}, CheckpointError, "none"),
    ],
)
def test_invalid_input_is_refused(
    samples: np.ndarray, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        conceal(samples, **settings)


def test_a_network_of_the_other_kind_is_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot predict speech"):
        conceal(tones(), ALIGNED, tiny_checkpoint, sample_rate=8000)


def test_a_network_stays_usable_for_predicting(model: Path) -> None:
    loaded = load_predictor(model, "cpu")
    before = loaded.predict(tones(), 8000).mse
    conceal(tones(), ALIGNED, loaded, sample_rate=8000)
    assert isinstance(loaded, Predictor) and loaded.predict(tones(), 8000).mse == before


def test_the_plot_shows_both_and_marks_gaps() -> None:
    samples, gaps = np.stack([tones(16000), tones(16000)], 1), [(0.3, 0.4), (0.7, 0.72)]
    lost = without(samples, gaps, 16000)
    figure = plot(lost, samples, 16000, gaps, "call.wav")
    above, below = (axes.images[0].get_array() for axes in figure.axes[:2])
    assert above.shape == below.shape == (129, 8000 // 128 + 3)
    # Frame t is centred at (t - 1) * 16 ms.
    assert figure.axes[0].images[0].get_extent()[0] == pytest.approx(-0.024)
    assert above[:, 22].max() < -40 < 10 < below[:, 22].max()
    np.testing.assert_allclose(above[:, :15], below[:, :15], atol=0.01)
    for axes in figure.axes[:2]:
        assert [bar.get_x() for bar in axes.patches] == [0.3, 0.7]
