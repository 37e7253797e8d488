"""Front ends against NumPy's FFT, SciPy and the shift theorem."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor
from torch.testing import assert_close

from audiocx.models.frontend import FrontEnd
from audiocx.nn.functional import to_complex

N = 512
TRANSFORMS = ["spectrum", "compressed", "magnitudes"]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def bins_of(front_end: FrontEnd, windows: np.ndarray) -> np.ndarray:
    """The front end's bins as complex numbers, [B, bins]."""
    return to_complex(front_end(torch.from_numpy(windows).float())).squeeze(1).numpy()


def partial(cycles: float, phase: float, delay: float = 0.0) -> np.ndarray:
    """A steady sinusoid, as a batch of one; ``phase`` is that at the window's centre."""
    return np.cos(2 * np.pi * cycles * (np.arange(N) - N / 2 - delay) / N + phase)[None]


def compressed(spectrum: np.ndarray) -> np.ndarray:
    return np.log1p(np.abs(spectrum)) * np.exp(1j * np.angle(spectrum))


@pytest.mark.parametrize("bins", [1, N // 2, N // 2 + 1, N])
@pytest.mark.parametrize("size", [N, 4096])
def test_spectrum_is_the_unwindowed_fft(bins: int, size: int) -> None:
    bins = bins * size // N if bins > 1 else bins
    windows = np.random.default_rng(0).standard_normal((3, size))
    found = bins_of(FrontEnd("spectrum", size, bins, complex=True), windows)
    np.testing.assert_allclose(found, np.fft.fft(windows)[:, :bins], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("complex", [True, False])
@pytest.mark.parametrize("size", [2, 4, N])
def test_the_analytic_signal_equals_scipys(size: int, complex: bool) -> None:
    windows = np.random.default_rng(0).standard_normal((3, size)) + 0.5
    found = bins_of(FrontEnd("analytic", size, 1, complex), windows)
    np.testing.assert_allclose(found, scipy.signal.hilbert(windows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bins", [1, N // 2, N // 2 + 1, N])
def test_compressed_is_log1p_of_the_hann_windows_magnitude(bins: int) -> None:
    windows = np.random.default_rng(0).standard_normal((3, N))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N) / N)
    # Putting the centre first refers the phases to it.
    expected = compressed(np.fft.fft(np.roll(hann * windows, N // 2, axis=1)))[:, :bins]
    found = bins_of(FrontEnd("compressed", N, bins, complex=False), windows)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("complex", [True, False])
def test_magnitudes_are_those_of_the_compressed(complex: bool) -> None:
    windows = torch.randn(3, N)
    found = FrontEnd("magnitudes", N, N // 2, complex)(windows)
    expected = to_complex(FrontEnd("compressed", N, N // 2, complex)(windows)).abs()
    assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cycles", [40.0, 40.3, 100.5, 201.9])
@pytest.mark.parametrize("phase", [-2.5, 0.0, 1.0])
def test_a_steady_partial_has_one_phase_across_its_main_lobe(cycles: float, phase: float) -> None:
    found = bins_of(FrontEnd("compressed", N, N // 2, complex=True), partial(cycles, phase))[0]
    lobe = [k for k in range(N // 2) if abs(k - cycles) < 1.8]
    assert len(lobe) >= 3
    np.testing.assert_allclose(found[lobe] / np.abs(found[lobe]), np.exp(1j * phase), atol=1e-3)


@pytest.mark.parametrize("delay", [1.0, 7.5, 30.0])
def test_a_delay_rotates_the_phase_of_a_partial(delay: float) -> None:
    front_end, cycles = FrontEnd("compressed", N, N // 2, complex=True), 60.4
    lobe = [59, 60, 61, 62]
    before = bins_of(front_end, partial(cycles, 0.3))[0][lobe]
    after = bins_of(front_end, partial(cycles, 0.3, delay))[0][lobe]
    np.testing.assert_allclose(after, before * np.exp(-2j * np.pi * cycles * delay / N), atol=5e-3)


@pytest.mark.parametrize("delay", [1, 100, N // 2])
def test_a_circular_shift_rotates_every_bin_of_the_spectrum(delay: int) -> None:
    front_end, windows = FrontEnd("spectrum", N, N, complex=True), np.random.default_rng(0).standard_normal((2, N))
    turn = np.exp(-2j * np.pi * np.arange(N) * delay / N)
    shifted = bins_of(front_end, np.roll(windows, delay, axis=1))
    np.testing.assert_allclose(shifted, bins_of(front_end, windows) * turn, atol=1e-3)


@pytest.mark.parametrize("gain", [1e-3, 1.0, 1e3])
def test_compression_is_linear_below_one_and_logarithmic_above(gain: float) -> None:
    # A Hann window has the sum N / 2, and half a real sinusoid lies in each of its two bins.
    peak = gain * N / 4
    found = bins_of(FrontEnd("compressed", N, N // 2, complex=True), gain * partial(50, 0.0))[0, 50]
    assert found.real == pytest.approx(np.log1p(peak), rel=1e-4)


def test_raw_is_the_samples_with_an_imaginary_part_of_zero() -> None:
    windows = torch.randn(3, N)
    for_complex = FrontEnd("raw", N, N // 2, complex=True)
    for_real = FrontEnd("raw", N, N, complex=False)
    assert torch.equal(for_complex(windows), torch.stack([windows, torch.zeros(3, N)], 1))
    assert torch.equal(for_real(windows), windows[:, None])


@pytest.mark.parametrize("name", ["raw", *TRANSFORMS])
@pytest.mark.parametrize("complex", [True, False])
@pytest.mark.parametrize("bins", [100, N])
def test_channels_and_length_are_those_of_the_output(name: str, complex: bool, bins: int) -> None:
    front_end = FrontEnd(name, N, bins, complex)  # type: ignore[arg-type]
    assert front_end(torch.randn(2, N)).shape == (2, front_end.channels, front_end.length)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_silence_is_zero_with_finite_gradients(name: str) -> None:
    windows = torch.zeros(2, N, requires_grad=True)
    features = FrontEnd(name, N, N // 2, complex=True)(windows)  # type: ignore[arg-type]
    assert not features.any()
    (grad,) = torch.autograd.grad(features.sum(), windows)
    assert grad.isfinite().all()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_half_precision_windows_and_autocast_are_transformed_in_float32(name: str) -> None:
    front_end, windows = FrontEnd(name, N, N // 2, complex=True), torch.randn(2, N).half()  # type: ignore[arg-type]
    expected: Tensor = front_end(windows.float())
    with torch.autocast("cpu", torch.bfloat16):
        features = front_end(windows)
    assert_close(features, expected, rtol=0, atol=0)


def test_the_front_end_has_no_state() -> None:
    assert not FrontEnd("compressed", N, N // 2, complex=True).state_dict()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="one of 'raw', .*'modes', not 'mel'"):
        FrontEnd("mel", N, N // 2, complex=True)  # type: ignore[arg-type]
